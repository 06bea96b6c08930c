"""What a customer and its group already owe or may draw over all banks, as facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from decision_service.vocabulary import FEED_MAX_AGE

CONTROLLING_SHARE = Decimal("0.5")
CONTROL_LINKS = frozenset({"parent", "control", "controller_person"})
CREDIT_HISTORY = "IND22"

FactValue = Decimal | int | bool | None


class Line(Protocol):
    """A bank's credit line, fen; ``secured`` is the part fully secured or cash covered."""

    @property
    def drawn(self) -> int: ...
    @property
    def undrawn_committed(self) -> int: ...
    @property
    def secured(self) -> int: ...


class Link(Protocol):
    """An edge to a related party."""

    @property
    def other(self) -> str: ...
    @property
    def link(self) -> str: ...
    @property
    def share(self) -> Decimal | None: ...


class Records(Protocol):
    """The part of an enterprise's records that exposure needs."""

    @property
    def registration(self) -> Any: ...
    @property
    def overdues(self) -> Sequence[Any]: ...
    @property
    def indicators(self) -> Sequence[Any]: ...
    @property
    def relations(self) -> Sequence[Link]: ...
    @property
    def related_relations(self) -> Mapping[str, Sequence[Link]]: ...
    @property
    def feeds(self) -> Mapping[str, datetime]: ...


class State(Protocol):
    """What the store knows at this moment, and checks again under its write lock: reservations in fen, lines, clients.

    ``own_lines`` are the customer's, ``lines`` and ``group_reserved`` those of the other members of its group.
    """

    @property
    def reserved(self) -> int: ...
    @property
    def group_reserved(self) -> int: ...
    @property
    def own_lines(self) -> Sequence[Line]: ...
    @property
    def lines(self) -> Sequence[Line]: ...
    @property
    def clients(self) -> Sequence[str]: ...


def exposure_facts(records: Records, state: State, *, client_id: str, now: datetime) -> dict[str, FactValue]:
    """Existing, pending and group exposure in CNY, lenders applied to in 30 days, and whether it is a first loan.

    The existing sum is unknown when banks' reports are older than a day, the group's also when relations are older
    than seven days. The client that asks now counts as a lender applied to.
    """
    exposures_fresh = _fresh(records, "exposures", now)
    group_known = exposures_fresh and _fresh(records, "relations", now)
    group = sum(map(unsecured, state.lines)) + state.group_reserved
    return {
        "exposure_existing": _cny(sum(map(unsecured, state.own_lines))) if exposures_fresh else None,
        "exposure_pending": _cny(state.reserved),
        "group_exposure_others": _cny(group) if group_known else None,
        "lenders_30d": len({*state.clients, client_id}),
        "first_time_borrower": _first_time(records, state, now, exposures_fresh=exposures_fresh),
    }


def unsecured(line: Line) -> int:
    """What of a line counts, fen: drawn and committed, less the secured part, never below zero."""
    return max(0, line.drawn + line.undrawn_committed - line.secured)


def group_members(records: Records) -> tuple[str, ...]:
    """Who stands in a control relation to the customer, sorted, without the customer; over two hops.

    Parents, controlled firms and firms under the same controller. A controlling person is a member (its own business
    loans count where banks report them), persons and firms over guarantees or smaller holdings are not.
    """
    members: set[str] = set()
    for near in records.relations:
        if controls(near):
            members.add(near.other)
            members.update(far.other for far in records.related_relations.get(near.other, ()) if controls(far))
    return tuple(sorted(members - {records.registration.uscc}))


def controls(link: Link) -> bool:
    """Whether a link is one of control: named so, or a holding of more than half."""
    if link.link == "holding":
        return link.share is not None and link.share > CONTROLLING_SHARE
    return link.link in CONTROL_LINKS


def _first_time(records: Records, state: State, now: datetime, *, exposures_fresh: bool) -> bool | None:
    """No line, no arrears, no credit history; having none is known only while banks' reports are fresh."""
    history = any(row.indicator == CREDIT_HISTORY and row.value is not None for row in records.indicators)
    if history or state.own_lines or records.overdues:
        return False
    return True if exposures_fresh and _fresh(records, "overdues", now) else None


def _fresh(records: Records, feed: str, now: datetime) -> bool:
    delivered = records.feeds.get(feed)
    return delivered is not None and now - delivered <= FEED_MAX_AGE[feed]


def _cny(fen: int) -> Decimal:
    return Decimal(fen).scaleb(-2)
