"""The three-working-day clock on the State Council calendar, including working Saturdays (调休)."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import chinese_calendar

from decision_service.errors import CalendarError

SHANGHAI = ZoneInfo("Asia/Shanghai")
CLOSE_OF_BUSINESS = time(17, 30)
WORKING_DAYS = 3


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
    local = accepted_at.astimezone(SHANGHAI)
    day = local.date()
    if local.time() > CLOSE_OF_BUSINESS or not is_working_day(day):
        day = _next_working_day(day)
    for _ in range(WORKING_DAYS):
        day = _next_working_day(day)
    return datetime.combine(day, CLOSE_OF_BUSINESS, SHANGHAI)


def _next_working_day(day: date) -> date:
    day += timedelta(days=1)
    while not is_working_day(day):
        day += timedelta(days=1)
    return day
