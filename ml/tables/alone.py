"""What one column alone says of the outcome, judged on rows it was not learnt from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from ml.tables.kinds import Column, days, numbers, texts
from ml.tables.parts import Fold, Labels

Array = NDArray[np.float64]
Codes = NDArray[np.int_]

MOST_BINS = 64
LEAST_BINS = 5
PRIOR = 4.0  # rows' worth of the overall rate in each bin
NEAR = 4  # distinct values on either side of one
NEARLY_ALL = 0.9  # rate of a bin that counts as "only bads"
USUAL = 0.5  # share of the rows that one value, or its being missing, must hold to be the usual one
RARE = 5  # rows of a level that are too few to be told apart
Z = 1.96


@dataclass(frozen=True, slots=True)
class Unusual:
    """Rows that do not hold the column's usual value (or being missing, if that is usual): the lower bound of their
    share of bads, and which share of all bads they hold. ``share`` is that of the usual rows, ``spared`` the upper
    bound of their rate of bads as a share of the overall rate. Without a usual value all is as if nothing was told."""

    precision: float = 0.0
    recall: float = 0.0
    share: float = 0.0
    spared: float = 1.0


@dataclass(frozen=True, slots=True)
class Alone:
    """``auc`` out of fold of the column cut into bins, ``later`` of the same learnt earlier and judged later,
    ``missing`` of its missingness, ``often`` of nothing but how often each number occurs beside its neighbours. Among
    the rows in bins where nearly all are bad: ``precision`` (its lower bound) and ``recall``. ``given`` is the rate of
    bads where it is known, as a share of the overall rate. ``unusual``: how it is where it is not as it usually is."""

    auc: float
    later: float
    missing: float
    often: float
    precision: float
    recall: float
    known: float
    given: float
    unusual: Unusual


def alone(series: pd.Series, column: Column, labels: Labels, folds: list[Fold], forward: Fold | None) -> Alone:
    """The figures of one column over the rows given."""
    codes = codes_of(series, column)
    scores = _out_of_fold(codes, labels, folds)
    pure = scores >= NEARLY_ALL
    bads = int(labels[pure].sum())
    present = codes != 0
    often = 0.5
    if column.kind == "number":
        rarity = np.log(_occurrences(numbers(series, column)))
        often = auc(labels, _out_of_fold(_cut(rarity, len(labels)), labels, folds))
    given = float(labels[present].mean() / labels.mean()) if present.any() else 1.0
    return Alone(
        auc=auc(labels, scores),
        later=_judged_later(codes, labels, forward),
        missing=0.5 + abs(float(present[labels == 1].mean() - present[labels == 0].mean())) / 2,
        often=often,
        precision=lower_bound(bads, int(pure.sum())),
        recall=bads / int(labels.sum()),
        known=float(present.mean()),
        given=given,
        unusual=_unusual(codes, labels),
    )


def _unusual(codes: Codes, labels: Labels) -> Unusual:
    """A number's other values may be many: together they tell what none of their bins has the rows to tell."""
    counts = np.bincount(codes)
    usual = codes == counts.argmax()
    if usual.mean() < USUAL or usual.all():
        return Unusual()
    bads, rows = int(labels[~usual].sum()), int((~usual).sum())
    goods = int((1 - labels[usual]).sum())
    return Unusual(
        precision=lower_bound(bads, rows),
        recall=bads / int(labels.sum()),
        share=float(usual.mean()),
        spared=(1 - lower_bound(goods, int(usual.sum()))) / float(labels.mean()),
    )


def auc(labels: Labels, scores: Array) -> float:
    """ROC-AUC by ranks, ties half: without the checks that would take longer than the columns of a wide table."""
    bad = labels == 1
    bads, goods = int(bad.sum()), int((~bad).sum())
    return float((rankdata(scores)[bad].sum() - bads * (bads + 1) / 2) / (bads * goods))


def codes_of(series: pd.Series, column: Column) -> Codes:
    """A bin for each row; 0 is missing. Values that occur often, and levels of categories, have bins of their own."""
    if column.kind in ("number", "date"):
        return _cut(numbers(series, column) if column.kind == "number" else days(series, column), len(series))
    levels, names = pd.factorize(texts(series), use_na_sentinel=True)
    counts = np.bincount(levels[levels >= 0], minlength=len(names))
    order = np.where(counts >= RARE, np.arange(len(names)) + 2, 1)
    return np.where(levels < 0, 0, order[levels] if len(names) else 0)


def _cut(values: Array, rows: int) -> Codes:
    known = ~np.isnan(values)
    if not known.any():
        return np.zeros(len(values), dtype=np.int_)
    bins = int(np.clip(np.sqrt(rows) / 2, LEAST_BINS, MOST_BINS))
    distinct, place, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    heavy = counts >= known.sum() / bins
    edges = np.unique(np.quantile(values[known], np.linspace(0, 1, bins + 1)[1:-1]))
    codes = np.zeros(len(values), dtype=np.int_)
    spread = 1 + np.searchsorted(edges, distinct, side="left")
    codes[known] = np.where(heavy, bins + 2 + np.cumsum(heavy), spread)[place]
    return codes


def _occurrences(values: Array) -> Array:
    """How often each row's value occurs beside its nearest values: smooth distributions are about 1 everywhere."""
    filled = np.where(np.isnan(values), np.inf, values)
    _, place, counts = np.unique(filled, return_inverse=True, return_counts=True)
    upto = np.concatenate([[0], np.cumsum(counts)])
    first = np.maximum(np.arange(len(counts)) - NEAR, 0)
    end = np.minimum(np.arange(len(counts)) + NEAR + 1, len(counts))
    others = (upto[end] - upto[first] - counts) / np.maximum(end - first - 1, 1)
    return (counts / np.maximum(others, 0.5))[place]


def _rates(codes: Codes, labels: Labels, size: int) -> Array:
    bads = np.bincount(codes, weights=labels, minlength=size)
    return (bads + PRIOR * labels.mean()) / (np.bincount(codes, minlength=size) + PRIOR)


def _out_of_fold(codes: Codes, labels: Labels, folds: list[Fold]) -> Array:
    size = int(codes.max()) + 1
    scores = np.empty(len(codes))
    for fold in folds:
        scores[fold.judge] = _rates(codes[fold.teach], labels[fold.teach], size)[codes[fold.judge]]
    return scores


def _judged_later(codes: Codes, labels: Labels, forward: Fold | None) -> float:
    if forward is None:
        return np.nan
    rates = _rates(codes[forward.teach], labels[forward.teach], int(codes.max()) + 1)
    return auc(labels[forward.judge], rates[codes[forward.judge]])


def lower_bound(hits: int, count: int) -> float:
    """Of a share, by Wilson."""
    if not count:
        return 0.0
    share = hits / count
    middle = share + Z**2 / (2 * count)
    spread = Z * np.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    return float((middle - spread) / (1 + Z**2 / count))
