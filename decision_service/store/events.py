"""The log as a stream of events: what of it one client may hear of, oldest first. An event's id is its leaf's place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, or_, select

from decision_service.audit.act import LIFE, NOTICE, NOTICES, OBJECTION
from decision_service.audit.canonical import parsed
from decision_service.audit.release import ACTIVATION
from decision_service.errors import AuditError, InputError, StoreError
from decision_service.governance import objection
from decision_service.lending import life
from decision_service.store.database import Database
from decision_service.store.tables import ACTS, DECISIONS, LEAVES, LOG_HEAD, RELEASE_EVENTS, moment_text

DECISION_MADE, RULESET_SWITCHED = "decision.made", "ruleset.switched"
APPLICATION = "application."
OBJECTED = "objection."
TYPES = (
    DECISION_MADE,
    *(APPLICATION + how for how in life.ACTS),
    *(OBJECTED + how for how in objection.ACTS),
    *NOTICES,
    RULESET_SWITCHED,
)
"""What may be subscribed to."""
TOLD = ("outcome", "days", "end", "answer", "ruling")
"""What an event says of an act beside its ids: states, neither money nor people."""
PING = "ping"
START = -1
"""The place before the first leaf."""
_ID = re.compile(r"evt_([0-9]{1,18}|start)")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. Events of one ``subject`` are delivered one after the other."""

    event_id: str
    place: int
    type: str
    subject: str
    at: datetime
    data: Mapping[str, Any]

    def body(self) -> bytes:
        """What is sent and signed: ids and states, nothing about the enterprise."""
        content = {"id": self.event_id, "type": self.type, "timestamp": moment_text(self.at), "data": dict(self.data)}
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Stretch:
    """Events between two places of the log, and up to which place (included) everything was seen."""

    events: tuple[Event, ...]
    seen: int


def event_id(place: int) -> str:
    """The id of the event at a leaf, which is a cursor too."""
    return "evt_start" if place < 0 else f"evt_{place}"


def place_of(cursor: str) -> int:
    """The leaf that a cursor names. Raises ``InputError``."""
    found = _ID.fullmatch(cursor)
    if found is None:
        raise InputError("this is no event's id", where="after", remedy="use the id of an event, or evt_start")
    return START if found[1] == "start" else int(found[1])


def events_after(database: Database, client_id: str | None, after: int, limit: int) -> Stretch:
    """Up to ``limit`` events after a place that a client (``None``: who reads everything) may hear of."""
    with database.read() as connection:
        newest = newest_in(connection)
        found = sorted(
            [
                *_decisions(connection, client_id, after, newest, limit),
                *_acts(connection, client_id, after, newest, limit),
                *_activations(connection, after, newest, limit),
            ],
            key=lambda one: one.place,
        )[:limit]
    return Stretch(tuple(found), found[-1].place if len(found) == limit else max(after, newest))


def newest_place(database: Database) -> int:
    """The place of the newest leaf."""
    with database.read() as connection:
        return newest_in(connection)


def newest_in(connection: Connection) -> int:
    return int(connection.execute(select(LOG_HEAD.c.size)).scalar_one()) - 1


def _decisions(connection: Connection, client_id: str | None, after: int, newest: int, limit: int) -> Iterator[Event]:
    known = DECISIONS.c
    statement = (
        select(
            known.leaf_index, known.client_id, known.decision_id, known.application_id, known.outcome, known.decided_at
        )
        .where(known.leaf_index > after, known.leaf_index <= newest)
        .order_by(known.leaf_index)
        .limit(limit)
    )
    if client_id is not None:
        statement = statement.where(known.client_id == client_id)
    for leaf, whose, decision_id, application_id, outcome, at in connection.execute(statement):
        data = {"decision_id": decision_id, "application_id": application_id, "outcome": outcome}
        yield Event(event_id(leaf), leaf, DECISION_MADE, f"{whose} {application_id}", at, data)


def _acts(connection: Connection, client_id: str | None, after: int, newest: int, limit: int) -> Iterator[Event]:
    """Acts on applications and objections, and notices; what concerns no client is for all of them."""
    known = ACTS.c
    statement = (
        select(known.leaf_index, known.kind, known.how, known.subject, known.at)
        .add_columns(DECISIONS.c.client_id, DECISIONS.c.application_id, LEAVES.c.record)
        .join_from(ACTS, LEAVES, known.leaf_index == LEAVES.c.leaf_index)
        .outerjoin(DECISIONS, DECISIONS.c.decision_id == known.subject)
        .where(known.leaf_index > after, known.leaf_index <= newest, known.kind.in_((LIFE, NOTICE, OBJECTION)))
        .order_by(known.leaf_index)
        .limit(limit)
    )
    if client_id is not None:
        statement = statement.where(or_(known.client_id == client_id, known.client_id.is_(None)))
    for leaf, kind, how, subject, at, whose, application_id, record in connection.execute(statement):
        details = _read(leaf, record, "details")
        if kind == OBJECTION:
            shown = {name: details[name] for name in TOLD if name in details}
            yield Event(event_id(leaf), leaf, OBJECTED + how, subject, at, {"objection_id": subject, **shown})
            continue
        if application_id is None:
            yield Event(event_id(leaf), leaf, how, subject, at, details)
            continue
        shown = {name: details[name] for name in TOLD if name in details} if kind == LIFE else details
        data = {"decision_id": subject, "application_id": application_id, **shown}
        named = APPLICATION + how if kind == LIFE else how
        yield Event(event_id(leaf), leaf, named, f"{whose} {application_id}", at, data)


def _activations(connection: Connection, after: int, newest: int, limit: int) -> Iterator[Event]:
    known = RELEASE_EVENTS.c
    statement = (
        select(known.leaf_index, known.at, known.effective_at, LEAVES.c.record)
        .join_from(RELEASE_EVENTS, LEAVES, known.leaf_index == LEAVES.c.leaf_index)
        .where(known.leaf_index > after, known.leaf_index <= newest, known.kind == ACTIVATION)
        .order_by(known.leaf_index)
        .limit(limit)
    )
    for leaf, at, effective_at, record in connection.execute(statement):
        data = _read(leaf, record, "ruleset", ("version", "digest")) | {"effective_at": moment_text(effective_at)}
        yield Event(event_id(leaf), leaf, RULESET_SWITCHED, "ruleset", at, data)


def _read(leaf: int, record: bytes, part: str, names: Iterable[str] | None = None) -> dict[str, Any]:
    """A part of a leaf's record, or what these names have in it. Raises ``StoreError``."""
    try:
        found = parsed(record)[part]
        return {name: found[name] for name in (found if names is None else names)}
    except (AuditError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"leaf {leaf} cannot be read", remedy="run: decision-service audit verify") from error
