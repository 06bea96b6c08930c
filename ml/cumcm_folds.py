"""Nested cross-validation of few firms: every choice for a fold is made on the other folds alone.

The plan was fixed before the outer folds were looked at: five outer folds from ``OUTER_SEED``, inside each training
part ``INNER_FOLDS`` folds repeated ``INNER_REPEATS`` times; the inner out-of-fold margins select the feature set, fit
the calibration and set the cut-offs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.fitted import Array
from ml.metrics import Labels, auc

OUTER_FOLDS, OUTER_SEED = 5, 20200301
INNER_FOLDS, INNER_REPEATS, INNER_SEED = 5, 3, 7
APPROVED_SHARE = 0.72
REVIEWED_SHARE = 0.90

Rows = NDArray[np.int64]
Margins = Callable[[Rows], Array]
"""A fitted model as a function: the log-odds it gives to some rows of the data."""
Fit = Callable[[Rows], Margins]
"""Fits a model on some rows of the data."""


def stratified_folds(labels: Labels, folds: int, seed: int) -> list[Rows]:
    """Row numbers of each fold: every class is shuffled and dealt out in turn, so all folds have like shares."""
    generator = np.random.default_rng(seed)
    shuffled = [generator.permutation(np.flatnonzero(labels == value)) for value in (1, 0)]
    dealt = np.concatenate(shuffled)
    return [np.sort(dealt[fold::folds]) for fold in range(folds)]


def out_of_fold(fit: Fit, rows: Rows, labels: Labels, *, repeats: int = INNER_REPEATS) -> Array:
    """Margins of ``rows`` from models that never saw the row, averaged over repeated folds inside ``rows``."""
    total = np.zeros(len(rows))
    for repeat in range(repeats):
        for held_out in stratified_folds(labels[rows], INNER_FOLDS, INNER_SEED + repeat):
            kept = np.setdiff1d(np.arange(len(rows)), held_out)
            total[held_out] += fit(rows[kept])(rows[held_out])
    return total / repeats


def select(candidates: Mapping[str, Fit], rows: Rows, labels: Labels) -> tuple[str, Array]:
    """The candidate with the best inner out-of-fold AUC (the first one if equal), and its margins."""
    margins = {name: out_of_fold(fit, rows, labels) for name, fit in candidates.items()}
    best = max(margins, key=lambda name: auc(labels[rows], margins[name]))
    return best, margins[best]


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """PD at or below ``auto`` may be approved, above ``review`` is declined."""

    auto: float
    review: float


def cutoffs(labels: Labels, pd_12m: Array) -> Cutoffs:
    """The PDs that 72 % and 90 % of the firms that paid stay at or below, on inner out-of-fold scores.

    72 % leaves room for the rules that refer for other reasons, so that 60 % remain.
    """
    paid = pd_12m[labels == 0]
    auto, review = np.quantile(paid, [APPROVED_SHARE, REVIEWED_SHARE], method="higher")
    return Cutoffs(round(float(auto), 6), round(float(review), 6))
