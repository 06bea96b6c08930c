"""Idempotency keys: a lease while a request runs; its decision holds the key for good once it is durable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select

from decision_service.errors import IdempotencyConflict, StillRunning
from decision_service.store.database import Database
from decision_service.store.leases import Leases, same_body
from decision_service.store.tables import DECISIONS

CREATED = 201


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer that a key already has."""

    decision_id: str
    status: int
    body: bytes


def begin(
    database: Database, leases: Leases, *, client_id: str, key: str, body_digest: str, now: datetime
) -> Stored | None:
    """Take the key's lease (``None``), or give the answer that it already has.

    Raises ``IdempotencyConflict`` when the key came with another body, ``StillRunning`` while another request holds it.
    """
    try:
        leases.take(client_id, key, body_digest=body_digest, now=now)
    except (IdempotencyConflict, StillRunning):
        # A holder gives its lease back after its answer has become final: in between, the answer counts.
        stored = _final(database, client_id, key, body_digest)
        if stored is None:
            raise
        return stored
    kept = False
    try:
        # Asked only once the lease is ours: an answer that became final just before is seen, not decided again.
        stored = _final(database, client_id, key, body_digest)
        kept = stored is None
        return stored
    finally:
        if not kept:
            leases.release(client_id, key)


def _final(database: Database, client_id: str, key: str, body_digest: str) -> Stored | None:
    with database.read_session() as session:
        row = session.row(_answered, {"given_client_id": client_id, "given_key": key})
    if row is None:
        return None
    decision_id, known_digest, body = row
    same_body(known_digest, body_digest)
    return Stored(decision_id, CREATED, body)


def _answered(_: str) -> Any:
    return select(DECISIONS.c.decision_id, DECISIONS.c.body_digest, DECISIONS.c.body).where(
        DECISIONS.c.client_id == bindparam("given_client_id"), DECISIONS.c.idempotency_key == bindparam("given_key")
    )
