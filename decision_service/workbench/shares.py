"""How far a share that was counted may be off."""

from __future__ import annotations

from scipy.stats import binomtest

CONFIDENCE = 0.95


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share (E. B. Wilson, 1927). Raises ``ValueError`` of no trial."""
    interval = binomtest(hits, trials).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)
