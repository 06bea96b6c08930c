"""What people did to the rules, as signed leaves: written one after the other, and what follows for this moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Any

from sqlalchemy import bindparam, func, insert, literal_column, select

from decision_service.audit.canonical import canonical, parsed
from decision_service.audit.merkle import leaf_hash
from decision_service.audit.release import ACTIVATION, EVERYTHING, OFF, SWITCH, is_whole, person_of, row_of
from decision_service.errors import AuditError, StoreError
from decision_service.store.database import Query, Session
from decision_service.store.log import Sign, append_signed, locked_frontier
from decision_service.store.tables import ACTS, DECISIONS, ERASURES, LEAVES, LOG_HEAD, RELEASE_EVENTS
from decision_service.vocabulary import Person

Row = tuple[Any, ...]
Extent = tuple[int, int | None]
"""How many acts on the rules there are, and the leaf of the newest."""
IsSigned = Callable[[str, Mapping[str, Any]], bool]
"""Whether the log's key signed a receipt about a subject."""
STANDING = (DECISIONS, ERASURES, RELEASE_EVENTS, ACTS)
"""Tables of what leaves stand for: each leaf has its row in one of them."""
REMEDY = "run: decision-service audit verify; restore the database from a backup"


def scopes(product: str, industry: str | None, client_id: str) -> tuple[str, ...]:
    """The scopes of switches that an application falls under."""
    own = (f"product:{product}", f"client:{client_id}")
    return (EVERYTHING, *own) if industry is None else (EVERYTHING, *own, f"industry:{industry}")


@dataclass(frozen=True, slots=True)
class ReleaseEvent:
    """One act on the rules. ``subject`` is a ruleset's digest or a switch's scope; ``content`` the leaf's record."""

    leaf_index: int
    kind: str
    how: str
    subject: str
    at: datetime
    effective_at: datetime
    content: Mapping[str, Any]

    @property
    def person(self) -> Person | None:
        """Who did it; unknown of the oldest activations."""
        return person_of(self.content)

    @property
    def note(self) -> str:
        """Why."""
        return str(self.content.get("note", ""))


@dataclass(frozen=True, slots=True)
class InForce:
    """Which ruleset decides at a moment, since when, and which one did so before.

    ``coming`` are scheduled ones with their moments, in order.
    """

    digest: str | None = None
    since: datetime | None = None
    before: str | None = None
    coming: tuple[tuple[str, datetime], ...] = ()


@dataclass(frozen=True, slots=True)
class Acts:
    """Every act on the rules up to a moment, oldest first, as signed leaves tell them; ``rows`` is what was read.

    ``off`` are the scopes that are switched off, ``leaves`` how many leaves the log had.
    """

    events: tuple[ReleaseEvent, ...] = ()
    rows: tuple[Row, ...] = ()
    off: frozenset[str] = frozenset()
    leaves: int = 0

    @property
    def extent(self) -> Extent:
        """How far they go."""
        return len(self.events), self.events[-1].leaf_index if self.events else None

    def switched_off(self, scopes: Iterable[str]) -> tuple[str, ...]:
        """Those of ``scopes`` for which automatic approval is switched off, sorted."""
        return tuple(sorted(self.off.intersection(scopes)))

    def in_force(self, now: datetime) -> InForce:
        """The last word on what decides at ``now``, and what is to come.

        Of the activations that are effective the newest counts, so that a later one cancels an earlier one that was
        scheduled for afterwards. One said to be effective at once is so whatever a slow clock says.
        """
        activations = [event for event in self.events if event.kind == ACTIVATION]
        present = _newest(activations, now)
        later = [one for one in activations if present is None or one.leaf_index > present.leaf_index]
        coming: list[tuple[str, datetime]] = []
        for one in later:
            if one.effective_at > now:
                kept = [earlier for earlier in coming if earlier[1] < one.effective_at]
                coming = [*kept, (one.subject, one.effective_at)]
        if present is None:
            return InForce(coming=tuple(coming))
        since = present.effective_at
        before = _newest([one for one in activations if one.leaf_index < present.leaf_index], since)
        return InForce(present.subject, since, None if before is None else before.subject, tuple(coming))


