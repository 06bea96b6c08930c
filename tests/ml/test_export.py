"""An exported graph gives the model's own probabilities, also at the edge of a split and where values are missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xgboost

from decision_service.errors import ModelError
from decision_service.scoring.graph import Graph
from decision_service.scoring.rows import channels
from decision_service.scoring.spec import XgboostSpec
from ml.export import exported, proven
from ml.fitted import FittedModel, lstm_margins, xgboost_margins
from ml.training import fit_lstm, fit_xgboost
from ml.trees_graph import tree_rows

NAMES = ("a", "b", "c")
RANDOM = np.random.default_rng(3)
MATRIX = RANDOM.normal(size=(400, 3))
MATRIX[RANDOM.random(MATRIX.shape) < 0.2] = np.nan
LABELS = (np.nan_to_num(MATRIX[:, 0]) + RANDOM.normal(size=400) > 0.5).astype(int)
MONTHS, COUNT = 12, 200
SERIES = np.exp(RANDOM.normal(size=(COUNT, MONTHS, 2)))
SERIES[RANDOM.random(SERIES.shape) < 0.2] = np.nan
MASK = RANDOM.random((COUNT, MONTHS)) < 0.9


def booster(**params: object) -> FittedModel:
    return fit_xgboost(MATRIX, LABELS, feature_names=NAMES, seed=1, rounds=25, params=params)


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({}, id="as it is trained here"),
        pytest.param({"max_depth": 1}, id="stumps"),
        pytest.param({"max_depth": 8, "min_child_weight": 0.1}, id="deep trees"),
        pytest.param({"min_split_loss": 1e9}, id="trees without a split"),
        pytest.param({"num_parallel_tree": 3}, id="several trees a round"),
        pytest.param({"base_score": 0.03}, id="a rare default"),
    ],
)
def test_trees_give_the_same_margin(params: dict[str, object]) -> None:
    fitted = booster(**params)
    graph = Graph(exported(fitted), shape=(3,))
    found = graph.margins(MATRIX.astype(np.float32))
    np.testing.assert_allclose(found, xgboost_margins(fitted, MATRIX), atol=5e-6)


def test_the_proof_stands_on_both_sides_of_every_split() -> None:
    fitted = booster()
    assert isinstance(fitted.spec, XgboostSpec)
    rows, margins = tree_rows(fitted.weights, fitted.spec)
    assert np.isnan(rows).any() and len(rows) == len(margins)
    below, on = np.nextafter(rows, np.float32(-np.inf)), rows
    assert all(np.isin(below[:, column], on[:, column]).any() for column in range(3))


@pytest.mark.parametrize("hidden", [1, 4, 16])
def test_a_network_gives_the_same_margin(hidden: int) -> None:
    labels = np.arange(COUNT) % 2
    fitted = fit_lstm(
        SERIES, MASK, labels, series_names=("x", "y"), seed=1, epochs=1, hidden=hidden, min_months=1
    )
    graph = Graph(exported(fitted), shape=(MONTHS, 7))
    reported = MASK.sum(axis=1) >= 1
    found = graph.margins(channels(SERIES, MASK, fitted.spec))
    expected = lstm_margins(fitted, SERIES, MASK)
    np.testing.assert_allclose(found[reported], expected[reported], atol=5e-6)


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"booster": "dart"}, id="trees that drop out"),
        pytest.param({"booster": "gblinear"}, id="no trees"),
        pytest.param({"objective": "reg:squarederror"}, id="another objective"),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name(params: dict[str, object]) -> None:
    table = xgboost.DMatrix(MATRIX, LABELS, feature_names=list(NAMES))
    other = xgboost.train({"objective": "binary:logistic", "nthread": 1, **params}, table, 3)
    with pytest.raises(ModelError, match="cannot read the trees of"):
        exported(replace(booster(), weights=bytes(other.save_raw("ubj"))))


def test_a_graph_that_differs_is_not_registered() -> None:
    fitted, other = booster(), booster(max_depth=2)
    assert isinstance(fitted.spec, XgboostSpec)
    with pytest.raises(ModelError, match="differs from the model"):
        proven(exported(other), fitted, *tree_rows(fitted.weights, fitted.spec))
