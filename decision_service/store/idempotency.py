"""Idempotency keys: a lease while a request runs, a final record once its decision is durable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select

from decision_service.errors import IdempotencyConflict, StillRunning
from decision_service.store.database import Database, insert_into
from decision_service.store.tables import DECISIONS, IDEMPOTENCY, LEASES

LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer that a key already has."""

    decision_id: str
    status: int
    body: bytes


_FINAL = select(
    IDEMPOTENCY.c.body_digest, IDEMPOTENCY.c.decision_id, IDEMPOTENCY.c.status, DECISIONS.c.body
).select_from(IDEMPOTENCY.outerjoin(DECISIONS, DECISIONS.c.decision_id == IDEMPOTENCY.c.decision_id)).where(
    IDEMPOTENCY.c.client_id == bindparam("client_id"), IDEMPOTENCY.c.key == bindparam("key")
)
_LEASE = select(LEASES.c.body_digest).where(
    LEASES.c.client_id == bindparam("client_id"), LEASES.c.key == bindparam("key")
)
_RELEASE = delete(LEASES).where(
    LEASES.c.client_id == bindparam("b_client_id"), LEASES.c.key == bindparam("b_key")
)


def begin(database: Database, *, client_id: str, key: str, body_digest: str, now: datetime) -> Stored | None:
    """Take the key's lease (``None``), or give the answer that it already has.

    Raises ``IdempotencyConflict`` when the key came with another body, ``StillRunning`` while another request holds it.
    The lease is not durable: losing it to a power failure only means that nobody is running.
    """
    with database.write(durable=False) as connection:
        lease = {"client_id": client_id, "key": key, "body_digest": body_digest, "expires_at": now + LEASE}
        if connection.execute(_taking(database.dialect), {**lease, "taken_at": now}).first() is None:
            holder = connection.execute(_LEASE, {"client_id": client_id, "key": key}).scalar_one_or_none()
            _same_body(holder or body_digest, body_digest)
            raise StillRunning("a request with this key is under way", where="Idempotency-Key", remedy="retry shortly")
        # Asked only once the lease is ours: an answer that became final just before is seen, not decided again.
        found = final(connection, client_id=client_id, key=key)
        if found is None:
            return None
        release(connection, client_id=client_id, key=key)
    stored, digest = found
    _same_body(digest, body_digest)
    return stored


def release(connection: Connection, *, client_id: str, key: str) -> None:
    """Give the lease back."""
    connection.execute(_RELEASE, {"b_client_id": client_id, "b_key": key})


def final(connection: Connection, *, client_id: str, key: str) -> tuple[Stored, str] | None:
    """The stored answer of a key and the digest of the body it belongs to."""
    row = connection.execute(_FINAL, {"client_id": client_id, "key": key}).one_or_none()
    return None if row is None else (Stored(row.decision_id, row.status, row.body), row.body_digest)


def expire_leases(connection: Connection, now: datetime) -> None:
    """Remove leases whose holders never came back."""
    connection.execute(delete(LEASES).where(LEASES.c.expires_at <= now))


@cache
def _taking(dialect: str) -> Any:
    """Insert the lease, or take over one that has expired; returns a row if either happened."""
    statement = insert_into(LEASES, dialect)
    return statement.on_conflict_do_update(
        index_elements=[LEASES.c.client_id, LEASES.c.key],
        set_={"body_digest": statement.excluded.body_digest, "expires_at": statement.excluded.expires_at},
        where=LEASES.c.expires_at <= bindparam("taken_at", type_=LEASES.c.expires_at.type),
    ).returning(LEASES.c.key)


def _same_body(known: str, given: str) -> None:
    if known != given:
        raise IdempotencyConflict(
            "this key was used with another body", where="Idempotency-Key", remedy="use a new key for a new request"
        )
