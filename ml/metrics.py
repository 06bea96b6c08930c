"""How good a score is on units it never saw, each figure with a bootstrap interval; resampling for pairs of scores.

A figure over many resamples is one pass over rows sorted once: scikit-learn has the figures, but one sample at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from decision_service.errors import InputError
from ml.calibration import at_base_rate
from ml.fitted import Array

Labels = NDArray[np.int_]
BINS = 10
REPEATS = 2_000
PRECISIONS = (0.3, 0.5)
BLOCK = 4_000_000
LEVEL = (0.025, 0.975)
LOWER_IS_BETTER = frozenset({"brier", "ece"})
CALIBRATED_DRAWS = 400
LEAST = 1e-9
PRECISE = ("pr_auc", "recall_at_precision")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def auc(labels: Labels, scores: Array) -> float:
    """Probability that a defaulter scores above a non-defaulter, ties counted half (Mann-Whitney)."""
    return float(roc_auc_score(labels, scores))


def ks(labels: Labels, scores: Array) -> float:
    """Kolmogorov-Smirnov: the largest distance between both score distributions."""
    false_alarms, recall, _ = roc_curve(labels, scores, drop_intermediate=False)
    return float(np.abs(recall - false_alarms).max())


def brier(labels: Labels, probabilities: Array) -> float:
    """Mean squared distance of probability and outcome."""
    return float(brier_score_loss(labels, probabilities))


def ece(labels: Labels, probabilities: Array) -> float:
    """Expected calibration error over ten bins of equal mass: mean |observed rate - mean probability|."""
    bins = equal_mass_bins(probabilities, class_mass(labels, None))
    return float(np.abs(np.bincount(bins, labels - probabilities)).sum() / len(labels))


class Sweep:
    """One scoring of n rows, sorted once, so that all figures over many weightings of the rows cost a few passes.

    With ``base_rate`` every figure is that of a population with this share of bads in which bads and goods look as
    they do here: each class weighs as much as its stated share (prior shift: Elkan 2001; Saerens et al. 2002).
    """

    def __init__(
        self,
        labels: Labels,
        probabilities: Array,
        *,
        base_rate: float | None = None,
        precisions: Sequence[float] = PRECISIONS,
    ) -> None:
        self.base_rate, self.precisions = base_rate, tuple(precisions)
        descending = np.argsort(-probabilities, kind="stable")
        flags = labels[descending] == 1
        self.bads, self.goods = descending[flags], descending[~flags]
        bad, good = probabilities[self.bads], probabilities[self.goods]
        last = np.flatnonzero(np.append(np.diff(bad) != 0, True))
        self._last, self._first = last, np.append(0, last[:-1] + 1)
        self._above = np.searchsorted(-good, -bad[last], side="left")
        self._upto = np.searchsorted(-good, -bad[last], side="right")
        self.bins = equal_mass_bins(probabilities, class_mass(labels, base_rate))
        self._bad_sums = _columns(bad, self.bins[self.bads], (1.0 - bad) ** 2, counted=True)
        self._good_sums = _columns(good, self.bins[self.goods], good**2, counted=False)

    def figures(self, weights: Array) -> dict[str, Array]:
        """Every figure for each row of ``weights`` (m x n, how often each of the n rows counts)."""
        bad, good = weights[:, self.bads], weights[:, self.goods]
        bads, goods = bad.sum(axis=1, keepdims=True), good.sum(axis=1, keepdims=True)
        rate = bads / (bads + goods) if self.base_rate is None else np.full_like(bads, self.base_rate)
        with np.errstate(divide="ignore", invalid="ignore"):
            ranked = self._ranking(_from_zero(bad / bads), _from_zero(good / goods), rate)
            return ranked | self._calibration(bad @ self._bad_sums / bads, good @ self._good_sums / goods, rate[:, 0])

    def _ranking(self, bad: Array, good: Array, rate: Array) -> dict[str, Array]:
        """From the shares of bads and goods (m x rows + 1) among the best rows, at the scores that a bad has."""
        recall, before = bad[:, self._last + 1], bad[:, self._first]
        alarms, alarms_before = good[:, self._upto], good[:, self._above]
        step = recall - before
        area = (step * (1.0 - (alarms + alarms_before) / 2.0)).sum(axis=1)
        distance = np.maximum((recall - alarms).max(axis=1), (alarms_before - before).max(axis=1))
        precision = rate * recall / (rate * recall + (1.0 - rate) * alarms)
        found = {
            "auc": area,
            "gini": 2.0 * area - 1.0,
            "ks": np.maximum(distance, 0.0),
            "pr_auc": np.where(step > 0, step * precision, 0.0).sum(axis=1),
        }
        for least in self.precisions:
            reached = np.where(precision >= least - 1e-12, recall, 0.0)
            found[recall_name(least)] = reached.max(axis=1)
        return found

    def _calibration(self, bad: Array, good: Array, rate: Array) -> dict[str, Array]:
        squared = rate * bad[:, -1] + (1.0 - rate) * good[:, -1]
        observed, forecast = bad[:, :BINS], bad[:, BINS:-1]
        gaps = rate[:, None] * (observed - forecast) - (1.0 - rate[:, None]) * good[:, :-1]
        return {
            "brier": squared,
            "brier_skill": 1.0 - squared / (rate * (1.0 - rate)),
            "ece": np.abs(gaps).sum(axis=1),
        }


def recall_name(precision: float) -> str:
    """The figure's name: ``recall_at_precision_0.5``."""
    return f"recall_at_precision_{precision:g}"


