"""The record: what it says plainly, what it only commits to, and that both read back."""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from typing import Any

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decision_service.audit.canonical import canonical
from decision_service.audit.record import build_record, commitment, commitments, salts
from decision_service.audit.replay import Answer, read_record, replay, rescore_difference
from decision_service.errors import AuditError
from decision_service.vocabulary import CreditApplication, Decision, ModelVersion, Outcome, Reason, Scores

NOW = datetime(2026, 11, 24, 17, 30, tzinfo=timezone.utc)  # already the 25th in Shanghai


class Stage(Enum):
    LIMIT = "limit"
    DECISION = "decision"


@dataclass(frozen=True)
class Result:
    matched: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    result: Result
    alarm: str | None = None
    detail: str = ""


@dataclass(frozen=True)
class Facts:
    values: dict[str, Any]

    def known(self) -> dict[str, Any]:
        return self.values


@dataclass(frozen=True)
class Inputs:
    series: tuple[tuple[float, ...], ...] = ((0.1, math.nan), (1e300, -0.0))
    mask: tuple[bool, ...] = (True, False)
    by_product: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {"working_capital": {"growth": 0.1, "ratio": math.nan, "industry_code": "07"}}
    )

    def features_for(self, product: str) -> dict[str, Any]:
        return self.by_product[product]


@dataclass(frozen=True)
class Stored:
    decision_id: str
    record: bytes
    private: bytes | None


FACTS = {"amount": 300_000_000, "card": "none", "huge": 2**62, "negative": -(2**53), "digits": "35"}
VERDICTS = {Stage.LIMIT: Verdict(Result(("L-1",), ("L-2",))), Stage.DECISION: Verdict(Result(("AUTO-001",)))}
DECISION = Decision(
    decision_id="D-1",
    application=CreditApplication("A-1", "working_capital", Decimal("3E+6"), 12, "payroll", "AUTH", "U-1"),
    client_id="bank-1",
    outcome=Outcome.APPROVE,
    approved_amount=Decimal("3000000"),
    limit=Decimal("3600000.5"),
    card="none",
    whitelisted=None,
    decided_at=NOW,
    due_at=None,
    scores=Scores(
        pd_xgb=Decimal("0.011"),
        pd_12m=Decimal("0.0123"),
        status="single",
        models=(ModelVersion("pd-xgboost", "3", "sha256:aa"),),
        problems=("pd-lstm: missing",),
        contributions={"growth": -0.25},
    ),
    grade="P2",
    reasons=(Reason("AUTO_OK", "AUTO-001", "秒批", "Instant", ("pd_12m",)),),
    conditions=("statement",),
    rate_spread_bp=25,
    ruleset_version="v1",
    ruleset_digest="sha256:cc",
)
ANSWER = Answer(
    outcome="APPROVE",
    reasons=(("AUTO_OK", "AUTO-001"),),
    card="none",
    whitelisted=None,
    limit=360_000_050,
    conditions=("statement",),
    rate_spread_bp=25,
    stages={"limit": (("L-1",), ("L-2",)), "decision": (("AUTO-001",), ())},
)


def record(decision=DECISION, facts=FACTS, verdicts=VERDICTS, **options):
    options = {"idempotency_key": "key-1", "body_digest": "sha256:dd", "code_version": "1.0", **options}
    return build_record(decision, facts=Facts(facts), features=Inputs(), verdicts=verdicts, **options)


def stored(**options) -> Stored:
    made = record(**options)
    return Stored("D-1", made.body, made.private)


def test_the_record_says_everything_that_was_decided():
    body = json.loads(record().body)
    assert body.pop("commitments").keys() == {
        "facts.amount", "facts.card", "facts.huge", "facts.negative", "facts.digits",
        "features", "series", "mask", "contributions",
    }  # fmt: skip
    assert body == {
        "type": "decision",
        "format": 1,
        "decision_id": "D-1",
        "client_id": "bank-1",
        "application": {
            "application_id": "A-1",
            "product": "working_capital",
            "amount": "3000000.00",
            "term_months": 12,
            "purpose": "payroll",
            "authorization_id": "AUTH",
            "uscc": "U-1",
        },
        "outcome": "APPROVE",
        "approved_amount": "3000000.00",
        "limit": "3600000.50",
        "card": "none",
        "whitelisted": None,
        "grade": "P2",
        "decided_at": "2026-11-24T17:30:00.000000Z",
        "due_at": None,
        "in_force_on": "2026-11-25",
        "scores": {
            "pd_12m": "0.012300",
            "pd_xgb": "0.011000",
            "pd_lstm": None,
            "status": "single",
            "problems": ["pd-lstm: missing"],
        },
        "models": [{"name": "pd-xgboost", "version": "3", "digest": "sha256:aa"}],
        "reasons": [{"code": "AUTO_OK", "rule": "AUTO-001", "zh": "秒批", "en": "Instant", "facts": ["pd_12m"]}],
        "conditions": ["statement"],
        "rate_spread_bp": 25,
        "ruleset": {"version": "v1", "digest": "sha256:cc"},
        "stages": {
            "limit": {"matched": ["L-1"], "unknown": ["L-2"], "alarm": None, "detail": ""},
            "decision": {"matched": ["AUTO-001"], "unknown": [], "alarm": None, "detail": ""},
        },
        "request": {"key_hash": sha256(b"key-1").hexdigest(), "body_digest": "sha256:dd"},
        "code_version": "1.0",
    }


