"""Rulesets as published, and which one is active."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from decision_service.audit.record import activation_record
from decision_service.errors import NotFound, StoreError
from decision_service.store.database import Session
from decision_service.store.log import Sign, append_signed
from decision_service.store.statements import insert_into
from decision_service.store.tables import ACTIVATIONS, RULESETS, moment_text

_ACTIVE = select(ACTIVATIONS.c.digest).order_by(ACTIVATIONS.c.leaf_index.desc()).limit(1)


@dataclass(frozen=True, slots=True)
class RulesetEntry:
    """A stored ruleset, without its texts; ``activated_at`` is the last time it became active, if it ever did."""

    digest: str
    version: str
    saved_at: datetime
    activated_at: datetime | None


def save_ruleset(
    connection: Connection, digest: str, *, version: str, sources: Mapping[str, str], now: datetime
) -> None:
    """Keep a ruleset's texts under its digest; saving the same again changes nothing.

    Raises ``StoreError`` when other texts are on file under this digest.
    """
    known = ruleset_sources(connection, digest)
    if known is None:
        text = json.dumps(dict(sources), sort_keys=True, ensure_ascii=False)
        row = {"digest": digest, "version": version, "sources": text, "saved_at": now}
        # Two processes may keep the same ruleset at once: its texts are the same whoever comes first.
        new = insert_into(RULESETS, connection.dialect.name).values(**row)
        connection.execute(new.on_conflict_do_nothing(index_elements=[RULESETS.c.digest]))
    elif known != dict(sources):
        raise StoreError(f"other texts are stored under the digest {digest}", remedy="restore them from a backup")


def ruleset_sources(connection: Connection, digest: str) -> dict[str, str] | None:
    """The texts of a ruleset by path. Raises ``StoreError`` when they cannot be read."""
    text = connection.execute(select(RULESETS.c.sources).where(RULESETS.c.digest == digest)).scalar_one_or_none()
    if text is None:
        return None
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise StoreError(f"the stored ruleset {digest} is damaged", remedy="restore it from a backup") from error


def list_rulesets(connection: Connection) -> tuple[RulesetEntry, ...]:
    """All stored rulesets, oldest first."""
    activated = select(func.max(ACTIVATIONS.c.activated_at)).where(ACTIVATIONS.c.digest == RULESETS.c.digest)
    rows = connection.execute(
        select(
            RULESETS.c.digest, RULESETS.c.version, RULESETS.c.saved_at, activated.scalar_subquery()
        ).order_by(RULESETS.c.saved_at)
    )
    return tuple(RulesetEntry(*row) for row in rows)


def activate(session: Session, digest: str, *, now: datetime, sign: Sign) -> None:
    """Decide by this ruleset from now on; a signed leaf of the log says so. Raises ``NotFound`` if it is not stored."""
    row = session.row(_version, {"given_digest": digest})
    if row is None:
        raise NotFound(f"ruleset {digest} is not in the store", remedy="run: decision-service rules list")
    record = activation_record(digest, version=row[0], now=now)
    entry = append_signed(session, record, subject=digest, sign=sign)
    session.change(_activation, {**entry, "digest": digest, "activated_at": moment_text(now)})


def active_ruleset(connection: Connection) -> str | None:
    """The digest of the active ruleset, if any."""
    return connection.execute(_ACTIVE).scalar_one_or_none()


def _version(_: str) -> Any:
    return select(RULESETS.c.version).where(RULESETS.c.digest == bindparam("given_digest"))


def _activation(_: str) -> Any:
    return insert(ACTIVATIONS)
