"""The log in the store: leaves are appended under one lock, and the head tells their tree's frontier and root."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, insert, literal_column, select, update

from decision_service.audit.merkle import Frontier, leaf_hash
from decision_service.errors import AuditError, StoreError
from decision_service.store.database import Database, Query, Session
from decision_service.store.tables import LEAVES, LOG_HEAD

Sign = Callable[[str, int, bytes], Mapping[str, Any]]
"""Gives a leaf's receipt from what it is about, its index and its hash."""

_HEAD = select(LOG_HEAD.c.size, LOG_HEAD.c.root).where(LOG_HEAD.c.id == 1)


def asks_frontier() -> Query:
    """What ``locked_frontier`` asks."""
    return _locked_head, {}


def locked_frontier(session: Session) -> Frontier:
    """The frontier, locked until the transaction ends. Raises ``StoreError`` when it is gone or damaged."""
    row = session.row(*asks_frontier())
    if row is None:
        raise StoreError("the head of the log is missing", remedy="run: decision-service audit verify")
    size, frontier = row
    try:
        return Frontier.from_bytes(size, frontier)
    except AuditError as error:
        raise StoreError(error.what, remedy=error.remedy) from error


def append(session: Session, frontier: Frontier, *, hashed: bytes, record: bytes) -> None:
    """Append a leaf to the log, whose locked frontier this is."""
    session.changes([adding(frontier.size, hashed=hashed, record=record), moving(frontier.append(hashed))])


def adding(leaf_index: int, *, hashed: bytes, record: bytes) -> Query:
    """The change that adds a leaf; ``moving`` must follow in the same transaction."""
    return _add_leaf, {"leaf_index": leaf_index, "leaf_hash": hashed, "record": record}


def moving(longer: Frontier) -> Query:
    """The change by which the head tells of all leaves added."""
    return _move_head, {"size": longer.size, "frontier": longer.to_bytes(), "root": longer.root()}


def append_signed(session: Session, record: bytes, *, subject: str, sign: Sign) -> dict[str, Any]:
    """Append a leaf about ``subject``; its ``leaf_index`` and ``signature``, without which anybody could write one."""
    frontier, hashed = locked_frontier(session), leaf_hash(record)
    append(session, frontier, hashed=hashed, record=record)
    return {"leaf_index": frontier.size, "signature": sign(subject, frontier.size, hashed)["signature"]}


def log_head(connection: Connection) -> tuple[int, bytes]:
    """Size and root of the log. Raises ``StoreError`` when its row is gone."""
    row = connection.execute(_HEAD).one_or_none()
    if row is None:
        raise StoreError("the head of the log is missing", remedy="run: decision-service audit verify")
    return row.size, row.root


def leaf_hashes(database: Database) -> Iterator[bytes]:
    """The stored leaf hashes in order."""
    statement = select(LEAVES.c.leaf_hash).order_by(LEAVES.c.leaf_index)
    with database.read() as connection:
        yield from connection.execution_options(yield_per=10_000).execute(statement).scalars()


def _locked_head(_: str) -> Any:
    return select(LOG_HEAD.c.size, LOG_HEAD.c.frontier).where(LOG_HEAD.c.id == literal_column("1")).with_for_update()


def _move_head(_: str) -> Any:
    moved = update(LOG_HEAD).where(LOG_HEAD.c.id == literal_column("1"))
    return moved.values(size=bindparam("size"), frontier=bindparam("frontier"), root=bindparam("root"))


def _add_leaf(_: str) -> Any:
    return insert(LEAVES)
