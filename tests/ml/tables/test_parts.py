"""Splits: no group on two sides, no future before the past; an average of boosters is one booster."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decision_service.scoring.graph import Graph
from decision_service.scoring.trees import NO_CHILD, read_trees
from ml.export import exported
from ml.fitted import xgboost_margins
from ml.tables.parts import both_occur, folds, latest, recency, span
from ml.tables.sameness import joined
from ml.trees import QUANTUM, averaged, fit_xgboost


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(5, 60), st.booleans())
def test_no_group_is_on_two_sides_and_no_later_row_teaches(seed: int, owners: int, timed: bool) -> None:
    random = np.random.default_rng(seed)
    groups = random.integers(0, owners, 300)
    groups = np.unique(groups, return_inverse=True)[1]
    labels = (random.random(300) < 0.3).astype(int)
    times = random.integers(0, 30, 300).astype(float) if timed else None
    found = folds(labels, groups, times, count=4, seed=seed)
    last = latest(labels, groups, times) if times is not None else None
    for fold in [*found, *([last] if last else [])]:
        assert not set(groups[fold.teach]) & set(groups[fold.judge])
        assert len(fold.judge)
        if times is not None and both_occur(labels[fold.teach]) and (last or len(found) < 4 or fold is last):
            forward = times[fold.teach].max() <= times[fold.judge].min() or not _forward(found, times)
            assert forward
    if times is None:
        assert sorted(np.concatenate([fold.judge for fold in found]).tolist()) == list(range(300))


def _nodes(tree: object) -> object:
    return zip(tree["split_conditions"], tree["left_children"], strict=True)  # type: ignore[index]


def _forward(found: list, times: np.ndarray) -> bool:
    return all(times[fold.teach].max() <= times[fold.judge].min() for fold in found)


def test_with_time_every_block_is_judged_by_what_came_before() -> None:
    random = np.random.default_rng(1)
    times, labels = random.random(2000), (random.random(2000) < 0.2).astype(int)
    found = folds(labels, np.arange(2000), times, count=5, seed=1)
    assert len(found) == 5 and _forward(found, times)
    last = latest(labels, np.arange(2000), times)
    assert last is not None and len(last.judge) == pytest.approx(400, abs=2)
    assert times[last.teach].max() < times[last.judge].min()


def test_bads_are_spread_evenly_over_folds() -> None:
    labels = (np.arange(500) < 30).astype(int)
    found = folds(labels, np.arange(500), None, count=5, seed=3)
    assert {int(labels[fold.judge].sum()) for fold in found} == {6}


def test_groups_that_share_a_row_of_copies_become_one() -> None:
    assert joined(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])).tolist() == [0, 0, 0, 1]


def test_the_average_of_boosters_is_one_booster_with_the_mean_margin() -> None:
    random = np.random.default_rng(5)
    matrix = random.normal(size=(400, 4))
    matrix[random.random(matrix.shape) < 0.1] = np.nan
    labels = (np.nan_to_num(matrix[:, 0]) + random.normal(size=400) > 0.8).astype(int)
    names = ("a", "b", "c", "d")
    models = [fit_xgboost(matrix, labels, feature_names=names, seed=seed, rounds=30) for seed in range(4)]
    one = averaged(models)
    mean = np.mean([xgboost_margins(model, matrix) for model in models], axis=0)
    assert np.abs(xgboost_margins(one, matrix) - mean).max() < 2e-5  # leaves are rounded
    trees = read_trees(one.weights)
    leaves = [value for tree in trees.trees for value, left in _nodes(tree) if left == NO_CHILD]
    assert trees.intercept == 0.0 and all((value / QUANTUM).is_integer() for value in leaves)
    Graph(exported(one), shape=(4,))
    assert one.weights == averaged(models).weights


def test_what_a_row_counts_halves_with_every_half_life_before_the_newest() -> None:
    times = np.array([2000.0, 2004.0, np.nan, 2008.0])
    weights = recency(times, 4.0)
    assert weights is not None
    known = weights[[0, 1, 3]]
    np.testing.assert_allclose(known / known[-1], [0.25, 0.5, 1.0])
    assert known.mean() == pytest.approx(1.0) and weights[2] == 1.0


@pytest.mark.parametrize(
    ("times", "half_life"),
    [
        pytest.param(None, 4.0, id="no time"),
        pytest.param(np.array([1.0, 2.0]), None, id="no half-life"),
        pytest.param(np.array([np.nan, np.nan]), 4.0, id="no time is known"),
    ],
)
def test_otherwise_all_rows_count_alike(times: np.ndarray | None, half_life: float | None) -> None:
    assert recency(times, half_life) is None


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (None, None),
        (np.array([np.nan]), None),
        (np.array([5.0, 5.0]), None),
        (np.array([5.0, np.nan, 9.0]), 4.0),
    ],
)
def test_the_span_of_times(times: np.ndarray | None, expected: float | None) -> None:
    assert span(times) == expected


def test_a_row_that_counts_for_two_is_two_rows() -> None:
    random = np.random.default_rng(2)
    matrix = random.integers(0, 8, (200, 2)).astype(float)
    labels = np.tile((matrix[:100, 0] + random.normal(size=100) > 4).astype(int), 2)
    counts = np.repeat([2, 1], 100)
    given_twice = np.repeat(np.arange(200), counts)
    params = {"subsample": 1.0, "colsample_bytree": 1.0}

    def fit(rows: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        names = ("a", "b")
        one = fit_xgboost(matrix[rows], labels[rows], weights=weights, feature_names=names, seed=1, params=params)
        return xgboost_margins(one, matrix)

    weighted = fit(np.arange(200), counts.astype(float))
    np.testing.assert_allclose(weighted, fit(given_twice), atol=1e-3)
    assert np.abs(weighted - fit(np.arange(200))).max() > 0.05
