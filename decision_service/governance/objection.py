"""The life of an objection (异议): a fold of acts; pure.

An act that the state does not admit is ``NotNow``, one whose values it does not admit is ``Inadmissible``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from decision_service.errors import CalendarError, Inadmissible, NotNow
from decision_service.lending.clock import close_after, close_after_days, close_before

FILED, ACCEPTED, REFUSED, SOURCE_CHECK, RULED, APPLIED, NOTIFIED, ARBITRATION = STATES = (
    "filed",
    "accepted",
    "refused",
    "source_check",
    "ruled",
    "applied",
    "notified",
    "arbitration",
)
FILING, ACCEPTANCE, REFUSAL, CHECK, RULING, APPLICATION, NOTIFICATION, APPEAL, ARBITRATED, ERASURE = ACTS = (
    "filed",
    "accepted",
    "refused",
    "checked",
    "ruled",
    "applied",
    "notified",
    "appealed",
    "arbitrated",
    "erased",
)
ALLOWED: Mapping[str, tuple[str, ...]] = {
    FILED: (ACCEPTANCE, REFUSAL),
    ACCEPTED: (CHECK,),
    REFUSED: (),
    SOURCE_CHECK: (RULING,),
    RULED: (APPLICATION,),
    APPLIED: (NOTIFICATION,),
    NOTIFIED: (APPEAL,),
    ARBITRATION: (ARBITRATED,),
}
"""What each state admits; comments may be erased in all of them."""
DECIDED = (RULED, APPLIED, NOTIFIED, ARBITRATION)
"""The states in which there is a ruling."""
CORRECT, DELETE, REJECT = RULINGS = ("correct", "delete", "reject")
CONFIRMED, WRONG, NO_ANSWER = ANSWERS = ("confirmed", "wrong", "no_answer")
"""What the provider says of its record. That it says nothing can be told once its time is over."""
RECORD, DECISION = TARGETS = ("record", "decision")
DISPUTED, STRUCK = EFFECTS = ("disputed", "struck")
"""What an objection makes of its record: nobody is declined by it, or it counts for nothing."""
RULED_BEFORE = "ruled_before"
"""Says in a filing, and again in an acceptance, that what the record says was upheld before."""
RECORD_DIGEST = "record_digest"
"""Of what the record said when it was objected to, taken up, ruled on."""
PROCEDURE = "procedure"
FIRST_PROCEDURE, TODAY = 1, 2
"""By which order an objection is judged, said in its filing; an older one stays under the order of its time.

Since the second, who filed does nothing else but appeal, each client has an objection of its own to a thing, and acts
say of each record whether it was upheld before.
"""
ACCEPTANCE_DAYS, CHECK_DAYS = 2, 5
"""Working days for a steward to accept or refuse, and for the provider to answer."""
WHOLE_DAYS = 20
"""Calendar days from filing to notification: 征信业管理条例 (State Council order 631), article 25."""
INSTANCES = 2
FOLLOWING: Mapping[str, str] = {
    ACCEPTANCE: ACCEPTED,
    REFUSAL: REFUSED,
    CHECK: SOURCE_CHECK,
    RULING: RULED,
    APPLICATION: APPLIED,
    NOTIFICATION: NOTIFIED,
    APPEAL: ARBITRATION,
    ARBITRATED: RULED,
}


@dataclass(frozen=True, slots=True)
class Objection:
    """An objection as its acts have left it. Moments are aware; persons are clients' ids.

    ``since`` is when its clock began: filing, or the appeal. ``ruled_before``: what the record says was upheld before,
    and that ruling holds until there is another. ``digest`` is of what the record said when it was ruled
    on. ``judges`` are those who accepted or ruled: none of them rules again.
    """

    target: Mapping[str, Any]
    filed_by: str
    filed_at: datetime
    since: datetime
    state: str = FILED
    accepted_at: datetime | None = None
    ruled_at: datetime | None = None
    ruling: str | None = None
    digest: str = ""
    instance: int = 1
    judges: tuple[str, ...] = ()
    ruled_before: bool = False
    procedure: int = FIRST_PROCEDURE
    erased: bool = False
    at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether anybody still has to do something."""
        return self.state not in (REFUSED, NOTIFIED)

    @property
    def about_record(self) -> bool:
        """Whether it is about a record; else it is about a decision, of which it changes nothing."""
        return self.target["type"] == RECORD

    def upholds(self, digest: str) -> bool:
        """Whether its ruling has left standing what a record with this digest says."""
        return self.about_record and self.ruling == REJECT and self.digest == digest

    @property
    def effect(self) -> tuple[str, datetime] | None:
        """What it makes of its record, and since when. While an appeal is heard the first ruling holds."""
        if not self.about_record:
            return None
        if self.accepted_at is not None and self.state in (ACCEPTED, SOURCE_CHECK):
            return None if self.ruled_before else (DISPUTED, self.accepted_at)
        if self.ruled_at is not None and self.ruling in (CORRECT, DELETE):
            return STRUCK, self.ruled_at
        return None


@dataclass(frozen=True, slots=True)
class Step:
    """An act as the fold sees it: ``by`` is the id of the client who acts."""

    how: str
    at: datetime
    by: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Deadline:
    """What has to be done until when, and when somebody is reminded of it: at the close of business before.

    ``None`` where the calendar of that year is not known.
    """

    step: str
    due_at: datetime | None
    reminder: datetime | None