def class_mass(labels: Labels, base_rate: float | None) -> Array:
    """What each row counts: the same, or so that bads weigh ``base_rate`` in all (sums to 1)."""
    if base_rate is None:
        return np.full(len(labels), 1.0 / max(len(labels), 1))
    bads = int((labels == 1).sum())
    return np.where(labels == 1, base_rate / max(bads, 1), (1.0 - base_rate) / max(len(labels) - bads, 1))


def equal_mass_bins(probabilities: Array, mass: Array, bins: int = BINS) -> NDArray[np.int_]:
    """The bin of each row: bins rise with the probability, hold like mass, and equal probabilities share one."""
    values, inverse = np.unique(probabilities, return_inverse=True)
    held = np.bincount(inverse, mass, minlength=len(values))
    middle = (np.cumsum(held) - held / 2.0) / held.sum()
    place = np.floor(middle * bins + 1e-9).astype(int)  # sums are rounded, an edge is not
    return np.minimum(place, bins - 1)[inverse]


def _columns(probabilities: Array, bins: NDArray[np.int_], squared: Array, *, counted: bool) -> Array:
    """What a weighted sum over rows needs: the bin (if ``counted``), the probability in its bin, the squared error."""
    one_hot = np.zeros((len(bins), BINS))
    one_hot[np.arange(len(bins)), bins] = 1.0
    parts = [one_hot] * counted + [one_hot * probabilities[:, None], squared[:, None]]
    return np.hstack(parts)


def _from_zero(shares: Array) -> Array:
    total = np.zeros((shares.shape[0], shares.shape[1] + 1))
    np.cumsum(shares, axis=1, out=total[:, 1:])
    return total


def resamples(
    labels: Labels, *, seed: int, repeats: int, groups: Sequence[str] = (), base_rate: float | None = None
) -> Iterator[Array]:
    """Blocks of bootstrap weights (m x n): how often each row was drawn, ``repeats`` times in all.

    Bads and goods are drawn by themselves, so that both occur. How many of them are bad is drawn too, except under a
    stated base rate, which leaves nothing to chance. Of rows with one group (a firm's years) all or none are drawn; a
    group with a bad row counts as bad.
    """
    unit = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1] if len(groups) else None
    bad = labels == 1 if unit is None else np.bincount(unit, labels) > 0
    strata = [np.flatnonzero(~bad), np.flatnonzero(bad)]
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK // max(len(labels), 1))
    for start in range(0, repeats, block):
        size = min(block, repeats - start)
        counts = np.zeros((size, len(bad)))
        for stratum, drawn in zip(strata, _sizes(strata, size, generator, fixed=base_rate is not None), strict=True):
            counts[:, stratum] = _counts(len(stratum), drawn, generator)
        yield counts if unit is None else counts[:, unit]


