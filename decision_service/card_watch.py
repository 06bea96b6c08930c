"""Watching the cards of existing borrowers: when one changes, its bank is told, by a leaf of the log."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from datetime import datetime

from decision_service.audit.act import CARD_CHANGED, NOTICE, NewAct
from decision_service.audit.canonical import parsed
from decision_service.decide import business_date
from decision_service.following import Follower
from decision_service.lending import life
from decision_service.portrayal import card
from decision_service.store import Borrower, Written
from decision_service.store.events import START
from decision_service.store.lives import CARDS

BORROWING = (life.COMMITTED, life.DRAWN, life.OVERDUE, life.REPAID)
"""States of contracts that are not closed: of what was repaid, the rest may still be drawn."""


class CardWatch(Follower):
    """Goes through all contracts again and again: records change by feeds, and cards end by themselves.

    A card that is not known for the moment, because a feed is late, is no change.
    """

    name = "card-watch"
    poll_seconds = 60.0
    _place = START

    def look(self) -> tuple[Written, ...]:
        """Look at all contracts once; gives what is new. Raises ``StoreError`` and what the rules in force raise."""
        found: list[Written] = []
        after = START
        while page := self._page(after):
            found += [told for one in page if (told := self._told(one)) is not None]
            after = page[-1].leaf_index
        return tuple(found)

    def _turn(self) -> AbstractContextManager[bool]:
        return self._platform.store.lives().turn(self._clock(), CARDS)

    def _step(self, ends: float) -> bool:
        """One page at a time: it goes on where it was, in this turn or the next."""
        page = self._page(self._place)
        for one in page:
            began = time.monotonic()
            self._told(one)
            self._place = one.leaf_index
            self._rest(time.monotonic() - began)
            if time.monotonic() >= ends or self._end.is_set():
                return False
        if not page:
            self._place = START
        return False

    def _page(self, after: int) -> tuple[Borrower, ...]:
        return self._platform.store.lives().borrowers(BORROWING, after)

    def _told(self, borrower: Borrower) -> Written | None:
        store, now = self._platform.store, self._clock()
        present = self._card(borrower, now)
        if present is None:
            return None
        notices = [one for one in store.acts(NOTICE, borrower.decision_id) if one.how == CARD_CHANGED]
        before = notices[-1].details["card"] if notices else parsed(borrower.record)["card"]
        if present == before:
            return None
        details = {"application_id": borrower.application_id, "card": present, "card_before": before}
        once = f"{CARD_CHANGED}:{borrower.decision_id}:{len(notices)}"
        new = NewAct(CARD_CHANGED, now, client_id=borrower.client_id, details=details, once=once)
        return store.notice(borrower.decision_id, new, self._platform.signer.receipt)

    def _card(self, borrower: Borrower, now: datetime) -> str | None:
        records = self._platform.store.records(borrower.uscc)
        if records is None:
            return None
        policy = self._platform.policies.current()
        in_force = policy.on(business_date(now), borrower.client_id)
        return card(records, policy=policy, in_force=in_force, product=borrower.product, now=now)

    def _alarm(self, what: str) -> None:
        super()._alarm(f"the cards of borrowers: {what}")
