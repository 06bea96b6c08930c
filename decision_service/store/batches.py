"""Batches of applications: what was sent, how far each has come, what became of each line."""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, insert, literal, null, select, update

from decision_service.errors import NotFound
from decision_service.store.cursors import cursor_before, place_before
from decision_service.store.database import Database
from decision_service.store.idempotency import Asked, held
from decision_service.store.leases import Leases, same_body, turn_of
from decision_service.store.statements import insert_into
from decision_service.store.tables import BATCH_RESULTS, BATCHES, CLIENTS, DECISIONS
from decision_service.vocabulary import Client, Outcome

TURN = "batches"
OUTCOMES = {Outcome.APPROVE.name: "approved", Outcome.REFER.name: "referred", Outcome.DECLINE.name: "declined"}
REFUSED = "refused"
"""The column that counts lines that are no application which can be decided."""
COUNTS = (*OUTCOMES.values(), REFUSED)


@dataclass(frozen=True, slots=True)
class NewBatch:
    """What a client sends: each line as it came, none of them holding a line feed."""

    client_id: str
    idempotency_key: str
    body_digest: str
    request_id: str
    lines: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it stands. Lines are worked off in their order: the first ``done`` have their results."""

    number: int
    batch_id: str
    client_id: str
    lines: int
    request_id: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancelled_at: datetime | None
    approved: int
    referred: int
    declined: int
    refused: int

    @property
    def done(self) -> int:
        """How many lines have their results."""
        return self.approved + self.referred + self.declined + self.refused

    @property
    def state(self) -> str:
        """``queued``, ``running``, ``finished``, ``cancelling`` (a line may be under way) or ``cancelled``."""
        if self.cancelled_at is not None:
            return "cancelling" if self.finished_at is None else "cancelled"
        if self.finished_at is not None:
            return "finished"
        return "queued" if self.started_at is None else "running"


@dataclass(frozen=True, slots=True)
class LineResult:
    """What became of a line, counted from 1: a decision, or the problem (JSON) because of which there is none."""

    line: int
    status: int
    application_id: str | None
    decision_id: str | None = None
    outcome: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """A result with the decision's bytes, if there is one."""

    result: LineResult
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Batches:
    """The batches of a store. Every method may raise ``StoreError``."""

    database: Database
    leases: Leases

    def add(self, new: NewBatch, now: datetime) -> tuple[Batch, bool]:
        """Keep a batch, or find the one that its key already has (and whether it was found).

        Raises ``IdempotencyConflict`` when the key came with other lines or with another request, ``StillRunning``.
        """
        row = {
            "batch_id": str(uuid.uuid4()),
            "client_id": new.client_id,
            "idempotency_key": new.idempotency_key,
            "body_digest": new.body_digest,
            "request_id": new.request_id,
            "lines": len(new.lines),
            "content": zlib.compress(b"\n".join(new.lines), 1),
            "created_at": now,
            **dict.fromkeys(COUNTS, 0),
        }
        owned = (BATCHES.c.client_id == new.client_id, BATCHES.c.idempotency_key == new.idempotency_key)
        asked = Asked(new.client_id, new.idempotency_key, new.body_digest)
        with held(self.database, self.leases, asked, now), self.database.write() as connection:
            statement = insert_into(BATCHES, self.database.dialect).values(row)
            statement = statement.on_conflict_do_nothing(
                index_elements=[BATCHES.c.client_id, BATCHES.c.idempotency_key]
            )
            added = connection.execute(statement.returning(BATCHES.c.number)).first()
            known = connection.execute(select(BATCHES.c.body_digest).where(*owned)).scalar_one()
            same_body(known, new.body_digest)
            return _batch(connection.execute(_STORED.where(*owned)).one()), added is None

    def find(self, batch_id: str, client_id: str | None = None) -> Batch | None:
        """One batch; with ``client_id`` only if it is that client's."""
        with self.database.read() as connection:
            row = connection.execute(_STORED.where(BATCHES.c.batch_id == batch_id)).one_or_none()
        return None if row is None or client_id not in (None, row.client_id) else _batch(row)

    def page(self, client_id: str | None, after: str | None, limit: int) -> tuple[tuple[Batch, ...], str | None]:
        """Newest first, and the cursor of the next page. Raises ``InputError`` for a bad cursor."""
        statement = _STORED.order_by(BATCHES.c.number.desc()).limit(limit + 1)
        if client_id is not None:
            statement = statement.where(BATCHES.c.client_id == client_id)
        if after is not None:
            statement = statement.where(BATCHES.c.number < place_before(after))
        with self.database.read() as connection:
            found = tuple(_batch(row) for row in connection.execute(statement))
        return found[:limit], cursor_before(found[limit - 1].number) if len(found) > limit else None

    def unfinished(self) -> tuple[Batch, ...]:
        """Those that are still worked off, oldest first."""
        with self.database.read() as connection:
            statement = _STORED.where(BATCHES.c.finished_at.is_(None)).order_by(BATCHES.c.number)
            return tuple(_batch(row) for row in connection.execute(statement))

    def content(self, batch: Batch) -> tuple[bytes, ...]:
        """The lines as they came; none of a batch that is finished."""
        with self.database.read() as connection:
            statement = select(BATCHES.c.content).where(BATCHES.c.number == batch.number)
            found = connection.execute(statement).scalar_one()
        return () if found is None else tuple(zlib.decompress(found).split(b"\n"))

    def for_whom(self, batch: Batch) -> Client | None:
        """Its client while its lines are wanted; ``None`` when it was cancelled or the client's access has ended."""
        statement = (
            select(CLIENTS.c.client_id, CLIENTS.c.name, CLIENTS.c.kind)
            .join_from(BATCHES, CLIENTS, BATCHES.c.client_id == CLIENTS.c.client_id)
            .where(BATCHES.c.number == batch.number, BATCHES.c.cancelled_at.is_(None), CLIENTS.c.revoked_at.is_(None))
        )
        with self.database.read() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else Client(*row)

    def begin(self, batch: Batch, now: datetime) -> None:
        """Note when the work on a batch begins: once, whoever begins it."""
        known = BATCHES.c
        with self.database.write() as connection:
            connection.execute(
                update(BATCHES)
                .where(known.number == batch.number, known.started_at.is_(None), known.cancelled_at.is_(None))
                .values(started_at=now)
            )

    def note(self, batch: Batch, results: Sequence[LineResult], now: datetime) -> Batch | None:
        """Write the results of the lines after ``batch.done``; the batch as it stands then.

        ``None`` when another process wrote them first: nothing is written then.
        """
        counts = {name: _counted(results, name) for name in COUNTS}
        last = batch.done + len(results) == batch.lines
        known = BATCHES.c
        statement = (
            update(BATCHES)
            .where(known.number == batch.number, _done() == batch.done, known.finished_at.is_(None))
            .values(
                {known[name]: known[name] + count for name, count in counts.items()}
                | ({known.finished_at: now, known.content: null()} if last else {})
            )
        )
        with self.database.write() as connection:
            if not connection.execute(statement).rowcount:
                return None
            connection.execute(insert(BATCH_RESULTS), [_row(batch, one) for one in results])
            return _batch(connection.execute(_STORED.where(known.number == batch.number)).one())

    def end(self, batch: Batch, now: datetime) -> None:
        """Leave the lines that have no result undecided; their texts are forgotten."""
        known = BATCHES.c
        with self.database.write() as connection:
            connection.execute(
                update(BATCHES)
                .where(known.number == batch.number, known.finished_at.is_(None))
                .values(finished_at=now, content=null(), cancelled_at=_unless_set(known.cancelled_at, now))
            )

    def cancel(self, batch_id: str, client_id: str, now: datetime) -> Batch:
        """Decide no further line; a batch that has ended stays as it is. Raises ``NotFound``."""
        known = BATCHES.c
        owned = and_(known.batch_id == batch_id, known.client_id == client_id)
        with self.database.write() as connection:
            connection.execute(
                update(BATCHES)
                .where(owned, known.finished_at.is_(None), known.cancelled_at.is_(None))
                .values(cancelled_at=now)
            )
            row = connection.execute(_STORED.where(owned)).one_or_none()
        if row is None:
            raise NotFound("there is no such batch", remedy="check the id; only one's own batches can be cancelled")
        return _batch(row)

    def results(self, batch: Batch, after: int, limit: int) -> tuple[Answered, ...]:
        """The results of the lines after one, in the order of the lines."""
        known = BATCH_RESULTS.c
        statement = (
            _RESULTS.where(known.number == batch.number, known.line > after).order_by(known.line).limit(limit)
        )
        with self.database.read() as connection:
            return tuple(Answered(LineResult(*row[:-1]), row[-1]) for row in connection.execute(statement))

    def turn(self, now: datetime) -> AbstractContextManager[bool]:
        """Whether the caller is the one to work batches off; another's turn ends with its process, or by time."""
        return turn_of(self.leases, TURN, now)


