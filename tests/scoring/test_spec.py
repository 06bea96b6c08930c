"""spec.json says everything about a model, and nothing but a complete, consistent one is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from models_for_tests import network, trees

from decision_service.errors import ModelError
from decision_service.scoring.spec import from_json, to_json

TREES, NETWORK = trees().spec, network().spec


@pytest.mark.parametrize("spec", [pytest.param(TREES, id="trees"), pytest.param(NETWORK, id="network")])
def test_a_spec_that_is_written_and_read_is_the_same_spec(spec: Any) -> None:
    assert to_json(from_json(to_json(spec))) == to_json(spec)


def broken(spec: Any, change: Callable[[dict[str, Any]], Any]) -> bytes:
    data = json.loads(to_json(spec))
    change(data)
    return json.dumps(data).encode()


BAD = {
    "it is not JSON": b"{",
    "it is a list": b"[]",
    "it is empty": b"",
    "it is not UTF-8": b"\xff\xfe",
    "it nests without end": b"[" * 100_000,
    "its format is another": broken(TREES, lambda data: data.update(format=2)),
    "its kind is unknown": broken(TREES, lambda data: data.update(kind="forest")),
    "a field is missing": broken(TREES, lambda data: data.pop("features")),
    "a field is unknown": broken(TREES, lambda data: data.update(loader_module="os")),
    "a feature is named twice": broken(TREES, lambda data: data["features"].append(data["features"][0])),
    "there are no features": broken(TREES, lambda data: data.update(features=[], section_order=[], sections={})),
    "an industry is in a section that is not listed": broken(TREES, lambda data: data["sections"].update({"99": "Z"})),
    "there are no canaries": broken(TREES, lambda data: data.update(canaries=[])),
    "calibration turns the score round": broken(TREES, lambda data: data["calibration"].update(slope=-1.0)),
    "calibration is not finite": broken(TREES, lambda data: data["calibration"].update(offset=float("nan"))),
    "the base rate is one": broken(TREES, lambda data: data["calibration"].update(base_rate=1.0)),
    "the network is huge": broken(NETWORK, lambda data: data.update(hidden=100_000)),
    "hidden is text": broken(NETWORK, lambda data: data.update(hidden="4")),
    "more months are needed than read": broken(NETWORK, lambda data: data.update(min_months=25)),
    "a scale is missing": broken(NETWORK, lambda data: data["spread"].pop()),
    "a spread is zero": broken(NETWORK, lambda data: data["spread"].__setitem__(0, 0.0)),
    "a level is infinite": broken(NETWORK, lambda data: data["level_mean"].__setitem__(0, float("inf"))),
}


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in BAD.items()])
def test_a_spec_is_refused_when(content: bytes) -> None:
    with pytest.raises(ModelError, match="spec.json"):
        from_json(content)
