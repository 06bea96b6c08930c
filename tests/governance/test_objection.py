"""The life of an objection: whatever is tried in whatever order, what stands is sound; its clocks by the calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decision_service.errors import Inadmissible, NotNow
from decision_service.governance.objection import (
    ACTS,
    ALLOWED,
    ANSWERS,
    EFFECTS,
    FILING,
    RULINGS,
    STATES,
    Objection,
    Step,
    after,
    allowed,
    deadlines,
    filed,
    lived,
)

START = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
PEOPLE = ["filer", "s1", "s2", "s3"]
RECORD = {"type": "record", "uscc": "U", "kind": "lists", "key": "L", "list": "list_court_dishonest"}
DECISION = {"type": "decision", "decision_id": "D"}


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    """Acts of anybody in any order, those that lead on more often than others."""
    order = ["accepted", "checked", "ruled", "applied", "notified", "appealed", "arbitrated", "applied", "notified"]
    found, moment = [], START
    for number in range(draw(st.integers(1, 14))):
        moment += timedelta(hours=draw(st.sampled_from([0, 1, 30, 24 * 9])))
        how = draw(st.sampled_from([order[min(number, 8)]] * 6 + list(ACTS)))
        details: dict[str, Any] = {
            "answer": draw(st.sampled_from(ANSWERS)),
            "ruling": draw(st.sampled_from(RULINGS)),
            "record_digest": "d",
        }
        found.append(Step(how, moment, draw(st.sampled_from(PEOPLE)), details))
    return found


def begun(target: dict[str, Any] = RECORD) -> Objection:
    return filed(Step(FILING, START, "filer", {"target": target}))


@settings(max_examples=500, deadline=None)
@given(st.sampled_from([RECORD, DECISION]), steps())
def test_whatever_is_tried_what_stands_is_sound(target: dict[str, Any], tried: list[Step]) -> None:
    objection, done, ruled_by = begun(target), [Step(FILING, START, "filer", {"target": target})], []
    for step in tried:
        before = objection
        try:
            objection = after(objection, step)
        except NotNow as error:
            assert before.state in str(error) and error.admits == allowed(before)
            continue
        except Inadmissible as error:
            assert step.how in allowed(before) and {field for field, _ in error.fields} <= set(step.details)
            continue
        done.append(step)
        if step.how == "erased":
            assert objection.state == before.state and objection.effect == before.effect
            continue
        assert step.how in ALLOWED[before.state] and objection.state in STATES
        ruled_by += [step.by] if step.how in ("accepted", "ruled", "arbitrated") else []
        assert "filer" not in ruled_by and len(ruled_by) == len({*ruled_by}), "each of them is another person"
        assert objection.instance <= 2 and set(allowed(objection)) <= set(ALLOWED[objection.state])
        effect = None if objection.effect is None else objection.effect[0]
        assert effect in (None, *EFFECTS) and (effect is None or target is RECORD)
        assert (effect == "disputed") == (target is RECORD and objection.state in ("accepted", "source_check"))
        assert effect != "struck" or objection.ruling in ("correct", "delete")
        assert effect is not None or target is DECISION or objection.ruling in (None, "reject")
        assert bool(deadlines(objection)) == objection.is_open
    assert lived(done) == objection, "the same acts make the same objection"


def way(*acts: tuple[str, str, dict[str, Any]], target: dict[str, Any] = RECORD) -> Objection:
    found = begun(target)
    for number, (how, by, details) in enumerate(acts, 1):
        found = after(found, Step(how, START + timedelta(hours=number), by, details))
    return found


ACCEPTED = ("accepted", "s1", {})
CHECKED = ("checked", "s1", {"answer": "wrong"})
NOT_ADMITTED: dict[str, tuple[list[tuple[str, str, dict[str, Any]]], str]] = {
    "accepted by who filed it": ([("accepted", "filer", {})], "accepted by who filed it"),
    "refused by who filed it": ([("refused", "filer", {})], "refused by who filed it"),
    "accepted twice": ([ACCEPTED, ("accepted", "s2", {})], "while it is accepted"),
    "ruled before the provider was asked": ([ACCEPTED, ("ruled", "s2", {"ruling": "delete"})], "while it is accepted"),
    "silence before the time is over": ([ACCEPTED, ("checked", "s1", {"answer": "no_answer"})], "has time until"),
    "ruled by who accepted it": ([ACCEPTED, CHECKED, ("ruled", "s1", {"ruling": "delete"})], "another person"),
    "ruled by who filed it": ([ACCEPTED, CHECKED, ("ruled", "filer", {"ruling": "delete"})], "another person"),
    "refused after it was accepted": ([ACCEPTED, ("refused", "s2", {})], "while it is accepted"),
    "appealed before anybody was told": ([ACCEPTED, ("appealed", "filer", {})], "while it is accepted"),
}


@pytest.mark.parametrize(("acts", "why"), NOT_ADMITTED.values(), ids=NOT_ADMITTED.keys())
def test_what_the_state_does_not_admit_is_refused(acts: list[tuple[str, str, dict[str, Any]]], why: str) -> None:
    way(*acts[:-1])
    with pytest.raises((NotNow, Inadmissible), match=why):
        way(*acts)


def test_nothing_begins_but_by_filing_and_nothing_goes_back_in_time() -> None:
    with pytest.raises(NotNow, match="nothing was filed"):
        filed(Step("accepted", START, "s1", {}))
    with pytest.raises(NotNow, match="before what was done"):
        after(begun(), Step("accepted", START - timedelta(seconds=1), "s1", {}))


def test_who_was_given_all_has_no_appeal() -> None:
    def told(ruling: str) -> Objection:
        ruled = ("ruled", "s2", {"ruling": ruling})
        return way(ACCEPTED, CHECKED, ruled, ("applied", "s1", {}), ("notified", "s1", {}))

    assert allowed(told("delete")) == () and allowed(told("reject")) == ("appealed",) == allowed(told("correct"))


CLOCKS = {
    "an ordinary week": ("2026-11-24T10:00", "2026-11-26T17:30", "2026-12-14T17:30"),
    "after the close working days count from the next": ("2026-11-24T17:31", "2026-11-27T17:30", "2026-12-14T17:30"),
    "the 20th day is in a holiday": ("2026-09-13T10:00", "2026-09-16T17:30", "2026-10-08T17:30"),
    "the whole ends in a year without calendar": ("2026-12-20T10:00", "2026-12-23T17:30", None),
}


@pytest.mark.parametrize(("moment", "step", "whole"), CLOCKS.values(), ids=CLOCKS.keys())
def test_the_clocks_count_working_days_for_steps_and_plain_days_for_the_whole(
    moment: str, step: str, whole: str | None
) -> None:
    at = datetime.fromisoformat(f"{moment}+08:00")
    objection = filed(Step(FILING, at, "filer", {"target": RECORD}))
    found = [(one.step, one.due_at and one.due_at.strftime("%Y-%m-%dT%H:%M")) for one in deadlines(objection)]
    assert found == [("acceptance", step), ("objection", whole)]
