"""Decisions and the log: one transaction writes leaf, decision with its key, and reservation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, or_, select, union_all

from decision_service.audit.merkle import Frontier, leaf_hash
from decision_service.errors import InputError, StillRunning, StoreError
from decision_service.store.cursors import cursor_before, place_before
from decision_service.store.database import Database, Query, Session, is_operational
from decision_service.store.exposure import (
    ExposureChanged,
    ExposureState,
    asks_exposure,
    exposure_state,
    is_taken_over,
    still_held,
    still_reserved,
)
from decision_service.store.log import adding, asks_frontier, locked_frontier, moving
from decision_service.store.releases import ASKS_EXTENT, Extent
from decision_service.store.statements import insert_into
from decision_service.store.tables import DECISIONS, LEAVES, LIVES, RESERVATIONS, moment_text
from decision_service.vocabulary import RESERVATION, CreditApplication, Decision

PAGE = 200
MOST_LISTED = 1_000
LARGEST = 2**62
"""Beyond every place of the log."""


@dataclass(frozen=True, slots=True)
class DecisionCommit:
    """What is to be stored. ``record`` is the leaf's content, ``private`` its erasable part, ``reserve`` CNY."""

    decision: Decision
    record: bytes
    private: bytes
    idempotency_key: str
    body_digest: str
    reserve: Decimal | None


@dataclass(frozen=True, slots=True)
class Committed:
    """A durable decision: its leaf, and the answer as it was stored."""

    leaf_index: int
    leaf_hash: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision as stored. ``private`` is ``None`` once erased."""

    decision_id: str
    client_id: str
    application_id: str
    uscc: str
    product: str
    outcome: str
    decided_at: datetime
    ruleset_digest: str
    leaf_index: int
    leaf_hash: bytes
    record: bytes
    private: bytes | None
    body: bytes


Finish = Callable[[int, bytes], bytes]
"""Renders the answer from leaf index and leaf hash, inside the transaction."""

_STORED = select(
    DECISIONS.c.decision_id,
    DECISIONS.c.client_id,
    DECISIONS.c.application_id,
    DECISIONS.c.uscc,
    DECISIONS.c.product,
    DECISIONS.c.outcome,
    DECISIONS.c.decided_at,
    DECISIONS.c.ruleset_digest,
    DECISIONS.c.leaf_index,
    LEAVES.c.leaf_hash,
    LEAVES.c.record,
    DECISIONS.c.private,
    DECISIONS.c.body,
).join_from(DECISIONS, LEAVES, DECISIONS.c.leaf_index == LEAVES.c.leaf_index)
_BY_ID = _STORED.where(DECISIONS.c.decision_id == bindparam("decision_id"))


@dataclass(frozen=True, slots=True)
class ToCommit:
    """A decision to be stored if exposure and acts on the rules are still those; ``finish`` renders its answer.

    ``None`` stands for any. ``giving_back`` gives its idempotency key back in the same transaction.
    """

    draft: DecisionCommit
    expected: ExposureState | None
    finish: Finish
    now: datetime
    acts: Extent | None = None
    giving_back: Query | None = None

    @property
    def customers(self) -> frozenset[str]:
        """Whose exposure it rests on and changes; empty when that could be anybody's."""
        uscc = self.draft.decision.application.uscc
        if self.expected is None:
            return frozenset((uscc,))
        return frozenset((uscc, *self.expected.group)) if self.expected.group is not None else frozenset()


