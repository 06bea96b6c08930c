"""Two banks under one ruleset, one of them with an overlay: each is decided by its own rules and sees no other's."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from decision_service.api.application import http_application
from decision_service.api.platform import PlatformService
from decision_service.api.service import Runtime
from decision_service.commands.deciding import OneRuleset
from decision_service.policy import Policies, Policy
from decision_service.recorded import differences
from decision_service.rulebook.files import load, load_sources
from tests.api.real import RULES, FixedScorer, open_platform, write_feeds

OWN = "overlays/bank-03"
OVERLAY = {
    f"{OWN}/decision.yaml": """\
stage: decision
rules:
  - id: B3-01
    title: {zh: 三号行大额, en: large for bank three}
    when: amount > 1_000_000
    outcome: REFER
    reason: B3_LARGE
    effective_from: 2023-10-15
    reference: board of bank three
  - id: AUTO-001
    title: {zh: 三号行秒批, en: instant approval of bank three}
    when:
      all:
        - product == working_capital
        - exposure_total <= 5_000_000
        - pd_12m <= industry.pd_cutoff_auto
        - pd_12m <= 0.01
        - card == none
    outcome: APPROVE
    reason: AUTO_OK
    effective_from: 2023-10-15
    reference: board of bank three
""",
    f"{OWN}/parameters.yaml": """\
parameters:
  - {name: lenders_30d_max, value: 1, effective_from: 2023-10-15, reference: board of bank three}
""",
    f"{OWN}/reasons.yaml": """\
reasons:
  - code: B3_LARGE
    customer: {zh: 金额较大, en: a large amount}
    officer: {zh: 金额较大, en: a large amount}
""",
}
SECRETS = (b"B3-01", b"B3_LARGE", b"bank three", "三号行".encode())
BANKS = ("bank-03", "bank-04")


class Banks:
    """One platform whose ruleset has an overlay for bank-03, and both banks' decisions of one application."""

    def __init__(self, home: Path) -> None:
        self.application = write_feeds(home / "feeds")["approve"]["application"]
        self.built = open_platform(home, FixedScorer(), home / "feeds")
        self.base = load(RULES)
        self.laid_over = load_sources({**self.base.sources, **OVERLAY})
        for ruleset in (self.base, self.laid_over):
            self.built.store.save_ruleset(ruleset.digest, ruleset.version, ruleset.sources, _now())
        self.keys = {
            name: self.built.store.add_client(name, "bank", _now(), client_id=name)[1] for name in BANKS
        }
        self.keys["risk"] = self.built.store.add_client("risk", "risk", _now())[1]
        self.decided = {bank: self.post(bank) for bank in BANKS}

    def ask(self, method: str, path: str, client: str, *, base: bool = False, **given: Any) -> Any:
        digest = (self.base if base else self.laid_over).digest
        platform = replace(self.built, policies=OneRuleset(self.built.store, digest))
        http = http_application(Runtime(PlatformService(platform), _now), version="1").test_client()
        headers = {"Authorization": f"Bearer {self.keys[client]}", "Idempotency-Key": str(uuid.uuid4())}
        return http.open(path, method=method, headers=headers, **given)

    def post(self, client: str) -> Any:
        answer = self.ask("POST", "/v1/decisions", client, json=self.application)
        assert answer.status_code == 201, answer.text
        return answer

    def simulate(self, client: str, *, base: bool = False, **facts: Any) -> dict[str, Any]:
        body = {"facts": facts, **({} if "product" in facts else self.application)}
        answer = self.ask("POST", "/v1/simulations", client, base=base, json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def banks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Banks]:
    found = Banks(tmp_path_factory.mktemp("banks"))
    yield found
    found.built.store.close()


def codes(answer: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in answer["reasons"]]


def test_the_same_application_comes_out_by_each_banks_own_rules(banks: Banks) -> None:
    with_overlay, without = (banks.decided[bank].get_json() for bank in BANKS)
    assert (with_overlay["outcome"], codes(with_overlay)) == ("REFER", ["B3_LARGE", "MULTI_LENDER"])
    assert (without["outcome"], codes(without)) == ("APPROVE", ["AUTO_OK"])
    assert with_overlay["ruleset"] == without["ruleset"]
    assert with_overlay["reasons"][0]["en"] == "a large amount"


def test_a_bank_without_an_overlay_gets_what_the_base_gives(banks: Banks) -> None:
    here, there = banks.simulate("bank-04"), banks.simulate("bank-04", base=True)
    assert here.pop("ruleset") != there.pop("ruleset")
    assert here == there


def test_simulations_are_those_of_the_caller(banks: Banks) -> None:
    facts = {"product": "working_capital", "amount": "1000000.01"}
    for asked in (facts, {}):
        own = {client for client in banks.keys if "B3-01" in banks.simulate(client, **asked)["matched_rules"]}
        assert own == {"bank-03"}


