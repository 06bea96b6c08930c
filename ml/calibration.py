"""Turns margins into probabilities: Platt scaling on held-out firms, then a shift to the stated base rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from decision_service.errors import InputError
from decision_service.scoring.blend import logit
from decision_service.scoring.spec import Calibration
from ml.fitted import Array, FittedModel
from ml.trees import checked_labels

LEAST_SLOPE = 0.01
STEPS = 100
RIDGE = 1e-6


def calibrate(fitted: FittedModel, margins: Array, labels: NDArray[np.int_], *, base_rate: float) -> FittedModel:
    """The model calibrated to a 12-month PD at ``base_rate``, from margins of firms it was not fitted on.

    nan margins (no score) are left out. Raises ``InputError`` for a base rate outside (0, 1) or one-sided labels.
    """
    if not 0.0 < base_rate < 1.0:
        raise InputError(f"base rate {base_rate} is not between 0 and 1", remedy="state the rate of the portfolio")
    scored = ~np.isnan(margins)
    found = checked_labels(np.asarray(labels)[scored], int(scored.sum()))
    slope, offset = platt(margins[scored], found)
    shift = logit(base_rate) - logit(float(found.mean()))
    return fitted.with_calibration(Calibration(slope, offset + shift, base_rate))


def platt(margins: Array, labels: NDArray[np.int_]) -> tuple[float, float]:
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


def _newton(columns: Array, targets: Array, start: Array, fixed: Array | float = 0.0) -> Array:
    """Logistic regression by damped Newton steps; ``fixed`` is added to the log-odds."""
    weights = start
    loss = _loss(columns @ weights + fixed, targets)
    for _ in range(STEPS):
        probability = 1.0 / (1.0 + np.exp(-(columns @ weights + fixed)))
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


def _loss(log_odds: Array, targets: Array) -> float:
    return float(np.sum(np.logaddexp(0.0, log_odds) - targets * log_odds))
