"""Whether a model fits its place: kind, features, series."""

from __future__ import annotations

from dataclasses import replace

import pytest
from models_for_tests import MONTHS, NAMES, SERIES, network, trees

from decision_service.errors import ModelError
from decision_service.scoring.inputs import ModelInputs, check_fit, inputs_of
from decision_service.scoring.models import LstmModel, Model, XgboostModel

TREES = ModelInputs("xgboost", (*NAMES, "industry_code"))
SEQUENCE = ModelInputs("lstm", SERIES, MONTHS)


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    fitted, sequence = trees(), network()
    return {
        "xgboost": XgboostModel(fitted.weights, fitted.spec),
        "lstm": LstmModel(sequence.weights, sequence.spec),
    }


def test_what_a_model_reads_is_what_its_spec_declares(models: dict[str, Model]) -> None:
    assert inputs_of(models["xgboost"]) == TREES
    assert inputs_of(models["lstm"]) == SEQUENCE


@pytest.mark.parametrize(
    ("kind", "places"),
    [
        pytest.param("xgboost", (), id="a place that asks for nothing"),
        pytest.param("xgboost", (TREES,), id="just what is delivered"),
        pytest.param("xgboost", (replace(TREES, names=(*TREES.names, "more")),), id="less than is delivered"),
        pytest.param("xgboost", (replace(TREES, names=TREES.names[::-1]),), id="features in another order"),
        pytest.param("lstm", (SEQUENCE, SEQUENCE), id="two products that deliver alike"),
    ],
)
def test_a_model_fits(models: dict[str, Model], kind: str, places: tuple[ModelInputs, ...]) -> None:
    check_fit(models[kind], places)


@pytest.mark.parametrize(
    ("kind", "places", "why"),
    [
        pytest.param("xgboost", (SEQUENCE,), "of kind xgboost, its place needs lstm", id="trees for a series"),
        pytest.param("lstm", (TREES,), "of kind lstm, its place needs xgboost", id="a network for features"),
        pytest.param("xgboost", (replace(TREES, names=NAMES),), "reads industry_code", id="no industry delivered"),
        pytest.param("xgboost", (replace(TREES, names=("growth",)),), "idle, industry_code, leverage", id="fewer"),
        pytest.param("xgboost", (TREES, replace(TREES, names=())), "does not deliver", id="one of two products"),
        pytest.param("lstm", (replace(SEQUENCE, names=SERIES[::-1]),), "purchases, sales", id="series exchanged"),
        pytest.param("lstm", (replace(SEQUENCE, names=(*SERIES, "x")),), "sales, purchases, x", id="a series more"),
        pytest.param("lstm", (replace(SEQUENCE, months=12),), "12 months", id="another window"),
    ],
)
def test_a_model_does_not_fit(models: dict[str, Model], kind: str, places: tuple[ModelInputs, ...], why: str) -> None:
    with pytest.raises(ModelError, match=why):
        check_fit(models[kind], places)
