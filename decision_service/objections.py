"""Objections (异议) to records and decisions: each act checked, signed, told as history, and its effect on records."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from decision_service.audit.act import OBJECTION, NewAct
from decision_service.audit.canonical import canonical, moment
from decision_service.audit.entries import Things
from decision_service.decide import Platform
from decision_service.errors import AuditError, Inadmissible, NotFound, NotNow
from decision_service.governance import objection as fold
from decision_service.governance.objection import Deadline, Objection, Step
from decision_service.governance.refusals import REFUSALS
from decision_service.lives import BREACHED, COMMENT, CREATED, NEAR, RUNNING, Request, done
from decision_service.permissions import KINDS, kinds_with
from decision_service.portrait.disputes import LISTS, OVERDUES, about, digest_of
from decision_service.repaired import shows
from decision_service.store import Act, KeptAnswer, ObjectionStanding, StoredObjection, Subject
from decision_service.store.database import Session
from decision_service.store.erasures import erasure_once
from decision_service.vocabulary import Client

SEES_ALL = frozenset(
    name for name in kinds_with("objections:read") if KINDS[name].sees_all or name in kinds_with("objections:rule")
)
BY_KEY = (LISTS, OVERDUES)
"""Kinds of which a deleted record stays deleted, whatever its source delivers under its id."""
NEWEST = 1_000
"""A client's decisions on an enterprise that are asked what they show."""
SLA_STATES = (RUNNING, NEAR, BREACHED)

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """What is objected to: a record of an enterprise, or a decision."""

    uscc: str = ""
    kind: str = ""
    key: str = ""
    decision_id: str = ""


