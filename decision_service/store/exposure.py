"""What the store knows of a customer's exposure; equal states mean that nothing came in between."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, Text, bindparam, cast, func, literal_column, select, union_all

from decision_service.errors import DecisionServiceError
from decision_service.lending.exposure import group_members
from decision_service.portrait.records import CreditLine
from decision_service.store.codecs import decode
from decision_service.store.database import Session
from decision_service.store.edges import neighbours
from decision_service.store.statements import is_any, spread
from decision_service.store.tables import DECISIONS, RECORDS, RESERVATIONS, moment_text

APPLICATIONS_WINDOW = timedelta(days=30)


class ExposureChanged(DecisionServiceError):
    """The customer's exposure is no longer what the decision rests on: assess again."""


@dataclass(frozen=True, slots=True)
class ExposureState:
    """Pending reservations and credit lines, fen; ``group_*`` is of the other members, without the customer.

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
    members = {uscc, *(group or ())}
    times = {"now": moment_text(now), "since": moment_text(now - APPLICATIONS_WINDOW)}
    rows = session.rows(_state, {"uscc": uscc, **times, **spread("member", members)}, len(members))
    reserved = {owner: amount for part, owner, amount, _ in rows if part == "reserved"}
    # Sorted: two readings compare equal whatever order the database gave.
    payloads = sorted((owner, payload) for part, owner, _, payload in rows if part == "lines")
    return ExposureState(
        reserved=reserved.pop(uscc, 0),
        group_reserved=sum(reserved.values()),
        clients=tuple(sorted(owner for part, owner, _, _ in rows if part == "client")),
        own_lines=_lines(payload for owner, payload in payloads if owner == uscc),
        lines=_lines(payload for owner, payload in payloads if owner != uscc),
        group=group,
    )


def _lines(payloads: Iterable[str]) -> tuple[CreditLine, ...]:
    return tuple(line for payload in payloads for line in decode("exposures", payload))


def _state(_: str, members: int) -> Any:
    """One statement, because it runs twice in each decision, the second time while all other writers wait."""
    none, nothing = literal_column("0", BigInteger), literal_column("''", Text)
    reserved = (
        select(
            literal_column("'reserved'", Text).label("part"),
            cast(RESERVATIONS.c.uscc, Text).label("owner"),
            cast(func.sum(RESERVATIONS.c.amount), BigInteger).label("amount"),
            nothing.label("payload"),
        )
        .where(is_any(RESERVATIONS.c.uscc, "member", members), RESERVATIONS.c.expires_at > bindparam("now"))
        .group_by(RESERVATIONS.c.uscc)
    )
    clients = (
        select(literal_column("'client'", Text), cast(DECISIONS.c.client_id, Text), none, nothing)
        .where(DECISIONS.c.uscc == bindparam("uscc"), DECISIONS.c.decided_at > bindparam("since"))
        .distinct()
    )
    lines = select(literal_column("'lines'", Text), cast(RECORDS.c.uscc, Text), none, RECORDS.c.payload).where(
        is_any(RECORDS.c.uscc, "member", members), RECORDS.c.kind == literal_column("'exposures'", Text)
    )
    return union_all(reserved, clients, lines)
