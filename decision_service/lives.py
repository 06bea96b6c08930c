"""What people and banks do with an application after its decision: each act checked, signed, and told as history."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from decision_service.audit.act import LIFE, NewAct
from decision_service.audit.canonical import canonical, moment, money, parsed
from decision_service.audit.decided import application_of
from decision_service.audit.entries import Things
from decision_service.audit.record import values_of
from decision_service.decide import ATTEMPTS, Assessment, Platform, assess, business_date, find, situation
from decision_service.errors import AuditError, CalendarError, Inadmissible, InputError, NotFound, NotNow, StoreError
from decision_service.lending import life
from decision_service.lending.clock import Sla, sla
from decision_service.lending.life import Life, Step
from decision_service.lending.review_reasons import texts_of
from decision_service.permissions import KINDS
from decision_service.repaired import later_repairs, told
from decision_service.store import (
    Act,
    Asked,
    ExposureChanged,
    ExposureState,
    KeptAnswer,
    Standing,
    StoredDecision,
    Waiting,
)
from decision_service.store.database import Session
from decision_service.store.lives import pauses_text
from decision_service.vocabulary import Client, Outcome

CREATED = 201
BANK_ACTS = frozenset({life.FINAL, life.DRAWDOWN, life.REPAYMENT, life.ARREARS, life.CLOSURE})
"""What only the bank that asked for the decision does."""
OWN_SEARCH = frozenset(name for name, kind in KINDS.items() if kind.sees_all)
COMMENT = "comment"
RUNNING, NEAR, BREACHED, STANDS_STILL = SLA_STATES = ("running", "near", "breached", "paused")
PLACE = re.compile(r"([01])_([0-9TZ.:~-]*)_([0-9]{18})")
"""A place in the queue, which is a cursor: whitelisted, due, leaf."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """Who wants to do what, by which key. ``comment`` is free text, which can be erased."""

    how: str
    client: Client
    key: str
    now: datetime
    details: Mapping[str, Any] = field(default_factory=dict)
    comment: str = ""

    def asked(self, decision_id: str) -> Asked:
        """What makes two requests the same."""
        content = [self.how, decision_id, dict(self.details), self.comment]
        return Asked(self.client.client_id, self.key, sha256(canonical(content)).hexdigest())

    def act(self, details: Mapping[str, Any], client_id: str, at: datetime) -> NewAct:
        """As it is written."""
        by = (self.client.kind, self.client.client_id)
        private = {COMMENT: self.comment} if self.comment else {}
        return NewAct(self.how, at, by=by, client_id=client_id, details=details, private=private)


class LifeDesk:
    """Acts on applications, over the real platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def act(self, decision_id: str, owner: str | None, request: Request) -> KeptAnswer:
        """Do it, once per key.

        Raises ``NotFound``, ``NotNow``, ``Inadmissible``, ``IdempotencyConflict``, ``StillRunning``.
        """
        stored = self._stored(decision_id, owner)
        return self._once(stored, request, lambda: (dict(request.details), None))

    def assign(self, decision_id: str, request: Request) -> KeptAnswer:
        """As ``act``, to a client of kind ``risk`` that is not revoked. Raises ``InputError``."""
        stored = self._stored(decision_id, None)
        return self._once(stored, request, lambda: (self._assignment(request), None))

    def _assignment(self, request: Request) -> Document:
        for entry in self._platform.store.list_clients():
            if entry.client.client_id == request.details["assignee"]:
                if entry.client.kind == "risk" and entry.revoked_at is None:
                    return dict(request.details)
        raise InputError("no such reviewer", where="assignee", remedy="name a client of the kind risk")

    def review(self, decision_id: str, request: Request) -> KeptAnswer:
        """As ``act``; what is approved is assessed again first, and its reservation is made with it.

        What the rules decline now nobody may approve, and nobody approves more exposure than was seen: that of the
        decision, or what the request says.
        """
        stored = self._stored(decision_id, None)
        for _ in range(ATTEMPTS):
            try:
                return self._once(stored, request, lambda: self._examined(stored, request))
            except ExposureChanged:
                continue  # a decision of the same customer came first: look again
        raise StoreError("the customer's exposure kept changing", remedy="send the same request again")

    def _examined(self, stored: StoredDecision, request: Request) -> tuple[Document, ExposureState | None]:
        details = dict(request.details)
        seen_total = details.pop("exposure_total", None)
        if details["outcome"] != life.APPROVE:
            return details, None
        platform, record = self._platform, parsed(stored.record)
        amount = details["amount"]
        application = application_of({**record["application"], "amount": amount})
        seen = situation(platform.store, stored.client_id, application, now=request.now)
        if seen.repeated:
            raise NotNow("the same application is approved already", remedy="decline it: APPLICATION_REPEATED")
        policy = platform.policies.current()
        findings = find(
            application,
            seen.records,
            seen.exposure,
            repeated=False,
            switched_off=seen.switched_off,
            client_id=stored.client_id,
            policy=policy,
            scorer=platform.scorer,
            now=request.now,
        )
        assessment = assess(policy.on(business_date(request.now), stored.client_id), findings.facts)
        if assessment.outcome is Outcome.DECLINE or assessment.card == "red":
            codes = ", ".join(dict.fromkeys(one.code for one in assessment.reasons))
            what = f"the rules decline it now ({codes}), and nobody may approve that"
            raise NotNow(what, remedy="decline it: RULES_DECLINE")
        total = _seen_total(stored, seen_total, assessment)
        return {**details, "exposure_total": money(total), "ruleset": policy.ruleset.digest}, seen.exposure

    def _once(
        self,
        stored: StoredDecision,
        request: Request,
        examine: Callable[[], tuple[Document, ExposureState | None]],
    ) -> KeptAnswer:
        store, signer = self._platform.store, self._platform.signer

        def prepare() -> Callable[[Session], KeptAnswer]:
            _next(stored, request, request.details, store.lives().acts(stored.decision_id))  # before the work begins
            details, exposure = examine()
            expected = None if exposure is None else (exposure, request.now)
            left: list[Life] = []

            def decide(before: tuple[Act, ...], newest: datetime) -> tuple[NewAct, Standing]:
                at, found = _next(stored, request, details, before, newest)
                left.append(found)
                return request.act(details, stored.client_id, at), standing_of(found)

            def work(session: Session) -> KeptAnswer:
                written = store.lives().act(session, stored, decide, sign=signer.receipt, expected=expected)
                document = answer_of(stored, left[-1], written.act, written.receipt)
                return KeptAnswer(CREATED, canonical(document), f"/v1/decisions/{stored.decision_id}/history")

            return work

        return store.once(request.asked(stored.decision_id), prepare, request.now)

    def history(self, decision_id: str, viewer: Client, now: datetime) -> Document:
        """All that happened to an application, as far as the viewer may see it. Raises ``NotFound``."""
        stored = self._stored(decision_id, None if viewer.kind in OWN_SEARCH else viewer.client_id)
        acts = self._platform.store.lives().acts(decision_id)
        repairs = told(later_repairs(self._platform, stored))
        return {**history_of(stored, acts, viewer=viewer, now=now), **repairs}

    def queue(self, *, state: str | None, after: str | None, limit: int, now: datetime) -> Document:
        """Referred applications that wait for people: whitelisted ones first, then by the time they are due."""
        place = _place(after)
        entries = sorted(
            (entry for one in self._platform.store.lives().waiting() if (entry := entry_of(one, now)) is not None),
            key=lambda entry: entry.place,
        )
        found = [one for one in entries if one.place > place and state in (None, one.document["state"])]
        more = "_".join(found[limit - 1].place) if len(found) > limit else None
        return {"reviews": [one.document for one in found[:limit]], "next": more}

    def _stored(self, decision_id: str, owner: str | None) -> StoredDecision:
        stored = self._platform.store.decision(decision_id, owner)
        if stored is None:
            raise NotFound("there is no such decision", remedy="check the id; only one's own decisions can be read")
        return stored


