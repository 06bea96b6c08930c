"""Calls about cases that people look at: objections, from filing to arbitration, and reviews by a risk team."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Any

from decision_service_client.building import (
    Page,
    act,
    get,
    listed,
    member,
    money_text,
    path_of,
    present,
    record_of,
    write,
)
from decision_service_client.case_records import (
    Objection,
    ObjectionAct,
    ObjectionHistory,
    RecordKey,
    RestsOn,
    Waiting,
)
from decision_service_client.exchange import Answer, Call
from decision_service_client.reading import document_of, read
from decision_service_client.records import Act, Outcome

_SHA256 = re.compile(r"[0-9a-f]{64}")
Documents = Iterable[bytes | str]
"""Documents that prove something: their bytes, or SHA-256 of each in hex. Only the hashes are sent."""


def records_behind(decision_id: str, lang: str = "zh") -> Call[tuple[RestsOn, ...]]:
    """By reason of a decision, the records on file that it rests on, as objections name them.

    Empty also where the evidence of an old decision does not name them.
    """

    def found(answer: Answer) -> tuple[RestsOn, ...]:
        document = document_of(answer.content)
        if document.get("records", ()) is None:
            return ()
        return tuple(read(RestsOn, one) for one in member(document, "records", list))

    return get(path_of("decisions", decision_id, "explanation"), found, lang=lang)


def object_to_record(
    uscc: str,
    record: RecordKey,
    *,
    evidence: Documents,
    authorization_id: str | None = None,
    comment: str | None = None,
    key: str | None = None,
) -> Call[ObjectionAct]:
    """Object to a record of an enterprise; a fintech names the enterprise's ``authorization_id``."""
    target = {"enterprise": {"uscc": uscc}, "record": {"kind": record.kind, "key": record.key}}
    return _filing(target, evidence, authorization_id, comment, key)


def object_to_decision(
    decision_id: str,
    *,
    evidence: Documents,
    authorization_id: str | None = None,
    comment: str | None = None,
    key: str | None = None,
) -> Call[ObjectionAct]:
    """Object to a decision of one's own; the decision stays as it is."""
    return _filing({"decision_id": decision_id}, evidence, authorization_id, comment, key)


def objection(objection_id: str) -> Call[Objection]:
    """How an objection stands."""
    return get(path_of("objections", objection_id), record_of(Objection))


def objections(state: str | None = None, after: str | None = None) -> Call[Page[Objection]]:
    """One's objections, newest first; those in one state only, if it is given."""
    return listed("/v1/objections", "objections", lambda one: read(Objection, one), after, state=state)


def objection_history(objection_id: str) -> Call[ObjectionHistory]:
    """An objection with every act."""
    return get(path_of("objections", objection_id, "history"), record_of(ObjectionHistory))


def appeal(
    objection_id: str, *, evidence: Documents, comment: str | None = None, key: str | None = None
) -> Call[ObjectionAct]:
    """Ask for arbitration, once; until it has ruled the first ruling holds."""
    return _acted(objection_id, "appeal", _hashes(evidence), comment, key)


def accept_objection(
    objection_id: str, *, evidence: Documents = (), comment: str | None = None, key: str | None = None
) -> Call[ObjectionAct]:
    """Take an objection up, as a steward who has not filed it: from now on its record declines nobody."""
    return _acted(objection_id, "acceptance", _hashes(evidence, least=0), comment, key)


def refuse_objection(
    objection_id: str,
    *,
    reason: str,
    evidence: Documents = (),
    comment: str | None = None,
    key: str | None = None,
) -> Call[ObjectionAct]:
    """Do not take it up, for a reason such as ``EVIDENCE_MISSING``."""
    return _acted(objection_id, "refusal", _hashes(evidence, least=0), comment, key, reason=reason)


def check_objection_source(
    objection_id: str,
    *,
    answer: str,
    evidence: Documents = (),
    comment: str | None = None,
    key: str | None = None,
) -> Call[ObjectionAct]:
    """What the record's provider says: ``confirmed`` or ``wrong``, with evidence; ``no_answer`` after its time."""
    return _acted(objection_id, "source-check", _hashes(evidence, least=0), comment, key, answer=answer)


