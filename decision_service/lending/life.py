"""The life of an application after its decision: a fold of acts; pure.

An act that the state does not admit is ``NotNow``, one whose values it does not admit is ``Inadmissible``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from decision_service.errors import Inadmissible, NotNow
from decision_service.lending.clock import SHANGHAI
from decision_service.vocabulary import RESERVATION

APPROVE, REFER, DECLINE = "APPROVE", "REFER", "DECLINE"
QUEUED, ASSIGNED, PAUSED = WAITING = ("queued", "assigned", "paused")
"""States in which people have to decide."""
APPROVED, LAPSED, DECLINED, REFUSED, COMMITTED, DRAWN, OVERDUE, REPAID, CLOSED = (
    "approved",
    "lapsed",
    "declined",
    "refused",
    "committed",
    "drawn",
    "overdue",
    "repaid",
    "closed",
)
STATES = (*WAITING, APPROVED, LAPSED, DECLINED, REFUSED, COMMITTED, DRAWN, OVERDUE, REPAID, CLOSED)
ASSIGNMENT, REVIEW, PAUSE, RESUMPTION, FINAL, DRAWDOWN, REPAYMENT, ARREARS, CLOSURE = ACTS = (
    "assigned",
    "reviewed",
    "paused",
    "resumed",
    "final",
    "drawn",
    "repaid",
    "overdue",
    "closed",
)
ALLOWED: Mapping[str, tuple[str, ...]] = {
    QUEUED: (ASSIGNMENT, FINAL),
    ASSIGNED: (ASSIGNMENT, REVIEW, PAUSE, FINAL),
    PAUSED: (ASSIGNMENT, RESUMPTION, FINAL),
    APPROVED: (FINAL,),
    LAPSED: (FINAL,),
    DECLINED: (FINAL,),
    REFUSED: (),
    COMMITTED: (DRAWDOWN, CLOSURE),
    DRAWN: (DRAWDOWN, REPAYMENT, ARREARS, CLOSURE),
    OVERDUE: (DRAWDOWN, REPAYMENT, ARREARS, CLOSURE),
    REPAID: (DRAWDOWN, CLOSURE),
    CLOSED: (),
}
"""What each state admits. Of a final decision only a refusal is admitted where no approval stands."""
MOST_PAUSES = 2
DEFAULT_DAYS = 90
"""So many days overdue are a default."""
SETTLED, CANCELLED, WRITTEN_OFF = ENDS = ("settled", "cancelled", "written_off")
"""How a contract ends: all is repaid, nothing was drawn, or the rest will not come back."""


Wrong = tuple[str, str] | None
"""A field with why its value is not admitted."""


@dataclass(frozen=True, slots=True)
class Life:
    """An application as its acts have left it. Money is fen, moments are aware.

    ``approved`` is what may be drawn: by the platform until the bank's final decision, then by the bank.
    ``holds_until`` ends a reservation. ``worst_days`` and ``defaulted_on`` tell of arrears, ``ended`` of the contract.
    """

    state: str
    asked: int
    decided_at: datetime
    approved: int = 0
    holds_until: datetime | None = None
    assignee: str | None = None
    pauses: tuple[tuple[datetime, datetime | None], ...] = ()
    contract: str | None = None
    drawn: int = 0
    repaid: int = 0
    drawn_on: date | None = None
    overdue_days: int = 0
    worst_days: int = 0
    defaulted_on: date | None = None
    ended: str | None = None
    at: datetime | None = None

    @property
    def outstanding(self) -> int:
        """What is drawn and not repaid."""
        return self.drawn - self.repaid

    @property
    def counted(self) -> int:
        """What of it counts as exposure: what is owed, and what may still be drawn."""
        may_be_drawn = 0 if self.state in (CLOSED, REFUSED, DECLINED, *WAITING) else self.approved - self.drawn
        return may_be_drawn + self.outstanding

    def on(self, now: datetime) -> Life:
        """As it stands at a moment: an approval that nobody made final lapses."""
        lapsed = self.state == APPROVED and self.holds_until is not None and self.holds_until <= now
        return replace(self, state=LAPSED) if lapsed else self


@dataclass(frozen=True, slots=True)
class Step:
    """An act as the fold sees it: ``by`` is the id of the client who acts."""

    how: str
    at: datetime
    by: str
    details: Mapping[str, Any]


def born(*, outcome: str, asked: int, approved: int | None, decided_at: datetime) -> Life:
    """The life of an application as its decision begins it."""
    if outcome == APPROVE:
        return Life(APPROVED, asked, decided_at, approved or 0, decided_at + RESERVATION)
    return Life(QUEUED if outcome == REFER else DECLINED, asked, decided_at)


def lived(life: Life, steps: Iterable[Step]) -> Life:
    """The life after all these acts; raises ``NotNow`` or ``Inadmissible`` at the first that was not admitted."""
    for step in steps:
        life = after(life, step)
    return life


def after(life: Life, step: Step) -> Life:
    """The life after one act more.

    Raises ``NotNow``, which names the state, the act and what is admitted, ``Inadmissible`` with every wrong value.
    """
    life = life.on(step.at)
    if step.how not in ALLOWED[life.state]:
        raise _not_now(life, f"it cannot be {step.how} while it is {life.state}")
    if life.at is not None and step.at < life.at:
        raise _not_now(life, "it would come before what was done already")
    return replace(_STEPS[step.how](life, step), at=step.at)


def allowed(life: Life) -> tuple[str, ...]:
    """The acts that the state admits, as far as the state alone tells."""
    acts = ALLOWED[life.state]
    without = {PAUSE} if len(life.pauses) >= MOST_PAUSES else set()
    if life.state in (DRAWN, OVERDUE, REPAID) and life.drawn >= life.approved:
        without.add(DRAWDOWN)
    return tuple(one for one in acts if one not in without)


def _not_now(life: Life, what: str) -> NotNow:
    acts = allowed(life)
    return NotNow(what, remedy=f"its state {life.state} admits: {', '.join(acts) or 'nothing more'}", admits=acts)


def _ensure(*wrong: Wrong) -> None:
    """Raises ``Inadmissible`` with all values that are not admitted."""
    if found := tuple(one for one in wrong if one is not None):
        raise Inadmissible(found)


def _at_most(amount: int, most: int, why: str) -> Wrong:
    return None if amount <= most else ("amount", f"{why}: at most {cny(most)}")


def _assigned(life: Life, step: Step) -> Life:
    state = PAUSED if life.state == PAUSED else ASSIGNED
    return replace(life, state=state, assignee=step.details["assignee"])


def _reviewed(life: Life, step: Step) -> Life:
    if step.by != life.assignee:
        raise _not_now(life, "it is assigned to somebody else")
    if step.details["outcome"] == DECLINE:
        return replace(life, state=DECLINED)
    amount = fen(step.details["amount"])
    _ensure(_at_most(amount, life.asked, "more would be approved than was asked for"))
    return replace(life, state=APPROVED, approved=amount, holds_until=step.at + RESERVATION)


def _paused(life: Life, step: Step) -> Life:
    if step.by != life.assignee:
        raise _not_now(life, "it is assigned to somebody else")
    if len(life.pauses) >= MOST_PAUSES:
        raise _not_now(life, f"its clock was stopped {MOST_PAUSES} times already")
    return replace(life, state=PAUSED, pauses=(*life.pauses, (step.at, None)))


def _resumed(life: Life, step: Step) -> Life:
    return replace(life, state=ASSIGNED, pauses=_ended(life, step.at))


def _ended(life: Life, at: datetime) -> tuple[tuple[datetime, datetime | None], ...]:
    """The pauses, the one that lasts ended."""
    return tuple((begin, at if end is None else end) for begin, end in life.pauses)


def _final(life: Life, step: Step) -> Life:
    if step.details["outcome"] == DECLINE:
        return replace(life, state=REFUSED, holds_until=None, pauses=_ended(life, step.at))
    if life.state != APPROVED:
        raise _not_now(life, f"no approval of the platform stands: while it is {life.state} it can only be refused")
    amount = fen(step.details["amount"])
    _ensure(_at_most(amount, life.approved, "more would be lent than the platform approved"))
    contract = step.details.get("contract_id")
    return replace(life, state=COMMITTED, approved=amount, holds_until=None, contract=contract)


def _drawn(life: Life, step: Step) -> Life:
    amount, on = fen(step.details["amount"]), _day(step)
    left = life.approved - life.drawn
    _ensure(*_misplaced(life, step), _at_most(amount, left, "more would be drawn than the bank committed to"))
    state = OVERDUE if life.state == OVERDUE else DRAWN
    first = min(life.drawn_on or on, on)
    return replace(life, state=state, drawn=life.drawn + amount, drawn_on=first, contract=_contract(life, step))


def _repaid(life: Life, step: Step) -> Life:
    amount = fen(step.details["amount"])
    _ensure(*_misplaced(life, step), _at_most(amount, life.outstanding, "more would be repaid than was drawn"))
    left = replace(life, repaid=life.repaid + amount, contract=_contract(life, step))
    return left if left.outstanding else replace(left, state=REPAID, overdue_days=0)


def _overdue(life: Life, step: Step) -> Life:
    """Zero days overdue say that arrears were made good."""
    on, days, since = _day(step), step.details["days"], life.drawn_on
    is_longer = since is not None and days > (on - since).days
    _ensure(
        *_misplaced(life, step),
        _at_most(fen(step.details["amount"]), life.outstanding, "more would be overdue than is owed"),
        ("days", "it would be overdue for longer than it is drawn") if is_longer else None,
    )
    defaulted = life.defaulted_on
    if days >= DEFAULT_DAYS:
        crossed = on - timedelta(days=days - DEFAULT_DAYS)
        defaulted = crossed if defaulted is None else min(defaulted, crossed)
    return replace(
        life,
        state=OVERDUE if days else DRAWN,
        overdue_days=days,
        worst_days=max(life.worst_days, days),
        defaulted_on=defaulted,
        contract=_contract(life, step),
    )


def _closed(life: Life, step: Step) -> Life:
    on, end, defaulted = _day(step), step.details["end"], life.defaulted_on
    _ensure(*_misplaced(life, step), _of_end(life, end))
    if end == WRITTEN_OFF:
        defaulted = on if defaulted is None else min(defaulted, on)
    return replace(life, state=CLOSED, ended=end, defaulted_on=defaulted, contract=_contract(life, step))


def _of_end(life: Life, end: str) -> Wrong:
    if end == SETTLED and (life.outstanding or not life.drawn):
        return "end", "it is not settled: all that was drawn must be repaid"
    if end == CANCELLED and life.drawn:
        return "end", "it is not cancelled: something was drawn"
    if end == WRITTEN_OFF and not life.outstanding:
        return "end", "there is nothing to write off"
    return None


_STEPS: Mapping[str, Callable[[Life, Step], Life]] = {
    ASSIGNMENT: _assigned,
    REVIEW: _reviewed,
    PAUSE: _paused,
    RESUMPTION: _resumed,
    FINAL: _final,
    DRAWDOWN: _drawn,
    REPAYMENT: _repaid,
    ARREARS: _overdue,
    CLOSURE: _closed,
}


def _misplaced(life: Life, step: Step) -> tuple[Wrong, Wrong]:
    """What is wrong with contract and day: a decision has one contract, the first that is named."""
    on, first, last = _day(step), *(one.astimezone(SHANGHAI).date() for one in (life.decided_at, step.at))
    is_other = life.contract not in (None, _contract(life, step))
    return (
        ("contract_id", f"it belongs to another contract: {life.contract}") if is_other else None,
        None if first <= on <= last else ("on", f"it lies before its decision or in the future: {first} to {last}"),
    )


def _contract(life: Life, step: Step) -> str | None:
    named: str | None = step.details.get("contract_id", life.contract)
    return named


def _day(step: Step) -> date:
    """When it happened: neither before the decision nor after it was told, by business dates in Shanghai."""
    return date.fromisoformat(step.details["on"])


def cny(amount: int) -> str:
    """Fen as money is written."""
    return f"{Decimal(amount).scaleb(-2):.2f}"


def fen(amount: str) -> int:
    """Money as a record holds it, in fen."""
    return int(Decimal(amount).scaleb(2))
