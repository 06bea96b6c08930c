"""The working-day clock: the calendar against the State Council's notices, golden dates, pauses."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from decision_service.errors import CalendarError
from decision_service.lending.clock import due_at, is_working_day, sla

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOLIDAYS = {
    2023: "0101-0102 0121-0127 0405-0405 0429-0503 0622-0624 0929-1006 1230-1231",
    2024: "0101-0101 0210-0217 0404-0406 0501-0505 0608-0610 0915-0917 1001-1007",
    2025: "0101-0101 0128-0204 0404-0406 0501-0505 0531-0602 1001-1008",
    2026: "0101-0103 0215-0223 0404-0406 0501-0505 0619-0621 0925-0927 1001-1007",
}
"""Days off of the notices 国办发明电〔2022〕16号, 〔2023〕7号, 〔2024〕12号 and that of 4 November 2025."""
WORKING_WEEKENDS = {
    2023: "0128 0129 0423 0506 0625 1007 1008",
    2024: "0204 0218 0407 0428 0511 0914 0929 1012",
    2025: "0126 0208 0427 0928 1011",
    2026: "0104 0214 0228 0509 0920 1010",
}
"""Saturdays and Sundays on which the same notices say that people work (调休)."""


def working_days(year: int) -> list[date]:
    """A year's working days by what its notice says, and by nothing else."""
    off = set()
    for stretch in HOLIDAYS[year].split():
        first, last = (date(year, int(end[:2]), int(end[2:])) for end in stretch.split("-"))
        off |= {first + timedelta(days) for days in range((last - first).days + 1)}
    weekends = {date(year, int(day[:2]), int(day[2:])) for day in WORKING_WEEKENDS[year].split()}
    assert all(day.weekday() >= 5 for day in weekends)
    days = (date(year, 1, 1) + timedelta(number) for number in range((date(year + 1, 1, 1) - date(year, 1, 1)).days))
    return [day for day in days if day in weekends or day.weekday() < 5 and day not in off]


@pytest.mark.parametrize("year", HOLIDAYS)
def test_every_day_of_the_year_is_as_the_notice_says(year: int) -> None:
    working, day = set(working_days(year)), date(year, 1, 1)
    while day.year == year:
        assert is_working_day(day) == (day in working), day
        day += timedelta(1)


def test_whatever_is_accepted_in_these_years_is_due_three_of_their_working_days_later() -> None:
    """At the first and last second of every day, and on both sides of its close of business."""
    working = [day for year in HOLIDAYS for day in working_days(year)]
    day, known = date(2023, 1, 1), 0
    while day.year <= 2026:
        for clock in (time(0), time(17, 30), time(17, 30, 1), time(23, 59, 59)):
            accepted = datetime.combine(day, clock, SHANGHAI).astimezone(UTC)
            place = bisect_left(working, day) if clock <= time(17, 30) else bisect_right(working, day)
            if place + 3 < len(working):
                assert due_at(accepted) == datetime.combine(working[place + 3], time(17, 30), SHANGHAI), accepted
                known += 1
            else:
                with pytest.raises(CalendarError, match="2027"):
                    due_at(accepted)
        day += timedelta(1)
    assert known == 4 * 1_461 - 14


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=SHANGHAI)


DUE = {
    "a holiday week, then a working Saturday and Sunday": ("2023-09-28T10:00", "2023-10-09"),
    "the last moment of a working day": ("2023-09-28T17:30", "2023-10-09"),
    "a second later it counts as the next working day": ("2023-09-28T17:30:01", "2023-10-10"),
    "accepted in the holidays counts as the working Saturday": ("2023-10-02T10:00", "2023-10-10"),
    "an ordinary week": ("2026-11-24T09:00", "2026-11-27"),
    "over a weekend": ("2026-11-27T09:00", "2026-12-02"),
    "a Saturday off counts as Monday": ("2026-11-21T09:00", "2026-11-26"),
    "a working Saturday is a day": ("2026-02-13T09:00", "2026-02-25"),
    "New Year's Eve, rest is advised but not a day off": ("2024-02-08T09:00", "2024-02-19"),
    "over the turn of the year": ("2025-12-30T09:00", "2026-01-05"),
}


@pytest.mark.parametrize(("accepted", "due"), DUE.values(), ids=DUE.keys())
def test_golden_dates(accepted: str, due: str) -> None:
    assert due_at(at(accepted)) == at(f"{due}T17:30") == sla(at(accepted)).due_at


def test_reminders_come_at_the_close_of_the_first_and_second_day() -> None:
    found = sla(at("2023-09-28T10:00"))
    assert found.reminders == (at("2023-10-07T17:30"), at("2023-10-08T17:30"))


PAUSES = {
    "within one day it costs nothing": (["2026-11-25T09:00 2026-11-25T17:29"], "2026-11-27"),
    "over a close it costs a day": (["2026-11-25T17:30 2026-11-25T17:31"], "2026-11-30"),
    "ended at the close it costs nothing": (["2026-11-25T09:00 2026-11-25T17:30"], "2026-11-27"),
    "the close of the day of acceptance counts too": (["2026-11-24T11:00 2026-11-25T11:00"], "2026-11-30"),
    "over a weekend only Friday's close counts": (["2026-11-27T09:00 2026-11-30T09:00"], "2026-11-30"),
    "on days off it costs nothing": (["2026-11-28T09:00 2026-11-29T20:00"], "2026-11-27"),
    "two pauses add up": (["2026-11-24T12:00 2026-11-26T12:00", "2026-11-30T12:00 2026-12-01T12:00"], "2026-12-02"),
}


@pytest.mark.parametrize(("pauses", "due"), PAUSES.values(), ids=PAUSES.keys())
def test_pauses_put_off_what_comes(pauses: list[str], due: str) -> None:
    stood = [(at(one.split()[0]), at(one.split()[1])) for one in pauses]
    assert sla(at("2026-11-24T10:00"), stood).due_at == at(f"{due}T17:30")


def test_while_it_stands_still_only_what_is_past_is_known() -> None:
    accepted = at("2026-11-24T10:00")
    assert sla(accepted, [(at("2026-11-24T11:00"), None)]).reminders == ()
    paused = sla(accepted, [(at("2026-11-26T11:00"), None)])
    assert (paused.reminders, paused.due_at) == ((at("2026-11-25T17:30"),), None)
    late = sla(accepted, [(at("2026-11-27T17:31"), None)])
    assert late.due_at == at("2026-11-27T17:30"), "no pause undoes a breach"


@pytest.mark.parametrize("accepted", ["2090-01-04T09:00", "2026-12-30T09:00"])
def test_a_year_without_calendar_is_refused_not_guessed(accepted: str) -> None:
    with pytest.raises(CalendarError, match="2090|2027"):
        sla(at(accepted))
    with pytest.raises(CalendarError, match="2090|2027"):
        due_at(at(accepted))
