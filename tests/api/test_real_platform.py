"""The API over the real platform: the showcase decided, retried, raced, explained, proven, simulated, replayed."""

from __future__ import annotations

import json
import uuid
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from decision_service.api.application import http_application
from decision_service.api.platform import PlatformService
from decision_service.api.schemas import DecisionSchema, ModelListSchema, RulesetSchema, SimulationResultSchema
from decision_service.api.service import Runtime
from decision_service.audit.merkle import leaf_hash, verify_inclusion
from decision_service.audit.signing import LogKey, Signer
from decision_service.commands.audit import verified
from decision_service.decide import Platform
from decision_service.policy import Policies
from decision_service.recorded import differences
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.files import load_sources
from decision_service.simulate import assessed_scores
from decision_service.store import Store
from decision_service.vocabulary import ModelVersion, Scores
from tests import releasing
from tests.api.real import FixedScorer, open_platform, write_feeds


class City:
    """One platform with its clients, shared by the tests of this module."""

    def __init__(self, home: Path) -> None:
        self.shows = write_feeds(home / "feeds")
        self.scorer = FixedScorer()
        self.platform: Platform = open_platform(home, self.scorer, home / "feeds")
        self.app = http_application(Runtime(PlatformService(self.platform), _now), version="1")
        self.keys = {
            kind: self.platform.store.add_client(kind, kind, _now())[1] for kind in ("bank", "fintech", "auditor")
        }

    def http(self) -> FlaskClient:
        return self.app.test_client()

    def post(self, show: str, *, kind: str = "bank", key: str | None = None, **changes: Any) -> Any:
        body = {**self.shows[show]["application"], **changes}
        headers = {**self.bearer(kind), "Idempotency-Key": key or str(uuid.uuid4())}
        return self.http().post("/v1/decisions", json=body, headers=headers)

    def get(self, path: str, kind: str = "bank") -> Any:
        return self.http().get(path, headers=self.bearer(kind))

    def simulate(self, body: dict[str, Any], kind: str = "bank") -> Any:
        return self.http().post("/v1/simulations", json=body, headers=self.bearer(kind))

    def bearer(self, kind: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[kind]}"}


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    found = City(tmp_path_factory.mktemp("city"))
    yield found
    found.platform.store.close()


def test_the_showcase_comes_out_as_told_and_fits_the_contract(city: City) -> None:
    seen = {}
    for key, show in city.shows.items():
        answer = city.post(key)
        assert answer.status_code == 201, answer.text
        assert DecisionSchema().validate(answer.get_json()) == {}
        if not {reason for reason in show["expected_reasons"] if reason.startswith("PD_")}:
            seen[key] = (answer.get_json()["outcome"], show["expected_outcome"])
    assert len(seen) >= 12
    assert {key: pair for key, pair in seen.items() if pair[0] != pair[1]} == {}


def test_a_retry_and_a_reading_give_the_same_bytes(city: City) -> None:
    first, again = city.post("yellow", key="same"), city.post("yellow", key="same")
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert city.get(first.headers["Location"]).data == first.data
    assert city.get(first.headers["Location"], "auditor").data == first.data
    assert city.get(first.headers["Location"], "fintech").status_code == 404


def test_one_application_is_approved_once_whatever_its_keys(city: City) -> None:
    answers = [city.post("approve", amount="20000.00", application_id="TWICE-1").get_json() for _ in range(3)]
    assert [answer["outcome"] for answer in answers] == ["APPROVE", "REFER", "REFER"]
    assert "APP_REPEATED" in {reason["code"] for reason in answers[1]["reasons"]}


def test_an_answer_once_given_outlives_the_rules_that_admitted_it(city: City) -> None:
    old = "equipment"
    first = city.post("approve", key="OUTLIVES", amount="20000.00", application_id="OUTLIVES-1", purpose=old)
    assert first.status_code == 201
    active = city.platform.policies.current().ruleset
    narrowed = {path: text.replace(", equipment,", ",") for path, text in active.sources.items()}
    changed = load_sources(narrowed)
    city.platform.store.save_ruleset(changed.digest, changed.version, narrowed, _now())
    try:
        activate(city, changed.digest)
        again = city.post("approve", key="OUTLIVES", amount="20000.00", application_id="OUTLIVES-1", purpose=old)
        assert again.status_code == 201 and again.data == first.data
        assert city.post("approve", purpose="equipment").status_code == 422
    finally:
        activate(city, active.digest)


def activate(city: City, digest: str) -> None:
    """Make a ruleset active and let the platform see it at once."""
    releasing.activate(city.platform.store, digest, city.platform.signer)
    city.platform.policies.forget()


