"""What the models read: missing stays missing, absent is an error, and one row is the same as one of many."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from models_for_tests import MONTHS, application, network, trees, world

from decision_service.errors import ModelError
from decision_service.scoring.models import LstmModel, XgboostModel
from decision_service.scoring.rows import feature_row, series_window
from ml.fitted import lstm_margins, probabilities, xgboost_margins

TREES, NETWORK = trees(), network()
FEATURES, SERIES, MASK = application()
NAN = math.nan


@pytest.mark.parametrize(
    ("change", "row"),
    [
        pytest.param({}, [0.5, NAN, 0.1, 0, 1], id="values, a missing one, and the industry's section"),
        pytest.param({"growth": None}, [0.5, NAN, 0.1, 0, 1], id="None is missing too"),
        pytest.param({"industry_code": "02"}, [0.5, NAN, 0.1, 1, 0], id="another section"),
        pytest.param({"industry_code": "70"}, [0.5, NAN, 0.1, NAN, NAN], id="an industry it never saw is missing"),
        pytest.param({"industry_code": None}, [0.5, NAN, 0.1, NAN, NAN], id="no industry is missing"),
        pytest.param({"industry_code": 13}, [0.5, NAN, 0.1, NAN, NAN], id="a number is no industry code"),
        pytest.param({"more": 7}, [0.5, NAN, 0.1, 0, 1], id="what the model does not read changes nothing"),
    ],
)
def test_a_row_of_features(change: dict[str, Any], row: list[float]) -> None:
    found = feature_row({**FEATURES, **change}, TREES.spec)
    np.testing.assert_array_equal(found[0], np.array(row, dtype=np.float32))


@pytest.mark.parametrize(
    ("features", "why"),
    [
        pytest.param({"leverage": 1.0, "growth": 1.0}, "'idle' was not delivered", id="a feature is absent"),
        pytest.param({"leverage": math.inf, "growth": 1.0, "idle": 0.0}, "'leverage' is infinite", id="infinite"),
        pytest.param({"leverage": 1e300, "growth": 1.0, "idle": 0.0}, "infinite", id="too large for the model"),
        pytest.param({"leverage": NAN, "growth": NAN, "idle": None}, "not one feature", id="nothing is known"),
        pytest.param({"leverage": "high", "growth": 1.0, "idle": 0.0}, "not a number", id="text"),
        pytest.param({"leverage": [1], "growth": 1.0, "idle": 0.0}, "not a number", id="a list"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_features_are_refused_when(features: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelError, match=why):
        feature_row(features, TREES.spec)


SHORT = (False,) * (MONTHS - 5) + (True,) * 5


@pytest.mark.parametrize(
    ("series", "mask", "why"),
    [
        pytest.param(SERIES[1:], MASK[1:], "shape", id="a month is missing"),
        pytest.param(tuple(row[:1] for row in SERIES), MASK, "shape", id="a column is missing"),
        pytest.param(SERIES, MASK[1:], "shape", id="the mask is too short"),
        pytest.param((), (), "shape", id="there is nothing"),
        pytest.param(((1.0,), *SERIES[1:]), MASK, "not a table", id="rows of different lengths"),
        pytest.param((("x", "y"), *SERIES[1:]), MASK, "not a table", id="text"),
        pytest.param(((math.inf, 1.0), *SERIES[1:]), MASK, "infinite", id="an infinite value"),
        pytest.param(SERIES, SHORT, "5 months of series, the model needs 6", id="one month too few"),
    ],
)
def test_a_series_is_refused_when(series: Any, mask: Any, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        series_window(series, mask, NETWORK.spec)


def test_just_enough_months_are_scored() -> None:
    mask = (False,) * (MONTHS - 6) + (True,) * 6
    assert series_window(SERIES, mask, NETWORK.spec).shape == (1, MONTHS, NETWORK.spec.channels)


def test_a_value_outside_the_mask_changes_nothing() -> None:
    mask = (False,) + MASK[1:]
    other = ((9e9, 9e9), *SERIES[1:])
    np.testing.assert_array_equal(series_window(SERIES, mask, NETWORK.spec), series_window(other, mask, NETWORK.spec))


def test_one_row_scores_as_one_of_many() -> None:
    firms = world()
    tree_model, network_model = XgboostModel(TREES.weights, TREES.spec), LstmModel(NETWORK.weights, NETWORK.spec)
    by_trees = probabilities(TREES, xgboost_margins(TREES, firms.matrix, firms.codes))
    by_network = probabilities(NETWORK, lstm_margins(NETWORK, firms.series, firms.mask))
    for place in range(0, 300, 30):
        features = dict(zip(TREES.spec.features, firms.matrix[place].tolist(), strict=True))
        features["industry_code"] = firms.codes[place]
        assert tree_model.probability(features) == pytest.approx(by_trees[place], abs=1e-6)
        series = tuple(map(tuple, firms.series[place].tolist()))
        assert network_model.probability(series, firms.mask[place]) == pytest.approx(by_network[place], abs=1e-6)