class SignedActs:
    """The acts on the rules as the log's key signed them: a row that says otherwise is an error, never followed.

    Each is verified once per process and then kept, because a leaf never changes. Without ``is_signed`` all but the
    signatures are verified.
    """

    def __init__(self, is_signed: IsSigned | None = None) -> None:
        self._is_signed = is_signed
        self._known = Acts()
        self._lock = threading.Lock()

    def seen(self, session: Session) -> Acts:
        """The acts so far, for the way of a decision: only what is new is read.

        Must be the first thing that a session reads, or it could see less than is known. Raises ``StoreError``.
        """
        known = self._known
        if session.row(*ASKS_EXTENT) == known.extent:
            return known
        return self._read(session, known)

    def checked(self, session: Session) -> Acts:
        """As ``seen``, with each row held against what it was, and the leaves against the rows that they must have."""
        return self._read(session, self._known)

    def _read(self, session: Session, known: Acts) -> Acts:
        rows = tuple(session.rows(_rows, {}))
        for was, row in zip_longest(known.rows, rows[: len(known.rows)]):
            if was != row:
                raise StoreError(f"leaf {was[0]}, an act on the rules, was changed or removed", remedy=REMEDY)
        events = (*known.events, *(self._verified(row) for row in rows[len(known.rows) :]))
        newest = {event.subject: event.how for event in events if event.kind == SWITCH}
        off = frozenset(scope for scope, state in newest.items() if state == OFF)
        found = Acts(events, rows, off, _leaves(session, known.leaves))
        with self._lock:
            if (len(found.rows), found.leaves) >= (len(self._known.rows), self._known.leaves):
                self._known = found
        return found

    def _verified(self, row: Row) -> ReleaseEvent:
        """The act that a leaf tells of. Raises ``StoreError`` when its row or its signature is not that of the leaf."""
        leaf_index, kind, how, subject, at, effective_at, signature, hashed, record = row
        columns = {"kind": kind, "how": how, "subject": subject, "at": at, "effective_at": effective_at}
        content = _content(leaf_index, record)
        if leaf_hash(record) != hashed or row_of(content) != columns:
            raise StoreError(f"leaf {leaf_index}, an act on the rules, is not what its row says", remedy=REMEDY)
        receipt = {"leaf_index": leaf_index, "leaf_hash": hashed.hex(), "signature": signature}
        if self._is_signed is not None and not self._is_signed(subject, receipt):
            what = f"leaf {leaf_index}, an act on the rules, was not signed by the log's key"
            raise StoreError(what, remedy=f"{REMEDY}, or the log key if it was replaced")
        return ReleaseEvent(
            leaf_index, kind, how, subject, datetime.fromisoformat(at), datetime.fromisoformat(effective_at), content
        )


Decide = Callable[[tuple[ReleaseEvent, ...]], Mapping[str, Any] | None]
"""Gives the record of the next act from all acts before it, or ``None`` if there is nothing to write.

Raises ``Refused`` when the act must not be done.
"""


def append_event(session: Session, acts: SignedActs, decide: Decide, *, sign: Sign) -> ReleaseEvent | None:
    """Let ``decide`` see the whole history under the log's lock, and append what it says as a signed leaf."""
    locked_frontier(session)  # of two who act at once, the second must see what the first did
    content = decide(acts.checked(session).events)
    if content is None:
        return None
    row = row_of(content)
    entry = append_signed(session, canonical(content), subject=row["subject"], sign=sign)
    session.change(_new_event, {**entry, **row})
    moments = datetime.fromisoformat(row["at"]), datetime.fromisoformat(row["effective_at"])
    return ReleaseEvent(entry["leaf_index"], row["kind"], row["how"], row["subject"], *moments, content)


def _newest(activations: Iterable[ReleaseEvent], now: datetime) -> ReleaseEvent | None:
    """The newest activation that is effective at a moment."""
    effective = [one for one in activations if one.effective_at <= now or one.effective_at == one.at]
    return effective[-1] if effective else None


def _content(leaf_index: int, record: Any) -> Mapping[str, Any]:
    try:
        content = parsed(record) if isinstance(record, bytes) else None
        if not isinstance(content, dict) or not is_whole(content):
            raise AuditError("it is not the record of an act on the rules")
        for name in ("at", "effective_at"):
            datetime.fromisoformat(row_of(content)[name])
    except (AuditError, ValueError) as error:
        raise StoreError(f"leaf {leaf_index} of the log cannot be read: {error}", remedy=REMEDY) from error
    return content


def _leaves(session: Session, before: int) -> int:
    """How many leaves the log has: each one since ``before`` must have its row, and none may be missing.

    So an act whose row is deleted is missed although nothing else tells of it. Raises ``StoreError``.
    """
    row = session.row(_balance_of_all if before == 0 else _balance, {"before": before} if before else {})
    size, last, *counts = row or (None, None)
    if not isinstance(size, int) or size != (last or 0) or size - before != sum(counts):
        what = "leaves of the log, or the decisions and acts that they stand for, are missing or were added"
        raise StoreError(what, remedy=REMEDY)
    return size


def _rows(_: str) -> Any:
    columns = ("leaf_index", "kind", "how", "subject", "at", "effective_at", "signature")
    joined = select(*(RELEASE_EVENTS.c[name] for name in columns), LEAVES.c.leaf_hash, LEAVES.c.record)
    joined = joined.outerjoin_from(RELEASE_EVENTS, LEAVES, LEAVES.c.leaf_index == RELEASE_EVENTS.c.leaf_index)
    return joined.order_by(RELEASE_EVENTS.c.leaf_index)


def _extent(_: str) -> Any:
    return select(func.count(), func.max(RELEASE_EVENTS.c.leaf_index)).select_from(RELEASE_EVENTS)


ASKS_EXTENT: Query = (_extent, {})
"""What ``SignedActs.seen`` asks first."""


def _balance(_: str) -> Any:
    """In one statement, because each statement sees a moment of its own on PostgreSQL."""
    before = bindparam("before", type_=LEAVES.c.leaf_index.type)
    counts = [select(func.count()).select_from(one).where(one.c.leaf_index >= before) for one in STANDING]
    return _head_and(counts)


def _balance_of_all(_: str) -> Any:
    """Without a bound the smallest index is counted, and not the rows themselves."""
    return _head_and([select(func.count()).select_from(one) for one in STANDING])


def _head_and(counts: Iterable[Any]) -> Any:
    last = select(func.max(LEAVES.c.leaf_index) + literal_column("1")).scalar_subquery()
    found = select(LOG_HEAD.c.size, last, *(one.scalar_subquery() for one in counts))
    return found.where(LOG_HEAD.c.id == literal_column("1"))


def _new_event(_: str) -> Any:
    return insert(RELEASE_EVENTS)