def test_a_key_with_another_body_is_refused(city: City) -> None:
    city.post("approve", key="other-body", amount="10000.00")
    assert city.post("approve", key="other-body", amount="10001.00").status_code == 422


def test_of_six_racing_requests_for_three_million_only_one_is_approved(tmp_path: Path) -> None:
    city = City(tmp_path)

    def apply(number: int) -> Any:
        return city.post("line", amount="3000000.00", application_id=f"R-{number}")

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(apply, range(6)))
    assert [answer.status_code for answer in answers] == [201] * 6
    assert [answer.get_json()["outcome"] for answer in answers].count("APPROVE") == 1
    assert verified(city.platform).ok
    city.platform.store.close()


FIELDS = {
    "a product that no file declares": ({"product": "bill_poll"}, "product"),
    "a purpose outside the closed list": ({"purpose": "gambling"}, "purpose"),
    "an amount beyond the declared range": ({"amount": "9999999999999.00"}, "amount"),
}


@pytest.mark.parametrize(("changes", "field"), FIELDS.values(), ids=FIELDS.keys())
def test_the_active_ruleset_s_declarations_hold_for_the_body(city: City, changes: dict, field: str) -> None:
    answer = city.post("approve", **changes)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.get_json()["errors"]] == [field]


def test_all_that_is_wrong_with_a_simulation_is_told_at_once(city: City) -> None:
    body = {**city.shows["approve"]["application"], "term_months": 0, "purpose": "gambling", "facts": {"luck": 1}}
    answer = city.simulate(body)
    assert [error["field"] for error in answer.get_json()["errors"]] == ["facts.luck", "purpose", "term_months"]


def test_an_enterprise_that_is_not_on_record_leaves_no_trace(city: City) -> None:
    before = city.platform.store.log_head()
    answer = city.post("approve", key="unknown", enterprise={"uscc": "91350100M000100Y43"})
    assert (answer.status_code, answer.get_json()["type"]) == (404, "/problems/enterprise-unknown")
    assert city.platform.store.log_head() == before
    assert city.post("approve", key="unknown", amount="10000.00").status_code == 201  # the key was given back


def test_models_that_are_down_refer_and_never_fail(city: City) -> None:
    city.scorer.pd = None
    try:
        answer = city.post("approve", amount="10000.00").get_json()
        assert answer["outcome"] == "REFER"
        assert "MODEL_DOWN" in {reason["code"] for reason in answer["reasons"]}
        assert city.get("/readyz").status_code == 200
        assert ModelListSchema().validate(city.get("/v1/models").get_json()) == {}
    finally:
        city.scorer.pd = Decimal("0.003000")


def explanation(city: City, answer: Any, kind: str, lang: str = "en") -> dict[str, Any]:
    response = city.get(f"{answer.headers['Location']}/explanation?lang={lang}", kind)
    assert response.status_code == 200
    return response.get_json()


def test_an_approval_asks_for_no_contributions_and_a_score_that_is_a_reason_asks_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    city, asked = City(tmp_path), list[str]()

    def counted(name: str) -> Any:
        answer = getattr(city.scorer, name)
        return lambda *given, **options: (asked.append(name), answer(*given, **options))[1]

    def scored(*given: Any, **options: Any) -> Scores:
        assert not options["contributions"]
        return FixedScorer.score(city.scorer, *given, **options)

    for name in ("explained", "reasons", "contributions"):
        monkeypatch.setattr(city.scorer, name, counted(name))
    monkeypatch.setattr(city.scorer, "score", scored)
    approved = city.post("approve", amount="20000.00", application_id="UNEXPLAINED-1").get_json()
    assert (approved["outcome"], asked) == ("APPROVE", [])
    monkeypatch.setattr(city.scorer, "pd", Decimal("0.400000"))
    refused = city.post("approve", amount="20000.00", application_id="UNEXPLAINED-2").get_json()
    assert "PD_DECLINE" in {reason["code"] for reason in refused["reasons"]}
    assert sorted(asked) == ["explained", "reasons"]
    city.platform.store.close()


def test_an_explanation_holds_every_rule_with_what_it_saw(city: City) -> None:
    found = explanation(city, city.post("approve", amount="20000.00", application_id="EXPLAINED-1"), "bank")
    rules = {rule["rule"]: rule for stage in found["stages"] for rule in stage["rules"]}
    ruleset = city.platform.policies.current().ruleset
    assert set(rules) == {rule.id for rule in ruleset.rules if rule.in_force(_now().date())}
    assert rules["AUTO-001"]["result"] == "matched"
    assert all(one["result"] == "matched" for one in rules["AUTO-001"]["comparisons"])
    assert rules["RED-01"]["comparisons"][0]["seen"] == "none"
    assert found["changes"] == []
    assert {one["feature"] for one in found["contributions"]} == set(city.scorer.shares)


