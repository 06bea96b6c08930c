"""The clock of reviews and objections: who has to act is reminded, what is late is told, as leaves, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime

from decision_service.audit.act import OBJECTION_BREACHED, OBJECTION_NEAR, SLA_BREACHED, SLA_NEAR, NewAct
from decision_service.audit.canonical import moment
from decision_service.decide import Platform
from decision_service.errors import CalendarError
from decision_service.following import Follower
from decision_service.governance.objection import Objection, deadlines
from decision_service.lending.clock import close_before
from decision_service.lives import sla_of
from decision_service.objections import objection_of
from decision_service.store import StoredObjection, Waiting, Written


class ReviewClock(Follower):
    """Looks at what waits for people; usable from a command, and as a thread of each worker."""

    name = "review-clock"
    poll_seconds = 15.0

    def __init__(self, platform: Platform, clock: Callable[[], datetime]) -> None:
        super().__init__(platform, clock)
        self._told: set[str] = set()

    def look(self) -> tuple[Written, ...]:
        """Write every notice that is due and not yet written; gives those that are new. Raises ``StoreError``."""
        store, signer = self._platform.store, self._platform.signer
        now = self._clock()  # before the queue is read: what still waits then has waited until now
        waiting = store.lives().waiting(decided_by=_remindable(now))
        pending = [(one.decision_id, new) for one in waiting for new in due_notices(one, now)]
        pending += [(one.objection_id, new) for one in store.objections().open() for new in self._objected(one, now)]
        found = []
        for subject, new in pending:
            if new.once not in self._told:
                written = store.notice(subject, new, signer.receipt)
                self._told.add(str(new.once))
                found += [] if written is None else [written]
        self._told &= {str(new.once) for _, new in pending}
        return tuple(found)

    def _objected(self, one: StoredObjection, now: datetime) -> Iterator[NewAct]:
        return objection_notices(one, objection_of(self._platform.store.objections().acts(one.objection_id)), now)

    def _turn(self) -> AbstractContextManager[bool]:
        return self._platform.store.lives().turn(self._clock())

    def _step(self, ends: float) -> bool:
        self.look()
        return False

    def _alarm(self, what: str) -> None:
        super()._alarm(f"the clock of reviews: {what}")


def _remindable(now: datetime) -> datetime | None:
    """Nothing is told of what was decided later: the first reminder comes on a working day after that of acceptance."""
    try:
        return close_before(now)
    except CalendarError:
        return None


def due_notices(waiting: Waiting, now: datetime) -> Iterator[NewAct]:
    """What is to be told of an application that still waits."""
    found = sla_of(waiting.decided_at, waiting.pauses)
    if found is None:
        return  # the calendar of that year is not known, which the queue shows
    due = moment(found.due_at)
    for day, close in enumerate(found.reminders, 1):
        if close <= now:
            yield _notice(waiting, SLA_NEAR, f"{day}", {"day": day, "close": moment(close), "due_at": due}, now)
    if found.due_at is not None and found.due_at <= now:
        yield _notice(waiting, SLA_BREACHED, "due", {"due_at": due}, now)


def objection_notices(stored: StoredObjection, left: Objection, now: datetime) -> Iterator[NewAct]:
    """What is to be told of an objection on which somebody still has to act: of its step, and of the whole."""
    for deadline in deadlines(left):
        told = {"step": deadline.step, "instance": left.instance, "due_at": moment(deadline.due_at)}
        details = {"objection_id": stored.objection_id, **told}
        for how, since in ((OBJECTION_NEAR, deadline.reminder), (OBJECTION_BREACHED, deadline.due_at)):
            if since is not None and since <= now:
                once = f"{how}:{stored.objection_id}:{deadline.step}:{left.instance}"
                yield NewAct(how, now, client_id=stored.client_id, details=details, once=once)


def _notice(waiting: Waiting, how: str, which: str, details: dict[str, object], now: datetime) -> NewAct:
    once = f"{how}:{waiting.decision_id}:{which}"
    details["application_id"] = waiting.application_id
    return NewAct(how, now, client_id=waiting.client_id, details=details, once=once)
