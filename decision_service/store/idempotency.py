"""Idempotency keys: a lease while a request runs; what it wrote holds the key for good once it is durable.

A client's key means one request, whatever was asked for. Decisions hold theirs themselves, and so do batches and
webhooks; all other answers are kept beside what they tell of, in its own transaction and as long as it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    LargeBinary,
    Text,
    bindparam,
    cast,
    insert,
    literal_column,
    null,
    select,
    union_all,
)

from decision_service.errors import IdempotencyConflict, StillRunning
from decision_service.store.database import Database, Query, Session
from decision_service.store.leases import Leases, same_body
from decision_service.store.tables import ANSWERS, BATCHES, DECISIONS, WEBHOOKS, moment_text

CREATED = 201
DECISION, OTHER = "decision", ""
"""What holds a key: a decision, a kept answer, or something that answers its own repetitions."""
KEPT = "answer"


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer that a key already has."""

    decision_id: str
    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with its key. ``body_digest`` tells apart what was asked for, the call included."""

    client_id: str
    key: str
    body_digest: str


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer as it was given the first time; ``replayed`` when this is not the first time."""

    status: int
    body: bytes
    location: str | None = None
    replayed: bool = False


def begin(
    database: Database, leases: Leases, *, client_id: str, key: str, body_digest: str, now: datetime
) -> Stored | None:
    """Take the key's lease (``None``), or give the decision's answer that it already has.

    Raises ``IdempotencyConflict`` when the key came with another body, ``StillRunning`` while another request holds it.
    """
    asked = Asked(client_id, key, body_digest)
    row = _taken(database, leases, asked, DECISION, now)
    return None if row is None else Stored(row[2], CREATED, row[5])


Work = Callable[[Session], KeptAnswer]


def once(
    database: Database, leases: Leases, asked: Asked, prepare: Callable[[], Work], now: datetime
) -> KeptAnswer:
    """What the work answers, in whose transaction the answer is kept; or the answer that the key already has.

    ``prepare`` gives the work, and is called before others have to wait for it. Whatever the two raise, nothing is
    kept. Raises as ``begin``.
    """

    def answer() -> KeptAnswer:
        work = prepare()
        with database.write_session() as session:
            found = work(session)
            _keep(session, asked, found, now)
        return found

    return _kept(database, leases, asked, answer, now)


def once_connected(
    database: Database, leases: Leases, asked: Asked, work: Callable[[Connection], KeptAnswer], now: datetime
) -> KeptAnswer:
    """As ``once``, of work that needs SQLAlchemy's connection."""

    def answer() -> KeptAnswer:
        with database.write() as connection:
            found = work(connection)
            _keep(database.session_on(connection), asked, found, now)
        return found

    return _kept(database, leases, asked, answer, now)


@contextmanager
def held(database: Database, leases: Leases, asked: Asked, now: datetime) -> Iterator[None]:
    """The key's lease for what holds its key itself, and finds itself again by it. Raises as ``begin``."""
    found = _taken(database, leases, asked, OTHER, now)
    try:
        yield
    finally:
        if found is None:
            leases.release(asked.client_id, asked.key)


def _kept(
    database: Database, leases: Leases, asked: Asked, answer: Callable[[], KeptAnswer], now: datetime
) -> KeptAnswer:
    row = _taken(database, leases, asked, KEPT, now)
    if row is not None:
        return KeptAnswer(row[3], row[5], row[4], replayed=True)
    try:
        return answer()
    finally:
        leases.release(asked.client_id, asked.key)


def _keep(session: Session, asked: Asked, answer: KeptAnswer, now: datetime) -> None:
    """Raises ``StillRunning`` when a retry has taken over a lease that expired, and has answered."""
    if session.row(*_asks_holder(asked)) is not None:
        raise StillRunning("this key has just been answered", where="Idempotency-Key", remedy="send the request again")
    row = {"client_id": asked.client_id, "key": asked.key, "body_digest": asked.body_digest}
    kept = {"status": answer.status, "location": answer.location, "body": answer.body}
    session.change(_new_answer, {**row, **kept, "answered_at": moment_text(now)})


def _taken(database: Database, leases: Leases, asked: Asked, kind: str, now: datetime) -> tuple[Any, ...] | None:
    """The row of the key's answer of a kind, or ``None`` with the lease taken."""
    try:
        # Asked only once the lease is ours: an answer that became final just before is seen, not given anew.
        rows = leases.take(asked.client_id, asked.key, body_digest=asked.body_digest, now=now, then=_asks_holder(asked))
    except (IdempotencyConflict, StillRunning):
        # A holder gives its lease back after its answer has become final: in between, the answer counts.
        stored = _final(database, asked, kind)
        if stored is None:
            raise
        return stored
    kept = False
    try:
        stored = _final(database, asked, kind) if rows is None else _of_kind(rows, asked, kind)
        kept = stored is None
        return stored
    finally:
        if not kept:
            leases.release(asked.client_id, asked.key)


def _final(database: Database, asked: Asked, kind: str) -> tuple[Any, ...] | None:
    with database.read_session(shared=True) as session:
        rows = session.rows(*_asks_holder(asked))
    return _of_kind(rows, asked, kind)


def _of_kind(rows: Sequence[tuple[Any, ...]], asked: Asked, kind: str) -> tuple[Any, ...] | None:
    """What holds the key, which must be of the kind and have the same body. Raises ``IdempotencyConflict``."""
    if not rows:
        return None
    same_body(rows[0][1] if rows[0][0] == kind else "", asked.body_digest)
    return rows[0]


def _asks_holder(asked: Asked) -> Query:
    return _answered, {"given_client_id": asked.client_id, "given_key": asked.key}


def _answered(_: str) -> Any:
    """What holds a key: kind, digest of the body, decision, status, address, answer."""
    nothing, none = cast(null(), Text), cast(null(), LargeBinary)
    status = cast(null(), Integer)
    decided = _of(
        DECISIONS, DECISIONS.c.idempotency_key, literal_column(f"'{DECISION}'", Text), DECISIONS.c.body_digest,
        cast(DECISIONS.c.decision_id, Text), status, nothing, DECISIONS.c.body,
    )  # fmt: skip
    kept = _of(
        ANSWERS, ANSWERS.c.key, literal_column(f"'{KEPT}'", Text), ANSWERS.c.body_digest,
        nothing, ANSWERS.c.status, ANSWERS.c.location, ANSWERS.c.body,
    )  # fmt: skip
    others = (
        _of(
            table, table.c.idempotency_key, literal_column(f"'{OTHER}'", Text), table.c.body_digest,
            nothing, status, nothing, none,
        )
        for table in (BATCHES, WEBHOOKS)
    )  # fmt: skip
    return union_all(decided, kept, *others)


def _of(table: Any, key: Any, *columns: Any) -> Any:
    owned = table.c.client_id == bindparam("given_client_id"), key == bindparam("given_key")
    return select(*columns).where(*owned)


def _new_answer(_: str) -> Any:
    return insert(ANSWERS)
