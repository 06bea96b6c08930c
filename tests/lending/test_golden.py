"""Golden vectors of the domain: the clock, headroom, quarterly limit."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from decision_service.errors import CalendarError
from decision_service.lending.clock import due_at
from decision_service.lending.limits import floor_10k, leverage_headroom, quarterly_limit

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


def test_leverage_headroom():
    room = leverage_headroom(total_assets=10**9, total_liabilities=5 * 10**8, max_leverage=Decimal("0.70"))
    assert room == 666_666_666


@pytest.mark.parametrize("leverage", ["0", "1", "1.2"])
def test_a_leverage_ceiling_outside_0_to_1_is_refused(leverage):
    with pytest.raises(ValueError, match="between 0 and 1"):
        leverage_headroom(total_assets=1, total_liabilities=0, max_leverage=Decimal(leverage))


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
    assert floor_10k(fen) == floored
