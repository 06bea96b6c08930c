"""Contributions of boosted trees read from tables: what TreeSHAP would walk for, prepared for every leaf beforehand.

Source: Lundberg et al., Consistent Individualized Feature Attribution for Tree Ensembles (2018), path-dependent
TreeSHAP; the tables per leaf follow Yang, Fast TreeSHAP (2021). A leaf's share of a coalition S of features is its
value times, for each feature on its path, 1 or 0 as the row meets the path's conditions on it (in S), or the share of
training weight that went that way (not in S). Which conditions a row meets is all that depends on the row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from decision_service.scoring.rows import Floats
from decision_service.scoring.trees import NO_CHILD, Tree, Trees

MAX_COALITIONS = 4_000_000  # leaves x 4^features on a path; above, the tables would be larger than they are worth
MAX_WIDTH = 8  # a pattern is one byte


@dataclass(frozen=True, slots=True)
class Condition:
    """What one path asks of one feature: ``low <= value < high``, or it is missing; ``share`` of the weight does so."""

    low: float = -math.inf
    high: float = math.inf
    missing: bool = True
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf's value and the condition on each feature (by column) on the way to it."""

    value: float
    path: Mapping[int, Condition]


class LeafPaths:
    """All leaves of a booster as tables; ``contributions`` of one row is a handful of array operations.

    Leaves with fewer features on their path than others are filled up with conditions that every row meets: their
    share is exactly nothing.
    """

    def __init__(self, leaves: Sequence[Leaf], *, intercept: float, columns: int) -> None:
        width = max(1, max(len(leaf.path) for leaf in leaves))
        slots = [[*leaf.path.items(), *[(0, Condition())] * (width - len(leaf.path))] for leaf in leaves]
        conditions = [[condition for _, condition in row] for row in slots]
        by_leaf = np.array([[column for column, _ in row] for row in slots])
        self._columns = columns
        self._shared_by = by_leaf.ravel()
        # One row for each place on a path: array operations along the leaves are several times faster than across.
        self._column = np.ascontiguousarray(by_leaf.T)
        self._low = np.array([[one.low for one in row] for row in conditions], dtype=np.float32).T.copy()
        self._high = np.array([[one.high for one in row] for row in conditions], dtype=np.float32).T.copy()
        self._missing = np.array([[one.missing for one in row] for row in conditions]).T.copy()
        self._bit = (1 << np.arange(width, dtype=np.uint8))[:, np.newaxis]
        self._first_pattern = np.arange(len(leaves)) << width
        shares = np.array([[one.share for one in row] for row in conditions])
        values = np.array([leaf.value for leaf in leaves])
        self._table = _shapley_table(values, shares).reshape(-1, width)
        self._base = intercept + float((values * shares.prod(axis=1)).sum())

    def contributions(self, row: Floats) -> list[float]:
        """Each column's share of the margin of one row (1 x columns), then the base; they sum to the margin."""
        seen = row[0].take(self._column)  # take is twice as fast as an index here
        met = ((seen >= self._low) & (seen < self._high)) | (np.isnan(seen) & self._missing)
        pattern = np.bitwise_or.reduce(met * self._bit, axis=0)
        shares = self._table.take(self._first_pattern + pattern, axis=0)
        by_column = np.bincount(self._shared_by, weights=shares.ravel(), minlength=self._columns)
        return [*by_column.tolist(), self._base]


def read_leaf_paths(booster: Trees) -> LeafPaths | None:
    """The tables of a booster; ``None`` when its trees are too deep for them or do not say how much went where."""
    if not booster.trees or min(min(tree["sum_hessian"]) for tree in booster.trees) <= 0:
        return None
    leaves = [leaf for tree in booster.trees for leaf in _leaves(tree, 0, {})]
    width = max(len(leaf.path) for leaf in leaves)
    if width > MAX_WIDTH or len(leaves) * 4**width > MAX_COALITIONS:
        return None
    return LeafPaths(leaves, intercept=booster.intercept, columns=booster.columns)


def _leaves(tree: Tree, node: int, path: Mapping[int, Condition]) -> Iterator[Leaf]:
    left, right = tree["left_children"][node], tree["right_children"][node]
    split = tree["split_conditions"][node]
    if left == NO_CHILD:
        yield Leaf(split, path)  # XGBoost keeps a leaf's value where a node keeps its split
        return
    column, weight = tree["split_indices"][node], tree["sum_hessian"]
    before = path.get(column, Condition())
    for child, low, high, takes_missing in (
        (left, before.low, min(before.high, split), tree["default_left"][node]),
        (right, max(before.low, split), before.high, not tree["default_left"][node]),
    ):
        share = before.share * weight[child] / weight[node]
        condition = Condition(low, high, before.missing and bool(takes_missing), share)
        yield from _leaves(tree, child, {**path, column: condition})


def _shapley_table(values: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leaves x patterns x features: each feature's Shapley value in a row that meets the pattern's conditions."""
    width = shares.shape[1]
    patterns = np.array(list(product((0, 1), repeat=width)))[:, ::-1]  # bit 0 is the first feature
    worth = np.ones((len(values), len(patterns), len(patterns)))
    for feature in range(width):
        inside = patterns[np.newaxis, np.newaxis, :, feature] == 1
        met = patterns[np.newaxis, :, np.newaxis, feature]
        worth *= np.where(inside, met, shares[:, np.newaxis, np.newaxis, feature])
    return values[:, np.newaxis, np.newaxis] * (worth @ _shapley_weights(patterns))


def _shapley_weights(patterns: NDArray[np.int_]) -> NDArray[np.float64]:
    """Coalitions x features: with what weight a coalition's worth counts for a member, and against the others."""
    width = patterns.shape[1]
    weights = np.empty(patterns.shape)
    for coalition, feature in np.ndindex(*patterns.shape):
        inside, size = patterns[coalition, feature] == 1, int(patterns[coalition].sum())
        others = size - 1 if inside else size
        weight = math.factorial(others) * math.factorial(width - others - 1) / math.factorial(width)
        weights[coalition, feature] = weight if inside else -weight
    return weights