class ObjectionDesk:
    """Acts on objections, over the real platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def file(self, target: Target, request: Request) -> KeptAnswer:
        """Begin an objection, once per key. Raises ``NotFound``, ``NotNow``, ``IdempotencyConflict``."""
        named = ":".join((target.uscc, target.kind, target.key, target.decision_id))
        asked = request.asked(named)
        return self._platform.store.once(asked, lambda: self._filing(target, request), request.now)

    def _filing(self, target: Target, request: Request) -> Callable[[Session], KeptAnswer]:
        whose, objection_id = request.client.client_id, str(uuid.uuid4())
        if target.decision_id:
            owner = None if request.client.kind in SEES_ALL else whose
            stored = self._platform.store.decision(target.decision_id, owner)
            if stored is None:
                raise NotFound("there is no such decision", where="decision_id", remedy="name one of your own")
            subject = Subject(objection_id, whose, stored.uscc, decision_id=target.decision_id)
        else:
            self._must_see(target, request.client)
            subject = Subject(objection_id, whose, target.uscc, target.kind, target.key)

        def details(record: Any) -> Document:
            said = {**request.details, fold.PROCEDURE: fold.TODAY}
            if target.decision_id:
                return {**said, "target": {"type": fold.DECISION, "decision_id": target.decision_id}}
            if record is None:
                raise _no_such_record()
            self._must_count(target, record)
            named = {"type": fold.RECORD, "uscc": target.uscc, "kind": target.kind, "key": target.key}
            return {**said, "target": {**named, "list": about(record)}, **self._seen(target, record)}

        return self._work(subject, request, details)

    def _must_see(self, target: Target, client: Client) -> None:
        """Raises ``NotFound`` for a record that no decision of the client has shown it, as for one that is not."""
        store = self._platform.store
        if client.kind in SEES_ALL:
            return
        parties = {target.uscc, *store.control_neighbours(target.uscc)}
        decisions = islice(store.decisions_on(parties, client.client_id), NEWEST)
        if not any(shows(self._platform, one, target.uscc, target.kind, target.key) for one in decisions):
            raise _no_such_record()

    def _must_count(self, target: Target, record: Any) -> None:
        """Raises ``NotNow`` for a record that a ruling has taken out already."""
        for one in self._platform.store.objections().of_enterprises([target.uscc]):
            struck = one.effect == fold.STRUCK and one.effect_digest in ("", digest_of(record))
            if struck and (one.record_kind, one.record_key) == (target.kind, target.key):
                raise NotNow("it was ruled wrong already and counts for nothing", remedy="wait for its source")

    def _seen(self, target: Target, record: Any) -> Document:
        """What the record says now, and whether that was upheld before: objections to it were rejected."""
        kept, digest = self._platform.store.objections(), digest_of(record)
        ruled = (objection_of(kept.acts(one)) for one in kept.ruled_on(target.uscc, target.kind, target.key))
        again = any(one.upholds(digest) for one in ruled)
        return {fold.RECORD_DIGEST: digest, **({fold.RULED_BEFORE: True} if again else {})}

    def act(self, objection_id: str, owner: str | None, request: Request) -> KeptAnswer:
        """Do it, once per key.

        Raises ``NotFound``, ``NotNow``, ``Inadmissible``, ``IdempotencyConflict``, ``StillRunning``.
        """
        stored = self._stored(objection_id, owner)
        subject = subject_of(stored)

        def details(record: Any) -> Document:
            if record is None or request.how not in (fold.ACCEPTANCE, fold.RULING, fold.ARBITRATED):
                return dict(request.details)
            if request.how == fold.ACCEPTANCE:
                target = Target(subject.uscc, str(subject.record_kind), str(subject.record_key))
                return {**request.details, **self._seen(target, record)}
            return {**request.details, fold.RECORD_DIGEST: digest_of(record)}

        def prepare() -> Callable[[Session], KeptAnswer]:
            _next(request, request.details, self._platform.store.objections().acts(objection_id))
            return self._work(subject, request, details)

        return self._platform.store.once(request.asked(objection_id), prepare, request.now)

    def _work(
        self, subject: Subject, request: Request, details: Callable[[Any], Document]
    ) -> Callable[[Session], KeptAnswer]:
        store, signer, left = self._platform.store, self._platform.signer, list[Objection]()

        def decide(before: tuple[Act, ...], record: Any, newest: datetime) -> tuple[NewAct, ObjectionStanding]:
            whole = details(record)
            at, found = _next(request, whole, before, newest)
            left.append(found)
            return request.act(whole, subject.client_id, at), standing_of(found)

        def work(session: Session) -> KeptAnswer:
            written = store.objections().act(session, subject, decide, sign=signer.receipt)
            document = answer_of(subject.objection_id, left[-1], written.act, written.receipt)
            return KeptAnswer(CREATED, canonical(document), f"/v1/objections/{subject.objection_id}")

        return work

    def erase(self, objection_id: str, now: datetime) -> None:
        """Forget the comments of an objection; a leaf says so. Raises ``NotFound``, ``NotNow``."""
        store, signer = self._platform.store, self._platform.signer
        subject = subject_of(self._stored(objection_id, None))

        def decide(before: tuple[Act, ...], record: Any, newest: datetime) -> tuple[NewAct, ObjectionStanding]:
            at = max([now, newest, *(one.at for one in before)])
            found = fold.after(objection_of(before), Step(fold.ERASURE, at, "", {}))
            new = NewAct(fold.ERASURE, at, client_id=subject.client_id, once=erasure_once(objection_id))
            return new, standing_of(found)

        store.objections().write(subject, decide, sign=signer.receipt)

    def one(self, objection_id: str, viewer: Client, now: datetime) -> Document:
        """An objection as it stands. Raises ``NotFound``."""
        stored = self._stored(objection_id, seen_by(viewer))
        return document_of(stored, objection_of(self._platform.store.objections().acts(objection_id)), now)

    def history(self, objection_id: str, viewer: Client, now: datetime) -> Document:
        """The same with all acts, as far as the viewer may see them. Raises ``NotFound``."""
        stored = self._stored(objection_id, seen_by(viewer))
        acts = self._platform.store.objections().acts(objection_id)
        return {**document_of(stored, objection_of(acts), now), "acts": [_told(one, viewer) for one in acts]}

    def page(self, viewer: Client, *, state: str | None, after: str | None, limit: int, now: datetime) -> Document:
        """The objections that a viewer may see, newest first. Raises ``InputError`` for a bad cursor."""
        found, cursor = self._platform.store.objections().page(seen_by(viewer), state=state, after=after, limit=limit)
        return {"objections": [self._document(one, now) for one in found], "next": cursor}

    def _document(self, stored: StoredObjection, now: datetime) -> Document:
        return document_of(stored, objection_of(self._platform.store.objections().acts(stored.objection_id)), now)

    def _stored(self, objection_id: str, owner: str | None) -> StoredObjection:
        stored = self._platform.store.objections().find(objection_id, owner)
        if stored is None:
            raise NotFound("there is no such objection", remedy="check the id; only one's own objections can be read")
        return stored


def seen_by(viewer: Client) -> str | None:
    """Whose objections a viewer may see; ``None`` for all."""
    return None if viewer.kind in SEES_ALL else viewer.client_id


def subject_of(stored: StoredObjection) -> Subject:
    """What a stored objection is about."""
    return Subject(
        stored.objection_id, stored.client_id, stored.uscc, stored.record_kind, stored.record_key, stored.decision_id
    )


def _next(
    request: Request, details: Mapping[str, Any], before: Sequence[Act], newest: datetime | None = None
) -> tuple[datetime, Objection]:
    """When a request is done, and the objection after it. Raises ``NotNow``, ``Inadmissible``."""
    # A clock that is behind another worker's must not tell acts in the wrong order.
    at = max([request.now, newest or request.now, *(one.at for one in before)])
    step = Step(request.how, at, request.client.client_id, details)
    return at, fold.after(objection_of(before), step) if before else fold.filed(step)


def objection_of(acts: Iterable[Act]) -> Objection:
    """The objection that its acts make."""
    return fold.lived(Step(one.how, one.at, "" if one.by is None else one.by[1], one.details) for one in acts)


def standing_of(left: Objection) -> ObjectionStanding:
    """What the store keeps beside the acts."""
    open_about = _name(left) if left.is_open else None
    if left.effect is None:
        return ObjectionStanding(left.state, open_about, erased=left.erased)
    effect, since = left.effect
    by_key = effect == fold.DISPUTED or left.ruling == fold.DELETE and left.target["kind"] in BY_KEY
    return ObjectionStanding(left.state, open_about, effect, since, "" if by_key else left.digest, left.erased)


def _name(left: Objection) -> str:
    """Of what is named the same, one objection is open: since the second procedure, one of each client."""
    names = ("uscc", "kind", "key") if left.about_record else ("decision_id",)
    named = " ".join([left.target["type"], *(left.target[name] for name in names)])
    return named if left.procedure == fold.FIRST_PROCEDURE else f"{left.filed_by} {named}"


def _no_such_record() -> NotFound:
    return NotFound("there is no such record", where="record", remedy="name one that a decision of yours has used")


def sla_state(deadlines: Sequence[Deadline], now: datetime) -> str | None:
    """How the clock stands; ``None`` where none runs."""
    if not deadlines:
        return None
    if any(one.due_at is not None and one.due_at <= now for one in deadlines):
        return BREACHED
    return NEAR if any(one.reminder is not None and one.reminder <= now for one in deadlines) else RUNNING


def answer_of(objection_id: str, left: Objection, act: Act, receipt: Mapping[str, Any]) -> Document:
    """What an act is answered with."""
    deadlines = fold.deadlines(left)
    due_at = moment(deadlines[-1].due_at) if deadlines else None
    said = done(act, receipt, state=left.state, due_at=due_at, allowed=fold.allowed(left))
    return {"objection_id": objection_id, **said}


def document_of(stored: StoredObjection, left: Objection, now: datetime) -> Document:
    """An objection as it stands."""
    deadlines = fold.deadlines(left)
    return {
        "objection_id": stored.objection_id,
        "target": dict(left.target),
        "state": left.state,
        "instance": left.instance,
        "ruling": left.ruling,
        "effect": None if left.effect is None else left.effect[0],
        "effect_since": None if left.effect is None else moment(left.effect[1]),
        "filed_at": moment(left.filed_at),
        "due_at": moment(deadlines[-1].due_at) if deadlines else None,
        "steps": [{"step": one.step, "due_at": moment(one.due_at)} for one in deadlines],
        "sla": sla_state(deadlines, now),
        "allowed": list(fold.allowed(left)),
    }


def _told(act: Act, viewer: Client) -> Document:
    details = {name: value for name, value in act.details.items() if name not in ("target", fold.PROCEDURE)}
    mine = act.by == (viewer.kind, viewer.client_id)
    if viewer.kind not in SEES_ALL and not mine:
        details.pop("authorization_id", None)
    if "reason" in details:
        details["texts"] = dict(REFUSALS[details["reason"]])
    if COMMENT in act.private and (viewer.kind in SEES_ALL or mine):
        details[COMMENT] = act.private[COMMENT]
    shown = None
    if act.by is not None:
        shown = {"kind": act.by[0], "id": act.by[1] if viewer.kind in SEES_ALL or mine else None}
    return {"act": act.how, "at": moment(act.at), "by": shown, "details": details, "leaf_index": act.leaf_index}


class ObjectionOrder:
    """Whether acts on objections were admitted when they were done, and the store stands as they have left it."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[str, Objection]] = {}
        self._to_record: dict[tuple[str, str, str], list[str]] = {}
        self._procedure = fold.FIRST_PROCEDURE

    def problems(self, content: Mapping[str, Any], things: Things) -> Iterator[str]:
        """What is wrong with the next act, in the order of the log."""
        try:
            subject, by, how = content["subject"], content["by"], content["how"]
            whose, before = self._left.get(subject, (content["client_id"], None))
            step = Step(how, datetime.fromisoformat(content["at"]), "" if by is None else by["id"], content["details"])
            if content["client_id"] != whose or before is None and step.by != whose:
                yield "it names another client than its objection"
            if not _may(how, None if by is None else by["kind"]):
                yield "it was done by somebody who may not"
            left = fold.filed(step) if before is None else fold.after(before, step)
            yield from self._claims(step, left)
            self._left[subject] = whose, left
            if before is None:
                self._to_record.setdefault(_record(left.target), []).append(subject)
        except (NotNow, Inadmissible) as error:
            yield f"it was not admitted: {error.what}"
        except (AuditError, KeyError, TypeError, ValueError, AttributeError) as error:
            yield f"the act cannot be judged: {error!r}"

    def _claims(self, step: Step, left: Objection) -> Iterator[str]:
        """What an act says of others: whether what the record says was upheld before it."""
        if left.procedure < self._procedure and step.how == fold.FILING:
            yield "it follows a procedure that was over"
        self._procedure = max(self._procedure, left.procedure)
        digest, says = step.details.get(fold.RECORD_DIGEST, ""), step.details.get(fold.RULED_BEFORE, False)
        if not left.about_record or step.how not in (fold.FILING, fold.ACCEPTANCE):
            return
        others = (self._left[one][1] for one in self._to_record.get(_record(left.target), ()))
        upheld = any(one.upholds(digest) for one in others)
        if says and not upheld:
            yield "it says that the record was upheld before, which it was not"
        if upheld and not says and left.procedure > fold.FIRST_PROCEDURE:
            yield "it does not say that the record was upheld before"

    def at_the_end(self, things: Things) -> Iterator[str]:
        """Rows that say otherwise than the acts."""
        left = dict(self._left)
        for row in things.objections():
            whose, found = left.pop(row["objection_id"], (None, None))
            if found is None:
                yield f"the store tells of the objection {row['objection_id']!r}, the log does not"
            elif dict(row) | _expected(str(whose), found) != dict(row):
                yield f"what the store says of the objection {row['objection_id']!r} is not what its acts have left"
        for subject in left:
            yield f"the store does not tell of the objection {subject!r}"


def _record(target: Mapping[str, Any]) -> tuple[str, str, str]:
    """What a target names; of decisions nothing, which are never upheld."""
    return target.get("uscc", ""), target.get("kind", ""), target.get("key", "")


def _may(how: str, kind: str | None) -> bool:
    if how == fold.ERASURE:
        return kind is None
    return kind in kinds_with("objections:write" if how in (fold.FILING, fold.APPEAL) else "objections:rule")


def _expected(whose: str, left: Objection) -> Document:
    standing = standing_of(left)
    target = left.target
    about_record = {"uscc": target["uscc"], "about": target["list"]} if left.about_record else {}
    return {
        **about_record,
        "client_id": whose,
        "record_kind": target.get("kind"),
        "record_key": target.get("key"),
        "decision_id": target.get("decision_id"),
        "state": standing.state,
        "open_about": standing.open_about,
        "effect": standing.effect,
        "effect_at": None if standing.effect_at is None else moment(standing.effect_at),
        "effect_digest": standing.effect_digest,
        "changed_at": moment(left.at),
    }


ORDERS: Mapping[str, Callable[[], ObjectionOrder]] = {OBJECTION: ObjectionOrder}
"""By kind of act, what verification asks."""