def test_both_parts_are_canonical_json():
    made = record()
    for part in (made.body, made.private):
        assert rfc8785.dumps(json.loads(part)) == part


def test_no_value_stands_in_the_record_itself():
    body = record(facts={"secret": 987_654_321_012, "choice": "hidden_choice"}).body
    assert b"987654321012" not in body and b"hidden_choice" not in body


def test_every_commitment_opens_with_its_salt_and_value():
    made = record()
    commitments, opened = json.loads(made.body)["commitments"], json.loads(made.private)
    assert opened.keys() == {"secret", "values"} and commitments.keys() == opened["values"].keys()
    for name, salt in salts(b64decode(opened["secret"]), commitments).items():
        assert commitment(salt, name, opened["values"][name]) == commitments[name]


def test_a_single_value_opens_with_its_salt_alone_while_the_secret_stays_hidden():
    made = record()
    commitments, opened = json.loads(made.body)["commitments"], json.loads(made.private)
    kept = salts(b64decode(opened["secret"]), commitments)
    del opened, made
    assert commitment(kept["facts.card"], "facts.card", "none") == commitments["facts.card"]
    assert commitment(kept["facts.amount"], "facts.card", "none") != commitments["facts.card"]


def test_salts_are_random_and_differ():
    secrets = [b64decode(json.loads(record().private)["secret"]) for _ in range(3)]
    found = [salt for secret in secrets for salt in salts(secret, FACTS).values()]
    assert len(set(found)) == len(found) == 3 * len(FACTS)
    assert all(len(salt) == 16 for salt in found) and all(len(secret) == 32 for secret in secrets)


def test_salts_do_not_depend_on_the_order_in_which_names_come():
    assert salts(bytes(32), ["b", "a", "é"]) == salts(bytes(32), ["é", "b", "a"])


def test_the_same_facts_give_other_commitments_each_time():
    first, second = (json.loads(record().body)["commitments"] for _ in range(2))
    assert not set(first.values()) & set(second.values())


def test_a_record_is_a_function_of_its_arguments_and_the_random_bytes():
    assert record(entropy=bytes) == record(entropy=bytes)


def test_the_bytes_of_a_record_stay_what_they_were():
    made = record(entropy=bytes)
    assert [sha256(part).hexdigest() for part in (made.body, made.private)] == [
        "01997473b5dc677ae5b02faff8c410b756feea678c488458ff078fb873592cf2",
        "d432449f96529615fbbdcbbe75bdbbc06aa5bc8d0eed466d30f96b3637da2b61",
    ]


@given(st.tuples(st.text(max_size=3), st.text(max_size=3)), st.tuples(st.text(max_size=3), st.text(max_size=3)))
def test_name_and_value_do_not_run_into_each_other(one, other):
    commit = [commitment(bytes(16), f"f{name}", value) for name, value in (one, other)]
    assert (commit[0] == commit[1]) == (one == other)


@pytest.mark.parametrize(
    "options", [{"facts": {"name": "\ud800"}}, {"idempotency_key": "\ud800"}, {"body_digest": "\ud800"}]
)
def test_text_that_is_not_unicode_is_refused(options):
    with pytest.raises(AuditError):
        record(**options)


def test_everything_reads_back():
    read = read_record(stored())
    assert (read.decision_id, read.product, read.ruleset_digest) == ("D-1", "working_capital", "sha256:cc")
    assert read.in_force_on == date(2026, 11, 25)
    assert read.facts == FACTS
    assert read.features["growth"] == 0.1 and math.isnan(read.features["ratio"])
    assert read.features["industry_code"] == "07"
    assert read.series[0][0] == 0.1 and math.isnan(read.series[0][1])
    assert read.series[1][0] == 1e300 and math.copysign(1, read.series[1][1]) == -1
    assert read.mask == (True, False)
    assert read.scores == replace(DECISION.scores, contributions={})
    assert read.answer == ANSWER
    assert read.alarms == ()


