"""The life of an application: whatever is tried in whatever order, what stands is sound."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from decision_service.errors import Inadmissible, NotNow
from decision_service.lending.life import ACTS, ALLOWED, STATES, WAITING, Step, after, allowed, born
from decision_service.vocabulary import RESERVATION

START = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
ASKED = 1_000


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    found, moment = [], START
    for _ in range(draw(st.integers(1, 14))):
        moment += timedelta(hours=draw(st.sampled_from([1, 1, 1, 30, 24 * 100])))
        details: dict[str, Any] = {
            "assignee": draw(st.sampled_from(["r1", "r2"])),
            "outcome": draw(st.sampled_from(["APPROVE", "APPROVE", "DECLINE"])),
            "amount": draw(st.sampled_from(["0.01", "2.50", "5.00", "10.00", "10.01"])),
            "on": (moment - timedelta(days=draw(st.sampled_from([0, 0, 1, 95])))).date().isoformat(),
            "contract_id": draw(st.sampled_from(["C", "C", "C", "D"])),
            "days": draw(st.sampled_from([0, 1, 89, 90, 120])),
            "end": draw(st.sampled_from(["settled", "cancelled", "written_off"])),
        }
        found.append(Step(draw(st.sampled_from(ACTS)), moment, draw(st.sampled_from(["r1", "r2"])), details))
    return found


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(["APPROVE", "REFER", "DECLINE"]), steps())
def test_whatever_is_tried_what_stands_is_sound(outcome: str, tried: list[Step]) -> None:
    life = born(outcome=outcome, asked=ASKED, approved=ASKED if outcome == "APPROVE" else None, decided_at=START)
    approvals = int(outcome == "APPROVE")
    for step in tried:
        before = life.on(step.at)
        try:
            life = after(life, step)
        except NotNow as error:
            assert before.state in str(error) and error.admits == allowed(before)
            continue
        except Inadmissible as error:
            assert step.how in ALLOWED[before.state] and {field for field, _ in error.fields} <= set(step.details)
            continue
        assert step.how in ALLOWED[before.state] and set(allowed(life)) <= set(ALLOWED[life.state])
        assert 0 <= life.repaid <= life.drawn <= life.approved <= ASKED
        assert life.counted >= life.outstanding >= 0
        assert life.counted == 0 or life.state not in (*WAITING, "declined", "refused")
        assert len(life.pauses) <= 2 and life.state in STATES
        assert sum(end is None for _, end in life.pauses) == (life.state == "paused")
        assert (life.defaulted_on is not None) >= (life.worst_days >= 90 or life.ended == "written_off")
        approvals += step.how == "reviewed" and step.details["outcome"] == "APPROVE"
        assert not life.drawn or approvals, "nothing is drawn that nobody approved"
        if life.state == "approved":
            assert life.on(step.at + RESERVATION).state == "lapsed"
    assert (life.ended is not None) == (life.state == "closed")
