"""What feeds delivered of each enterprise: written in bulk, one row per enterprise and kind, read in one query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Text, bindparam, cast, func, null, select, text, type_coerce, union_all

from decision_service.errors import InputError
from decision_service.portrait.disputes import LISTS, REPAIRED, is_repaired, key_of, marked
from decision_service.portrait.records import EnterpriseRecords, ListEntry, Mark, Relation
from decision_service.portrait.relations import CONTROLLER, PARENT, firms_above, is_person
from decision_service.store.codecs import CODECS, Codec, decode, decode_all, read, written
from decision_service.store.database import Database, Query, Session
from decision_service.store.edges import asks_controllers, controllers, write_edges
from decision_service.store.statements import POSTGRESQL, insert_into, is_any, padded, spread
from decision_service.store.tables import FEEDS, OBJECTIONS, RECORDS, TOLD_REPAIRS, moment_text

SHANGHAI = ZoneInfo("Asia/Shanghai")
CHUNK = 2_000
RELATIONS = "relations"
MOST_CONTROLLERS = 8
PARTIES = 500  # enterprises in one query
ADVISORY_LOCK = 7_118_312_702  # any number that no other program on the same PostgreSQL database uses

Row = tuple[str, str, Any]
Kept = dict[str, tuple[str, list[Any]]]
"""Records of one enterprise and kind by key: the moment of their delivery and their fields."""


@dataclass(frozen=True, slots=True)
class ToldRepair:
    """A repair (信用修复) of a list entry that stood on file, and when its source first told of it."""

    uscc: str
    record_key: str
    list_name: str
    ended_on: date
    told_at: datetime


def write_records(database: Database, kind: str, rows: Iterable[Row], *, source_time: datetime, now: datetime) -> int:
    """Insert or replace records, in transactions of ``CHUNK`` rows; returns how many were given.

    A record is replaced unless the one on file came from a newer delivery. Raises ``InputError`` for an unknown kind.
    """
    codec = CODECS.get(kind)
    if codec is None:
        raise InputError(f"there is no feed kind '{kind}'", remedy=f"use one of {', '.join(CODECS)}")
    moment = moment_text(source_time)
    count = 0
    for chunk in _chunks(rows, CHUNK):
        given = _by_enterprise(codec, chunk, moment)
        with database.write() as connection:
            if database.dialect == POSTGRESQL:
                # What is on file is read, then written: two loads must not do that at once.
                connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
            for some in _chunks(sorted(given), PARTIES):
                kept = _on_file(connection, kind, some)
                values = [_row(uscc, kind, kept.get(uscc, {}), given[uscc], now) for uscc in some]
                connection.execute(_upsert(database.dialect), values)
                if kind == LISTS:
                    _note_repairs(connection, database.dialect, some, kept=kept, given=given)
                if kind == RELATIONS:
                    write_edges(connection, {row["uscc"]: codec.decode(read(row["payload"])) for row in values})
        count += len(chunk)
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


def repairs_told(connection: Connection, since: datetime) -> tuple[ToldRepair, ...]:
    """The repairs that sources have told of since a moment, oldest first."""
    known = TOLD_REPAIRS.c
    statement = select(*(known[name] for name in ToldRepair.__slots__)).where(known.told_at >= since)
    rows = connection.execute(statement.order_by(known.told_at, known.uscc, known.record_key))
    return tuple(
        ToldRepair(uscc, key, list_name, date.fromisoformat(ended_on), told_at)
        for uscc, key, list_name, ended_on, told_at in rows
    )


def has_records(connection: Connection, kind: str) -> bool:
    """Whether any record of a kind is on file."""
    return connection.execute(select(RECORDS.c.uscc).where(RECORDS.c.kind == kind).limit(1)).first() is not None


def read_records(session: Session, uscc: str, *, upward: bool = True) -> EnterpriseRecords | None:
    """Everything on record of an enterprise; ``None`` when it has no registration.

    ``upward`` adds all records of the first ``MOST_CONTROLLERS`` firms that control it or may do so; of more, nothing
    is known.
    """
    found, marks = _marked(session.rows(*_asks_one(uscc)))
    if not found["registrations"]:
        return None
    registration = found["registrations"][0]
    found[RELATIONS] += _told_by_controllers(session, uscc, found[RELATIONS])
    parties = {relation.other for relation in found[RELATIONS]} | {registration.predecessor_uscc}
    lists, relations = _related(session, uscc, parties - {None})
    return EnterpriseRecords(
        registration=registration,
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
        feeds={kind: datetime.fromisoformat(moment) for kind, moment in session.rows(*_ASKS_FEEDS)},
        related_lists=lists,
        related_relations=relations,
        controllers=_firms_above(session, found[RELATIONS]) if upward else {},
        marks=marks,
    )


def asks_records(uscc: str) -> Iterator[Query]:
    """What ``read_records`` will ask of every enterprise."""
    yield from (_asks_one(uscc), asks_controllers(uscc), _ASKS_FEEDS)


def _asks_one(uscc: str) -> Query:
    return _of_one, {"uscc": uscc}


def stored_record(session: Session, uscc: str, kind: str, key: str) -> Any:
    """One record as its feed delivered it, whatever objections say; ``None`` when there is none."""
    row = session.row(_of_kind, {"uscc": uscc, "kind": kind})
    return next((one for one in decode(kind, row[0]) if key_of(one) == key), None) if row is not None else None


def _marked(rows: Iterable[tuple[Any, ...]]) -> tuple[dict[str, list[Any]], tuple[Mark, ...]]:
    """Records by kind as objections leave them, and what these say of the enterprise."""
    delivered: list[tuple[Any, ...]] = []
    objected: list[tuple[Any, ...]] = []
    for row in rows:
        (delivered if row[2] is None else objected).append(row)
    found = decode_all(row[:2] for row in delivered)
    marks = tuple(_mark(row) for row in objected)
    for kind in {mark.kind for mark in marks}:
        found[kind] = marked(kind, found[kind], marks)
    return found, marks


def _mark(row: tuple[Any, ...]) -> Mark:
    kind, key, effect, at, about, digest = row
    return Mark(kind, key, effect, datetime.fromisoformat(at).astimezone(SHANGHAI).date(), about or "", digest or "")


def _firms_above(session: Session, relations: Iterable[Relation]) -> dict[str, EnterpriseRecords]:
    read = ((uscc, read_records(session, uscc, upward=False)) for uscc in firms_above(relations)[:MOST_CONTROLLERS])
    return {uscc: records for uscc, records in read if records is not None}


def _told_by_controllers(session: Session, uscc: str, own: Iterable[Relation]) -> list[Relation]:
    """The controllers that only their own records name, as the enterprise's record would name them."""
    known = {relation.other for relation in own if relation.link in (PARENT, CONTROLLER)}
    others = (other for other in controllers(session, uscc) if other not in known)
    return [Relation(other, CONTROLLER if is_person(other) else PARENT) for other in others]


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
    session: Session, uscc: str, parties: set[str]
) -> tuple[dict[str, tuple[ListEntry, ...]], dict[str, tuple[Relation, ...]]]:
    """List entries of parties one and two steps away, and the relations of those one step away.

    A predecessor is a party too: its red card passes to the successor.
    """
    first = parties - {uscc}
    if not first:
        return {}, {}
    near = _of_parties(session, first, ("lists", "relations"))
    hops = {party: kinds["relations"] for party, kinds in near.items() if kinds["relations"]}
    second = {relation.other for found in hops.values() for relation in found} - first - {uscc}
    far = _of_parties(session, second, ("lists",))
    lists = {party: tuple(kinds["lists"]) for party, kinds in {**near, **far}.items() if kinds["lists"]}
    return lists, {party: tuple(found) for party, found in hops.items()}


