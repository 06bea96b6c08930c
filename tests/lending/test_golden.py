"""Golden vectors of the domain: the clock, headroom, quarterly limit."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from decision_service.errors import CalendarError
from decision_service.lending.clock import due_at
from decision_service.lending.limits import Whole, floor_10k, headroom, quarterly_limit

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("accepted", "due"),
    [
        ("2023-09-28T10:00", "2023-10-09"),  # holiday week; Saturday 7 and Sunday 8 October were working days
        ("2023-09-28T17:30", "2023-10-09"),
        ("2023-09-28T17:30:01", "2023-10-10"),  # after close of business: accepted on the next working day
        ("2026-11-24T09:00", "2026-11-27"),
        ("2026-11-21T09:00", "2026-11-26"),  # a Saturday off counts as Monday
    ],
)
def test_due_at_close_of_the_third_working_day(accepted, due):
    moment = datetime.fromisoformat(accepted).replace(tzinfo=SHANGHAI)
    assert due_at(moment).isoformat() == f"{due}T17:30:00+08:00"


def test_a_year_without_calendar_is_refused_not_guessed():
    with pytest.raises(CalendarError, match="2090"):
        due_at(datetime(2090, 1, 4, 9, tzinfo=SHANGHAI))


def room(ceiling, assets=10**9, liabilities=5 * 10**8):
    facts = {"industry.max_leverage": ceiling, "total_assets": assets, "total_liabilities": liabilities}
    return headroom(Whole(facts))


def test_leverage_headroom():
    assert room(700_000) == 666_666_666


@pytest.mark.parametrize(
    ("ceiling", "fen"),
    [(0, -500_000_000), (1, -499_999_500), (999_999, 499_999_000_000_000), (1_000_000, None), (1_200_000, None)],
)
def test_a_ceiling_of_one_or_more_bounds_nothing(ceiling, fen):
    assert room(ceiling) == fen


@pytest.mark.parametrize(
    ("change", "use", "overdue", "card", "limit"),
    [
        ("6", "0.85", 0, "none", 369_000_000),
        ("6", "0.85", 0, "yellow", 184_000_000),
        ("6", "0.85", 0, "red", 0),
        ("6", "0.85", 31, "none", 0),
        ("0", "0.29", 0, "none", 270_000_000),
        ("50", "0.80", 0, "none", 390_000_000),
        ("0", "0.50", 30, "none", 210_000_000),
    ],
)
def test_quarterly_limit(change, use, overdue, card, limit):
    got = quarterly_limit(
        300_000_000,
        score_change=Decimal(change),
        utilisation=Decimal(use),
        overdue_days=overdue,
        card=card,
        cap=10**12,
    )
    assert got == limit


@pytest.mark.parametrize(("fen", "floored"), [(999_999, 0), (1_000_000, 1_000_000), (1_999_999, 1_000_000), (-5, 0)])
def test_floor_to_ten_thousand(fen, floored):
    assert floor_10k(Whole({}), fen) == floored