_KEPT = (
    "number", "batch_id", "client_id", "lines", "request_id", "created_at", "started_at", "finished_at",
    "cancelled_at", *COUNTS,
)  # fmt: skip
_STORED = select(*(BATCHES.c[name] for name in _KEPT))
_SHOWN = ("line", "status", "application_id", "decision_id", "outcome", "problem")
_RESULTS = select(*(BATCH_RESULTS.c[name] for name in _SHOWN), DECISIONS.c.body).join_from(
    BATCH_RESULTS, DECISIONS, BATCH_RESULTS.c.decision_id == DECISIONS.c.decision_id, isouter=True
)


def _batch(row: Any) -> Batch:
    """A row of ``_STORED``, whose columns stand in the order of the fields."""
    return Batch(*row)


def _row(batch: Batch, result: LineResult) -> dict[str, Any]:
    return {"number": batch.number} | {name: getattr(result, name) for name in _SHOWN}


def _counted(results: Iterable[LineResult], column: str) -> int:
    return sum(OUTCOMES.get(one.outcome or "", REFUSED) == column for one in results)


def _done() -> ColumnElement[int]:
    approved, *rest = (BATCHES.c[name] for name in COUNTS)
    total: ColumnElement[int] = approved
    for column in rest:
        total = total + column
    return total


def _unless_set(column: ColumnElement[Any], now: datetime) -> ColumnElement[Any]:
    return func.coalesce(column, literal(now, column.type))
