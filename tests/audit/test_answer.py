"""An answer against its record: every value, the form of its bytes, and its receipt."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from decision_service.audit.answer import answer_problems
from decision_service.audit.merkle import leaf_hash
from decision_service.audit.signing import Signer

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
LEAF = leaf_hash(b"record")
RECORD = {
    "decision_id": "D-1",
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
ANSWER = {
    "decision_id": "D-1",
    "application_id": "A-1",
    "outcome": "REFER",
    "approved_amount": None,
    "limit": "36.00",
    "card": "none",
    "whitelisted": True,
    "decided_at": "2026-11-24T17:30:00.000000Z",
    "due_at": "2026-11-27T15:59:59.000000Z",
    "scores": {"pd_12m": "0.012300", "pd_xgb": None, "pd_lstm": None, "grade": "P2"},
    "reasons": [{"code": "C", "rule": "R-1", "zh": "原因", "en": "reason"}],
    "conditions": ["statement"],
    "rate_spread_bp": 1,
    "ruleset": {"version": "v1", "digest": "sha256:cc"},
    "models": [{"name": "pd-xgboost", "version": "3", "digest": "sha256:aa"}],
    "receipt": SIGNER.receipt("D-1", 5, LEAF),
}


def problems(answer, **options) -> list[str]:
    body = answer if isinstance(answer, bytes) else json.dumps(answer, **options).encode()
    return list(answer_problems(body, RECORD, leaf_index=5, leaf=LEAF, key=SIGNER.public))


@pytest.mark.parametrize(
    "style",
    [{}, {"ensure_ascii": False}, {"separators": (",", ":")}, {"separators": (",", ":"), "ensure_ascii": False}],
)
def test_an_answer_in_any_usual_form_agrees(style):
    assert problems(ANSWER, **style) == []


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T17:30:00Z",
        "2026-11-24T17:30:00+00:00",
        "2026-11-25T01:30:00+08:00",
        "2026-11-24T17:30:00.000Z",
    ],
)
def test_a_moment_may_be_written_in_usual_ways(text):
    assert problems({**ANSWER, "decided_at": text}) == []


@pytest.mark.parametrize(
    "text",
    ["2026-11-24 17:30:00Z", "2026-11-24T17:30:01Z", "2026-11-24T17:30Z", "20261124T173000Z", "", None, 7, []],
)
def test_another_moment_or_an_unusual_way_is_found(text):
    assert problems({**ANSWER, "decided_at": text}) == ["the answer's decided_at is not the record's"]


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
]


@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_a_changed_value_is_found_by_name(name, value):
    assert problems({**ANSWER, name: value}) == [f"the answer's {name} is not the record's"]


@pytest.mark.parametrize("name", ["decision_id", "outcome", "limit", "reasons", "ruleset"])
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


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}x",
        b"[]",
        b"\xff",
        json.dumps(ANSWER, indent=1).encode(),
        json.dumps(ANSWER).encode().replace(b": ", b":\t", 1),
        json.dumps(ANSWER).encode() + b" ",
        json.dumps(ANSWER).encode().replace(b'"card": "none"', b'"card": "red", "card": "none"'),
        json.dumps(ANSWER).encode().replace(b"none", b"n\\u006fne"),
    ],
)
def test_bytes_in_another_form_are_found(body):
    assert problems(body) == ["the answer's bytes are not as they were written"]
