"""Rulesets as published, and which one is active."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from decision_service.errors import NotFound, StoreError
from decision_service.store.statements import insert_into
from decision_service.store.tables import ACTIVATIONS, RULESETS

_ACTIVE = select(ACTIVATIONS.c.digest).order_by(ACTIVATIONS.c.id.desc()).limit(1)


@dataclass(frozen=True, slots=True)
class RulesetEntry:
    """A stored ruleset, without its texts."""

    digest: str
    version: str
    saved_at: datetime


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
    rows = connection.execute(
        select(RULESETS.c.digest, RULESETS.c.version, RULESETS.c.saved_at).order_by(RULESETS.c.saved_at)
    )
    return tuple(RulesetEntry(*row) for row in rows)


def activate(connection: Connection, digest: str, now: datetime) -> None:
    """Decide by this ruleset from now on. Raises ``NotFound`` when it is not stored."""
    if connection.execute(select(RULESETS.c.digest).where(RULESETS.c.digest == digest)).first() is None:
        raise NotFound(f"ruleset {digest} is not in the store", remedy="run: decision-service rules list")
    connection.execute(insert(ACTIVATIONS).values(digest=digest, activated_at=now))


def active_ruleset(connection: Connection) -> str | None:
    """The digest of the active ruleset, if any."""
    return connection.execute(_ACTIVE).scalar_one_or_none()
