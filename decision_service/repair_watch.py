"""Watching repairs: whose decision used a record that was repaired since is told, and late sources."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from decision_service.audit.act import LATER_REPAIRED, NOTICE, NewAct
from decision_service.decide import Platform
from decision_service.errors import CalendarError
from decision_service.following import Follower
from decision_service.governance.objection import STRUCK
from decision_service.lending.clock import SHANGHAI, close_after
from decision_service.portrait.disputes import LISTS, digest_of, is_repaired
from decision_service.repaired import later_repairs
from decision_service.store import StoredDecision, StoredObjection, ToldRepair, Written
from decision_service.store.lives import REPAIRS

SOURCE_DAYS = 20
"""Working days for a source to follow a ruling that its record is wrong."""
REPAIR_DAYS = 3
"""Working days for a source to tell of a repair (信用修复), from the day on which it ended the entry."""
REMEMBERED = timedelta(days=30)
"""How long it is told that a source told of a repair too late."""


class RepairWatch(Follower):
    """Looks at the decisions on enterprises of which a record was ruled wrong or repaired since it looked last.

    Decisions on who controls such an enterprise, or is controlled by it, are looked at too: theirs use its entries.
    """

    name = "repair-watch"
    poll_seconds = 60.0

    def __init__(
        self,
        platform: Platform,
        clock: Callable[[], datetime],
        late: Callable[[int], None] = lambda count: None,
        told_late: Callable[[int], None] = lambda count: None,
    ) -> None:
        super().__init__(platform, clock)
        self._late = late
        self._told_late = told_late
        self._looked: dict[str, tuple[str, ...]] = {}
        self._told: set[str] = set()
        self._going: Iterator[Written | None] | None = None

    def look(self) -> tuple[Written, ...]:
        """Look at all that has changed; gives what is new. Raises ``StoreError``."""
        return tuple(written for written in self._all() if written is not None)

    def _turn(self) -> AbstractContextManager[bool]:
        return self._platform.store.lives().turn(self._clock(), REPAIRS)

    def _step(self, ends: float) -> bool:
        """Decision by decision: it goes on where it was, in this turn or the next."""
        now = self._clock()
        self._late(len(late_sources(self._platform, now)))
        self._told_late(len(late_repairs(self._platform, now)))
        going, self._going = self._going or self._all(), None
        began = time.monotonic()
        for _ in going:
            self._rest(time.monotonic() - began)
            if time.monotonic() >= ends or self._end.is_set():
                self._going = going
                break
            began = time.monotonic()
        return False

    def _all(self) -> Iterator[Written | None]:
        """One decision after the other on the enterprises of which something has changed."""
        store = self._platform.store
        for uscc, stands in store.objections().repaired().items():
            if self._looked.get(uscc) != stands:
                for stored in store.decisions_on({uscc, *store.control_neighbours(uscc)}):
                    yield None if stored.decision_id in self._told else self._tell(stored)
                self._looked[uscc] = stands  # once it was looked at whole

    def _tell(self, stored: StoredDecision) -> Written | None:
        store = self._platform.store
        repairs = later_repairs(self._platform, stored)
        if not repairs:
            return None
        self._told.add(stored.decision_id)
        if any(one.how == LATER_REPAIRED for one in store.acts(NOTICE, stored.decision_id)):
            return None
        details = {"application_id": stored.application_id, "how": repairs[0].how}
        once = f"{LATER_REPAIRED}:{stored.decision_id}"
        new = NewAct(LATER_REPAIRED, self._clock(), client_id=stored.client_id, details=details, once=once)
        return store.notice(stored.decision_id, new, self._platform.signer.receipt)

    def _alarm(self, what: str) -> None:
        super()._alarm(f"repairs: {what}")


def late_sources(platform: Platform, now: datetime) -> tuple[StoredObjection, ...]:
    """The objections whose record was ruled wrong, and whose source still says the same when its time is over."""
    kept = platform.store.objections()
    over = (one for one in kept.with_effect(STRUCK) if _is_over(one, now))
    return tuple(one for one in over if _still_says(one, kept.delivered(one)))


def _is_over(objection: StoredObjection, now: datetime) -> bool:
    try:
        return objection.effect_at is not None and close_after(objection.effect_at, SOURCE_DAYS) <= now
    except CalendarError:
        return False  # nothing is guessed


def late_repairs(platform: Platform, now: datetime) -> tuple[ToldRepair, ...]:
    """The repairs that sources told of too late, within the last days; until then the entries counted."""
    return tuple(one for one in platform.store.repairs_told(now - REMEMBERED) if _was_late(one))


def _was_late(repair: ToldRepair) -> bool:
    begins = datetime.combine(repair.ended_on, datetime.min.time(), SHANGHAI)
    try:
        return close_after(begins, REPAIR_DAYS) < repair.told_at
    except CalendarError:
        return False  # nothing is guessed


def _still_says(objection: StoredObjection, record: object) -> bool:
    if record is None or objection.record_kind == LISTS and is_repaired(record):  # type: ignore[arg-type]
        return False
    return objection.effect_digest in ("", digest_of(record))