def _next(
    stored: StoredDecision,
    request: Request,
    details: Mapping[str, Any],
    before: Sequence[Act],
    newest: datetime | None = None,
) -> tuple[datetime, Life]:
    """When a request is done, and the life after it. Raises ``NotNow``, ``Inadmissible``."""
    # A clock that is behind another worker's must not tell acts in the wrong order.
    at = max([request.now, newest or request.now, *(one.at for one in before)])
    return at, life.after(life_of(stored.record, before), Step(request.how, at, request.client.client_id, details))


def life_of(record: bytes, acts: Iterable[Act]) -> Life:
    """The life that the acts on a decision make, by its record."""
    return life.lived(_born(parsed(record)), (_step(one) for one in acts))


def _step(act: Act) -> Step:
    return Step(act.how, act.at, "" if act.by is None else act.by[1], act.details)


def _born(record: Mapping[str, Any]) -> Life:
    approved = record["approved_amount"]
    return life.born(
        outcome=record["outcome"],
        asked=life.fen(record["application"]["amount"]),
        approved=None if approved is None else life.fen(approved),
        decided_at=datetime.fromisoformat(record["decided_at"]),
    )


def standing_of(left: Life) -> Standing:
    """What the store keeps beside the acts."""
    return Standing(left.state, left.counted, left.holds_until, left.contract, left.assignee, left.pauses)