@pytest.mark.parametrize("lost", ["private", "damaged record", "no object", "empty"])
def test_a_record_that_cannot_be_read_is_an_audit_error(lost):
    whole = stored()
    broken = {
        "private": replace(whole, private=None),
        "damaged record": replace(whole, record=whole.record.replace(b'"ruleset"', b'"rule_set"')),
        "no object": replace(whole, record=b"[]"),
        "empty": replace(whole, private=b"{}"),
    }[lost]
    with pytest.raises(AuditError):
        read_record(broken)


def test_an_evaluation_that_agrees_gives_no_difference():
    seen = []

    def evaluate(recorded):
        seen.append(recorded.facts)
        return ANSWER

    assert replay(stored(), evaluate=evaluate) is None
    assert seen == [FACTS]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"outcome": "REFER"}, "outcome"),
        ({"reasons": ()}, "reasons"),
        ({"reasons": (("AUTO_OK", "AUTO-002"),)}, "reasons"),
        ({"card": None}, "card"),
        ({"whitelisted": False}, "whitelisted"),
        ({"limit": 360_000_051}, "limit"),
        ({"limit": None}, "limit"),
        ({"conditions": ()}, "conditions"),
        ({"rate_spread_bp": 0}, "rate_spread_bp"),
        ({"stages": {**ANSWER.stages, "limit": (("L-1", "L-2"), ())}}, "stage limit"),
        ({"stages": {"limit": ANSWER.stages["limit"]}}, "stage decision"),
    ],
)
def test_any_disagreement_is_named(change, named):
    difference = replay(stored(), evaluate=lambda recorded: replace(ANSWER, **change))
    assert difference is not None and len(difference.differences) == 1
    assert str(difference).startswith(f"decision D-1: {named}: was ")


ALARMED = {**VERDICTS, Stage.DECISION: Verdict(Result(("AUTO-001",)), "ENGINE_MISMATCH", "they differ")}
REFERRED = replace(
    DECISION, outcome=Outcome.REFER, approved_amount=None, reasons=(Reason("ENGINE_MISMATCH", "", "不一致", "differ"),)
)


def test_a_decision_whose_engines_differed_need_only_have_been_referred():
    assert read_record(stored(decision=REFERRED, verdicts=ALARMED)).alarms == ("ENGINE_MISMATCH",)
    assert replay(stored(decision=REFERRED, verdicts=ALARMED), evaluate=lambda recorded: ANSWER) is None


def test_an_approval_although_the_engines_differed_is_a_difference():
    difference = replay(stored(verdicts=ALARMED), evaluate=lambda recorded: ANSWER)
    assert "yet the outcome was APPROVE" in str(difference)


@pytest.mark.parametrize(
    ("again", "differs"),
    [
        ({}, False),
        ({"pd_xgb": Decimal("0.011001")}, False),
        ({"pd_xgb": Decimal("0.010999")}, False),
        ({"pd_xgb": Decimal("0.011002")}, True),
        ({"pd_xgb": None}, True),
        ({"pd_lstm": Decimal("0.5")}, True),
        ({"pd_12m": Decimal("0.9")}, True),
    ],
)
def test_scores_computed_again_agree_within_a_millionth(again, differs):
    difference = rescore_difference(read_record(stored()), replace(DECISION.scores, **again))
    assert (difference is not None) is differs


def test_the_record_of_a_referred_decision_names_its_due_time():
    body = json.loads(record(decision=replace(REFERRED, due_at=NOW + timedelta(days=3))).body)
    assert (body["due_at"], body["approved_amount"]) == ("2026-11-27T17:30:00.000000Z", None)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=126)), inner),
)


@given(st.text(), VALUES)
def test_a_commitment_is_over_canonical_json_whatever_the_value(name, value):
    salt = b"s" * 16
    assert commitment(salt, name, value) == b64encode(sha256(salt + canonical([name, value])).digest()).decode()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(), VALUES), st.binary(min_size=32, max_size=32))
def test_commitments_made_at_once_are_those_made_one_by_one(values, secret):
    one_by_one = {name: commitment(salt, name, values[name]) for name, salt in salts(secret, values).items()}
    assert commitments(secret, values) == one_by_one
