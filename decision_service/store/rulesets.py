"""Rulesets' texts by digest, and the bytes that are attached to their publication."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from decision_service.audit.release import digest_of_bytes
from decision_service.errors import StoreError
from decision_service.store.statements import insert_into
from decision_service.store.tables import ATTACHMENTS, RULESETS


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
        sources = dict(json.loads(text))
        for one in (*sources, *sources.values()):
            one.encode()
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        what = f"the stored ruleset {digest} is damaged: {error}"
        raise StoreError(what, remedy="restore it from a backup") from error
    return sources


def list_rulesets(connection: Connection) -> tuple[RulesetEntry, ...]:
    """All stored rulesets, oldest first."""
    columns = RULESETS.c.digest, RULESETS.c.version, RULESETS.c.saved_at
    rows = connection.execute(select(*columns).order_by(RULESETS.c.saved_at, RULESETS.c.digest))
    return tuple(RulesetEntry(*row) for row in rows)


def attach(connection: Connection, content: bytes) -> str:
    """Keep bytes under their own digest, which is returned; keeping the same again changes nothing."""
    digest = digest_of_bytes(content)
    new = insert_into(ATTACHMENTS, connection.dialect.name).values(digest=digest, content=content)
    connection.execute(new.on_conflict_do_nothing(index_elements=[ATTACHMENTS.c.digest]))
    return digest


def attachment(connection: Connection, digest: str) -> bytes | None:
    """Bytes by their digest. Raises ``StoreError`` when they are not those of the digest."""
    found = connection.execute(select(ATTACHMENTS.c.content).where(ATTACHMENTS.c.digest == digest)).scalar_one_or_none()
    if found is not None and digest_of_bytes(found) != digest:
        raise StoreError(f"the attachment {digest} has been changed", remedy="restore it from a backup")
    return found