def _seen_total(stored: StoredDecision, told: str | None, assessment: Assessment) -> Any:
    """The exposure with this approval, in CNY. Raises ``Inadmissible`` when it is more than the person knows of."""
    facts = assessment.facts
    exact = facts["exposure_total"]
    present = None if exact is None else facts.catalogue.decode("exposure_total", exact)
    recorded = None if stored.private is None else values_of(stored.private).get("facts.exposure_total")
    known = [one for one in (recorded, None if told is None else life.fen(told)) if isinstance(one, int)]
    if present is None and told is None:
        why = "is required: the customer's exposure is not known; find out what is owed in all"
        raise Inadmissible((("exposure_total", why),))
    if present is not None and present.scaleb(2) > max(known, default=0):
        why = f"the customer's exposure is more than the decision saw; to approve it still, send {present:.2f}"
        raise Inadmissible((("exposure_total", why),))
    return present


def sla_of(decided_at: datetime, pauses: Sequence[tuple[datetime, datetime | None]]) -> Sla | None:
    """When people must have decided; ``None`` when the calendar of that year is not known."""
    try:
        return sla(decided_at, pauses)
    except CalendarError:
        return None


def answer_of(stored: StoredDecision, left: Life, act: Act, receipt: Mapping[str, Any]) -> Document:
    """What an act is answered with."""
    said = done(act, receipt, state=left.state, due_at=_due(left), allowed=life.allowed(left))
    return {"decision_id": stored.decision_id, **said}


def done(
    act: Act, receipt: Mapping[str, Any], *, state: str, due_at: str | None, allowed: Sequence[str]
) -> Document:
    """What was done with anything, and what may be done next."""
    return {
        "act": act.how,
        "at": moment(act.at),
        "state": state,
        "due_at": due_at,
        "allowed": list(allowed),
        "receipt": {name: receipt[name] for name in ("leaf_index", "leaf_hash", "signature")},
    }


def _due(left: Life) -> str | None:
    found = sla_of(left.decided_at, left.pauses) if left.state in life.WAITING else None
    return None if found is None else moment(found.due_at)


def history_of(stored: StoredDecision, acts: Sequence[Act], *, viewer: Client, now: datetime) -> Document:
    """The application from its arrival on. A bank sees who of itself acted, of others only their kind."""
    record = parsed(stored.record)
    left = life_of(stored.record, acts).on(now)
    decided = record["decided_at"]
    before = [
        {"act": "submitted", "at": decided, "by": _shown(("client", stored.client_id), viewer), "details": {}},
        {"act": "scored", "at": decided, "by": None, "details": {"pd_12m": record["scores"]["pd_12m"]}},
        {"act": "decided", "at": decided, "by": None, "details": {"outcome": stored.outcome}},
    ]
    return {
        "decision_id": stored.decision_id,
        "application_id": stored.application_id,
        "outcome": stored.outcome,
        "state": left.state,
        "asked": record["application"]["amount"],
        "approved": life.cny(left.approved) if left.approved else None,
        "holds_until": moment(left.holds_until) if left.state == life.APPROVED else None,
        "contract_id": left.contract,
        "drawn": life.cny(left.drawn),
        "repaid": life.cny(left.repaid),
        "overdue_days": left.overdue_days,
        "due_at": _due(left),
        "allowed": list(life.allowed(left)),
        "acts": before + [_told(one, viewer) for one in acts],
    }


def _told(act: Act, viewer: Client) -> Document:
    details = dict(act.details)
    if viewer.kind not in OWN_SEARCH:
        details = {name: value for name, value in details.items() if name not in ("assignee", "exposure_total")}
    if "reason" in details:
        details["texts"] = dict(texts_of(details["reason"]))
    if COMMENT in act.private and (viewer.kind in OWN_SEARCH or act.by == (viewer.kind, viewer.client_id)):
        details[COMMENT] = act.private[COMMENT]
    shown = None if act.by is None else _shown(act.by, viewer)
    return {"act": act.how, "at": moment(act.at), "by": shown, "details": details, "leaf_index": act.leaf_index}


def _shown(by: tuple[str, str], viewer: Client) -> Document:
    kind, client_id = by
    known = viewer.kind in OWN_SEARCH or client_id == viewer.client_id
    return {"kind": kind, "id": client_id if known else None}


