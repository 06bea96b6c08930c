"""The clock of reviews: who has to decide is reminded, and what is late is told, as leaves of the log, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime

from decision_service.audit.act import SLA_BREACHED, SLA_NEAR, NewAct
from decision_service.audit.canonical import moment
from decision_service.decide import Platform
from decision_service.following import Follower
from decision_service.lives import sla_of
from decision_service.store import Waiting, Written


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
        waiting = store.lives().waiting()
        found = []
        for one in waiting:
            for new in due_notices(one, now):
                if new.once not in self._told:
                    written = store.notice(one.decision_id, new, signer.receipt)
                    self._told.add(str(new.once))
                    found += [] if written is None else [written]
        self._told &= {str(new.once) for one in waiting for new in due_notices(one, now)}
        return tuple(found)

    def _turn(self) -> AbstractContextManager[bool]:
        return self._platform.store.lives().turn(self._clock())

    def _step(self, ends: float) -> bool:
        self.look()
        return False

    def _alarm(self, what: str) -> None:
        super()._alarm(f"the clock of reviews: {what}")


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


def _notice(waiting: Waiting, how: str, which: str, details: dict[str, object], now: datetime) -> NewAct:
    once = f"{how}:{waiting.decision_id}:{which}"
    details["application_id"] = waiting.application_id
    return NewAct(how, now, client_id=waiting.client_id, details=details, once=once)