def _sizes(
    strata: Sequence[NDArray[np.int_]], repeats: int, generator: np.random.Generator, *, fixed: bool
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    goods, bads = len(strata[0]), len(strata[1])
    if fixed or not goods or not bads:
        return np.full(repeats, goods), np.full(repeats, bads)
    drawn = np.clip(generator.binomial(goods + bads, bads / (goods + bads), size=repeats), 1, goods + bads - 1)
    return goods + bads - drawn, drawn


def _counts(members: int, drawn: NDArray[np.int_], generator: np.random.Generator) -> NDArray[np.int_]:
    """How often each of ``members`` came up when ``drawn[i]`` were drawn with replacement: one line for each i."""
    place = np.repeat(np.arange(len(drawn)) * members, drawn) + generator.integers(members, size=int(drawn.sum()))
    return np.bincount(place, minlength=len(drawn) * members).reshape(len(drawn), members)


def interval(name: str, value: float, replicates: Array, *, reweighted: bool = False) -> Estimate:
    """The figure with 95 % of its resampled values: percentiles, with exceptions for what noise drives up.

    KS is a maximum, ECE a sum of absolute differences; their resamples carry the drift twice. KS is reflected at its
    figure (the basic bootstrap; Davison & Hinkley 1997, section 5.2), ECE at its lower end only. ``reweighted``: under
    a stated base rate precision looks too good where one good stands for many, so the lower end is the lesser of both.
    """
    low, high = np.nanquantile(replicates, LEVEL) if np.isfinite(replicates).any() else (np.nan, np.nan)
    if name in ("ks", "ece"):
        low, high = np.clip([2 * value - high, 2 * value - low if name == "ks" else high], 0.0, 1.0)
    if reweighted and name.startswith(PRECISE):
        low = max(0.0, min(low, 2 * value - high))
    return Estimate(value, float(low), float(high))


def ece_if_calibrated(
    sweep: Sweep, labels: Labels, probabilities: Array, *, seed: int, groups: Sequence[str] = ()
) -> Estimate:
    """The ECE that chance alone gives: mean and 95 % over outcomes drawn from the probabilities themselves.

    Under a stated base rate the score is first moved to it. Rows of one group share their luck, which errs towards
    more noise.
    """
    chances = probabilities
    if sweep.base_rate is not None:
        mass = class_mass(labels, sweep.base_rate)
        probabilities = at_base_rate(probabilities, sweep.base_rate, mass=mass)
        held = np.clip(probabilities, LEAST, 1.0 - LEAST)
        chances = expit(logit(held) + logit(labels.mean()) - logit(sweep.base_rate))
    unit = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1] if len(groups) else np.arange(len(labels))
    generator, found = np.random.default_rng(seed), []
    for _ in range(CALIBRATED_DRAWS):
        drawn = (generator.random(unit.max() + 1)[unit] < chances).astype(int)
        mass = class_mass(drawn, sweep.base_rate)
        found.append(np.abs(np.bincount(sweep.bins, mass * (drawn - probabilities), minlength=BINS)).sum())
    low, high = np.quantile(found, LEVEL)
    return Estimate(float(np.mean(found)), float(low), float(high))


def evaluate(
    labels: Labels,
    probabilities: Array,
    *,
    seed: int,
    repeats: int = REPEATS,
    groups: Sequence[str] = (),
    base_rate: float | None = None,
    precisions: Sequence[float] = PRECISIONS,
) -> dict[str, Estimate]:
    """Every figure with its interval from resampled rows, or groups of rows (see ``resamples``).

    ``ece_if_calibrated`` is what chance alone would give; an ECE within it is not told from 0, so its interval begins
    there.
    ``base_rate``: figures as in a population with this share of bads. Raises ``InputError`` for a probability that is
    none, or labels that are not both 0 and 1.
    """
    labels, probabilities = checked(labels, probabilities, base_rate=base_rate)
    sweep = Sweep(labels, probabilities, base_rate=base_rate, precisions=precisions)
    values = sweep.figures(np.ones((1, len(labels))))
    blocks = resamples(labels, seed=seed, repeats=repeats, groups=groups, base_rate=base_rate)
    replicates = stacked([sweep.figures(weights) for weights in blocks])
    found = {
        name: interval(name, float(value[0]), replicates[name], reweighted=base_rate is not None)
        for name, value in values.items()
    }
    chance = ece_if_calibrated(sweep, labels, probabilities, seed=seed, groups=groups)
    if found["ece"].value <= chance.high:
        found["ece"] = Estimate(found["ece"].value, 0.0, found["ece"].high)
    return found | {"ece_if_calibrated": chance}


def stacked(blocks: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The figures of all blocks, one after the other."""
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def checked(labels: Labels, probabilities: Array, *, base_rate: float | None = None) -> tuple[Labels, Array]:
    """Labels and probabilities as arrays; raises ``InputError`` unless they can be measured."""
    found, given = np.asarray(labels), np.asarray(probabilities, dtype=float)
    if found.ndim != 1 or found.shape != given.shape:
        raise InputError(f"{found.shape} labels and {given.shape} probabilities do not fit")
    if not np.isin(found, (0, 1)).all() or len(np.unique(found)) != 2:
        raise InputError("the labels are not both 0 and 1", remedy="measure on rows with goods and bads")
    if not ((given >= 0.0) & (given <= 1.0)).all():
        raise InputError("a probability is missing or outside [0, 1]", remedy="leave out rows without a score")
    if base_rate is not None and not 0.0 < base_rate < 1.0:
        raise InputError(f"base rate {base_rate} is not between 0 and 1", remedy="state the rate of the portfolio")
    return found.astype(int), given
