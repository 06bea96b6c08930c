"""A booster's file read without XGBoost says what XGBoost's own JSON says; broken bytes are refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xgboost
from models_for_tests import trees

from decision_service.errors import ModelError
from decision_service.scoring.trees import read_trees
from decision_service.scoring.ubjson import from_ubjson

WEIGHTS = trees().weights


def test_a_booster_reads_as_its_json_to_single_precision() -> None:
    booster = xgboost.Booster()
    booster.load_model(bytearray(WEIGHTS))
    found, expected = from_ubjson(WEIGHTS), json.loads(bytes(booster.save_raw("json")))
    assert single(found) == single(expected)


def single(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: single(one) for name, one in value.items()}
    if isinstance(value, list):
        return [single(one) for one in value]
    return float(np.float32(value)) if isinstance(value, (int, float)) else value


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"{}", {}, id="an empty object"),
        pytest.param(b"{i\x01ai\xffi\x01bT}", {"a": -1, "b": True}, id="names with values"),
        pytest.param(b"{#i\x01i\x01aZ", {"a": None}, id="an object that says how many"),
        pytest.param(b"[Si\x02\xc3\xa4F]", ["ä", False], id="text and a constant"),
        pytest.param(b"[#i\x02U\xffI\x01\x00", [255, 256], id="an array that says how many"),
        pytest.param(b"[$l#i\x02\x00\x00\x00\x01\xff\xff\xff\xff", [1, -1], id="a typed array of integers"),
        pytest.param(b"[$d#U\x01\x3f\xc0\x00\x00", [1.5], id="a typed array of numbers"),
        pytest.param(b"[$d#i\x00", [], id="an empty typed array"),
        pytest.param(b"D\x3f\xf8\x00\x00\x00\x00\x00\x00", 1.5, id="a double"),
    ],
)
def test_values(content: bytes, expected: Any) -> None:
    assert from_ubjson(content) == expected


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="an object that does not end"),
        pytest.param(b"[", id="an array that does not end"),
        pytest.param(b"[$d#i\x02\x00\x00\x00\x00", id="a typed array cut short"),
        pytest.param(b"[$S#i\x01i\x01a", id="a typed array of text"),
        pytest.param(b"[$di\x01", id="a typed array that does not say how many"),
        pytest.param(b"Si\xff", id="a negative length"),
        pytest.param(b"SL\x7f\xff\xff\xff\xff\xff\xff\xffa", id="a length beyond the end"),
        pytest.param(b"Si\x01\xff", id="text that is not UTF-8"),
        pytest.param(b"SZ", id="a length that is no number"),
        pytest.param(b"x", id="an unknown marker"),
        pytest.param(b"ZZ", id="something after the end"),
        pytest.param(b"[" * 5000, id="nested without end"),
        pytest.param(b"[#L\x7f\xff\xff\xff\xff\xff\xff\xff", id="an array of more than there is"),
    ],
)
def test_what_is_not_one_whole_document_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        from_ubjson(content)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"Z", WEIGHTS[:-9]], ids=["no", "{}", "[]", "null", "cut"])
def test_a_file_without_trees_is_no_booster(content: bytes) -> None:
    with pytest.raises(ModelError, match="trees cannot be read"):
        read_trees(content)
