"""Quotas that clients have of their own, in the place of the general ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from decision_service.errors import NotFound
from decision_service.quotas import Quota
from decision_service.store.database import Session
from decision_service.store.tables import CLIENT_QUOTAS, CLIENTS


def set_quotas(connection: Connection, client_id: str, quotas: Iterable[Quota]) -> None:
    """Put these in the place of all that a client had. Raises ``NotFound``."""
    if connection.execute(select(CLIENTS.c.client_id).where(CLIENTS.c.client_id == client_id)).first() is None:
        raise NotFound(f"there is no client {client_id}", remedy="run: decision-service clients list")
    connection.execute(delete(CLIENT_QUOTAS).where(CLIENT_QUOTAS.c.client_id == client_id))
    rows = [
        {"client_id": client_id, "name": one.name, "count": one.count, "seconds": one.seconds} for one in quotas
    ]
    if rows:
        connection.execute(insert(CLIENT_QUOTAS), rows)


def all_quotas(session: Session) -> dict[str, dict[str, Quota]]:
    """Quotas by client and name."""
    found: dict[str, dict[str, Quota]] = {}
    for client_id, *row in session.rows(_all, {}):
        found.setdefault(client_id, {})[row[0]] = Quota(*row)
    return found


def _all(_: str) -> Any:
    known = CLIENT_QUOTAS.c
    return select(known.client_id, known.name, known.count, known.seconds)
