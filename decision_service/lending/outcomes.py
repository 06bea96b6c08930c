"""What became of money lent, as the answer that models learn from: pure."""

from __future__ import annotations

from datetime import date, timedelta

from decision_service.lending.life import SETTLED, Life

HORIZON = timedelta(days=365)
"""How long after the first drawdown is looked at: a PD is one of twelve months."""


def defaulted(life: Life, on: date) -> bool | None:
    """Whether a contract came to default within the horizon: 90 days overdue, or written off.

    ``None`` while nobody can know: nothing was drawn, or the horizon is not over on the day ``on``.
    """
    if life.drawn_on is None:
        return None
    ends = life.drawn_on + HORIZON
    if life.defaulted_on is not None and life.defaulted_on <= min(ends, on):
        return True
    return False if on > ends or life.ended == SETTLED else None
