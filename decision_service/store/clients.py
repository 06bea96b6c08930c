"""Clients and their keys: a key is shown once and kept only as its SHA-256."""

from __future__ import annotations

import json
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, bindparam, insert, literal_column, select, update

from decision_service.audit.release import read_person, written_person
from decision_service.errors import InputError, NotFound, StoreError
from decision_service.permissions import KINDS
from decision_service.store.database import Session
from decision_service.store.tables import CLIENTS
from decision_service.vocabulary import CLIENT_ID, Client, Person

KEY_PREFIX = "dsk_"
KEY_BYTES = 32
_COLUMNS = (CLIENTS.c.client_id, CLIENTS.c.name, CLIENTS.c.kind)


@dataclass(frozen=True, slots=True)
class ClientEntry:
    """A client as listed, with the moments of its life, and who created it if that is known.

    ``bound``: it needs tokens that are bound to its certificate.
    """

    client: Client
    created_at: datetime
    revoked_at: datetime | None
    created_by: Person | None = None
    bound: bool = False


def add_client(
    connection: Connection, *, name: str, kind: str, client_id: str | None, now: datetime, created_by: Person | None
) -> tuple[Client, str]:
    """A new client and its key. Raises ``InputError``: an empty name, an unknown kind, an id unusable or taken."""
    if not name.strip():
        raise InputError("a client needs a name", where="name")
    if kind not in KINDS:
        raise InputError(f"there is no kind of client '{kind}'", where="kind", remedy=f"use one of {', '.join(KINDS)}")
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    client = Client(str(uuid.uuid4()) if client_id is None else client_id, name.strip(), kind)
    _check_id(connection, client.client_id)
    creator = None if created_by is None else json.dumps(written_person(created_by), ensure_ascii=False)
    row = {"client_id": client.client_id, "name": client.name, "kind": kind, "created_by": creator}
    connection.execute(insert(CLIENTS).values(**row, key_hash=key_hash(key), created_at=now))
    return client, key


def renew_key(connection: Connection, client_id: str) -> str:
    """A new key of a client; the old one ends at once. Raises ``NotFound``."""
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    changed = update(CLIENTS).where(CLIENTS.c.client_id == client_id, CLIENTS.c.revoked_at.is_(None))
    if connection.execute(changed.values(key_hash=key_hash(key))).rowcount == 0:
        raise NotFound(f"there is no client {client_id}", where="client", remedy="see: decision-service clients list")
    return key


def _check_id(connection: Connection, client_id: str) -> None:
    """An id is never given twice: decisions, and the rules of an overlay, belong to it for good."""
    if not CLIENT_ID.fullmatch(client_id):
        remedy = "use at most 64 small letters and digits, with single hyphens between them, such as bank-03"
        raise InputError(f"{ascii(client_id)} cannot be the id of a client", where="id", remedy=remedy)
    if connection.execute(select(CLIENTS.c.client_id).where(CLIENTS.c.client_id == client_id)).first() is not None:
        raise InputError(f"there is a client {client_id}, or was one", where="id", remedy="choose another id")


def client_by_key(session: Session, key: str) -> Client | None:
    """The client that holds a key, unless revoked."""
    row = session.row(_by_key, {"key_hash": key_hash(key)})
    return None if row is None else Client(*row)


def list_clients(connection: Connection) -> tuple[ClientEntry, ...]:
    """All clients, revoked ones too, in the order added."""
    rows = connection.execute(
        select(
            *_COLUMNS, CLIENTS.c.created_at, CLIENTS.c.revoked_at, CLIENTS.c.created_by, CLIENTS.c.bind_certificate
        ).order_by(CLIENTS.c.created_at, CLIENTS.c.client_id)
    )
    return tuple(
        ClientEntry(Client(*row[:3]), row[3], row[4], _creator(row[0], row[5]), bool(row[6])) for row in rows
    )


def _creator(client_id: str, text: str | None) -> Person | None:
    try:
        return None if text is None else read_person(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"who created the client {client_id} cannot be read"
        raise StoreError(what, where="clients.created_by", remedy="restore it from a backup") from error


def revoke_client(connection: Connection, client_id: str, now: datetime) -> None:
    """End a client's access; a second time changes nothing. Raises ``NotFound``."""
    known = connection.execute(select(CLIENTS.c.client_id).where(CLIENTS.c.client_id == client_id)).first()
    if known is None:
        raise NotFound(f"there is no client {client_id}", remedy="run: decision-service clients list")
    connection.execute(
        update(CLIENTS).where(CLIENTS.c.client_id == client_id, CLIENTS.c.revoked_at.is_(None)).values(revoked_at=now)
    )


def bind_certificate(connection: Connection, client_id: str, bound: bool) -> None:
    """Whether a client needs tokens that are bound to its certificate; its key then counts no more."""
    changed = connection.execute(
        update(CLIENTS).where(CLIENTS.c.client_id == client_id).values(bind_certificate=int(bound))
    )
    if not changed.rowcount:
        raise NotFound(f"there is no client {client_id}", remedy="run: decision-service clients list")


def _by_key(_: str) -> Any:
    """A key alone proves no possession of a certificate."""
    known = CLIENTS.c
    found = select(*_COLUMNS).where(known.key_hash == bindparam("key_hash"), known.revoked_at.is_(None))
    return found.where(known.bind_certificate == literal_column("0"))


def key_hash(key: str) -> str:
    """A key holds 256 random bits, so a plain hash hides it; a slow one would only slow each request."""
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
