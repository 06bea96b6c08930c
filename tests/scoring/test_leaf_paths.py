"""Contributions from tables are the booster's own: trees worked out by hand, and boosters of many shapes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import xgboost

from decision_service.errors import ModelError
from decision_service.scoring.leaf_paths import read_leaf_paths
from decision_service.scoring.trees import Trees, read_trees

RANDOM = np.random.default_rng(5)
COLUMNS = 5
MATRIX = RANDOM.normal(size=(600, COLUMNS)).round(1).astype(np.float32)
MATRIX[RANDOM.random(MATRIX.shape) < 0.2] = np.nan
RISK = np.nan_to_num(MATRIX[:, 0]) * np.nan_to_num(MATRIX[:, 1]) + np.nan_to_num(MATRIX[:, 2])
LABELS = (RISK + RANDOM.normal(size=600) > 0.8).astype(int)


def booster(rounds: int = 30, **params: Any) -> xgboost.Booster:
    settings = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.3, "nthread": 1, "seed": 1, **params}
    return xgboost.train(settings, xgboost.DMatrix(MATRIX, LABELS), rounds)


def stored(fitted: xgboost.Booster) -> bytes:
    return bytes(fitted.save_raw("ubj"))


def tree(*, left: list[int], right: list[int], column: list[int], value: list[float], weight: list[float]) -> dict:
    """Missing goes left."""
    return {
        "left_children": left,
        "right_children": right,
        "split_indices": column,
        "split_conditions": value,
        "default_left": [1] * len(left),
        "sum_hessian": weight,
    }


STUMP = tree(left=[1, -1, -1], right=[2, -1, -1], column=[0, 0, 0], value=[5.0, -1.0, 3.0], weight=[4.0, 3.0, 1.0])
# Both features below their split: 0; only the first above: 4; both above: 8. Each split halves the weight.
BOTH = tree(
    left=[1, -1, 3, -1, -1],
    right=[2, -1, 4, -1, -1],
    column=[0, 0, 1, 0, 0],
    value=[5.0, 0.0, 5.0, 4.0, 8.0],
    weight=[4.0, 2.0, 2.0, 1.0, 1.0],
)
# The same feature twice: below 2, from 2 to below 5, from 5.
TWICE = tree(
    left=[1, 3, -1, -1, -1],
    right=[2, 4, -1, -1, -1],
    column=[0, 0, 0, 0, 0],
    value=[5.0, 2.0, 6.0, 1.0, 3.0],
    weight=[4.0, 2.0, 2.0, 1.0, 1.0],
)


@pytest.mark.parametrize(
    ("shape", "row", "expected"),
    [
        pytest.param(STUMP, [4.9, 0], [-1.0, 0.0, 0.0], id="below the split"),
        pytest.param(STUMP, [5.0, 0], [3.0, 0.0, 0.0], id="on the split is above"),
        pytest.param(STUMP, [math.nan, 0], [-1.0, 0.0, 0.0], id="missing goes where the tree says"),
        pytest.param(BOTH, [9.0, 9.0], [3.5, 1.5, 3.0], id="two features share what only both give"),
        pytest.param(BOTH, [9.0, 0.0], [2.5, -1.5, 3.0], id="the second takes away"),
        pytest.param(BOTH, [0.0, 9.0], [-3.5, 0.5, 3.0], id="a feature off the way still counts in half the orders"),
        pytest.param(TWICE, [1.9, 0], [1.0, 0.0, 0.0], id="one feature twice, first part"),
        pytest.param(TWICE, [2.0, 0], [3.0, 0.0, 0.0], id="one feature twice, second part"),
        pytest.param(TWICE, [5.0, 0], [6.0, 0.0, 0.0], id="one feature twice, third part"),
    ],
)
def test_trees_worked_out_by_hand(shape: dict, row: list[float], expected: list[float]) -> None:
    """``expected``: margins for one feature (its contribution and the base), else both contributions and the base."""
    paths = read_leaf_paths(Trees((shape,), 0.0, 2))
    assert paths is not None
    first, second, base = paths.contributions(np.array([row], dtype=np.float32))
    if shape is not BOTH:
        first, second, base = first + base, second, 0.0
    assert [first, second, base] == pytest.approx(expected)


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"max_depth": 1}, id="stumps"),
        pytest.param({}, id="four levels"),
        pytest.param({"max_depth": 6, "rounds": 8}, id="six levels"),
        pytest.param({"base_score": 0.02, "lambda": 2.0, "subsample": 0.7}, id="a rare default"),
        pytest.param({"monotone_constraints": (1, 0, 1, 0, 0)}, id="monotone"),
        pytest.param({"num_parallel_tree": 2, "subsample": 0.5}, id="several trees a round"),
        pytest.param({"gamma": 1e9}, id="no split at all"),
    ],
)
def test_the_tables_say_what_the_booster_says(params: dict[str, Any]) -> None:
    fitted = booster(**params)
    paths = read_leaf_paths(read_trees(stored(fitted)))
    assert paths is not None
    expected = fitted.predict(xgboost.DMatrix(MATRIX), pred_contribs=True)
    found = [paths.contributions(MATRIX[row : row + 1]) for row in range(len(MATRIX))]
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"max_depth": 12, "min_child_weight": 0, "rounds": 300, "lambda": 0.1}, id="too deep and many"),
        pytest.param({"rounds": 0}, id="no trees"),
    ],
)
def test_a_booster_without_tables(params: dict[str, Any]) -> None:
    assert read_leaf_paths(read_trees(stored(booster(**params)))) is None


def test_trees_that_do_not_say_how_much_went_where_have_no_tables() -> None:
    assert read_leaf_paths(Trees(({**STUMP, "sum_hessian": [4.0, 4.0, 0.0]},), 0.0, 2)) is None


def test_another_objective_is_refused() -> None:
    with pytest.raises(ModelError, match="reg:squarederror"):
        read_trees(stored(booster(objective="reg:squarederror")))


def test_contributions_of_10_000_rows_add_up_to_the_margin_within_a_hundred_thousandth() -> None:
    """A fifth of the values missing, whole rows of them too; XGBoost's own contributions beside."""
    random = np.random.default_rng(11)
    rows = random.normal(scale=1.5, size=(10_000, COLUMNS)).astype(np.float32)
    rows[random.random(rows.shape) < 0.2] = np.nan
    rows[:5] = np.nan
    fitted = booster(rounds=60)
    paths = read_leaf_paths(read_trees(stored(fitted)))
    assert paths is not None
    found = np.array([paths.contributions(rows[row : row + 1]) for row in range(len(rows))])
    margins = fitted.inplace_predict(rows, predict_type="margin")
    assert np.abs(found.sum(axis=1) - margins).max() <= 1e-5
    np.testing.assert_allclose(found, fitted.predict(xgboost.DMatrix(rows), pred_contribs=True), atol=2e-5)
