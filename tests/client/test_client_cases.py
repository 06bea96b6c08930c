"""Objections, and reviews of a risk team, through the client: typed, and acting once whatever the wire does."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from decision_service.api.life_schemas import ActSchema, WaitingSchema
from decision_service.api.objection_schemas import ObjectionActSchema, ObjectionHistorySchema
from decision_service.portrait.records import ListEntry
from decision_service_client import Client, InvalidFields, NotNow, Outcome, RecordKey, calls
from decision_service_client.case_records import ObjectionAct, ObjectionHistory, Waiting
from decision_service_client.records import Act
from tests.client.served import Fault, Served, Wire
from tests.client.test_retries import FAULTS, answer_lost, gateway

LETTER = b"the court's letter"
FIRST, SECOND, THIRD = "steward-1", "steward-2", "steward-3"
WAY: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    (FIRST, "accept_objection", {"comment": "to be checked"}, "accepted"),
    (FIRST, "check_objection_source", {"answer": "confirmed", "evidence": [LETTER]}, "source_check"),
    (SECOND, "rule_objection", {"ruling": "reject", "evidence": [LETTER]}, "ruled"),
    (FIRST, "apply_objection", {}, "applied"),
    (FIRST, "notify_objection", {"evidence": [LETTER]}, "notified"),
)
"""What stewards do with an objection that is not upheld: who, by which method, and the state that it leaves."""


def listed(served: Served, show: str) -> RecordKey:
    """A red entry of a showcase enterprise."""
    key = f"L-{uuid.uuid4().hex[:8]}"
    entry = ListEntry(key, "list_court_dishonest", date.today() - timedelta(days=90))
    now = datetime.now(UTC)
    served.platform.store.write_records(
        "lists", [(served.application(show).uscc, key, entry)], source_time=now, now=now
    )
    return RecordKey("lists", key)


def steward(served: Served, name: str, *faults: Fault) -> tuple[Client, Wire]:
    return served.client(*faults, key=served.key_of(name, "steward"))


def test_what_a_reason_rests_on_is_objected_to_up_to_the_second_instance(served: Served) -> None:
    record = listed(served, "approve")
    bank, _ = served.client()
    declined = bank.decide(served.small("C-1"))
    behind = [one for one in bank.records_behind(declined.decision_id, "en") if one.reason == "RED_COURT"]
    assert [(one.record, one.label, one.withheld) for one in behind] == [(record, "dishonest judgement debtor", False)]
    assert behind[0].enterprise is not None and behind[0].record is not None
    filed = bank.object_to_record(behind[0].enterprise.uscc, behind[0].record, evidence=[LETTER], comment="not ours")
    assert (filed.state, filed.act) == ("filed", "filed") and filed.due_at is not None
    assert bank.objection(filed.objection_id).target["key"] == record.key
    for name, act, said, state in WAY:
        assert getattr(steward(served, name)[0], act)(filed.objection_id, **said).state == state
    told = bank.objection_history(filed.objection_id)
    assert (told.state, told.ruling, told.allowed) == ("notified", "reject", ("appealed",))
    assert [one.act for one in told.acts][:2] == ["filed", "accepted"]
    assert bank.appeal(filed.objection_id, evidence=["cd" * 32], key="appeal").state == "arbitration"
    assert bank.appeal(filed.objection_id, evidence=["cd" * 32], key="appeal").state == "arbitration"
    with pytest.raises(NotNow) as refused:
        bank.appeal(filed.objection_id, evidence=[LETTER])
    assert [one.act for one in refused.value.problem.admits] == ["arbitrated"]
    assert [one.objection_id for one in bank.objections("arbitration")] == [filed.objection_id]
    assert list(bank.objections("refused")) == []
    with pytest.raises(NotNow, match="another person"):
        steward(served, SECOND)[0].arbitrate_objection(filed.objection_id, ruling="delete", evidence=[LETTER])
    arbiter, _ = steward(served, THIRD)
    ruled = arbiter.arbitrate_objection(filed.objection_id, ruling="delete", evidence=[LETTER], comment="heard both")
    told = bank.objection_history(filed.objection_id)
    assert (ruled.state, told.ruling, told.effect, told.instance) == ("ruled", "delete", "struck", 2)
    assert told.acts[-1].details["evidence"] == [sha256(LETTER).hexdigest()]


def test_a_decision_is_objected_to(served: Served) -> None:
    bank, _ = served.client()
    decision = bank.decide(served.small("C-2"))
    filed = bank.object_to_decision(decision.decision_id, evidence=[LETTER])
    assert bank.objection(filed.objection_id).target == {"type": "decision", "decision_id": decision.decision_id}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_after_two_faults_there_is_one_objection(served: Served, fault: Any) -> None:
    record = listed(served, "line")
    served.client()[0].decide(served.application("line", application_id=str(uuid.uuid4()), amount=Decimal("1000.00")))
    bank, wire = served.client(fault, fault)
    filed = bank.object_to_record(served.application("line").uscc, record, evidence=[LETTER])
    assert len(wire.sent) == 3 and len(wire.bodies()) == 1
    about = [one.objection_id for one in bank.objections() if one.target.get("key") == record.key]
    assert about == [filed.objection_id]


@pytest.mark.parametrize("fault", [answer_lost, gateway])
def test_a_steward_s_act_is_done_once(served: Served, fault: Fault) -> None:
    bank, _ = served.client()
    decision = bank.decide(served.small(str(uuid.uuid4())))
    filed = bank.object_to_decision(decision.decision_id, evidence=[LETTER])
    for name, act, said, state in WAY:
        client, wire = steward(served, name, fault, fault)
        assert getattr(client, act)(filed.objection_id, **said).state == state
        assert len(wire.sent) == 3 and len(wire.bodies()) == 1
    acts = [one.act for one in bank.objection_history(filed.objection_id).acts]
    assert acts == ["filed", "accepted", "checked", "ruled", "applied", "notified"]


def test_a_steward_refuses_for_a_reason_out_of_the_list(served: Served) -> None:
    bank, _ = served.client()
    filed = bank.object_to_decision(bank.decide(served.small("C-4")).decision_id, evidence=[LETTER])
    client, _ = steward(served, FIRST)
    with pytest.raises(InvalidFields, match="reason"):
        client.refuse_objection(filed.objection_id, reason="TOO_LATE")
    with pytest.raises(NotNow):
        client.apply_objection(filed.objection_id)
    assert client.refuse_objection(filed.objection_id, reason="EVIDENCE_MISSING").state == "refused"
    assert filed.objection_id in {one.objection_id for one in client.objections("refused")}


def test_a_provider_s_answer_needs_a_document(served: Served) -> None:
    bank, _ = served.client()
    filed = bank.object_to_decision(bank.decide(served.small("C-5")).decision_id, evidence=[LETTER])
    client, _ = steward(served, FIRST)
    client.accept_objection(filed.objection_id)
    with pytest.raises(InvalidFields, match="evidence"):
        client.check_objection_source(filed.objection_id, answer="wrong")
    with pytest.raises(InvalidFields, match="time until"):
        client.check_objection_source(filed.objection_id, answer="no_answer")


@pytest.mark.parametrize("fault", [answer_lost, gateway])
def test_a_risk_team_takes_and_decides_a_referred_application_once(served: Served, fault: Any) -> None:
    bank, _ = served.client()
    referred = bank.decide(served.application("purpose", application_id=str(uuid.uuid4()), amount=Decimal("1000.00")))
    assert referred.outcome is Outcome.REFER
    risk, wire = served.client(key=served.key_of("risk", "risk"))
    waiting = {one.decision_id: one for one in risk.reviews("queued")}[referred.decision_id]
    assert (waiting.amount, waiting.sla, waiting.assignee) == (Decimal("1000.00"), "running", None)
    for act in (
        lambda: risk.assign(referred.decision_id),
        lambda: risk.pause(referred.decision_id, comment="invoices"),
        lambda: risk.resume(referred.decision_id),
        lambda: risk.review(
            referred.decision_id, outcome=Outcome.APPROVE, reason="DOCUMENTS_SOUND", amount=Decimal("900.00")
        ),
    ):
        wire.faults = iter([fault, fault])
        wire.sent.clear()
        done = act()
        assert len(wire.sent) == 3 and len(wire.bodies()) == 1
    assert done.state == "approved"
    history = bank.history(referred.decision_id)
    assert [one.act for one in history.acts][-4:] == ["assigned", "paused", "resumed", "reviewed"]
    assert history.approved == Decimal("900.00")
    assert referred.decision_id not in {one.decision_id for one in risk.reviews()}


def test_a_reason_that_is_none_is_named(served: Served) -> None:
    bank, _ = served.client()
    referred = bank.decide(served.application("purpose", application_id="C-3", amount=Decimal("1000.00")))
    risk, _ = served.client(key=served.key_of("risk", "risk"))
    risk.assign(referred.decision_id)
    with pytest.raises(InvalidFields, match="reason"):
        risk.review(referred.decision_id, outcome=Outcome.DECLINE, reason="DOCUMENTS_SOUND")


NO_EVIDENCE: dict[str, tuple[Any, type[Exception]]] = {
    "none": ([], ValueError),
    "a name": (["letter.pdf"], ValueError),
    "one document alone": (LETTER, TypeError),
    "one hash alone": ("ab" * 32, TypeError),
}


@pytest.mark.parametrize(("evidence", "kind"), NO_EVIDENCE.values(), ids=NO_EVIDENCE.keys())
def test_evidence_is_documents_or_their_hashes(evidence: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="document"):
        calls.object_to_decision("D-1", evidence=evidence)


@pytest.mark.parametrize(
    ("record", "schema"),
    [
        (Act, ActSchema),
        (ObjectionAct, ObjectionActSchema),
        (ObjectionHistory, ObjectionHistorySchema),
        (Waiting, WaitingSchema),
    ],
)
def test_the_client_knows_every_field_of_an_answer(record: Any, schema: Any) -> None:
    assert set(record.__dataclass_fields__) == set(schema().fields)
