"""The indicators' formulas as pure functions of plain numbers, for calculators and for whoever delivers values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

TAX_POINTS: Mapping[str, Fraction] = {
    "on_time": Fraction(1),
    "zero_return": Fraction(7, 10),
    "late_30": Fraction(1, 2),
    "not_filed": Fraction(0),
}
PENALTY_POINTS: Mapping[str, int] = {"minor": 1, "general": 3, "serious": 10}
PENALTY_MONTHS = 36
HOP_DECAY = 0.5
OPINION_DECAY_DAYS = 30
OPINION_SCALE = 5


def variation(values: Sequence[float]) -> float | None:
    """Coefficient of variation: stdev (ddof 1) / mean; ``None`` when the mean is not above zero."""
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2 or mean <= 0:
        return None
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1)) / mean


def tax_continuity(filings: Sequence[str]) -> Fraction:
    """Sum of (25 − k) · s_k over the months, newest first (k = 1), divided by the weights used.

    With 24 months the divisor is 300; a firm younger than that has its weights renormalised.
    """
    weights = range(24, 24 - len(filings), -1)
    points = sum((weight * TAX_POINTS[filing] for weight, filing in zip(weights, filings)), Fraction(0))
    return points / sum(weights)


def penalty_lookback(penalties: Iterable[tuple[str, float]]) -> float:
    """Sum of severity · exp(−age in months / 12) over penalties (severity, age in months) of the last 36 months.

    Repaired and revoked penalties are to be left out by the caller.
    """
    return sum(PENALTY_POINTS[severity] * math.exp(-age / 12) for severity, age in penalties if age <= PENALTY_MONTHS)


def contagion(sources: Iterable[tuple[float, float, int]]) -> float:
    """1 − ∏ (1 − severity · weight · 0.5^(hop − 1)) over related parties, each counted once."""
    return 1 - math.prod(1 - severity * weight * HOP_DECAY ** (hop - 1) for severity, weight, hop in sources)


def opinion_index(articles: Iterable[tuple[float, float, float]]) -> float:
    """100 · (1 − exp(−Σ weight · severity · exp(−age in days / 30) / 5)) over articles, copies left out."""
    total = sum(weight * severity * math.exp(-age / OPINION_DECAY_DAYS) for severity, weight, age in articles)
    return 100 * (1 - math.exp(-total / OPINION_SCALE))
