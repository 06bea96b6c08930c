"""Due times on the State Council calendar, working Saturdays (调休) included: working days, plain days, pauses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

import chinese_calendar

from decision_service.errors import CalendarError

SHANGHAI = ZoneInfo("Asia/Shanghai")
CLOSE_OF_BUSINESS = time(17, 30)
WORKING_DAYS = 3

Pause = tuple[datetime, datetime | None]
"""From when until when the clock stands still; ``None`` while it still does."""


@dataclass(frozen=True, slots=True)
class Sla:
    """When people are reminded and when they must have decided; ``None`` for what a pause that lasts puts off."""

    reminders: tuple[datetime, ...]
    due_at: datetime | None


@lru_cache(maxsize=4096)
def is_working_day(day: date) -> bool:
    """Whether a business date is a working day; raises ``CalendarError`` when the year's calendar is not known."""
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError as error:
        raise CalendarError(
            f"the working-day calendar of {day.year} is not known", remedy="update the package chinesecalendar"
        ) from error


def due_at(accepted_at: datetime) -> datetime:
    """Close of business (17:30 Asia/Shanghai) of the third working day after acceptance.

    Accepted after 17:30, or on a day off, counts as accepted on the next working day. ``accepted_at`` is aware.
    Raises ``CalendarError`` instead of guessing.
    """
    return close_after(accepted_at, WORKING_DAYS)


def close_after(moment: datetime, working_days: int) -> datetime:
    """Close of business of the so-many-th working day after a moment, which counts as ``due_at`` says.

    Raises ``CalendarError``.
    """
    return next(islice(_closes(moment), working_days, None))


def close_after_days(moment: datetime, days: int) -> datetime:
    """Close of business of the so-many-th calendar day after a moment's; on a day off, of the next working day.

    So periods in days are counted by articles 201 and 203 of the Civil Code (民法典): the day on which they begin does
    not count, and a last day that is off is followed by the next that is not. Raises ``CalendarError``.
    """
    day = moment.astimezone(SHANGHAI).date() + timedelta(days=days)
    return datetime.combine(day if is_working_day(day) else _next_working_day(day), CLOSE_OF_BUSINESS, SHANGHAI)


def close_before(moment: datetime) -> datetime:
    """The last close of business of a working day that lies on an earlier day. Raises ``CalendarError``."""
    day = moment.astimezone(SHANGHAI).date() - timedelta(days=1)
    while not is_working_day(day):
        day -= timedelta(days=1)
    return datetime.combine(day, CLOSE_OF_BUSINESS, SHANGHAI)


def sla(accepted_at: datetime, pauses: Sequence[Pause] = ()) -> Sla:
    """The clock with pauses: a working day, that of acceptance too, is over only when the clock runs at its close.

    So a pause within one day costs nothing, and each close over which it lasts puts off all that comes by a working
    day. Raises ``CalendarError``.
    """
    stands_since = next((begin for begin, end in pauses if end is None), None)
    counted: list[datetime] = []
    closes = _closes(accepted_at)
    while len(counted) <= WORKING_DAYS:
        close = next(closes)
        if stands_since is not None and stands_since <= close:
            break
        if not any(begin <= close and (end is None or close < end) for begin, end in pauses):
            counted.append(close)
    return Sla(tuple(counted[1:WORKING_DAYS]), counted[WORKING_DAYS] if len(counted) > WORKING_DAYS else None)


def _closes(accepted_at: datetime) -> Iterator[datetime]:
    """Closes of business of the working day of acceptance and of those after it."""
    local = accepted_at.astimezone(SHANGHAI)
    day = local.date()
    if local.time() > CLOSE_OF_BUSINESS or not is_working_day(day):
        day = _next_working_day(day)
    while True:
        yield datetime.combine(day, CLOSE_OF_BUSINESS, SHANGHAI)
        day = _next_working_day(day)


def _next_working_day(day: date) -> date:
    day += timedelta(days=1)
    while not is_working_day(day):
        day += timedelta(days=1)
    return day
