"""Blends two probabilities of default on the logit scale and rounds what leaves the scorer."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Decimal

from decision_service.errors import ModelError

LEAST = 1e-6
MILLIONTH = Decimal("0.000001")


def clipped(probability: float) -> float:
    """A probability held within [1e-6, 1 - 1e-6]; raises ``ModelError`` for nan, or outside [0, 1]."""
    if not 0.0 <= probability <= 1.0:
        raise ModelError(f"the model returned {probability!r} for a probability", remedy="register a sound model")
    return min(max(probability, LEAST), 1.0 - LEAST)


def logit(probability: float) -> float:
    """Log-odds of a probability, clipped first."""
    held = clipped(probability)
    return math.log(held / (1.0 - held))


def expit(log_odds: float) -> float:
    """The probability of log-odds, without overflow on either side."""
    if log_odds >= 0:
        return 1.0 / (1.0 + math.exp(-log_odds))
    odds = math.exp(log_odds)
    return odds / (1.0 + odds)


def rounded(probability: float) -> Decimal:
    """The probability as it leaves the scorer: clipped, six decimals, half-even on the exact binary value."""
    return Decimal(clipped(probability)).quantize(MILLIONTH, rounding=ROUND_HALF_EVEN)


def blended(first: float, second: float, weights: tuple[Decimal, Decimal]) -> float:
    """``expit(w1 * logit(p1) + w2 * logit(p2))`` over unrounded probabilities.

    Raises ``ModelError`` unless both weights are at least 0 and their sum is 1.
    """
    if min(weights) < 0 or sum(weights) != 1:
        shown = " and ".join(str(weight) for weight in weights)
        raise ModelError(f"blend weights {shown} do not sum to 1", remedy="correct them in the parameter file")
    return expit(float(weights[0]) * logit(first) + float(weights[1]) * logit(second))
