"""The switch of automatic approval in decisions over the API: its scopes, its record, its replay, old rulesets."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from decision_service.audit.release import Act
from decision_service.audit.replay import read_record
from decision_service.commands.audit import verified
from decision_service.kill_switch import DISABLED, ENABLED, SWITCH
from decision_service.recorded import differences
from decision_service.rulebook.files import load_sources
from decision_service.workbench.switches import switch_off, switch_on
from tests.api.test_real_platform import City
from tests.releasing import ANN, BOB, activate

AMOUNT = "20000.00"


class Switched(City):
    """A city whose switches go off and on again."""

    @contextmanager
    def off(self, scope: str) -> Iterator[None]:
        switch_off(self.platform, scope, Act(ANN, datetime.now(UTC)))
        try:
            yield
        finally:
            switch_on(self.platform, scope, Act(BOB, datetime.now(UTC)))

    def scope(self, kind: str, show: str = "approve") -> str:
        """What the application of a show falls under."""
        clients = {entry.client.kind: entry.client.client_id for entry in self.platform.store.list_clients()}
        records = self.platform.store.records(self.shows[show]["uscc"])
        assert records is not None
        values = {
            "product": self.shows[show]["application"]["product"],
            "industry": records.registration.industry_code,
            "client": clients["bank"],
        }
        return "all" if kind == "all" else f"{kind}:{values[kind]}"

    def asked(self, show: str = "approve", kind: str = "bank") -> dict[str, Any]:
        """A new application for a small amount, which is approved if nothing stands against it."""
        number = str(self.platform.store.log_head()[0])
        answer = self.post(show, kind=kind, amount=AMOUNT, application_id=f"SWITCH-{number}")
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.get_json()
        return found


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Switched]:
    found = Switched(tmp_path)
    yield found
    found.platform.store.close()


def codes(answer: dict[str, Any]) -> set[str]:
    return {reason["code"] for reason in answer["reasons"]}


def test_every_scope_refers_its_applications_at_once_and_no_others(city: Switched) -> None:
    assert city.asked()["outcome"] == "APPROVE"
    for kind in ("all", "product", "industry", "client"):
        with city.off(city.scope(kind)):
            answer = city.asked()
            assert (answer["outcome"], "KILL_SWITCH" in codes(answer)) == ("REFER", True), kind
            assert answer["due_at"] is not None
        assert city.asked()["outcome"] == "APPROVE", kind
    for other in ("product:invoice_loan", "industry:01", "client:somebody-else"):
        with city.off(other):
            assert city.asked()["outcome"] == "APPROVE", other
    with city.off(city.scope("client")):
        assert "KILL_SWITCH" not in codes(city.asked(kind="fintech"))


def test_red_is_declined_while_the_switch_is_off(city: Switched) -> None:
    with city.off("all"):
        answer = city.asked("red-whitelist")
    assert (answer["outcome"], answer["card"]) == ("DECLINE", "red")


def test_the_switch_is_in_the_record_replays_and_is_explained(city: Switched) -> None:
    with city.off("all"):
        referred = city.asked()
    approved = city.asked()
    for answer, value in ((referred, DISABLED), (approved, ENABLED)):
        stored = city.platform.store.decision(answer["decision_id"])
        assert stored is not None
        assert read_record(stored).facts[SWITCH] == value
        assert differences(city.platform, stored) == []
    explanation = city.get(f"/v1/decisions/{referred['decision_id']}/explanation?lang=zh").get_json()
    (rule,) = [rule for stage in explanation["stages"] for rule in stage["rules"] if rule["rule"] == "NA-17"]
    told = {seen["fact"]: seen for seen in rule["comparisons"]}
    assert rule["result"] == "matched" and SWITCH in told and "秒批即时开关" in str(told[SWITCH])
    assert verified(city.platform).ok


def test_simulations_see_the_switch_and_may_be_asked_what_would_be_without_it(city: Switched) -> None:
    body = {**city.shows["approve"]["application"], "amount": AMOUNT}
    with city.off(city.scope("industry")):
        assert city.simulate(body).get_json()["outcome"] == "REFER"
        assert city.simulate({**body, "facts": {SWITCH: ENABLED}}).get_json()["outcome"] == "APPROVE"
        alone = city.simulate({"facts": {"product": "working_capital"}, "industry": city.scope("industry")[-2:]})
        assert "NA-17" in alone.get_json()["matched_rules"]
    assert city.simulate({**body, "facts": {SWITCH: DISABLED}}).get_json()["outcome"] == "REFER"
    alone = city.simulate({"facts": {"product": "working_capital"}, "industry": "35"})
    assert "NA-17" not in [*alone.get_json()["matched_rules"], *alone.get_json()["unknown_rules"]]


def test_a_switch_outlives_the_process(city: Switched, tmp_path: Path) -> None:
    switch_off(city.platform, "all", Act(ANN, datetime.now(UTC)))
    city.platform.store.close()
    assert city.platform.store.switched_off(["all"]) == ("all",), "the store opens its connections again"
    assert "KILL_SWITCH" in codes(city.asked())


def test_a_switch_that_was_undone_in_the_tables_decides_nothing(
    city: Switched, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    off = switch_off(city.platform, "all", Act(ANN, datetime.now(UTC))).event
    assert "KILL_SWITCH" in codes(city.asked())
    with closing(sqlite3.connect(tmp_path / "decisions.db", isolation_level=None)) as raw:
        raw.execute("UPDATE release_events SET how = 'on' WHERE kind = 'switch'")
        assert "KILL_SWITCH" in codes(city.asked()), "this worker has seen what was signed"
        city.platform.policies.forget()  # as each second
        refused = city.post("approve", amount=AMOUNT, application_id="UNDONE-1")
        assert refused.status_code == 503 and refused.get_json()["type"].endswith("unavailable")
        assert f"leaf {off.leaf_index}, an act on the rules, was changed or removed" in caplog.text
        raw.execute("DELETE FROM release_events WHERE kind = 'switch'")
        assert city.post("approve", amount=AMOUNT, application_id="UNDONE-1").status_code == 503


def test_rules_of_before_decide_and_replay_while_it_is_on_and_decide_nothing_while_it_is_off(
    city: Switched, caplog: pytest.LogCaptureFixture
) -> None:
    new = city.platform.policies.current().ruleset
    old = load_sources(without_switch(dict(new.sources)))
    city.platform.store.save_ruleset(old.digest, old.version, old.sources, datetime.now(UTC))
    activate(city.platform.store, old.digest, city.platform.signer)
    city.platform.policies.forget()
    answer = city.asked()
    assert (answer["outcome"], answer["ruleset"]["digest"]) == ("APPROVE", old.digest)
    with city.off("all"):
        refused = city.post("approve", amount=AMOUNT, application_id="OLD-1")
        assert refused.status_code == 503
        assert f"publish and activate rules that declare {SWITCH}" in caplog.text
    activate(city.platform.store, new.digest, city.platform.signer)
    stored = city.platform.store.decision(answer["decision_id"])
    assert stored is not None and differences(city.platform, stored) == []


def without_switch(texts: dict[str, str]) -> dict[str, str]:
    """The rules as they were before there was a switch."""
    lines = [line for line in texts["facts.yaml"].splitlines() if f"name: {SWITCH}," not in line]
    any_of = f"\n      any: [policy.auto_approval == disabled, {SWITCH} == disabled]"
    rules = texts["never_automatic.yaml"].replace(any_of, " policy.auto_approval == disabled")
    changed = {**texts, "facts.yaml": "\n".join(lines) + "\n", "never_automatic.yaml": rules}
    return {path: text for path, text in changed.items() if path != "invariants.yaml"}


def test_a_switch_that_goes_off_while_an_application_is_assessed_refers_it(city: Switched) -> None:
    committing = city.platform.store._committing
    switched: list[None] = []

    def late(given: Any) -> Any:
        if not switched:
            switched.append(None)
            switch_off(city.platform, "all", Act(ANN, datetime.now(UTC)))
        return committing(given)

    city.platform.store._committing = late  # type: ignore[assignment]
    answer = city.asked()
    assert (answer["outcome"], "KILL_SWITCH" in codes(answer), switched) == ("REFER", True, [None])