def test_an_explanation_says_what_would_have_to_change(city: City) -> None:
    answer = city.post("line", amount="5000000.01")
    assert answer.get_json()["outcome"] == "REFER"
    changes = {one["rule"]: one for one in explanation(city, answer, "bank", "zh")["changes"]}
    over = [one for one in changes.values() for part in one["comparisons"] if part["fact"] == "exposure_total"]
    assert over and all(one["now"] != one["wanted"] for one in changes.values())
    assert "授信" in over[0]["comparisons"][0]["label"]


def test_a_fintech_never_sees_a_fact_of_level_three(city: City) -> None:
    answer = city.post("approve", kind="fintech", amount="20000.00")
    catalogue = city.platform.policies.current().ruleset.catalogue
    secret = {name for name in catalogue if catalogue[name].level == 3}
    assert secret
    text = json.dumps(explanation(city, answer, "fintech"))
    seen = {name for name in secret if f'"{name}"' in text or f"{name} " in text}
    assert seen == set()
    assert '"withheld": true' in text
    open_text = json.dumps(explanation(city, city.post("approve", amount="20000.00"), "bank"))
    assert {name for name in secret if f'"{name}"' in open_text}


def test_an_erased_decision_is_no_longer_explained_but_still_proven(city: City) -> None:
    answer = city.post("approve", amount="20000.00")
    city.platform.store.erase_private(answer.get_json()["decision_id"], _now(), city.platform.signer.receipt)
    assert city.get(answer.headers["Location"] + "/explanation").status_code == 404
    assert city.get(answer.headers["Location"] + "/proof").status_code == 200


def test_a_proof_verifies_with_the_public_key_alone(city: City) -> None:
    answer = city.post("approve", amount="20000.00")
    proof = city.get(answer.headers["Location"] + "/proof").get_json()
    key = LogKey.from_text(proof["public_key"])
    checkpoint = key.checkpoint(proof["checkpoint"])
    record = b64decode(proof["record"])
    assert json.loads(record)["decision_id"] == answer.get_json()["decision_id"]
    assert key.receipt_is_valid(answer.get_json()["decision_id"], answer.get_json()["receipt"])
    path = tuple(bytes.fromhex(one) for one in proof["inclusion_proof"])
    arguments = {"index": proof["leaf_index"], "size": checkpoint.size, "proof": path, "root": checkpoint.root}
    assert verify_inclusion(leaf=leaf_hash(record), **arguments)
    assert not verify_inclusion(leaf=leaf_hash(record + b" "), **arguments)
    assert key.checkpoint(city.get("/v1/log/checkpoint").text).size == checkpoint.size


SIMULATED = {
    "nothing changed approves": ({}, "APPROVE"),
    "a probability above the cut-off declines": ({"pd_12m": "0.9", "pd_xgb": 0.9, "pd_lstm": "0.9"}, "DECLINE"),
    "a probability made unknown refers": ({"pd_12m": None}, "REFER"),
    "a red list declines": ({"list_court_dishonest": "active"}, "DECLINE"),
}


@pytest.mark.parametrize(("facts", "outcome"), SIMULATED.values(), ids=SIMULATED.keys())
def test_simulations_follow_the_facts_and_store_nothing(city: City, facts: dict, outcome: str) -> None:
    before = city.platform.store.log_head()
    answer = city.simulate({**city.shows["approve"]["application"], "amount": "20000.00", "facts": facts})
    assert answer.status_code == 200, answer.text
    assert SimulationResultSchema().validate(answer.get_json()) == {}
    assert answer.get_json()["outcome"] == outcome
    assert city.platform.store.log_head() == before


SCORES_GIVEN = {
    "the blend alone": ({"pd_12m": "0.005"}, {"pd_12m": "0.005000", "pd_xgb": "0.003000", "pd_lstm": "0.003000"}, True),
    "the blend made unknown": ({"pd_12m": None}, {"pd_12m": None, "pd_xgb": "0.003000", "pd_lstm": "0.003000"}, False),
    "no score": ({"stale_feeds": 0}, {"pd_12m": "0.003000", "pd_xgb": "0.003000", "pd_lstm": "0.003000"}, True),
}


@pytest.mark.parametrize(("facts", "scores", "approved"), SCORES_GIVEN.values(), ids=SCORES_GIVEN.keys())
def test_a_simulation_shows_the_scores_that_it_assessed_and_what_was_given(
    city: City, facts: dict, scores: dict, approved: bool
) -> None:
    body = {**city.shows["approve"]["application"], "amount": "20000.00", "facts": facts}
    found = city.simulate(body).get_json()
    assert {name: found["scores"][name] for name in scores} == scores
    assert found["overridden_facts"] == sorted(facts)
    assert (found["outcome"] == "APPROVE") == approved