def filed(step: Step) -> Objection:
    """The objection that its filing begins. Raises ``NotNow`` when the act is no filing."""
    if step.how != FILING:
        raise NotNow("nothing was filed", remedy="file an objection first")
    again, procedure = step.details.get(RULED_BEFORE, False), step.details.get(PROCEDURE, FIRST_PROCEDURE)
    target, begun = step.details["target"], step.at
    return Objection(target, step.by, begun, begun, ruled_before=again, procedure=procedure, at=begun)


def lived(steps: Iterable[Step]) -> Objection:
    """The objection after all these acts; raises ``NotNow`` or ``Inadmissible`` at the first that was not admitted."""
    ordered = iter(steps)
    found = filed(next(ordered))
    for step in ordered:
        found = after(found, step)
    return found


def after(objection: Objection, step: Step) -> Objection:
    """The objection after one act more.

    Raises ``NotNow``, which names the state, the act and what is admitted, ``Inadmissible`` with every wrong value.
    """
    if objection.at is not None and step.at < objection.at:
        raise _not_now(objection, "it would come before what was done already")
    if step.how == ERASURE:
        if objection.erased:
            raise _not_now(objection, "its comments were erased before")
        return replace(objection, erased=True, at=step.at)
    if step.how not in allowed(objection):
        raise _not_now(objection, f"it cannot be {step.how} while it is {objection.state}")
    if step.by == objection.filed_by and step.how in _OF_OTHERS[objection.procedure]:
        raise _not_now(objection, f"it cannot be {step.how} by who filed it: that takes another person")
    found = _STEPS.get(step.how, _plain)(objection, step)
    return replace(found, state=FOLLOWING[step.how], at=step.at)


def allowed(objection: Objection) -> tuple[str, ...]:
    """The acts that the state admits. Who was given all he asked for, or was heard twice, has no appeal."""
    if objection.state == NOTIFIED and (objection.instance >= INSTANCES or objection.ruling == DELETE):
        return ()
    return ALLOWED[objection.state]


def deadlines(objection: Objection) -> tuple[Deadline, ...]:
    """What is due now, the step first, then the whole; empty once it is closed."""
    if not objection.is_open:
        return ()
    whole = _deadline("objection", close_after_days, objection.since, WHOLE_DAYS)
    if objection.state == FILED:
        return _deadline("acceptance", close_after, objection.filed_at, ACCEPTANCE_DAYS), whole
    if objection.state == ACCEPTED and objection.accepted_at is not None:
        return _deadline(SOURCE_CHECK, close_after, objection.accepted_at, CHECK_DAYS), whole
    return (whole,)


def _deadline(step: str, count: Callable[[datetime, int], datetime], since: datetime, days: int) -> Deadline:
    try:
        due_at = count(since, days)
        return Deadline(step, due_at, close_before(due_at))
    except CalendarError:
        return Deadline(step, None, None)


def _not_now(objection: Objection, what: str) -> NotNow:
    acts = allowed(objection)
    return NotNow(what, remedy=f"its state {objection.state} admits: {', '.join(acts) or 'nothing more'}", admits=acts)


def _plain(objection: Objection, step: Step) -> Objection:
    return objection


def _accepted(objection: Objection, step: Step) -> Objection:
    again = step.details.get(RULED_BEFORE, False) if RECORD_DIGEST in step.details else objection.ruled_before
    return replace(objection, accepted_at=step.at, ruled_before=again, judges=(step.by,))


def _checked(objection: Objection, step: Step) -> Objection:
    if step.details["answer"] == NO_ANSWER:
        due = deadlines(objection)[0].due_at
        if due is None:
            raise Inadmissible((("answer", "the calendar does not tell when the provider's time is over"),))
        if step.at < due:
            raise Inadmissible((("answer", f"the provider has time until {due.isoformat()}"),))
    return objection


def _ruled(objection: Objection, step: Step) -> Objection:
    if step.by in objection.judges:
        raise _not_now(objection, "another person must rule: not who accepted or ruled before")
    ruling = step.details["ruling"]
    if ruling == DELETE and not objection.about_record:
        raise Inadmissible((("ruling", "a decision is evidence and is never deleted: rule correct or reject"),))
    digest = step.details.get(RECORD_DIGEST, "")
    judges = (*objection.judges, step.by)
    return replace(objection, ruling=ruling, ruled_at=step.at, digest=digest, judges=judges)


def _appealed(objection: Objection, step: Step) -> Objection:
    if step.by != objection.filed_by:
        raise _not_now(objection, "only who filed it can appeal")
    return replace(objection, instance=objection.instance + 1, since=step.at)


_STEPS: Mapping[str, Callable[[Objection, Step], Objection]] = {
    ACCEPTANCE: _accepted,
    CHECK: _checked,
    RULING: _ruled,
    APPEAL: _appealed,
    ARBITRATED: _ruled,
}
_OF_OTHERS: Mapping[int, tuple[str, ...]] = {
    FIRST_PROCEDURE: (ACCEPTANCE, REFUSAL, RULING, ARBITRATED),
    TODAY: (ACCEPTANCE, REFUSAL, CHECK, RULING, APPLICATION, NOTIFICATION, ARBITRATED),
}
"""What a party may not do itself."""
