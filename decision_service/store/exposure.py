"""What the store knows of a customer's exposure; equal states mean that nothing came in between."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    and_,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from decision_service.errors import DecisionServiceError
from decision_service.lending.exposure import Holding, beyond_reports, group_members
from decision_service.portrait.records import CreditLine
from decision_service.store.codecs import decode
from decision_service.store.database import Query, Session
from decision_service.store.edges import asks_neighbours, neighbours
from decision_service.store.statements import is_any, padded, spread
from decision_service.store.tables import DECISIONS, LIVES, RECORDS, RESERVATIONS, moment_text

APPLICATIONS_WINDOW = timedelta(days=30)


class ExposureChanged(DecisionServiceError):
    """What the decision rests on, the customer's exposure or what is switched off, has changed: assess again."""


@dataclass(frozen=True, slots=True)
class ExposureState:
    """Approvals and commitments that banks do not report, and credit lines, fen; ``group_*`` is of the other members.

    ``clients`` are the ids, sorted, that applied for the customer within 30 days. ``group`` are the other members;
    ``None`` means that they could not be read as a whole, and then nothing of them is summed.
    """

    reserved: int = 0
    group_reserved: int = 0
    clients: tuple[str, ...] = ()
    own_lines: tuple[CreditLine, ...] = ()
    lines: tuple[CreditLine, ...] = ()
    group: tuple[str, ...] | None = ()


def exposure_state(session: Session, uscc: str, now: datetime) -> ExposureState:
    """The state at ``now``, the group included; the same before a decision and again under the write lock."""
    group = group_members(uscc, partial(neighbours, session))
    rows = session.rows(*_asks_state(uscc, now, group or ()))
    # Sorted: two readings compare equal whatever order the database gave.
    lines = sorted((owner, payload, origins) for part, owner, _, payload, origins in rows if part == "lines")
    mine, others = _reserved(row for row in rows if row[1] == uscc), _reserved(row for row in rows if row[1] != uscc)
    return ExposureState(
        reserved=mine,
        group_reserved=others,
        clients=tuple(sorted(owner for part, owner, _, _, _ in rows if part == "client")),
        own_lines=_lines(payload for owner, payload, _ in lines if owner == uscc),
        lines=_lines(payload for owner, payload, _ in lines if owner != uscc),
        group=group,
    )


def asks_exposure(uscc: str, now: datetime, group: Sequence[str] | None = ()) -> Iterator[Query]:
    """What ``exposure_state`` will ask if the group is found as it is thought to be."""
    yield asks_neighbours((uscc,))
    if group:
        yield asks_neighbours(group)
    yield _asks_state(uscc, now, group or ())


def _asks_state(uscc: str, now: datetime, group: Sequence[str]) -> Query:
    members = padded(sorted({uscc, *group}))
    times = {"now": moment_text(now), "since": moment_text(now - APPLICATIONS_WINDOW)}
    return _state, {"uscc": uscc, **times, **spread("member", members)}, len(members)


def _reserved(rows: Iterable[tuple[Any, ...]]) -> int:
    """What is reserved or held beyond what banks report, fen."""
    found = list(rows)
    reserved = sum(amount for part, _, amount, _, _ in found if part == "reserved")
    holdings = [
        Holding(payload.partition(" ")[0], contract, amount, datetime.fromisoformat(payload.partition(" ")[2]))
        for part, _, amount, payload, contract in found
        if part == "held"
    ]
    if not holdings:
        return int(reserved)
    reported = [
        (line, datetime.fromisoformat(source_time))
        for part, _, _, payload, origins in found
        if part == "lines"
        for line, (_, source_time) in zip(decode("exposures", payload), json.loads(origins), strict=True)
    ]
    return int(reserved) + beyond_reports(holdings, reported)


def _lines(payloads: Iterable[str]) -> tuple[CreditLine, ...]:
    return tuple(line for payload in payloads for line in decode("exposures", payload))


def still_reserved() -> ColumnElement[bool]:
    """Of a reservation: it has not expired at ``now``, and no act on its application has taken its place."""
    until = RESERVATIONS.c.expires_at
    return and_(until > bindparam("now", type_=until.type), ~is_taken_over())


def is_taken_over() -> ColumnElement[bool]:
    """Of a reservation: what its decision counts is told by acts."""
    return select(LIVES.c.decision_id).where(LIVES.c.decision_id == RESERVATIONS.c.decision_id).exists()


def still_held() -> ColumnElement[bool]:
    """Of an application on which there were acts: it counts at ``now``."""
    until = LIVES.c.expires_at
    return and_(LIVES.c.amount > literal_column("0"), or_(until.is_(None), until > bindparam("now", type_=until.type)))


def _state(_: str, members: int) -> Any:
    """One statement, because it runs twice in each decision, the second time while all other writers wait."""
    none, nothing = literal_column("0", BigInteger), literal_column("''", Text)
    reserved = (
        select(
            literal_column("'reserved'", Text).label("part"),
            cast(RESERVATIONS.c.uscc, Text).label("owner"),
            cast(func.sum(RESERVATIONS.c.amount), BigInteger).label("amount"),
            nothing.label("payload"),
            nothing.label("origins"),
        )
        .where(is_any(RESERVATIONS.c.uscc, "member", members), still_reserved())
        .group_by(RESERVATIONS.c.uscc)
    )
    held = select(
        literal_column("'held'", Text),
        cast(LIVES.c.uscc, Text),
        LIVES.c.amount,
        cast(LIVES.c.client_id, Text) + literal_column("' '", Text) + cast(LIVES.c.changed_at, Text),
        func.coalesce(LIVES.c.contract, nothing),
    ).where(is_any(LIVES.c.uscc, "member", members), still_held())
    clients = (
        select(literal_column("'client'", Text), cast(DECISIONS.c.client_id, Text), none, nothing, nothing)
        .where(DECISIONS.c.uscc == bindparam("uscc"), DECISIONS.c.decided_at > bindparam("since"))
        .distinct()
    )
    lines = select(
        literal_column("'lines'", Text), cast(RECORDS.c.uscc, Text), none, RECORDS.c.payload, RECORDS.c.origins
    ).where(is_any(RECORDS.c.uscc, "member", members), RECORDS.c.kind == literal_column("'exposures'", Text))
    return union_all(reserved, held, clients, lines)