def test_facts_alone_show_the_scores_given_and_no_model(city: City) -> None:
    found = city.simulate({"facts": {"product": "working_capital", "pd_12m": "0.02"}}).get_json()
    assert (found["scores"]["pd_12m"], found["scores"]["pd_xgb"], found["models"]) == ("0.020000", None, [])
    assert found["overridden_facts"] == ["pd_12m", "product"]


MODELS_LEFT = {
    "no score given: both took part": ((), ["pd-xgboost", "pd-lstm"]),
    "the blend given: both scores are still shown": (("pd_12m",), ["pd-xgboost", "pd-lstm"]),
    "one score given: the blend is still both models'": (("pd_xgb",), ["pd-xgboost", "pd-lstm"]),
    "one score and the blend given": (("pd_xgb", "pd_12m"), ["pd-lstm"]),
    "all given": (("pd_xgb", "pd_lstm", "pd_12m"), []),
}


@pytest.mark.parametrize(("given", "names"), MODELS_LEFT.values(), ids=MODELS_LEFT.keys())
def test_a_model_is_listed_while_a_score_of_its_stands(city: City, given: tuple[str, ...], names: list[str]) -> None:
    ruleset = city.platform.policies.current().ruleset
    product = ruleset.products["working_capital"]
    models = tuple(ModelVersion(name, "1", "sha256:00") for name in (product.xgb_model, product.lstm_model))
    scores = assessed_scores(Facts(ruleset.catalogue, {}), Scores(models=models), product, given=given)
    assert [model.name for model in scores.models] == names


REFUSED = {
    "a fact nobody declared": ("luck", 1),
    "a fact that the rules set": ("card", "none"),
    "a fact that is derived": ("exposure_total", "1.00"),
    "a fact between the stages": ("limit_max", "1.00"),
    "a choice outside the list": ("registration_status", "dreaming"),
    "a ratio with seven decimals": ("pd_12m", "0.0000001"),
    "a probability above one": ("pd_12m", "1.1"),
    "a flag in words": ("public_sector", "perhaps"),
    "a list": ("pd_12m", [1]),
    "money in words": ("total_assets", "much"),
    "money beyond 64 bits": ("total_assets", 10**30),
    "money as 1e400": ("total_assets", "1e400"),
}


@pytest.mark.parametrize(("name", "value"), REFUSED.values(), ids=REFUSED.keys())
def test_a_simulated_fact_that_is_not_admitted_is_named(city: City, name: str, value: Any) -> None:
    answer = city.simulate({"facts": {"product": "working_capital", name: value}})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.get_json()["errors"]] == [f"facts.{name}"]


def test_facts_alone_need_a_product_and_refer_where_nothing_is_known(city: City) -> None:
    assert city.simulate({"facts": {"amount": "1.00"}}).status_code == 422
    answer = city.simulate({"facts": {"product": "working_capital"}, "industry": "13"})
    assert answer.get_json()["outcome"] == "REFER"
    assert city.simulate({"facts": {"product": "x"}}).status_code == 422


def test_what_is_in_force_is_told(city: City) -> None:
    ruleset = city.get("/v1/rulesets/active").get_json()
    assert RulesetSchema().validate(ruleset) == {}
    assert ruleset["digest"] == city.platform.policies.current().ruleset.digest
    assert city.get("/v1/models").get_json()["models"] == [
        {"name": "pd-fixed", "version": "1", "digest": "sha256:00"}
    ]


def test_a_cursor_made_up_is_a_422(city: City) -> None:
    assert city.get("/v1/decisions?after=AAAA").status_code == 422


def test_everything_decided_here_verifies_and_replays(city: City) -> None:
    assert city.post("approve", amount="20000.00", application_id="REPLAYED-1").status_code == 201
    stored = list(city.platform.store.each_decision())
    report = verified(city.platform)
    assert report.findings == ()
    fixed = [one for one in stored if one.private is not None and b"pd-fixed" in one.record]
    assert [differences(city.platform, one) for one in fixed] == [[]] * len(fixed)


def test_a_store_without_rules_is_not_ready(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/decisions.db")
    platform = Platform(store, Policies(store), FixedScorer(), Signer.open(tmp_path / "key.pem"), "test")
    client = http_application(Runtime(PlatformService(platform), _now), version="1").test_client()
    _, key = store.add_client("bank", "bank", _now())
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert client.get("/v1/rulesets/active", headers={"Authorization": f"Bearer {key}"}).status_code == 503
    store.close()
