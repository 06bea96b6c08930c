"""Calls about cases that people look at: objections of banks and firms, and reviews by a risk team."""

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
    body = present({"evidence": _hashes(evidence), "comment": comment})
    return write(path_of("objections", objection_id, "appeal"), body, record_of(ObjectionAct), key)


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


def _hashes(documents: Documents) -> list[str]:
    """Raises ``ValueError`` for none, and for a text that is no hash; ``TypeError`` for a document alone."""
    if isinstance(documents, bytes | str):
        raise TypeError("evidence is a list of documents; put this one into one")
    found = [sha256(one).hexdigest() if isinstance(one, bytes) else one for one in documents]
    wrong = [one for one in found if not _SHA256.fullmatch(one)]
    if wrong or not found:
        what = f"{wrong[0]!r} is no SHA-256 in hex" if wrong else "there is no document"
        raise ValueError(f"{what}; give each document's bytes, or its SHA-256 in hex")
    return found
