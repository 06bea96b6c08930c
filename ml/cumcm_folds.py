"""Nested cross-validation of few firms: every choice for a fold is made on the other folds alone.

The plan was fixed before the outer folds were looked at: five outer folds from ``OUTER_SEED``, inside each training
part ``INNER_FOLDS`` folds repeated ``INNER_REPEATS`` times; the inner out-of-fold margins select the feature set, fit
the calibration and set the cut-offs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OUTER_FOLDS, OUTER_SEED = 5, 20200301
INNER_FOLDS, INNER_REPEATS, INNER_SEED = 5, 3, 7
APPROVED_SHARE = 0.72
REVIEWED_SHARE = 0.90

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Margins = Callable[[Rows], Array]
"""A fitted model as a function: the log-odds it gives to some rows of the data."""
Fit = Callable[[Rows], Margins]
"""Fits a model on some rows of the data."""


def stratified_folds(labels: Array, folds: int, seed: int) -> list[Rows]:
    """Row numbers of each fold: every class is shuffled and dealt out in turn, so all folds have like shares."""
    generator = np.random.default_rng(seed)
    shuffled = [generator.permutation(np.flatnonzero(labels == value)) for value in (1, 0)]
    dealt = np.concatenate(shuffled)
    return [np.sort(dealt[fold::folds]) for fold in range(folds)]


def out_of_fold(fit: Fit, rows: Rows, labels: Array, *, repeats: int = INNER_REPEATS) -> Array:
    """Margins of ``rows`` from models that never saw the row, averaged over repeated folds inside ``rows``."""
    total = np.zeros(len(rows))
    for repeat in range(repeats):
        for held_out in stratified_folds(labels[rows], INNER_FOLDS, INNER_SEED + repeat):
            kept = np.setdiff1d(np.arange(len(rows)), held_out)
            total[held_out] += fit(rows[kept])(rows[held_out])
    return total / repeats


def select(candidates: Mapping[str, Fit], rows: Rows, labels: Array) -> tuple[str, Array]:
    """The candidate with the best inner out-of-fold AUC (the first one if equal), and its margins."""
    margins = {name: out_of_fold(fit, rows, labels) for name, fit in candidates.items()}
    best = max(margins, key=lambda name: auc(labels[rows], margins[name]))
    return best, margins[best]


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """PD at or below ``auto`` may be approved, above ``review`` is declined."""

    auto: float
    review: float


def cutoffs(labels: Array, pd_12m: Array) -> Cutoffs:
    """The PDs that 72 % and 90 % of the firms that paid stay at or below, on inner out-of-fold scores.

    72 % leaves room for the rules that refer for other reasons, so that 60 % remain.
    """
    paid = pd_12m[labels == 0]
    auto, review = np.quantile(paid, [APPROVED_SHARE, REVIEWED_SHARE], method="higher")
    return Cutoffs(round(float(auto), 6), round(float(review), 6))


def auc(labels: Sequence[float] | Array, scores: Sequence[float] | Array) -> float:
    """Area under the ROC curve: the share of (bad, good) pairs in which the bad one scores higher, ties half."""
    actual, score = np.asarray(labels), np.asarray(scores)
    pairs = score[actual == 1][:, None] - score[actual == 0][None, :]
    return float((pairs > 0).mean() + 0.5 * (pairs == 0).mean())


def ks(labels: Sequence[float] | Array, scores: Sequence[float] | Array) -> float:
    """Kolmogorov–Smirnov distance: the largest gap between the score distributions of bad and good."""
    actual, score = np.asarray(labels), np.asarray(scores)
    steps = np.unique(score)
    bad, good = (np.searchsorted(np.sort(score[actual == value]), steps, side="right") for value in (1, 0))
    return float(np.abs(bad / (actual == 1).sum() - good / (actual == 0).sum()).max())


@dataclass(frozen=True, slots=True)
class Interval:
    """A statistic with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def bootstrap(
    statistic: Callable[[Array, Array], float], labels: Array, scores: Array, *, draws: int = 2_000, seed: int = 1
) -> Interval:
    """Percentile bootstrap over firms, drawn within each outcome so that both are always present."""
    generator = np.random.default_rng(seed)
    classes = [np.flatnonzero(labels == value) for value in (0, 1)]
    samples = (np.concatenate([generator.choice(rows, len(rows)) for rows in classes]) for _ in range(draws))
    values = [statistic(labels[rows], scores[rows]) for rows in samples]
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(statistic(labels, scores), float(low), float(high))
