"""The clock of reviews: who has to decide is reminded, and what is late is told, as leaves of the log, each once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import datetime

from decision_service.audit.act import NewAct
from decision_service.audit.canonical import moment
from decision_service.decide import Platform
from decision_service.errors import DecisionServiceError
from decision_service.lives import sla_of
from decision_service.store import Waiting, Written

SLA_NEAR, SLA_BREACHED = "sla.near", "sla.breached"
POLL_SECONDS = 15.0

log = logging.getLogger(__name__)


class ReviewClock:
    """Looks at what waits for people; usable from a command, and as a thread of each worker."""

    def __init__(self, platform: Platform, clock: Callable[[], datetime]) -> None:
        self._platform = platform
        self._clock = clock
        self._told: set[str] = set()
        self._alarmed = ""
        self._end = threading.Event()

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

    def start(self) -> None:
        """Look again and again, in a thread, when it is this process's turn."""
        threading.Thread(target=self.follow, name="review-clock", daemon=True).start()

    def stop(self) -> None:
        """End soon."""
        self._end.set()

    def follow(self) -> None:
        """Until stopped."""
        while not self._end.wait(POLL_SECONDS):
            try:
                with self._platform.store.lives().turn(self._clock()) as mine:
                    if mine:
                        self.look()
            except DecisionServiceError as error:
                if str(error) != self._alarmed:  # each thing that goes wrong is told once, not each time
                    self._alarmed = str(error)
                    log.error("the clock of reviews: %s", error)


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