def commit_decisions(database: Database, given: Sequence[ToCommit]) -> list[Committed | Exception]:
    """Store decisions durably, several in one transaction; of each what was stored, or why nothing of it was.

    Why: ``ExposureChanged`` when exposure or acts on the rules are not as expected any more, ``StillRunning`` when
    another request has answered the same key meanwhile, ``StoreError`` when the store cannot write, or what ``finish``
    raises.
    """
    found: dict[int, Committed | Exception] = {}
    while left := [place for place in range(len(given)) if place not in found]:
        chosen = _apart(given, left)
        try:
            found.update(_committed(database, {place: given[place] for place in chosen}))
        except _Taken as taken:
            found[taken.place] = taken.why  # nothing was stored: the others once more, without it
        except Exception as error:
            alone = len(chosen) == 1 or _concerns_all(error)
            for place in chosen:  # else: who of them it was that the store did not take
                found[place] = error if alone else commit_decisions(database, [given[place]])[0]
    return [found[place] for place in range(len(given))]


def _concerns_all(error: Exception) -> bool:
    """Whether the database is not there for anybody, so that trying each alone would only take long."""
    return isinstance(error, StoreError) and (error.__cause__ is None or is_operational(error.__cause__))


def _apart(given: Sequence[ToCommit], places: Sequence[int]) -> list[int]:
    """Those that change nothing of what another rests on, the first ones of each customer and key."""
    chosen: list[int] = []
    customers: set[str] = set()
    keys: set[tuple[str, str]] = set()
    for place in places:
        own = given[place].customers
        key = given[place].draft.decision.client_id, given[place].draft.idempotency_key
        if not own:
            return chosen or [place]
        if own.isdisjoint(customers) and key not in keys:
            chosen.append(place)
        # Those left out keep their place before others of the same customers.
        customers |= own
        keys.add(key)
    return chosen


class _Taken(Exception):
    """A row of a decision stood already: its transaction counts for nothing."""

    def __init__(self, place: int, why: Exception) -> None:
        super().__init__(str(why))
        self.place = place
        self.why = why


Change = tuple[Query, _Taken | None]
"""A change, and what it means when no row was changed."""


def _committed(database: Database, given: Mapping[int, ToCommit]) -> dict[int, Committed | Exception]:
    """One transaction. Raises ``_Taken``, ``StoreError``."""
    found: dict[int, Committed | Exception] = {}
    changes: list[Change] = []
    with database.write_session() as session:
        expectations = (query for one in given.values() for query in _asks_expected(one))
        session.foresee([asks_frontier(), ASKS_EXTENT, *expectations])
        frontier, acts = locked_frontier(session), session.row(*ASKS_EXTENT)
        for place, one in given.items():
            found[place] = committed = _finished(session, one, frontier, acts)
            if isinstance(committed, Committed):
                changes += _rows(place, one, committed)
                frontier = frontier.append(committed.leaf_hash)
        if changes:
            given_back = (one.giving_back for place, one in given.items() if isinstance(found[place], Committed))
            # In one order, so that those who take keys, several at once too, and this never wait for each other.
            last = sorted((one for one in given_back if one is not None), key=lambda one: tuple(one[1].values()))
            _change(session, [*changes, (moving(frontier), None), *((one, None) for one in last)])
    return found


def _asks_expected(one: ToCommit) -> Iterable[Query]:
    if one.expected is None:
        return ()
    return asks_exposure(one.draft.decision.application.uscc, one.now, one.expected.group)


def _finished(
    session: Session, one: ToCommit, frontier: Frontier, acts: tuple[Any, ...] | None
) -> Committed | Exception:
    """A decision as the next leaf, or why it is none."""
    uscc = one.draft.decision.application.uscc
    if one.acts is not None and one.acts != acts:
        return ExposureChanged("there was an act on the rules meanwhile, such as a switch")
    if one.expected is not None and exposure_state(session, uscc, one.now) != one.expected:
        return ExposureChanged("the customer's exposure has changed", where=uscc)
    hashed = leaf_hash(one.draft.record)
    try:
        return Committed(frontier.size, hashed, one.finish(frontier.size, hashed))
    except Exception as error:
        return error


