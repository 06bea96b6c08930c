"""What follows from the acts on the rules: which version is active, which was before, where each one stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from decision_service.audit.release import ACTIVATION, APPROVAL, OFF, PUBLICATION, ROLLED_BACK, SWITCH
from decision_service.store import ReleaseEvent

History = Iterable[ReleaseEvent]
"""Acts on the rules, oldest first."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a version stands: who published and approved it, when it last began to decide, when it will."""

    publication: ReleaseEvent | None = None
    approval: ReleaseEvent | None = None
    activation: ReleaseEvent | None = None
    scheduled: tuple[ReleaseEvent, ...] = ()
    active: bool = False

    @property
    def state(self) -> str:
        """One word for a list."""
        if self.active:
            return "active"
        if self.scheduled:
            return "scheduled"
        if self.activation is not None:
            return "no longer active"
        if self.approval is not None:
            return "approved"
        return "published" if self.publication is not None else "never published"


def standing(history: History, digest: str, now: datetime) -> Standing:
    """Where a version stands at a moment."""
    events = [event for event in history if event.kind != SWITCH]
    own = [event for event in events if event.subject == digest]
    past = effective(events, now)
    return Standing(
        publication=_first(own, PUBLICATION),
        approval=_first(own, APPROVAL),
        activation=next((event for event in reversed(past) if event.subject == digest), None),
        scheduled=tuple(event for event in coming(events, now) if event.subject == digest),
        active=bool(past) and past[-1].subject == digest,
    )


def publication(history: History, digest: str) -> ReleaseEvent | None:
    """The publication of a version, if it is published."""
    return _first((event for event in history if event.subject == digest), PUBLICATION)


def approval(history: History, digest: str) -> ReleaseEvent | None:
    """The approval of a version, if it is approved."""
    return _first((event for event in history if event.subject == digest), APPROVAL)


def active(history: History, now: datetime) -> ReleaseEvent | None:
    """The activation that holds at a moment."""
    past = effective(history, now)
    return past[-1] if past else None


def effective(history: History, now: datetime) -> list[ReleaseEvent]:
    """The activations that took effect up to a moment; one that a later word cancelled before its time never did."""
    found: list[ReleaseEvent] = []
    for event in history:
        if event.kind == ACTIVATION and (event.effective_at <= now or not _is_scheduled(event)):
            found = [one for one in found if not _cancels(event, one)] + [event]
    return found


def coming(history: History, now: datetime) -> list[ReleaseEvent]:
    """The activations that are scheduled for after a moment and that nothing said so far cancels."""
    found: list[ReleaseEvent] = []
    for event in history:
        if event.kind == ACTIVATION:
            found = [one for one in found if not _cancels(event, one)] + [event]
    return [event for event in found if event.effective_at > now and _is_scheduled(event)]


def cancelled_by(history: History, event: ReleaseEvent) -> list[ReleaseEvent]:
    """The activations that were still to come when an activation was said, and are not any more."""
    before = [one for one in history if one.leaf_index < event.leaf_index]
    return [one for one in coming(before, event.at) if _cancels(event, one)]


def before_present(history: History, now: datetime) -> ReleaseEvent | None:
    """The activation that held before the present one; rolling back again goes further back, never forth again."""
    stack: list[ReleaseEvent] = []
    for event in effective(history, now):
        if event.how == ROLLED_BACK and event.subject in [one.subject for one in stack]:
            while stack[-1].subject != event.subject:
                stack.pop()
        elif not stack or stack[-1].subject != event.subject:
            stack.append(event)
    return stack[-2] if len(stack) > 1 else None


def switches(history: History) -> Iterator[ReleaseEvent]:
    """The newest act on each switch that is off, by scope."""
    newest = {event.subject: event for event in history if event.kind == SWITCH}
    return (event for _, event in sorted(newest.items()) if event.how == OFF)


def _first(events: History, kind: str) -> ReleaseEvent | None:
    return next((event for event in events if event.kind == kind), None)


def _is_scheduled(event: ReleaseEvent) -> bool:
    return event.effective_at != event.at


def _cancels(later: ReleaseEvent, earlier: ReleaseEvent) -> bool:
    """The last word wins: a scheduled activation goes if a later word is effective no later than it."""
    return _is_scheduled(earlier) and earlier.effective_at >= later.effective_at