def _of_parties(session: Session, parties: set[str], kinds: Sequence[str]) -> dict[str, dict[str, list[Any]]]:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for some in map(padded, _chunks(sorted(parties), PARTIES)):
        values = {**spread("party", some), **spread("kind", kinds)}
        for party, *row in session.rows(_of_some, values, len(some), len(kinds)):
            found.setdefault(party, []).append(tuple(row))
    return {party: _marked(rows)[0] for party, rows in found.items()}


def _by_enterprise(codec: Codec, chunk: Iterable[Row], moment: str) -> dict[str, Kept]:
    given: dict[str, Kept] = {}
    for uscc, key, record in chunk:
        given.setdefault(uscc, {})[key] = (moment, codec.encode(record))
    return given


def _on_file(connection: Connection, kind: str, enterprises: Sequence[str]) -> dict[str, Kept]:
    rows = connection.execute(_KEPT, {"kind": kind, "enterprises": enterprises})
    return {
        uscc: {key: (moment, fields) for (key, moment), fields in zip(read(origins), read(payload), strict=True)}
        for uscc, payload, origins in rows
    }


def _row(uscc: str, kind: str, kept: Kept, given: Kept, now: datetime) -> Mapping[str, Any]:
    """One enterprise's row: what is on file, with what is given in its place unless that is older."""
    newer = {key: one for key, one in given.items() if key not in kept or kept[key][0] <= one[0]}
    merged = sorted({**kept, **newer}.items())
    return {
        "uscc": uscc,
        "kind": kind,
        "payload": written([fields for _, (_, fields) in merged]),
        "origins": written([(key, moment) for key, (moment, _) in merged]),
        "received_at": now,
    }


