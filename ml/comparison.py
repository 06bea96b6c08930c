"""Is B better than A? Both scores on the same rows: paired bootstrap of every figure, DeLong's test of the AUC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from decision_service.errors import InputError
from ml.fitted import Array
from ml.metrics import (
    LOWER_IS_BETTER,
    PRECISIONS,
    REPEATS,
    Estimate,
    Labels,
    Sweep,
    checked,
    interval,
    resamples,
    stacked,
)
from ml.segments import Segment, enough, segments_of

BETTER, WORSE, SAME = "better", "worse", "no difference"
ROUNDING = 1e-12
JUDGED = ("auc", "pr_auc", "brier")
"""What decides whether B is worse: how well it ranks, above all at the top, and how near its PDs are."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One figure of A and of B, and B minus A with its paired interval; ``verdict`` is about B."""

    first: float
    second: float
    difference: Estimate
    verdict: str


@dataclass(frozen=True, slots=True)
class DeLong:
    """The AUC of B minus that of A with its 95 % interval and two-sided p-value."""

    difference: Estimate
    p_value: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A and B on the same rows. ``segments`` have their AUCs, or none where bads are too few."""

    rows: int
    bads: int
    figures: Mapping[str, Pair]
    delong: DeLong
    segments: tuple[tuple[Segment, Pair | None], ...]

    @property
    def worse(self) -> tuple[str, ...]:
        """Judged figures in which B is worse."""
        return tuple(name for name in JUDGED if self.figures[name].verdict == WORSE)

    @property
    def better(self) -> tuple[str, ...]:
        """Judged figures in which B is better."""
        return tuple(name for name in JUDGED if self.figures[name].verdict == BETTER)


def compare(
    labels: Labels,
    first: Array,
    second: Array,
    *,
    seed: int,
    repeats: int = REPEATS,
    groups: Sequence[str] = (),
    base_rate: float | None = None,
    precisions: Sequence[float] = PRECISIONS,
    segments: Mapping[str, Sequence[str]] | None = None,
) -> Comparison:
    """A (``first``) and B (``second``) on the same rows; a difference whose interval holds 0 is no difference.

    The AUC differs only if the paired bootstrap and DeLong's test both say so. Raises ``InputError``.
    """
    labels, first = checked(labels, first, base_rate=base_rate)
    labels, second = checked(labels, second, base_rate=base_rate)
    figures = _pairs(
        labels, first, second, seed=seed, repeats=repeats, groups=groups, base_rate=base_rate, precisions=precisions
    )
    test = delong(labels, first, second, groups=groups)
    figures |= {name: _agreed(figures[name], test) for name in ("auc", "gini")}
    found = []
    for segment in segments_of(labels, segments or {}):
        rows, pair = segment.rows, None
        if enough(segment):
            inside = [groups[row] for row in rows] if len(groups) else ()
            of_segment = labels[rows], first[rows], second[rows]
            pair = _pairs(*of_segment, seed=seed, repeats=repeats, groups=inside)["auc"]
        found.append((segment, pair))
    return Comparison(len(labels), int(labels.sum()), figures, test, tuple(found))


def _pairs(
    labels: Labels,
    first: Array,
    second: Array,
    *,
    seed: int,
    repeats: int,
    groups: Sequence[str] = (),
    base_rate: float | None = None,
    precisions: Sequence[float] = PRECISIONS,
) -> dict[str, Pair]:
    """Every figure of both on the same resamples."""
    sweeps = [Sweep(labels, one, base_rate=base_rate, precisions=precisions) for one in (first, second)]
    once = [sweep.figures(np.ones((1, len(labels)))) for sweep in sweeps]
    drawn = []
    for weights in resamples(labels, seed=seed, repeats=repeats, groups=groups, base_rate=base_rate):
        before, after = (sweep.figures(weights) for sweep in sweeps)
        drawn.append({name: after[name] - before[name] for name in before})
    replicates = stacked(drawn)
    pairs = {}
    for name, values in replicates.items():
        one, other = (float(figures[name][0]) for figures in once)
        difference = interval("", other - one, values)
        pairs[name] = Pair(one, other, difference, verdict(name, difference))
    return pairs


def verdict(name: str, difference: Estimate) -> str:
    """What the interval of B minus A says of B; with 0 inside (or no interval): no difference."""
    if difference.low > ROUNDING or difference.high < -ROUNDING:
        return BETTER if (difference.low > 0.0) != (name in LOWER_IS_BETTER) else WORSE
    return SAME


def _agreed(pair: Pair, test: DeLong) -> Pair:
    same = verdict("auc", test.difference) == pair.verdict
    return pair if same else Pair(pair.first, pair.second, pair.difference, SAME)


def delong(labels: Labels, first: Array, second: Array, *, groups: Sequence[str] = ()) -> DeLong:
    """DeLong's test of two correlated AUCs, by the midranks of Sun & Xu (IEEE Signal Processing Letters 21, 2014).

    Rows of one group are not independent: their structural components are summed by group (Obuchowski, Biometrics
    53, 1997), which without groups is DeLong, DeLong & Clarke-Pearson (Biometrics 44, 1988).
    """
    labels = np.asarray(labels)
    parts = [structural_components(labels, np.asarray(one, dtype=float)) for one in (first, second)]
    area = parts[1][0] - parts[0][0]
    on_bads, on_goods = parts[1][1] - parts[0][1] - area, parts[1][2] - parts[0][2] - area
    spread = float(np.sqrt(_variance(labels, on_bads, on_goods, groups)))
    if spread < 1e-12:  # the same ranking: nothing that could differ
        return DeLong(Estimate(area, area, area), 1.0)
    reach = float(norm.ppf(0.975)) * spread
    return DeLong(Estimate(area, area - reach, area + reach), float(2.0 * norm.sf(abs(area) / spread)))


def auc_variance(labels: Labels, scores: Array, *, groups: Sequence[str] = ()) -> float:
    """DeLong's variance of one AUC; ``groups`` as in ``delong``."""
    area, on_bads, on_goods = structural_components(np.asarray(labels), np.asarray(scores, dtype=float))
    return _variance(np.asarray(labels), on_bads - area, on_goods - area, groups)


