"""Public keys of clients, which of their signed requests were used, each once, and which of their tokens they ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any

from sqlalchemy import Table, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from decision_service.audit.release import written_person
from decision_service.errors import InputError, NotFound
from decision_service.store.database import Database, Session
from decision_service.store.statements import Build, insert_into
from decision_service.store.tables import CLIENT_KEYS, CLIENTS, REVOKED_TOKENS, USED_ASSERTIONS, moment_text
from decision_service.vocabulary import Client, Person

MOST = 8
"""Keys of one client that are valid at once: rotation needs two."""
_KNOWN = CLIENT_KEYS.c


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A public key as registered. ``jwk`` and ``thumbprint`` as RFC 7517 and 7638 have them."""

    kid: str
    algorithms: tuple[str, ...]
    thumbprint: str
    jwk: Mapping[str, str]
    added_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Who signs with a key. ``bound``: its tokens count only beside the certificate that they were issued to."""

    client: Client
    algorithms: tuple[str, ...]
    jwk: Mapping[str, str]
    bound: bool


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """The keys in a store. Every method may raise ``StoreError``."""

    database: Database

    def add(self, client_id: str, key: ClientKey, added_by: Person) -> None:
        """Register a key. Raises ``NotFound``; ``InputError`` for a kid or key that is there or was."""
        row = {
            "client_id": client_id,
            "kid": key.kid,
            "thumbprint": key.thumbprint,
            "algorithms": " ".join(key.algorithms),
            "jwk": json.dumps(dict(key.jwk)),
            "added_at": key.added_at,
            "added_by": json.dumps(written_person(added_by), ensure_ascii=False),
        }
        with self.database.write() as connection:
            _check_client(connection, client_id)
            _check_new(connection, client_id, key)
            try:
                connection.execute(insert(CLIENT_KEYS).values(**row))
            except IntegrityError as error:  # another process was quicker
                raise InputError("this key has just been registered", where="key") from error

    def list(self, client_id: str) -> tuple[ClientKey, ...]:
        """All keys of a client, revoked ones too, in the order added. Raises ``NotFound``."""
        columns = (_KNOWN.kid, _KNOWN.algorithms, _KNOWN.thumbprint, _KNOWN.jwk, _KNOWN.added_at, _KNOWN.revoked_at)
        with self.database.read() as connection:
            _check_client(connection, client_id)
            rows = connection.execute(
                select(*columns).where(_KNOWN.client_id == client_id).order_by(_KNOWN.added_at, _KNOWN.kid)
            )
            return tuple(ClientKey(row[0], tuple(row[1].split()), row[2], json.loads(row[3]), *row[4:]) for row in rows)

    def revoke(self, client_id: str, kid: str, now: datetime) -> datetime | None:
        """End a key, and within seconds the tokens got by it; when it had ended before, if so. Raises ``NotFound``."""
        this = (_KNOWN.client_id == client_id, _KNOWN.kid == kid)
        with self.database.write() as connection:
            row = connection.execute(select(_KNOWN.revoked_at).where(*this)).one_or_none()
            if row is None:
                remedy = f"run: decision-service clients keys list {client_id}"
                raise NotFound(f"client {client_id} has no key {kid}", remedy=remedy)
            if row[0] is None:
                connection.execute(update(CLIENT_KEYS).where(*this).values(revoked_at=now))
            before: datetime | None = row[0]
            return before

    def holder(self, client_id: str, kid: str, token: str | None = None) -> KeyHolder | None:
        """Who signs with a key; ``None`` when client or key are unknown or were revoked.

        So it is when a token that was got by it was revoked, if the token's ``jti`` is given.
        """
        asked = {"given_client_id": client_id, "given_kid": kid}
        with self.database.read_session() as session:
            if token is None:
                row = session.row(_holder, asked)
            else:
                row = session.row(_token_holder, {**asked, "given_jti_digest": _digest(token)})
        if row is None:
            return None
        return KeyHolder(Client(*row[:3]), tuple(row[3].split()), json.loads(row[4]), bool(row[5]))

    def use(self, client_id: str, jti: str, expires_at: datetime, now: datetime) -> bool:
        """Note that a signed request was used, durably; ``False`` when it had been, in whatever process."""
        with self.database.write_session() as session:
            return _noted(session, _USED, client_id, jti, expires_at, now)

    def revoke_token(self, client_id: str, jti: str, expires_at: datetime, now: datetime) -> None:
        """End a token of a client, durably; from ``expires_at`` on it would count for nothing anyway."""
        with self.database.write_session() as session:
            _noted(session, _REVOKED, client_id, jti, expires_at, now)


def _noted(
    session: Session, ids: tuple[Build, Build], client_id: str, jti: str, expires_at: datetime, now: datetime
) -> bool:
    """Whether an id was not yet noted for a client; those that are useless by now are forgotten."""
    forget, note = ids
    session.change(forget, {"moment": moment_text(now)})
    row = {"client_id": client_id, "jti_digest": _digest(jti), "expires_at": moment_text(expires_at)}
    return session.change(note, row) == 1


def _digest(jti: str) -> str:
    return sha256(jti.encode("utf-8", "surrogatepass")).hexdigest()


def _check_client(connection: Any, client_id: str) -> None:
    found = select(CLIENTS.c.client_id).where(CLIENTS.c.client_id == client_id)
    if connection.execute(found).first() is None:
        raise NotFound(f"there is no client {client_id}", remedy="run: decision-service clients list")


def _check_new(connection: Any, client_id: str, key: ClientKey) -> None:
    """A key that was revoked may be in wrong hands, and one that two have says nothing: neither comes back."""
    one = select(_KNOWN.client_id, _KNOWN.kid, _KNOWN.revoked_at)
    known = connection.execute(one.where(_KNOWN.thumbprint == key.thumbprint)).first()
    if known is not None:
        state = "is registered already" if known[2] is None else "was registered before and revoked"
        raise InputError(f"this key {state}: {known[1]} of client {known[0]}", where="key", remedy="make a new key")
    if connection.execute(one.where(_KNOWN.client_id == client_id, _KNOWN.kid == key.kid)).first() is not None:
        what = f"client {client_id} has a key {key.kid}, or had one"
        raise InputError(what, where="kid", remedy="give the key another id")
    valid = select(func.count()).where(_KNOWN.client_id == client_id, _KNOWN.revoked_at.is_(None))
    if connection.execute(valid).scalar_one() >= MOST:
        remedy = "revoke one that is not needed"
        raise InputError(f"client {client_id} has {MOST} keys", where="key", remedy=remedy)


def _holder(_: str) -> Any:
    client = CLIENTS.c
    found = select(client.client_id, client.name, client.kind, _KNOWN.algorithms, _KNOWN.jwk, client.bind_certificate)
    return found.join_from(CLIENT_KEYS, CLIENTS, client.client_id == _KNOWN.client_id).where(
        _KNOWN.client_id == bindparam("given_client_id"),
        _KNOWN.kid == bindparam("given_kid"),
        _KNOWN.revoked_at.is_(None),
        client.revoked_at.is_(None),
    )


def _token_holder(dialect: str) -> Any:
    revoked = REVOKED_TOKENS.c
    this = (revoked.client_id == bindparam("given_client_id"), revoked.jti_digest == bindparam("given_jti_digest"))
    return _holder(dialect).where(~select(revoked.client_id).where(*this).exists())


def _forget(table: Table, _: str) -> Any:
    return delete(table).where(table.c.expires_at < bindparam("moment"))


def _note(table: Table, dialect: str) -> Any:
    statement = insert_into(table, dialect).values(
        client_id=bindparam("client_id"), jti_digest=bindparam("jti_digest"), expires_at=bindparam("expires_at")
    )
    return statement.on_conflict_do_nothing(index_elements=[table.c.client_id, table.c.jti_digest])


_USED, _REVOKED = ((partial(_forget, table), partial(_note, table)) for table in (USED_ASSERTIONS, REVOKED_TOKENS))
"""What forgets the ids in a table whose time is over, and what notes one."""
