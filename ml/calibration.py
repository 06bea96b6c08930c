"""Turns margins into 12-month PDs: Platt or isotonic on held-out firms, then a shift to the stated base rate.

Isotonic regression needs about a thousand cases before it is better than Platt's line (Niculescu-Mizil and Caruana,
Predicting good probabilities with supervised learning, 2005), so it is tried from ``ISOTONIC_FROM`` firms of the rarer
class on, and taken if its cross-validated log loss is the lower one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import StratifiedKFold

from decision_service.errors import InputError
from decision_service.scoring.blend import LEAST
from decision_service.scoring.spec import Calibration, ScorecardSpec
from ml.fitted import Array, FittedModel, as_probabilities, log_odds
from ml.trees import checked_labels

Labels = NDArray[np.int_]
ISOTONIC_FROM = 1000
LEAST_SLOPE = 0.01
STEPS = 100
RIDGE = 1e-6
FOLDS = 5
LEAST_IN_BLOCK = 10  # of either class: the log-odds of a block are then known to about a third
FLATTEST, STEEPEST = 0.01, 3.0  # of the line's slope: no ties, and no cliff where rounding decides
NEAREST = 1e-9  # that a probability is taken to come to 0 or 1
FARTHEST = 100.0  # log-odds that no shift exceeds
PLATT, ISOTONIC = "platt", "isotonic"


def calibrate(fitted: FittedModel, margins: Array, labels: Labels, *, base_rate: float) -> FittedModel:
    """The model calibrated to a 12-month PD at ``base_rate``, from margins of firms it was not fitted on.

    Over these firms, each class weighted as it counts at the base rate, the mean PD is the base rate to 1e-9: the shift
    is solved for, because adding the difference of the logits is exact only where the PDs before it were. nan margins
    (no score) are left out. A scorecard keeps Platt's line, so that its points add up. Method, bads and log losses are
    in the parameters. Raises ``InputError`` for a base rate outside (1e-6, 1 - 1e-6) or one-sided labels.
    """
    if not LEAST < base_rate < 1.0 - LEAST:
        raise InputError(
            f"base rate {base_rate} is not between {LEAST} and {1.0 - LEAST}", remedy="state the rate of the portfolio"
        )
    scored = ~np.isnan(margins)
    found = checked_labels(np.asarray(labels)[scored], int(scored.sum()))
    choice = choose(np.asarray(margins, dtype=float)[scored], found, line_only=isinstance(fitted.spec, ScorecardSpec))
    raw = METHODS[choice.method](margins[scored], found)
    shift = shift_to(base_rate, log_odds(raw, margins[scored]), found)
    told = {"calibration": choice.method, "calibration_rows": len(found), "calibration_bads": int(found.sum())}
    losses = {f"calibration_log_loss_{name}": round(loss, 6) for name, loss in choice.losses.items()}
    shifted = replace(raw, offset=raw.offset + shift, base_rate=base_rate)
    return replace(fitted, params={**fitted.params, **told, **losses}).with_calibration(shifted)


@dataclass(frozen=True, slots=True)
class Choice:
    """The method taken, and the cross-validated log loss of each that was compared (none: too few to compare)."""

    method: str
    losses: dict[str, float]


def choose(margins: Array, labels: Labels, *, line_only: bool = False) -> Choice:
    """Platt below ``ISOTONIC_FROM`` firms of the rarer class; from there on whichever has the lower log loss."""
    if min(labels.sum(), len(labels) - labels.sum()) < ISOTONIC_FROM:
        return Choice(PLATT, {})
    losses = {name: _cross_validated(method, margins, labels) for name, method in METHODS.items()}
    return Choice(PLATT if line_only or losses[PLATT] <= losses[ISOTONIC] else ISOTONIC, losses)


def _cross_validated(method: Callable[[Array, Labels], Calibration], margins: Array, labels: Labels) -> float:
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(margins[:, np.newaxis], labels)
    total = sum(_loss(log_odds(method(margins[fit], labels[fit]), margins[held]), labels[held]) for fit, held in folds)
    return total / len(labels)


def shift_to(base_rate: float, values: Array, labels: Labels) -> float:
    """What to add to log-odds so that the mean probability is the base rate, each class weighted as it counts there."""
    rate = labels.mean()
    weights = np.where(labels == 1, base_rate / rate, (1.0 - base_rate) / (1.0 - rate)) / len(labels)

    def excess(shift: float) -> float:
        return float(weights @ as_probabilities(values + shift)) - base_rate

    reach = FARTHEST + float(np.abs(values).max())
    return float(brentq(excess, -reach, reach, xtol=1e-13, rtol=1e-14))


def at_base_rate(chances: Array, base_rate: float, *, mass: Array | None = None) -> Array:
    """The probabilities with their log-odds moved by one number, so that their mean is the base rate; ranks stay.

    nan (no score) stays nan and does not count; ``mass``: what each row counts, if not all the same. Raises
    ``InputError`` for a rate outside (0, 1), or without a score.
    """
    if not 0.0 < base_rate < 1.0:
        raise InputError(f"base rate {base_rate} is not between 0 and 1", remedy="state the share of bads as 0.03")
    scored = ~np.isnan(chances)
    if not scored.any():
        raise InputError("no unit has a score, so there is none to state for a base rate", remedy="give other rows")
    odds = logit(np.clip(chances, NEAREST, 1.0 - NEAREST))
    counted = np.ones(len(chances)) if mass is None else mass

    def excess(shift: float) -> float:
        return float(np.average(expit(odds[scored] + shift), weights=counted[scored])) - base_rate

    reach = FARTHEST + float(np.abs(odds[scored]).max())
    return np.asarray(expit(odds + brentq(excess, -reach, reach, xtol=1e-13, rtol=1e-14)), dtype=float)


def platt(margins: Array, labels: Labels) -> tuple[float, float]:
    """Slope and offset of ``expit(slope * margin + offset)`` by maximum likelihood with Platt's smoothed targets.

    Source: J. Platt, Probabilistic outputs for support vector machines, 1999, with Newton steps. The slope is held
    at 0.01 or above: calibration may flatten a score, never turn it round.
    """
    positives = int(labels.sum())
    negatives = len(labels) - positives
    targets = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    slope, offset = _newton(np.column_stack([margins, np.ones(len(margins))]), targets, np.array([1.0, 0.0]))
    if slope >= LEAST_SLOPE:
        return float(slope), float(offset)
    (offset,) = _newton(np.ones((len(margins), 1)), targets, np.zeros(1), fixed=LEAST_SLOPE * margins)
    return LEAST_SLOPE, float(offset)


def _line(margins: Array, labels: Labels) -> Calibration:
    return Calibration(*platt(margins, labels), base_rate=float(labels.mean()))


def isotonic(margins: Array, labels: Labels) -> Calibration:
    """Platt's line bent to the pooled adjacent violators: knots at the blocks' mean margins and observed log-odds.

    Blocks are merged until each holds ``LEAST_IN_BLOCK`` of either class and no step is a cliff. Between knots the
    log-odds rise strictly; beyond the first and last the bend stays and the line goes on. Without two blocks: the line.
    """
    line = _line(margins, labels)
    order = np.argsort(margins, kind="stable")
    ordered, outcomes = np.asarray(margins, dtype=float)[order], labels[order]
    rates = IsotonicRegression(out_of_bounds="clip").fit_transform(ordered, outcomes)
    starts = np.flatnonzero(np.diff(rates, prepend=-1.0))
    rows = np.diff([*starts, len(rates)])
    pooled = zip(np.add.reduceat(outcomes, starts), rows, np.add.reduceat(ordered, starts), strict=True)
    blocks = _gentle([_Block(int(bads), int(count), float(total)) for bads, count, total in pooled], line.slope)
    if len(blocks) < 2:
        return line
    centres = np.array([block.centre for block in blocks])
    bends = np.array([block.level for block in blocks]) - log_odds(line, centres)
    # Where the blocks hardly rise, the log-odds still do: a hundredth of the line's slope.
    tilt = (1.0 - FLATTEST) * line.slope * centres
    bends = np.maximum.accumulate(bends + tilt) - tilt
    return replace(line, knots=tuple(zip(centres.tolist(), bends.tolist(), strict=True)))


METHODS: dict[str, Callable[[Array, Labels], Calibration]] = {PLATT: _line, ISOTONIC: isotonic}


@dataclass(frozen=True, slots=True)
class _Block:
    """Firms next to each other in margin that get one rate."""

    bads: int
    rows: int
    total: float

    @property
    def centre(self) -> float:
        return self.total / self.rows

    @property
    def level(self) -> float:
        return float(np.log(self.bads / (self.rows - self.bads)))

    @property
    def complete(self) -> bool:
        return min(self.bads, self.rows - self.bads) >= LEAST_IN_BLOCK

    def with_next(self, other: _Block) -> _Block:
        return _Block(self.bads + other.bads, self.rows + other.rows, self.total + other.total)


def _gentle(blocks: list[_Block], slope: float) -> list[_Block]:
    """The blocks merged from low to high margins until each is complete and no step between two is too steep."""
    merged: list[_Block] = []
    for block in blocks:
        merged.append(block)
        while len(merged) > 1 and not _apart(merged[-2], merged[-1], slope):
            merged[-2:] = [merged[-2].with_next(merged[-1])]
    return merged


def _apart(one: _Block, other: _Block, slope: float) -> bool:
    if not (one.complete and other.complete):
        return False
    return other.level - one.level <= STEEPEST * slope * (other.centre - one.centre)


def _newton(columns: Array, targets: Array, start: Array, fixed: Array | float = 0.0) -> Array:
    """Logistic regression by damped Newton steps; ``fixed`` is added to the log-odds."""
    weights = start
    loss = _loss(columns @ weights + fixed, targets)
    for _ in range(STEPS):
        probability = expit(columns @ weights + fixed)
        gradient = columns.T @ (probability - targets)
        curvature = (columns.T * (probability * (1 - probability))) @ columns + RIDGE * np.eye(columns.shape[1])
        step = np.linalg.solve(curvature, gradient)
        while _loss(columns @ (weights - step) + fixed, targets) > loss and np.abs(step).max() > 1e-12:
            step = step / 2
        weights = weights - step
        loss = _loss(columns @ weights + fixed, targets)
        if np.abs(step).max() < 1e-10:
            break
    return weights


def _loss(values: Array, targets: Array) -> float:
    return float(np.sum(np.logaddexp(0.0, values) - targets * values))
