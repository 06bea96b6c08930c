"""What feeds delivered of each enterprise: written in bulk, read in one query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from decision_service.errors import InputError
from decision_service.portrait.records import EnterpriseRecords, ListEntry, Relation
from decision_service.store.codecs import CODECS, decode_all
from decision_service.store.database import Database, insert_into
from decision_service.store.tables import FEEDS, RECORDS

CHUNK = 2_000
PARTIES = 500  # related parties in one query

Row = tuple[str, str, Any]
_OF_ONE = (
    select(RECORDS.c.kind, RECORDS.c.payload)
    .where(RECORDS.c.uscc == bindparam("uscc"))
    .order_by(RECORDS.c.kind, RECORDS.c.key)
)
_OF_PARTIES = (
    select(RECORDS.c.uscc, RECORDS.c.kind, RECORDS.c.payload)
    .where(
        RECORDS.c.uscc.in_(bindparam("parties", expanding=True)), RECORDS.c.kind.in_(bindparam("kinds", expanding=True))
    )
    .order_by(RECORDS.c.uscc, RECORDS.c.kind, RECORDS.c.key)
)
_FEEDS = select(FEEDS.c.kind, FEEDS.c.source_time)


def write_records(database: Database, kind: str, rows: Iterable[Row], *, source_time: datetime, now: datetime) -> int:
    """Insert or replace records, in transactions of ``CHUNK`` rows; returns how many were given.

    A record is replaced unless the one on file came from a newer delivery. Raises ``InputError`` for an unknown kind.
    """
    codec = CODECS.get(kind)
    if codec is None:
        raise InputError(f"there is no feed kind '{kind}'", remedy=f"use one of {', '.join(CODECS)}")
    statement = _upsert(database.dialect)
    count = 0
    for chunk in _chunks(rows):
        values = [
            {
                "uscc": uscc,
                "kind": kind,
                "key": key,
                "payload": codec.encode(record),
                "observed_on": _observed_on(record),
                "source_time": source_time,
                "received_at": now,
            }
            for uscc, key, record in chunk
        ]
        with database.write() as connection:
            connection.execute(statement, values)
        count += len(values)
    return count


def set_feed(database: Database, kind: str, source_time: datetime) -> None:
    """Note a delivery of a kind; an older one than the newest changes nothing."""
    statement = insert_into(FEEDS, database.dialect).values(kind=kind, source_time=source_time)
    newer = statement.excluded.source_time
    with database.write() as connection:
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[FEEDS.c.kind], set_={"source_time": newer}, where=FEEDS.c.source_time < newer
            )
        )


def read_records(connection: Connection, uscc: str) -> EnterpriseRecords | None:
    """Everything on record of an enterprise; ``None`` when it has no registration."""
    rows = connection.execute(_OF_ONE, {"uscc": uscc}).all()
    if not rows:
        return None
    found = decode_all([(kind, payload) for kind, payload in rows])
    if not found["registrations"]:
        return None
    feeds = {kind: source_time for kind, source_time in connection.execute(_FEEDS)}
    parties = {relation.other for relation in found["relations"]} | {found["registrations"][0].predecessor_uscc}
    lists, relations = _related(connection, uscc, parties - {None})
    return EnterpriseRecords(
        registration=found["registrations"][0],
        months=tuple(found["months"]),
        counterparties=tuple(found["counterparties"]),
        indicators=tuple(found["indicators"]),
        financials=found["financials"][0] if found["financials"] else None,
        lists=tuple(found["lists"]),
        tax_ratings=tuple(found["tax_ratings"]),
        overdues=tuple(found["overdues"]),
        credit_lines=tuple(found["exposures"]),
        relations=tuple(found["relations"]),
        control_changes=tuple(found["control_changes"]),
        feeds=feeds,
        related_lists=lists,
        related_relations=relations,
    )


def enterprise_count(connection: Connection) -> int:
    """How many enterprises have a registration."""
    return connection.execute(
        select(func.count()).select_from(RECORDS).where(RECORDS.c.kind == "registrations")
    ).scalar_one()


def uscc_list(connection: Connection, *, limit: int, offset: int) -> tuple[str, ...]:
    """Registered enterprises, ascending."""
    rows = connection.execute(
        select(RECORDS.c.uscc)
        .where(RECORDS.c.kind == "registrations")
        .order_by(RECORDS.c.uscc)
        .limit(limit)
        .offset(offset)
    )
    return tuple(rows.scalars())


def _related(
    connection: Connection, uscc: str, parties: set[str]
) -> tuple[dict[str, tuple[ListEntry, ...]], dict[str, tuple[Relation, ...]]]:
    """List entries of parties one and two steps away, and the relations of those one step away.

    A predecessor is a party too: its red card passes to the successor.
    """
    first = parties - {uscc}
    if not first:
        return {}, {}
    near = _of_parties(connection, first, ("lists", "relations"))
    hops = {party: kinds["relations"] for party, kinds in near.items() if kinds["relations"]}
    second = {relation.other for found in hops.values() for relation in found} - first - {uscc}
    far = _of_parties(connection, second, ("lists",))
    lists = {party: tuple(kinds["lists"]) for party, kinds in {**near, **far}.items() if kinds["lists"]}
    return lists, {party: tuple(found) for party, found in hops.items()}


def _of_parties(connection: Connection, parties: set[str], kinds: Sequence[str]) -> dict[str, dict[str, list[Any]]]:
    payloads: dict[str, list[tuple[str, str]]] = {}
    for some in _chunks(sorted(parties), PARTIES):
        for party, kind, payload in connection.execute(_OF_PARTIES, {"parties": some, "kinds": kinds}):
            payloads.setdefault(party, []).append((kind, payload))
    return {party: decode_all(rows) for party, rows in payloads.items()}


def _upsert(dialect: str) -> Any:
    statement = insert_into(RECORDS, dialect)
    new = statement.excluded
    replaced = ("payload", "observed_on", "source_time", "received_at")
    return statement.on_conflict_do_update(
        index_elements=[RECORDS.c.uscc, RECORDS.c.kind, RECORDS.c.key],
        set_={name: new[name] for name in replaced},
        where=RECORDS.c.source_time <= new.source_time,
    )


def _observed_on(record: Any) -> str | None:
    observed = getattr(record, "observed_on", None)
    return None if observed is None else observed.isoformat()


def _chunks(rows: Iterable[Any], size: int = CHUNK) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
