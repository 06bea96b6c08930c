"""An answer against its record: every value, the form of its bytes, and its receipt."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from decision_service.api.render import decision_bytes
from decision_service.audit.answer import answer_problems
from decision_service.audit.decided import decision_of
from decision_service.audit.merkle import leaf_hash
from decision_service.audit.signing import Signer

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
LEAF = leaf_hash(b"record")
RECORD = {
    "decision_id": "D-1",
    "client_id": "bank-1",
    "application": {
        "application_id": "A-1",
        "product": "working_capital",
        "amount": "10.00",
        "term_months": 1,
        "purpose": "payroll",
        "authorization_id": "Z",
        "uscc": "U",
    },
    "outcome": "REFER",
    "approved_amount": None,
    "limit": "36.00",
    "card": "none",
    "whitelisted": True,
    "grade": "P2",
    "decided_at": "2026-11-24T17:30:00.000000Z",
    "due_at": "2026-11-27T15:59:59.000000Z",
    "scores": {"pd_12m": "0.012300", "pd_xgb": None, "pd_lstm": None, "status": "single", "problems": []},
    "models": [{"name": "pd-xgboost", "version": "3", "digest": "sha256:aa"}],
    "reasons": [{"code": "C", "rule": "R-1", "zh": "原因", "en": "reason", "facts": ["x"]}],
    "conditions": ["statement"],
    "rate_spread_bp": 1,
    "ruleset": {"version": "v1", "digest": "sha256:cc"},
}
RECEIPT = SIGNER.receipt("D-1", 5, LEAF)
BODY = decision_bytes(decision_of(RECORD), RECEIPT)
ANSWER = json.loads(BODY)


def written(answer) -> bytes:
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()


def problems(answer) -> list[str]:
    body = answer if isinstance(answer, bytes) else written(answer)
    return list(
        answer_problems(body, RECORD, leaf_index=5, leaf=LEAF, key=SIGNER.public, render=decision_bytes)
    )


def test_the_bytes_that_were_answered_agree():
    assert written(ANSWER) == BODY and problems(BODY) == []


CHANGES = [
    ("outcome", "APPROVE"),
    ("application_id", "A-2"),
    ("decision_id", "D-2"),
    ("approved_amount", "10.00"),
    ("limit", "36.0"),
    ("limit", None),
    ("card", None),
    ("whitelisted", 1),
    ("rate_spread_bp", True),
    ("rate_spread_bp", 1.0),
    ("due_at", None),
    ("conditions", []),
    ("models", []),
    ("ruleset", {"version": "v1", "digest": "sha256:cd"}),
    ("scores", {"pd_12m": "0.012301", "pd_xgb": None, "pd_lstm": None, "grade": "P2"}),
    ("scores", {"pd_12m": "0.012300", "pd_xgb": None, "pd_lstm": None, "grade": "P1"}),
    ("reasons", []),
    ("reasons", [{"code": "C", "rule": "R-1", "zh": "原因", "en": "reasons"}]),
    ("note", "not in the record"),
    ("term_months", 1),
    *(("decided_at", f"2026-11-{text}") for text in ("24T17:30:00Z", "25T01:30:00+08:00", "24T17:30:00.000Z")),
]


@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_a_changed_value_is_found_by_name(name, value):
    assert problems({**ANSWER, name: value}) == [f"the answer's {name} is not the record's"]


@pytest.mark.parametrize("name", [name for name in ANSWER if name != "receipt"])
def test_a_missing_part_is_found(name):
    assert problems({key: value for key, value in ANSWER.items() if key != name}) == [f"the answer lacks {name}"]


@pytest.mark.parametrize(
    "receipt",
    [
        SIGNER.receipt("D-1", 6, LEAF),
        SIGNER.receipt("D-1", 5, bytes(32)),
        SIGNER.receipt("D-2", 5, LEAF),
        Signer(Ed25519PrivateKey.from_private_bytes(bytes(31) + b"1")).receipt("D-1", 5, LEAF),
        {**SIGNER.receipt("D-1", 5, LEAF), "more": 1},
        {},
        None,
    ],
)
def test_another_receipt_is_found(receipt):
    assert len(problems({**ANSWER, "receipt": receipt})) == 1


def test_a_missing_receipt_is_found():
    assert problems({name: value for name, value in ANSWER.items() if name != "receipt"}) == [
        "the answer has no receipt"
    ]


@pytest.mark.parametrize("body", [b"", b"{}x", b"[]", b"\xff", "text", None, 7])
def test_what_is_no_object_in_bytes_is_found(body):
    found = list(answer_problems(body, RECORD, leaf_index=5, leaf=LEAF, key=SIGNER.public, render=decision_bytes))
    assert found == ["the answer is not a JSON object in bytes"]


FORMS = {
    "spaces": json.dumps(ANSWER, ensure_ascii=False).encode(),
    "escapes": json.dumps(ANSWER, separators=(",", ":")).encode(),
    "lines": json.dumps(ANSWER, indent=1).encode(),
    "a line's end": BODY + b"\n",
    "another order": written(dict(reversed(ANSWER.items()))),
    "another order inside": written({**ANSWER, "ruleset": dict(reversed(ANSWER["ruleset"].items()))}),
    "another order of the receipt": written({**ANSWER, "receipt": dict(reversed(RECEIPT.items()))}),
    "a name twice": BODY.replace(b'"card":"none"', b'"card":"red","card":"none"'),
    "another spelling": BODY.replace(b"none", b"n\\u006fne"),
    "another encoding": BODY.decode().encode("utf-16"),
}


@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS)
def test_the_same_values_in_other_bytes_are_found(body):
    assert json.loads(body) == ANSWER
    assert problems(body) == ["the answer's bytes are not as they were written"]