def _note_repairs(
    connection: Connection, dialect: str, some: Iterable[str], *, kept: Mapping[str, Kept], given: Mapping[str, Kept]
) -> None:
    told = [row for uscc in some for row in _told(uscc, kept.get(uscc, {}), given[uscc])]
    if told:
        connection.execute(_upsert_told(dialect), told)


def _told(uscc: str, kept: Kept, given: Kept) -> Iterator[Mapping[str, Any]]:
    """The entries that stood until this delivery told of their repair."""
    for key, (moment, fields) in given.items():
        before, entry = kept.get(key), _repaired(fields)
        if entry is not None and before is not None and before[0] <= moment and _repaired(before[1]) is None:
            row = {"uscc": uscc, "record_key": key, "list_name": entry.list_name, "ended_on": str(entry.ended_on)}
            yield {**row, "told_at": datetime.fromisoformat(moment)}


def _repaired(fields: Sequence[Any]) -> ListEntry | None:
    """An entry, if it was ended by repair."""
    if REPAIRED not in fields:
        return None
    entry = CODECS[LISTS].decode([list(fields)])[0]
    return entry if is_repaired(entry) else None


_NOTHING = cast(null(), Text)
_DELIVERED = (cast(RECORDS.c.kind, Text), RECORDS.c.payload, *(_NOTHING.label(f"none_{n}") for n in range(4)))
_OBJECTED = (
    *(cast(OBJECTIONS.c[name], Text) for name in ("record_kind", "record_key", "effect")),
    type_coerce(OBJECTIONS.c.effect_at, Text),
    *(cast(OBJECTIONS.c[name], Text) for name in ("about", "effect_digest")),
)

_KEPT = select(RECORDS.c.uscc, RECORDS.c.payload, RECORDS.c.origins).where(
    RECORDS.c.kind == bindparam("kind"), RECORDS.c.uscc.in_(bindparam("enterprises", expanding=True))
)


def _upsert(dialect: str) -> Any:
    statement = insert_into(RECORDS, dialect)
    return statement.on_conflict_do_update(
        index_elements=[RECORDS.c.uscc, RECORDS.c.kind],
        set_={name: statement.excluded[name] for name in ("payload", "origins", "received_at")},
    )


def _upsert_told(dialect: str) -> Any:
    statement = insert_into(TOLD_REPAIRS, dialect)
    return statement.on_conflict_do_update(
        index_elements=[TOLD_REPAIRS.c.uscc, TOLD_REPAIRS.c.record_key],
        set_={name: statement.excluded[name] for name in ("list_name", "ended_on", "told_at")},
    )


def _of_one(_: str) -> Any:
    """What was delivered of an enterprise, and what objections make of it."""
    return union_all(
        select(*_DELIVERED).where(RECORDS.c.uscc == bindparam("uscc")),
        select(*_OBJECTED).where(OBJECTIONS.c.uscc == bindparam("uscc"), OBJECTIONS.c.effect.is_not(None)),
    )


def _of_kind(_: str) -> Any:
    return select(RECORDS.c.payload).where(RECORDS.c.uscc == bindparam("uscc"), RECORDS.c.kind == bindparam("kind"))


def _of_some(_: str, parties: int, kinds: int) -> Any:
    delivered = select(cast(RECORDS.c.uscc, Text), *_DELIVERED)
    objected = select(cast(OBJECTIONS.c.uscc, Text), *_OBJECTED)
    return union_all(
        delivered.where(is_any(RECORDS.c.uscc, "party", parties), is_any(RECORDS.c.kind, "kind", kinds)),
        objected.where(
            is_any(OBJECTIONS.c.uscc, "party", parties),
            is_any(OBJECTIONS.c.record_kind, "kind", kinds),
            OBJECTIONS.c.effect.is_not(None),
        ),
    )


def _feeds(_: str) -> Any:
    return select(FEEDS.c.kind, FEEDS.c.source_time)


_ASKS_FEEDS: Query = (_feeds, {})


def _chunks(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