def _rows(place: int, one: ToCommit, committed: Committed) -> Iterator[Change]:
    """Leaf, decision and reservation."""
    yield adding(committed.leaf_index, hashed=committed.leaf_hash, record=one.draft.record), None
    # A lease that expired under a very slow request may have been taken by its retry: the first answer stands.
    answered = StillRunning(
        "this key has just been answered", where="Idempotency-Key", remedy="send the request again"
    )
    yield (_new_decision, _decision_row(one.draft, committed)), _Taken(place, answered)
    if one.draft.reserve is not None:
        # Assessed again, the application is seen to be approved already.
        application_id = one.draft.decision.application.application_id
        approved = ExposureChanged("the application has been approved already", where=application_id)
        yield (_reservation, _reservation_row(one.draft, one.draft.reserve, one.now)), _Taken(place, approved)


def _change(session: Session, changes: Sequence[Change]) -> None:
    counts = session.changes([query for query, _ in changes])
    for count, (_, taken) in zip(counts, changes, strict=True):
        if count == 0 and taken is not None:
            raise taken


def find_decision(connection: Connection, decision_id: str, client_id: str | None) -> StoredDecision | None:
    """One decision; with ``client_id`` only if it is that client's."""
    row = connection.execute(_BY_ID, {"decision_id": decision_id}).one_or_none()
    if row is None or client_id not in (None, row.client_id):
        return None
    return _stored(row)


def list_decisions(
    connection: Connection, *, client_id: str | None, after: str | None, limit: int
) -> tuple[tuple[StoredDecision, ...], str | None]:
    """Newest first, and the cursor of the next page (``None`` at the end). Raises ``InputError`` for a bad cursor."""
    if not 1 <= limit <= MOST_LISTED:
        raise InputError(f"{limit} decisions cannot be listed", where="limit", remedy=f"ask for 1 to {MOST_LISTED}")
    statement = _STORED.order_by(DECISIONS.c.leaf_index.desc()).limit(limit + 1)
    if client_id is not None:
        statement = statement.where(DECISIONS.c.client_id == client_id)
    if after is not None:
        statement = statement.where(DECISIONS.c.leaf_index < place_before(after))
    found = tuple(_stored(row) for row in connection.execute(statement))
    cursor = cursor_before(found[limit - 1].leaf_index) if len(found) > limit else None
    return found[:limit], cursor


def each_decision(database: Database) -> Iterator[StoredDecision]:
    """All decisions, oldest first, a page at a time: the log may grow meanwhile."""
    last = -1
    while True:
        statement = _STORED.where(DECISIONS.c.leaf_index > last).order_by(DECISIONS.c.leaf_index).limit(PAGE)
        with database.read() as connection:
            page = [_stored(row) for row in connection.execute(statement)]
        yield from page
        if len(page) < PAGE:
            return
        last = page[-1].leaf_index


def decisions_on(
    database: Database, codes: Collection[str], client_id: str | None = None
) -> Iterator[StoredDecision]:
    """Decisions on enterprises, of a client or of all, newest first, a page at a time."""
    known, last = DECISIONS.c, LARGEST
    owned = (known.uscc.in_(codes), *(() if client_id is None else (known.client_id == client_id,)))
    while True:
        statement = _STORED.where(*owned, known.leaf_index < last).order_by(known.leaf_index.desc()).limit(PAGE)
        with database.read() as connection:
            page = [_stored(row) for row in connection.execute(statement)]
        yield from page
        if len(page) < PAGE:
            return
        last = page[-1].leaf_index


def decisions_between(
    connection: Connection, after: int, before: int | None, *, limit: int
) -> tuple[StoredDecision, ...]:
    """Decisions between two leaves, neither included, oldest first; without the second up to the newest."""
    statement = _STORED.where(DECISIONS.c.leaf_index > after).order_by(DECISIONS.c.leaf_index).limit(limit)
    if before is not None:
        statement = statement.where(DECISIONS.c.leaf_index < before)
    return tuple(_stored(row) for row in connection.execute(statement))


