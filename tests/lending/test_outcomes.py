"""Labels: whether a contract defaulted within a year of its first drawdown, and when that is known."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from decision_service.lending import life
from decision_service.lending.life import Life, Step
from decision_service.lending.outcomes import defaulted

DECIDED = datetime(2026, 1, 5, 2, 0, tzinfo=UTC)
DRAWN_ON = date(2026, 1, 6)


def contract(days: int, *acts: tuple[str, dict[str, Any]]) -> tuple[Life, date]:
    """A contract over 1,000.00, with acts so many days after its drawdown, and the day on which it is looked at."""
    at = DECIDED + timedelta(hours=23)
    later = DRAWN_ON + timedelta(days=days)
    drawn = Step(life.DRAWDOWN, at, "bank", {"amount": "1000.00", "on": DRAWN_ON.isoformat()})
    approved = Step(life.FINAL, at, "bank", {"outcome": "APPROVE", "amount": "1000.00"})
    begun = life.born(outcome="APPROVE", asked=100_000, approved=100_000, decided_at=DECIDED)
    steps = [Step(how, at + timedelta(days=days), "bank", {**told, "on": later.isoformat()}) for how, told in acts]
    return life.lived(begun, [approved, drawn, *steps]), later


def overdue(days: int) -> tuple[str, dict[str, Any]]:
    return life.ARREARS, {"days": days, "amount": "10.00"}


ALL_REPAID = (life.REPAYMENT, {"amount": "1000.00"})


@pytest.mark.parametrize(
    ("days", "acts", "expected"),
    [
        (200, [], None),
        (365, [], None),
        (366, [], False),
        (200, [overdue(89)], None),
        (200, [overdue(90)], True),
        (366, [overdue(89)], False),
        (400, [overdue(90 + 35)], True),  # ninety days were over on the 365th day
        (400, [overdue(90 + 34)], False),
        (200, [ALL_REPAID], None),  # more may be drawn
        (200, [ALL_REPAID, (life.CLOSURE, {"end": "settled"})], False),
        (200, [(life.CLOSURE, {"end": "written_off"})], True),
        (365, [(life.CLOSURE, {"end": "written_off"})], True),
        (366, [(life.CLOSURE, {"end": "written_off"})], False),
    ],
)
def test_a_contract_has_a_label_once_its_year_tells(days: int, acts: Any, expected: bool | None) -> None:
    left, on = contract(days, *acts)
    assert defaulted(left, on) is expected


def test_what_came_later_is_not_known_before() -> None:
    left, on = contract(200, overdue(120))
    assert defaulted(left, on - timedelta(days=31)) is None
    assert defaulted(left, on - timedelta(days=30)) is True


def test_without_a_drawdown_there_is_nothing_to_learn() -> None:
    begun = life.born(outcome="APPROVE", asked=1, approved=1, decided_at=DECIDED)
    assert defaulted(begun, DRAWN_ON + timedelta(days=999)) is None