def rule_objection(
    objection_id: str, *, ruling: str, evidence: Documents, comment: str | None = None, key: str | None = None
) -> Call[ObjectionAct]:
    """Rule ``correct``, ``delete`` or ``reject``, as a steward who has neither filed nor accepted it."""
    return _acted(objection_id, "ruling", _hashes(evidence), comment, key, ruling=ruling)


def apply_objection(
    objection_id: str, *, evidence: Documents = (), comment: str | None = None, key: str | None = None
) -> Call[ObjectionAct]:
    """The provider and those who hold copies have been told to follow the ruling."""
    return _acted(objection_id, "application", _hashes(evidence, least=0), comment, key)


def notify_objection(
    objection_id: str, *, evidence: Documents = (), comment: str | None = None, key: str | None = None
) -> Call[ObjectionAct]:
    """Who objected has the written answer; the clock ends."""
    return _acted(objection_id, "notification", _hashes(evidence, least=0), comment, key)


def arbitrate_objection(
    objection_id: str, *, ruling: str, evidence: Documents, comment: str | None = None, key: str | None = None
) -> Call[ObjectionAct]:
    """Rule on an appeal, as a steward who has neither filed, accepted nor ruled."""
    return _acted(objection_id, "arbitration", _hashes(evidence), comment, key, ruling=ruling)


def reviews(state: str | None = None, after: str | None = None) -> Call[Page[Waiting]]:
    """Referred applications that wait for people: whitelisted first, then by the time they are due."""
    return listed("/v1/reviews", "reviews", lambda one: read(Waiting, one), after, state=state)


def assign(decision_id: str, assignee: str | None = None, *, key: str | None = None) -> Call[Act]:
    """Give a referred application to a reviewer, or take it."""
    return act(decision_id, "assignment", {"assignee": assignee}, key)


def review(
    decision_id: str,
    *,
    outcome: Outcome,
    reason: str,
    amount: Decimal | int | None = None,
    exposure_total: Decimal | int | None = None,
    comment: str | None = None,
    key: str | None = None,
) -> Call[Act]:
    """Decide a referred application as its assignee; ``amount`` with an approval only.

    ``exposure_total`` says that the reviewer knows of a customer's exposure that has grown since the decision.
    """
    said = {"outcome": str(outcome), "reason": reason, "comment": comment}
    amounts = {"amount": money_text(amount), "exposure_total": money_text(exposure_total)}
    return act(decision_id, "review", {**said, **amounts}, key)


def pause(decision_id: str, *, comment: str | None = None, key: str | None = None) -> Call[Act]:
    """Stop the clock while the customer's documents are awaited; at most twice."""
    return act(decision_id, "pause", {"comment": comment}, key)


def resume(decision_id: str, *, comment: str | None = None, key: str | None = None) -> Call[Act]:
    """The documents that were awaited have come."""
    return act(decision_id, "resume", {"comment": comment}, key)


def _filing(
    target: Mapping[str, Any],
    evidence: Documents,
    authorization_id: str | None,
    comment: str | None,
    key: str | None,
) -> Call[ObjectionAct]:
    optional = {"authorization_id": authorization_id, "comment": comment}
    body = {**target, "evidence": _hashes(evidence), **present(optional)}
    return write("/v1/objections", body, record_of(ObjectionAct), key)


def _acted(
    objection_id: str, act: str, evidence: list[str], comment: str | None, key: str | None, **said: str
) -> Call[ObjectionAct]:
    body = {**said, "evidence": evidence, **present({"comment": comment})}
    return write(path_of("objections", objection_id, act), body, record_of(ObjectionAct), key)


def _hashes(documents: Documents, *, least: int = 1) -> list[str]:
    """Raises ``ValueError`` for fewer, and for a text that is no hash; ``TypeError`` for a document alone."""
    if isinstance(documents, bytes | str):
        raise TypeError("evidence is a list of documents; put this one into one")
    found = [sha256(one).hexdigest() if isinstance(one, bytes) else one for one in documents]
    wrong = [one for one in found if not _SHA256.fullmatch(one)]
    if wrong or len(found) < least:
        what = f"{wrong[0]!r} is no SHA-256 in hex" if wrong else "there is no document"
        raise ValueError(f"{what}; give each document's bytes, or its SHA-256 in hex")
    return found
