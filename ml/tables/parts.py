"""Which rows teach and which judge: never the same group on two sides, never the future before the past."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int_]
Rows = NDArray[np.int_]
LEAST_BADS = 5  # in a fold that judges


@dataclass(frozen=True, slots=True)
class Fold:
    """Places of the rows that teach and of those that judge."""

    teach: Rows
    judge: Rows


def group_codes(groups: Sequence[str], rows: int) -> Rows:
    """Groups as numbers; without groups every row is its own."""
    return np.asarray(pd.factorize(np.asarray(groups, dtype=object))[0]) if len(groups) else np.arange(rows)


def fold_numbers(labels: Labels, groups: Rows, *, count: int, seed: int) -> Rows:
    """A fold for each row: whole groups, bads and group sizes spread evenly, by ``seed``."""
    order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
    sizes = np.bincount(groups)
    bads = np.bincount(groups, weights=labels)
    ranked = order[np.lexsort((-sizes[order], -bads[order]))]
    fold = np.empty(len(sizes), dtype=np.int_)
    there_and_back = np.concatenate([np.arange(count), np.arange(count)[::-1]])
    fold[ranked] = np.resize(there_and_back, len(ranked))
    return fold[groups]


def folds(labels: Labels, groups: Rows, times: Array | None, *, count: int, seed: int) -> list[Fold]:
    """Cross-validation: by group, or with ``times`` forward: each block is judged by what came before it."""
    if times is not None:
        forward = list(_forward(labels, groups, times, count=count))
        if forward:
            return forward
    count = max(2, min(count, int(labels.sum()), int(len(labels) - labels.sum())))
    numbers = fold_numbers(labels, groups, count=count, seed=seed)
    return [Fold(np.flatnonzero(numbers != one), np.flatnonzero(numbers == one)) for one in range(count)]


def _forward(labels: Labels, groups: Rows, times: Array, *, count: int) -> Iterator[Fold]:
    """The first 40 % only teach; the rest is judged block by block. Rows without a time teach only."""
    known = times[~np.isnan(times)]
    if not known.size:
        return
    edges = np.unique(np.quantile(known, np.linspace(0.4, 1.0, count + 1), method="higher"))
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        judge = (times > low) & (times <= high)
        fold = apart(judge, np.isnan(times) | (times <= low), groups)
        if both_occur(labels[fold.teach]) and both_occur(labels[fold.judge]):
            yield fold


def both_occur(labels: Labels) -> bool:
    """Enough bads and goods to learn from or to be judged by."""
    return bool(LEAST_BADS <= labels.sum() <= len(labels) - LEAST_BADS)


def apart(judge: NDArray[np.bool_], teach: NDArray[np.bool_], groups: Rows) -> Fold:
    """A fold whose teaching rows have no group in common with its judging rows."""
    shared = np.isin(groups, groups[judge])
    return Fold(np.flatnonzero(teach & ~shared & ~judge), np.flatnonzero(judge))


def latest(labels: Labels, groups: Rows, times: Array, *, share: float = 0.2) -> Fold | None:
    """The last ``share`` of the rows by time as judges, whole moments; ``None`` if too few bads are on one side."""
    known = times[~np.isnan(times)]
    for part in (share, 1.5 * share, 2 * share):
        if known.size:
            judge = times > np.quantile(known, 1 - part, method="lower")
            fold = apart(judge, ~judge, groups)
            if both_occur(labels[fold.judge]) and both_occur(labels[fold.teach]):
                return fold
    return None


def span(times: Array | None) -> float | None:
    """From the oldest to the newest moment; ``None`` without two different ones."""
    known = np.empty(0) if times is None else times[~np.isnan(times)]
    return float(np.ptp(known)) or None if known.size else None


def recency(times: Array | None, half_life: float | None) -> Array | None:
    """How much each row counts: half as much for every ``half_life`` before the newest, 1 on average.

    A row without a time counts as the average one; ``None``: all count alike.
    """
    if times is None or half_life is None or np.isnan(times).all():
        return None
    weights = np.exp2((times - np.nanmax(times)) / half_life)
    weights /= np.nanmean(weights)
    return np.where(np.isnan(weights), 1.0, weights)


Teach = Callable[[Rows], Callable[[Rows], Array]]
"""From rows to a function that gives the margins of other rows."""


def out_of_fold(teach: Teach, given: Sequence[Fold], rows: int) -> Array:
    """Margins of rows by models that never saw them nor their group; nan where no fold judges."""
    margins = np.full(rows, np.nan)
    for fold in given:
        margins[fold.judge] = teach(fold.teach)(fold.judge)
    return margins
