"""A decision that verifies, and every way of tampering with it that must not."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decision_service.audit import merkle
from decision_service.audit.signing import Signer
from decision_service_client import (
    Application,
    Decision,
    Outcome,
    Proof,
    PublicKey,
    VerificationError,
    open_checkpoint,
    verify,
    verify_receipt,
)
from decision_service_client.evidence import leaf_hash, root_from
from decision_service_client.exchange import json_bytes
from decision_service_client.reading import read
from decision_service_client.records import Receipt
from tests.client.served import Served


@dataclass(frozen=True)
class Case:
    """A decision with all that proves it."""

    application: Application
    decision: Decision
    proof: Proof
    public_key: str


@pytest.fixture(scope="module")
def case(served: Served) -> Case:
    client, _ = served.client()
    for number in range(6):
        client.decide(served.application(application_id=f"V-{number}", amount=100))
    application = served.application("yellow", application_id="V-yellow")
    decision = client.decide(application, key="V-yellow")
    client.decide(served.application(application_id="V-last", amount=100))
    return Case(application, decision, client.proof(decision.decision_id), served.public_key)


@pytest.mark.parametrize("show", ["approve", "yellow", "excluded", "missing", "whitelist", "red-whitelist"])
def test_decisions_of_all_kinds_verify(served: Served, show: str) -> None:
    client, _ = served.client()
    application = served.application(show, application_id=f"W-{show}")
    decision = client.decide(application, key=f"W-{show}")
    proof = client.proof(decision.decision_id)
    found = verify(decision, proof, served.public_key, application=application, key=f"W-{show}")
    assert found.record["outcome"] == decision.outcome and found.checkpoint.size == proof.tree_size


def test_decisions_of_lists_and_receipts_of_acts_verify(served: Served) -> None:
    client, _ = served.client()
    client.decide(served.application(application_id="X-1", amount=100))
    (decision, *_) = client.decisions()
    verify(decision, client.proof(decision.decision_id), served.public_key)
    act = client.final(decision.decision_id, outcome=Outcome.DECLINE, reason="BANK_POLICY")
    verify_receipt(decision.decision_id, act.receipt, served.public_key)
    with pytest.raises(VerificationError):
        verify_receipt("another", act.receipt, served.public_key)


def changed_answer(case: Case, **changes: Any) -> Decision:
    """A decision whose answer and fields both say something else."""
    document = {**json.loads(case.decision.answer), **changes}
    return replace(read(Decision, document), answer=json_bytes(document))


def changed_record(case: Case, **changes: Any) -> Proof:
    record = {**json.loads(b64decode(case.proof.record)), **changes}
    packed = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return replace(case.proof, record=b64encode(packed).decode())


TAMPERED: dict[str, tuple[Callable[[Case], tuple[Decision, Proof]], str]] = {
    "another outcome": (lambda it: (changed_answer(it, outcome="APPROVE"), it.proof), "outcome is not the record's"),
    "another limit": (lambda it: (changed_answer(it, limit="9.00"), it.proof), "limit is not the record's"),
    "another reason": (lambda it: (changed_answer(it, reasons=[]), it.proof), "reasons is not the record's"),
    "another score": (
        lambda it: (changed_answer(it, scores={**json.loads(it.decision.answer)["scores"], "grade": "P1x"}), it.proof),
        "scores is not the record's",
    ),
    "a field more": (lambda it: (changed_answer(it, more=1), it.proof), "more is not of a kind"),
    "an object that differs from its answer": (
        lambda it: (replace(it.decision, outcome=Outcome.APPROVE), it.proof),
        "not what its answer says",
    ),
    "no answer": (lambda it: (replace(it.decision, answer=b""), it.proof), "cannot be read"),
    "a forged record": (lambda it: (it.decision, changed_record(it, outcome="APPROVE")), "not the receipt's leaf"),
    "a longer tree": (lambda it: (it.decision, replace(it.proof, tree_size=99)), "another size"),
    "another place": (lambda it: (it.decision, replace(it.proof, leaf_index=0)), "another leaf"),
    "no path": (lambda it: (it.decision, replace(it.proof, inclusion_proof=())), "too short"),
    "too long a path": (
        lambda it: (it.decision, replace(it.proof, inclusion_proof=(*it.proof.inclusion_proof, "00" * 32))),
        "too long",
    ),
    "another path": (
        lambda it: (it.decision, replace(it.proof, inclusion_proof=("00" * 32, *it.proof.inclusion_proof[1:]))),
        "does not lead",
    ),
    "a larger checkpoint": (
        lambda it: (it.decision, replace(it.proof, checkpoint=it.proof.checkpoint.replace("\n1", "\n2", 1))),
        "checkpoint",
    ),
    "a moved receipt": (
        lambda it: (changed_answer(it, receipt={**asdict(it.decision.receipt), "leaf_index": 1}), it.proof),
        "receipt's signature",
    ),
}


@pytest.mark.parametrize(("tamper", "told"), TAMPERED.values(), ids=TAMPERED.keys())
def test_what_was_tampered_with_does_not_verify(
    case: Case, tamper: Callable[[Case], tuple[Decision, Proof]], told: str
) -> None:
    decision, proof = tamper(case)
    with pytest.raises(VerificationError, match=told):
        verify(decision, proof, case.public_key)


def test_the_key_in_a_proof_is_not_trusted(case: Case, tmp_path: Any) -> None:
    other = Signer.open(tmp_path / "other.pem")
    receipt = Receipt(**other.receipt(case.decision.decision_id, 0, leaf_hash(b64decode(case.proof.record))))
    assert verify_receipt(case.decision.decision_id, receipt, other.public.text()) is None
    with pytest.raises(VerificationError):
        verify(case.decision, replace(case.proof, public_key=other.public.text()), other.public.text())
    with pytest.raises(VerificationError):
        verify(replace(case.decision, receipt=receipt), case.proof, case.public_key)


def test_a_decision_on_something_else_is_not_mine(case: Case) -> None:
    with pytest.raises(VerificationError, match="another application"):
        mine = replace(case.application, amount=Decimal("1.00"))
        verify(case.decision, case.proof, case.public_key, application=mine)
    with pytest.raises(VerificationError, match="another idempotency key"):
        verify(case.decision, case.proof, case.public_key, key="mine")


@pytest.mark.parametrize("text", ["", "a+b", "a+00000000+AAAA", "a+zz+####"])
def test_a_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(VerificationError):
        PublicKey(text)


PARTS = ["record", "leaf_index", "leaf_hash", "tree_size", "checkpoint", "decision_id"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.sampled_from(PARTS), at=st.integers(0, 10_000), by=st.integers(1, 255))
def test_no_single_changed_character_verifies(case: Case, part: str, at: int, by: int) -> None:
    value = getattr(case.proof, part)
    if isinstance(value, int):
        changed: Any = value + by
    else:
        place = at % len(value)
        changed = value[:place] + chr((ord(value[place]) + by) % 0x3000) + value[place + 1 :]
    with pytest.raises(VerificationError):
        verify(case.decision, replace(case.proof, **{part: changed}), case.public_key)


@given(at=st.integers(0, 10_000), by=st.integers(1, 255))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_changed_byte_of_an_answer_verifies(case: Case, at: int, by: int) -> None:
    answer = bytearray(case.decision.answer)
    answer[at % len(answer)] ^= by
    with pytest.raises(VerificationError):
        verify(replace(case.decision, answer=bytes(answer)), case.proof, case.public_key)


@given(size=st.integers(1, 40), data=st.data())
def test_paths_lead_where_the_service_s_tree_stands(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    assert leaves == [merkle.leaf_hash(bytes([number])) for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    path = merkle.inclusion_proof(leaves, index)
    assert root_from(leaves[index], index=index, size=size, path=path) == merkle.root_of(leaves)


def test_checkpoints_are_opened_with_the_pinned_key_alone(served: Served, tmp_path: Any) -> None:
    client, _ = served.client()
    note = client.checkpoint()
    found = open_checkpoint(note, served.public_key)
    size, root = served.platform.store.log_head()
    assert (found.size, found.root, found.note) == (size, root, note)
    witnessed = note + "\u2014 witness.example AAAAAAAA\n"
    assert open_checkpoint(witnessed, served.public_key).size == size
    respelled = note[:-3] + chr(ord(note[-3]) + 1) + "=\n"  # the same bytes: the last bits of base64 stand for nothing
    with pytest.raises(VerificationError):
        open_checkpoint(respelled, served.public_key)
    with pytest.raises(VerificationError):
        open_checkpoint(note, Signer.open(tmp_path / "other.pem").public.text())


MISTAKEN_KEYS: dict[str, tuple[Any, str]] = {
    "no variable": (None, "there is no key to verify by"),
    "nothing": ("", "empty"),
    "a path": ("var/log-key.pem.pub", "a path; read the file"),
    "PEM": ("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2Vw", "PEM"),
    "half of it": ("platform.example+01234567", "not whole"),
}


@pytest.mark.parametrize(("given", "hint"), MISTAKEN_KEYS.values(), ids=MISTAKEN_KEYS.keys())
def test_what_is_no_log_key_is_told_with_what_to_give(case: Case, given: Any, hint: str) -> None:
    for use in (
        lambda: verify(case.decision, case.proof, given),
        lambda: verify_receipt(case.decision.decision_id, case.decision.receipt, given),
        lambda: open_checkpoint(case.proof.checkpoint, given),
    ):
        with pytest.raises(VerificationError, match=hint) as refused:
            use()
        assert "log-key.pem.pub" in str(refused.value)


def test_what_is_no_decision_or_proof_is_told(case: Case) -> None:
    nothing: Any = None
    with pytest.raises(VerificationError, match="a Proof of this client is needed, not NoneType"):
        verify(case.decision, nothing, case.public_key)
    with pytest.raises(VerificationError, match="a Decision of this client is needed, not dict"):
        verify(json.loads(case.decision.answer), case.proof, case.public_key)