@dataclass(frozen=True, slots=True)
class Entry:
    """One application in the queue, and its place: whitelisted, due, leaf, as texts that sort."""

    place: tuple[str, str, str]
    document: Document


def entry_of(waiting: Waiting, now: datetime) -> Entry | None:
    """An application in the queue."""
    told = _summary(waiting.decision_id, waiting.record)
    found = sla_of(waiting.decided_at, waiting.pauses)
    due = None if found is None or found.due_at is None else moment(found.due_at)
    stands = bool(waiting.pauses and waiting.pauses[-1][1] is None)
    # What stands still comes last, and what nobody can say when it is due comes first.
    sorts = due or ("~" if stands else "")
    document = {
        **told,
        "client_id": waiting.client_id,
        "state": waiting.state or life.QUEUED,
        "assignee": waiting.assignee,
        "due_at": due,
        "sla": sla_state(found, stands, now),
        "pauses": len(waiting.pauses),
    }
    return Entry(("0" if told["whitelisted"] else "1", sorts, f"{waiting.leaf_index:018d}"), document)


def sla_state(found: Sla | None, stands: bool, now: datetime) -> str:
    """How the clock stands: near in its last working day."""
    if found is not None and found.due_at is not None and found.due_at <= now:
        return BREACHED
    if stands:
        return STANDS_STILL
    return NEAR if found is not None and found.reminders[-1] <= now else RUNNING


@lru_cache(maxsize=20_000)
def _summary(decision_id: str, record: bytes) -> Document:
    found = parsed(record)
    return {
        "decision_id": decision_id,
        "application_id": found["application"]["application_id"],
        "product": found["application"]["product"],
        "amount": found["application"]["amount"],
        "card": found["card"],
        "whitelisted": found["whitelisted"],
        "decided_at": found["decided_at"],
        "reasons": [{name: one[name] for name in ("code", "rule", "zh", "en")} for one in found["reasons"]],
    }


def _place(cursor: str | None) -> tuple[str, ...]:
    if cursor is None:
        return ()
    found = PLACE.fullmatch(cursor)
    if found is None:
        raise InputError("this is not a cursor", where="after", remedy="use the cursor of the page before")
    return found.groups()


class LifeOrder:
    """Whether acts on applications were admitted when they were done, and the store stands as they have left it."""

    def __init__(self) -> None:
        self._lives: dict[str, tuple[Mapping[str, Any], Life]] = {}

    def problems(self, content: Mapping[str, Any], things: Things) -> Iterator[str]:
        """What is wrong with the next act, in the order of the log."""
        try:
            subject = content["subject"]
            record, before = self._lives.get(subject) or _first(subject, things)
            by = content["by"]
            if content["client_id"] != record["client_id"]:
                yield "it names another client than its decision"
            if by is None or content["how"] in BANK_ACTS and by["id"] != record["client_id"]:
                yield "it was done by somebody who may not"
            at = datetime.fromisoformat(content["at"])
            step = Step(content["how"], at, "" if by is None else by["id"], content["details"])
            self._lives[subject] = record, life.after(before, step)
        except (NotNow, Inadmissible) as error:
            yield f"it was not admitted: {error.what}"
        except (AuditError, KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            yield f"the act cannot be judged: {error!r}"

    def at_the_end(self, things: Things) -> Iterator[str]:
        """Rows that say otherwise than the acts."""
        left = {subject: found for subject, (_, found) in self._lives.items()}
        for row in things.lives():
            found = left.pop(row["decision_id"], None)
            if found is None:
                yield f"the store tells of acts on {row['decision_id']!r}, the log does not"
            elif dict(row) | _expected(found) != dict(row):
                yield f"what the store says of {row['decision_id']!r} is not what its acts have left"
        for subject in left:
            yield f"the store does not tell of the acts on {subject!r}"


def _first(subject: str, things: Things) -> tuple[Mapping[str, Any], Life]:
    record = things.decision_record(subject)
    if not isinstance(record, bytes):
        raise AuditError(f"there is no decision {subject!r}")
    content = parsed(record)
    return content, _born(content)


def _expected(found: Life) -> Document:
    standing = standing_of(found)
    return {
        "state": standing.state,
        "amount": standing.amount,
        "expires_at": moment(standing.expires_at),
        "contract": standing.contract,
        "assignee": standing.assignee,
        "pauses": pauses_text(standing.pauses),
        "changed_at": moment(found.at),
    }


ORDERS: Mapping[str, Callable[[], LifeOrder]] = {LIFE: LifeOrder}
"""By kind of act, what verification asks."""
