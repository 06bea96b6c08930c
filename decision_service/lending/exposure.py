"""What a customer and its group already owe or may draw over all banks, as facts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from decision_service.vocabulary import FEED_MAX_AGE

CONTROLLING_SHARE = Decimal("0.5")
CONTROL_LINKS = frozenset({"parent", "control", "controller_person"})
CREDIT_HISTORY = "IND22"
MOST_MEMBERS = 200
MOST_STEPS = 6

FactValue = Decimal | int | bool | None
Neighbours = Callable[[Collection[str]], Collection[str] | None]
"""Who shares a control link with any of the given parties, from either end; ``None`` when they are too many to read."""


class Line(Protocol):
    """A bank's credit line, fen; ``secured`` is the part fully secured or cash covered."""

    @property
    def drawn(self) -> int: ...
    @property
    def undrawn_committed(self) -> int: ...
    @property
    def secured(self) -> int: ...


class ReportedLine(Line, Protocol):
    """A line as its bank reported it."""

    @property
    def bank(self) -> str: ...
    @property
    def line_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Holding:
    """What one of the platform's applications counts, fen: reserved or committed by a client, since its last act.

    ``contract`` is the id under which the client's bank reports it, if it is known.
    """

    client_id: str
    contract: str
    amount: int
    changed_at: datetime


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
    def overdues(self) -> Sequence[Any]: ...
    @property
    def indicators(self) -> Sequence[Any]: ...
    @property
    def feeds(self) -> Mapping[str, datetime]: ...


class State(Protocol):
    """What the store knows at this moment, and checks again under its write lock: reservations in fen, lines, clients.

    ``own_lines`` are the customer's, ``lines`` and ``group_reserved`` those of the other members of its ``group``,
    which is ``None`` when it could not be read as a whole.
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
    @property
    def group(self) -> Sequence[str] | None: ...


def exposure_facts(records: Records, state: State, *, client_id: str, now: datetime) -> dict[str, FactValue]:
    """Existing, pending and group exposure in CNY, lenders applied to in 30 days, and whether it is a first loan.

    The existing sum is unknown when banks' reports are older than a day, the group's also when relations are older
    than seven days or the group is too large to be read. The client that asks now counts as a lender applied to.
    """
    exposures_fresh = _fresh(records, "exposures", now)
    group_known = exposures_fresh and state.group is not None and _fresh(records, "relations", now)
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


def beyond_reports(holdings: Iterable[Holding], lines: Iterable[tuple[ReportedLine, datetime]]) -> int:
    """What holdings count that banks' reports do not, fen; each line comes with the moment of its report.

    A contract's own line covers it once the report is later than the last act; before, the larger of the two counts.
    What no line names counts in full, whatever its bank reports beside it: rather twice than not at all.
    """
    reported = {(line.bank, line.line_id): (unsecured(line), at) for line, at in lines}
    held: dict[tuple[str, str], list[Holding]] = {}
    beyond = 0
    for one in holdings:
        if one.contract and (one.client_id, one.contract) in reported:
            held.setdefault((one.client_id, one.contract), []).append(one)
        else:
            beyond += one.amount
    for contract, parts in held.items():
        amount, at = reported[contract]
        if at <= max(one.changed_at for one in parts):
            beyond += max(0, sum(one.amount for one in parts) - amount)
    return beyond


def group_members(customer: str, neighbours: Neighbours) -> tuple[str, ...] | None:
    """All that control links join to the customer, whoever reported them; sorted, without the customer.

    Parents, controlled firms, sisters under one parent or person, and theirs. A controlling person is a member (its
    own business loans count where banks report them). ``None`` is unknown: more than ``MOST_MEMBERS`` with the
    customer, or further away than ``MOST_STEPS`` links.
    """
    members = newest = {customer}
    for _ in range(MOST_STEPS + 1):
        found = neighbours(newest)
        if found is None:
            return None
        newest = set(found) - members
        if not newest:
            return tuple(sorted(members - {customer}))
        members = members | newest
        if len(members) > MOST_MEMBERS:
            return None
    return None


def controls(link: Link) -> bool:
    """Whether a link may be one of control: named so, or a holding of more than half or of a share nobody told.

    Over guarantees or smaller holdings there is no group.
    """
    if link.link == "holding":
        return link.share is None or link.share > CONTROLLING_SHARE
    return link.link in CONTROL_LINKS


def _first_time(records: Records, state: State, now: datetime, *, exposures_fresh: bool) -> bool | None:
    """No line, no arrears, no credit history; having none is known only while banks' reports are fresh."""
    if state.own_lines or records.overdues:
        return False
    if any([row.value is not None for row in records.indicators if row.indicator == CREDIT_HISTORY]):
        return False
    return True if exposures_fresh and _fresh(records, "overdues", now) else None


def _fresh(records: Records, feed: str, now: datetime) -> bool:
    delivered = records.feeds.get(feed)
    return delivered is not None and now - delivered <= FEED_MAX_AGE[feed]


def _cny(fen: int) -> Decimal:
    return Decimal(fen).scaleb(-2)
