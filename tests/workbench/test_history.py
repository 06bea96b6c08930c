"""What follows from acts on the rules: the active version, the one before, what is cancelled, where each stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from decision_service.audit.release import ACTIVATED, INSTALLED, ROLLED_BACK
from decision_service.store import ReleaseEvent
from decision_service.workbench.history import active, before_present, cancelled_by, effective, standing, switches

MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)
Said = tuple[str, str, int] | tuple[str, str, int, int]
"""How or kind, subject, the hour in which it was said, and the hour from which it is effective if that is later."""


def hour(number: int) -> datetime:
    return MIDNIGHT + timedelta(hours=number)


def events(*said: Said) -> list[ReleaseEvent]:
    found = []
    for index, (what, subject, at, *later) in enumerate(said):
        how = what if what in (INSTALLED, ACTIVATED, ROLLED_BACK) else ""
        kind = "activation" if how else what
        if what in ("on", "off"):
            kind, how = "switch", what
        found.append(ReleaseEvent(index, kind, how, subject, hour(at), hour(later[0] if later else at), {}))
    return found


A, B, C = (INSTALLED, "a", 0), (ACTIVATED, "b", 1), (ACTIVATED, "c", 2)
TIMELINES: dict[str, tuple[list[Said], str | None, str | None]] = {
    "nothing": ([], None, None),
    "only publications": ([("publication", "a", 0), ("approval", "a", 1)], None, None),
    "the first": ([A], "a", None),
    "the second": ([A, B], "b", "a"),
    "the third": ([A, B, C], "c", "b"),
    "one rolled back": ([A, B, C, (ROLLED_BACK, "b", 3)], "b", "a"),
    "two rolled back": ([A, B, C, (ROLLED_BACK, "b", 3), (ROLLED_BACK, "a", 4)], "a", None),
    "forth again": ([A, B, (ROLLED_BACK, "a", 3), (ACTIVATED, "b", 4)], "b", "a"),
    "another after a rollback": ([A, B, (ROLLED_BACK, "a", 3), (ACTIVATED, "c", 4)], "c", "a"),
    "the same said twice": ([A, B, (ACTIVATED, "b", 3)], "b", "a"),
    "to and fro": ([A, B, (ACTIVATED, "a", 3)], "a", "b"),
    "to and fro, rolled back": ([A, B, (ACTIVATED, "a", 3), (ROLLED_BACK, "b", 4)], "b", "a"),
    "one still to come": ([A, (ACTIVATED, "b", 1, 99)], "a", None),
    "one that came": ([A, (ACTIVATED, "b", 1, 5)], "b", "a"),
    "one that was cancelled": ([A, (ACTIVATED, "b", 1, 5), (ACTIVATED, "c", 2)], "c", "a"),
    "one that was cancelled by a rollback": ([A, B, (ACTIVATED, "c", 2, 5), (ROLLED_BACK, "a", 3)], "a", None),
    "one that came before a later word": ([A, (ACTIVATED, "b", 1, 5), (ACTIVATED, "c", 6)], "c", "b"),
    "switches beside": ([A, ("off", "all", 1), B, ("on", "all", 2)], "b", "a"),
}


@pytest.mark.parametrize(("said", "present", "before"), TIMELINES.values(), ids=TIMELINES)
def test_the_present_version_and_the_one_before_it(
    said: list[Said], present: str | None, before: str | None
) -> None:
    history, now = events(*said), hour(10)
    found = active(history, now), before_present(history, now)
    assert tuple(None if one is None else one.subject for one in found) == (present, before)


BOUNDARY = [(4, "a"), (5, "b"), (6, "b")]


@pytest.mark.parametrize(("now", "present"), BOUNDARY)
def test_a_scheduled_version_is_active_from_its_very_moment_on(now: int, present: str) -> None:
    assert effective(events(A, (ACTIVATED, "b", 1, 5)), hour(now))[-1].subject == present


CANCELLED: dict[str, tuple[Said, list[str]]] = {
    "for at once": ((ACTIVATED, "a", 3), ["b", "c"]),
    "for before both": ((ACTIVATED, "a", 3, 4), ["b", "c"]),
    "for the moment of the first": ((ACTIVATED, "a", 3, 5), ["b", "c"]),
    "for between them": ((ACTIVATED, "a", 3, 6), ["c"]),
    "for after both": ((ACTIVATED, "a", 3, 9), []),
    "once the first has come": ((ACTIVATED, "a", 6), ["c"]),
    "back": ((ROLLED_BACK, "a", 3), ["b", "c"]),
}


@pytest.mark.parametrize(("last", "cancelled"), CANCELLED.values(), ids=CANCELLED)
def test_what_a_later_word_cancels(last: Said, cancelled: list[str]) -> None:
    history = events(A, (ACTIVATED, "b", 1, 5), (ACTIVATED, "c", 2, 8), last)
    assert [event.subject for event in cancelled_by(history, history[-1])] == cancelled


PUBLISHED, APPROVED = ("publication", "a", 0), ("approval", "a", 1)
STATES: dict[str, tuple[list[Said], str]] = {
    "nothing": ([], "never published"),
    "published": ([PUBLISHED], "published"),
    "approved": ([PUBLISHED, APPROVED], "approved"),
    "to come": ([PUBLISHED, APPROVED, (INSTALLED, "b", 2), (ACTIVATED, "a", 3, 99)], "scheduled"),
    "active": ([PUBLISHED, APPROVED, (ACTIVATED, "a", 2)], "active"),
    "active, though never published": ([(INSTALLED, "a", 2)], "active"),
    "another is active": ([PUBLISHED, APPROVED, (ACTIVATED, "a", 2), (ACTIVATED, "b", 3)], "no longer active"),
    "cancelled before its time": ([PUBLISHED, APPROVED, (ACTIVATED, "a", 2, 5), (ACTIVATED, "b", 3)], "approved"),
}


@pytest.mark.parametrize(("said", "state"), STATES.values(), ids=STATES)
def test_where_a_version_stands(said: list[Said], state: str) -> None:
    assert standing(events(*said), "a", hour(10)).state == state


def test_the_newest_act_on_a_switch_counts() -> None:
    history = events(("off", "all", 0), ("off", "product:x", 1), ("on", "all", 2), ("off", "client:b", 3), A)
    assert [event.subject for event in switches(history)] == ["client:b", "product:x"]