def stored_decisions(
    connection: Connection, *conditions: ColumnElement[bool], limit: int
) -> tuple[StoredDecision, ...]:
    """Decisions that meet all conditions, oldest first, at most ``limit``."""
    statement = _STORED.where(*conditions).order_by(DECISIONS.c.leaf_index).limit(limit)
    return tuple(_stored(row) for row in connection.execute(statement))


def _stored(row: Any) -> StoredDecision:
    """A row of ``_STORED``, whose columns stand in the order of the fields."""
    return StoredDecision(*row)


def _decision_row(draft: DecisionCommit, committed: Committed) -> dict[str, Any]:
    decision = draft.decision
    return {
        "leaf_index": committed.leaf_index,
        "decision_id": decision.decision_id,
        "client_id": decision.client_id,
        "idempotency_key": draft.idempotency_key,
        "body_digest": draft.body_digest,
        "application_id": decision.application.application_id,
        "uscc": decision.application.uscc,
        "product": decision.application.product,
        "outcome": decision.outcome.name,
        "decided_at": moment_text(decision.decided_at),
        "ruleset_digest": decision.ruleset_digest,
        "private": draft.private,
        "body": committed.body,
    }


def _reservation_row(draft: DecisionCommit, reserve: Decimal, now: datetime) -> dict[str, Any]:
    """One reservation per client, application and customer; while it stands, a second approval is not stored."""
    application = draft.decision.application
    return {
        "client_id": draft.decision.client_id,
        "application_id": application.application_id,
        "uscc": application.uscc,
        "amount": int(reserve.scaleb(2)),
        "decision_id": draft.decision.decision_id,
        "expires_at": moment_text(now + RESERVATION),
        "reserved_at": moment_text(now),
    }


def _new_decision(dialect: str) -> Any:
    return insert_into(DECISIONS, dialect).on_conflict_do_nothing(
        index_elements=[DECISIONS.c.client_id, DECISIONS.c.idempotency_key]
    )


def _reservation(dialect: str) -> Any:
    """A new reservation of a decision that is stored; one that has expired or was taken over by acts makes room."""
    known = RESERVATIONS.c
    stored = select(DECISIONS.c.leaf_index).where(DECISIONS.c.decision_id == bindparam("decision_id"))
    names = ("client_id", "application_id", "uscc", "amount", "decision_id", "expires_at")
    row = select(*(bindparam(name, type_=known[name].type) for name in names)).where(stored.exists())
    statement = insert_into(RESERVATIONS, dialect).from_select(names, row)
    new = statement.excluded
    expired = known.expires_at <= bindparam("reserved_at", type_=known.expires_at.type)
    return statement.on_conflict_do_update(
        index_elements=[known.client_id, known.application_id, known.uscc],
        set_={"amount": new.amount, "decision_id": new.decision_id, "expires_at": new.expires_at},
        where=or_(expired, is_taken_over()),
    )


def is_reserved(session: Session, client_id: str, application: CreditApplication, now: datetime) -> bool:
    """Whether an approval of this very application stands: reserved, or taken over by acts and not yet over."""
    return session.row(*asks_reserved(client_id, application, now)) is not None


def asks_reserved(client_id: str, application: CreditApplication, now: datetime) -> Query:
    """What ``is_reserved`` asks."""
    values = {
        "client_id": client_id,
        "application_id": application.application_id,
        "uscc": application.uscc,
        "now": moment_text(now),
    }
    return _standing, values


def _standing(_: str) -> Any:
    reserved = select(RESERVATIONS.c.uscc).where(*_of_application(RESERVATIONS), still_reserved())
    return union_all(reserved, select(LIVES.c.uscc).where(*_of_application(LIVES), still_held()))


def _of_application(table: Any) -> tuple[ColumnElement[bool], ...]:
    return tuple(table.c[name] == bindparam(name) for name in ("client_id", "application_id", "uscc"))