def structural_components(labels: Labels, scores: Array) -> tuple[float, Array, Array]:
    """AUC; for each bad the share of goods below it, for each good the share of bads above it (ties counted half)."""
    bad, good = scores[labels == 1], scores[labels == 0]
    together = rankdata(np.concatenate([bad, good]))
    on_bads = (together[: len(bad)] - rankdata(bad)) / len(good)
    on_goods = 1.0 - (together[len(bad) :] - rankdata(good)) / len(bad)
    return float(on_bads.mean()), on_bads, on_goods


def _variance(labels: Labels, on_bads: Array, on_goods: Array, groups: Sequence[str]) -> float:
    bads, goods = len(on_bads), len(on_goods)
    if min(bads, goods) < 2:
        raise InputError(f"{bads} bads and {goods} goods are too few for a variance", remedy="measure on more rows")
    unit = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1] if len(groups) else np.arange(len(labels))
    of_bads, of_goods = unit[labels == 1], unit[labels == 0]
    units = int(unit.max()) + 1
    by_bads: Array = np.bincount(of_bads, on_bads, minlength=units).astype(float)
    by_goods: Array = np.bincount(of_goods, on_goods, minlength=units).astype(float)
    with_bads, with_goods = len(np.unique(of_bads)), len(np.unique(of_goods))
    if min(with_bads, with_goods) < 2:
        raise InputError("all bads or all goods are rows of one group", remedy="measure on more groups")
    return (
        _scaled(by_bads, by_bads, with_bads) / bads**2
        + _scaled(by_goods, by_goods, with_goods) / goods**2
        + 2.0 * _scaled(by_bads, by_goods, units) / (bads * goods)
    )


def _scaled(first: Array, second: Array, units: int) -> float:
    return float(first @ second) * units / (units - 1)
