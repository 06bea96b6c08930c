"""What the store knows of a customer's exposure; equal states mean that nothing came in between."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Connection, Text, bindparam, cast, func, literal, select, union_all

from decision_service.errors import DecisionServiceError
from decision_service.portrait.records import CreditLine
from decision_service.store.codecs import decode_all
from decision_service.store.tables import DECISIONS, RECORDS, RESERVATIONS, Moment

APPLICATIONS_WINDOW = timedelta(days=30)


class ExposureChanged(DecisionServiceError):
    """The customer's exposure is no longer what the decision rests on: assess again."""


@dataclass(frozen=True, slots=True)
class ExposureState:
    """Pending reservations and credit lines, fen; ``group_*`` is of the other members, without the customer.

    ``clients`` are the ids, sorted, that applied for the customer within 30 days.
    """

    reserved: int = 0
    group_reserved: int = 0
    clients: tuple[str, ...] = ()
    own_lines: tuple[CreditLine, ...] = ()
    lines: tuple[CreditLine, ...] = ()


# One statement, because it runs twice in each decision, the second time while all other writers wait.
_STATE = union_all(
    select(
        literal("reserved").label("part"),
        cast(RESERVATIONS.c.uscc, Text).label("owner"),
        cast(func.sum(RESERVATIONS.c.amount), BigInteger).label("amount"),
        literal("").label("payload"),
    )
    .where(
        RESERVATIONS.c.uscc.in_(bindparam("members", expanding=True)),
        RESERVATIONS.c.expires_at > bindparam("now", type_=Moment),
    )
    .group_by(RESERVATIONS.c.uscc),
    select(literal("client"), cast(DECISIONS.c.client_id, Text), literal(0, BigInteger), literal(""))
    .where(DECISIONS.c.uscc == bindparam("uscc"), DECISIONS.c.decided_at > bindparam("since", type_=Moment))
    .distinct(),
    select(literal("line"), cast(RECORDS.c.uscc, Text), literal(0, BigInteger), RECORDS.c.payload).where(
        RECORDS.c.uscc.in_(bindparam("members", expanding=True)), RECORDS.c.kind == "exposures"
    ),
)


def exposure_state(connection: Connection, uscc: str, group: tuple[str, ...], now: datetime) -> ExposureState:
    """The state at ``now``; the same before a decision and again under the write lock."""
    values = {"uscc": uscc, "members": sorted({uscc, *group}), "now": now, "since": now - APPLICATIONS_WINDOW}
    rows = connection.execute(_STATE, values).all()
    reserved = {owner: int(amount) for part, owner, amount, _ in rows if part == "reserved"}
    return ExposureState(
        reserved=reserved.pop(uscc, 0),
        group_reserved=sum(reserved.values()),
        clients=tuple(sorted(owner for part, owner, _, _ in rows if part == "client")),
        own_lines=_lines([payload for part, owner, _, payload in rows if part == "line" and owner == uscc]),
        lines=_lines([payload for part, owner, _, payload in rows if part == "line" and owner != uscc]),
    )


def _lines(payloads: list[str]) -> tuple[CreditLine, ...]:
    """Sorted by their content: two readings compare equal whatever order the database gave."""
    return tuple(decode_all([("exposures", payload) for payload in sorted(payloads)])["exposures"])