def test_each_decision_replays_under_its_clients_rules(banks: Banks) -> None:
    fresh = replace(banks.built, policies=Policies(banks.built.store))
    stored = {one.decision_id: one for one in fresh.store.each_decision()}
    for answer in banks.decided.values():
        assert differences(fresh, stored[answer.get_json()["decision_id"]]) == []


def test_without_the_overlay_the_decision_it_made_does_not_replay(banks: Banks) -> None:
    class Base(Policies):
        def by_digest(self, digest: str) -> Policy:
            return super().by_digest(banks.base.digest)

    base = replace(banks.built, policies=Base(banks.built.store))
    stored = {one.decision_id: one for one in base.store.each_decision()}
    found = {bank: differences(base, stored[banks.decided[bank].get_json()["decision_id"]]) for bank in BANKS}
    assert any("B3-01" in text for text in found["bank-03"]) and found["bank-04"] == []


def test_an_explanation_tells_the_rules_of_the_client_that_was_decided(banks: Banks) -> None:
    for lang in ("zh", "en"):
        texts = {
            bank: banks.ask("GET", f"{banks.decided[bank].headers['Location']}/explanation?lang={lang}", bank).data
            for bank in BANKS
        }
        assert b"B3-01" in texts["bank-03"] and not any(secret in texts["bank-04"] for secret in SECRETS)
    where = banks.decided["bank-03"].headers["Location"]
    shown = banks.ask("GET", f"{where}/explanation?lang=en", "bank-03").get_json()
    auto = next(rule for stage in shown["stages"] for rule in stage["rules"] if rule["rule"] == "AUTO-001")
    assert auto["title"] == "instant approval of bank three"
    assert {"B3-01", "NA-11"} <= {change["rule"] for change in shown["changes"]}


@pytest.mark.parametrize("path", ["/v1/rulesets/active", "/v1/decisions", "/v1/models", "/v1/openapi.json", "/metrics"])
def test_a_bank_sees_nothing_of_anothers_overlay(banks: Banks, path: str) -> None:
    assert not any(secret in banks.ask("GET", path, "bank-04").data for secret in SECRETS)


def test_only_a_banks_own_rules_are_counted_for_it(banks: Banks) -> None:
    counts = {client: banks.ask("GET", "/v1/rulesets/active", client).get_json()["rules"] for client in banks.keys}
    base = banks.ask("GET", "/v1/rulesets/active", "risk", base=True).get_json()["rules"]
    assert counts == {"bank-03": base + 1, "bank-04": base, "risk": base}


def test_a_decision_of_one_bank_cannot_be_read_by_the_other(banks: Banks) -> None:
    where = banks.decided["bank-03"].headers["Location"]
    for path in (where, f"{where}/explanation", f"{where}/proof"):
        assert banks.ask("GET", path, "bank-04").status_code == 404


def test_engines_are_told_apart_by_the_rules_in_them_and_shared_where_they_are_the_same(banks: Banks) -> None:
    policy = Policy(banks.laid_over)
    try:
        first, later = date(2026, 11, 24), date(2026, 11, 25)
        assert policy.on(first, "bank-04") is policy.on(first) and policy.on(first, "bank-03") is not policy.on(first)
        assert policy.on(first, "bank-03").engines is policy.on(later, "bank-03").engines
        assert policy.on(first, "bank-03").engines is not policy.on(first).engines
    finally:
        policy.close()


def test_a_rule_replaced_under_the_same_id_has_engines_of_its_own(banks: Banks) -> None:
    text = OVERLAY[f"{OWN}/decision.yaml"]
    replaced = text[: text.index("  - id: B3-01")] + text[text.index("  - id: AUTO-001") :]
    policy = Policy(load_sources({**banks.base.sources, f"{OWN}/decision.yaml": replaced}))
    try:
        day = date(2026, 11, 24)
        assert policy.on(day, "bank-03").engines is not policy.on(day).engines
        assert "AUTO-001" in {rule.id for rule in policy.ruleset.overlays["bank-03"].rules}
    finally:
        policy.close()


def test_an_overlay_of_parameters_alone_shares_the_engines_of_the_base(banks: Banks) -> None:
    path = f"{OWN}/parameters.yaml"
    policy = Policy(load_sources({**banks.base.sources, path: OVERLAY[path]}))
    try:
        day = date(2026, 11, 24)
        assert policy.on(day, "bank-03").engines is policy.on(day).engines
        own, base = (policy.on(day, client).parameters("working_capital", "35") for client in ("bank-03", ""))
        assert {name for name in base if base[name] != own[name]} == {"policy.lenders_30d_max"}
    finally:
        policy.close()
