"""Arrears that banks reported: the longest days past due that still count, and loans written off."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date

from decision_service.portrait.calendar import add_months
from decision_service.portrait.records import Overdue

SERIOUS_MONTHS = 12
RECENT_MONTHS = 6
BELOW_RED_DAYS = 89
"""What an episode under dispute counts for at most: 90 days are a default and a red card, fewer a yellow one."""

FactValue = int | bool | None


def overdue_facts(
    overdues: Iterable[Overdue], as_of: date, *, fresh: bool, disputed: Collection[str] = ()
) -> dict[str, FactValue]:
    """``overdue_days_serious``, ``overdue_days_recent``, ``written_off_uncured``.

    An episode that is not cured lasts: it is past due for at least the days since it began, whatever was reported.
    An episode counts as serious until 12 months, as recent until 6 months after it was cured. Arrears that are known
    stay known when the feed is not fresh; having none does not. ``disputed`` are the ids of episodes under dispute.
    """
    begun = [overdue for overdue in overdues if overdue.started_on <= as_of]
    silent = 0 if fresh else None
    sure = [overdue for overdue in begun if overdue.record_id not in disputed]
    doubtful = [overdue for overdue in begun if overdue.record_id in disputed]
    written_off = any(overdue.written_off and not _cured(overdue, as_of) for overdue in sure)
    disputed_days = min(_longest(doubtful, as_of, RECENT_MONTHS), BELOW_RED_DAYS)
    return {
        "overdue_days_serious": max(_longest(sure, as_of, SERIOUS_MONTHS), disputed_days) or silent,
        "overdue_days_recent": max(_longest(sure, as_of, RECENT_MONTHS), disputed_days) or silent,
        "written_off_uncured": written_off or (False if fresh else None),
    }


def _longest(overdues: list[Overdue], as_of: date, months: int) -> int:
    counted = (one for one in overdues if not _cured(one, as_of) or _within(one.cured_on, as_of, months))
    return max((_days(one, as_of) for one in counted), default=0)


def _days(overdue: Overdue, as_of: date) -> int:
    return overdue.max_days if _cured(overdue, as_of) else max(overdue.max_days, (as_of - overdue.started_on).days)


def _cured(overdue: Overdue, as_of: date) -> bool:
    return overdue.cured_on is not None and overdue.cured_on <= as_of


def _within(cured_on: date | None, as_of: date, months: int) -> bool:
    return cured_on is not None and as_of < add_months(cured_on, months)
