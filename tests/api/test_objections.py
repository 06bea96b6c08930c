"""Objections over the real platform: what they make of decisions, who may do what and when, evidence."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from decision_service.api.event_schemas import DATA, EventListSchema
from decision_service.api.explanation_schema import ExplanationSchema
from decision_service.api.life_schemas import HistorySchema
from decision_service.api.objection_schemas import (
    ObjectionActSchema,
    ObjectionHistorySchema,
    ObjectionListSchema,
    ObjectionSchema,
)
from decision_service.audit.record import values_of
from decision_service.governance import objection as fold
from decision_service.objections import ObjectionDesk
from decision_service.portrait.records import IndicatorValue, ListEntry, Overdue, Relation, TaxRating
from decision_service.recorded import differences
from decision_service.repair_watch import RepairWatch
from decision_service.review_clock import ReviewClock
from decision_service.workbench.outcomes import REPAIRED, outcomes, training_row
from tests.api.test_lives import DAY, City, blamed, final, findings, moved, refusal, state_of

PROOF = "ab" * 32
PROVEN = {"evidence": [PROOF]}
STEWARDS = {"steward": "steward", "steward2": "steward", "steward3": "steward"}
ACTS: dict[str, dict[str, Any]] = {
    "acceptance": {},
    "source-check": {"answer": "wrong", **PROVEN},
    "ruling": {"ruling": "delete", **PROVEN},
    "application": {},
    "notification": {},
}
"""The way of an objection, and what each step says."""


class Town(City):
    """A platform with stewards, whose records tests change."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        for name, kind in STEWARDS.items():
            client, self.keys[name] = self.platform.store.add_client(name, kind, self.now)
            self.ids[name] = client.client_id

    def deliver(self, show: str, kind: str, key: str, record: Any) -> None:
        """One record more, or in the place of the one with this key, in a delivery of this moment."""
        self.platform.store.write_records(kind, [(self.uscc(show), key, record)], source_time=self.now, now=self.now)

    def object(self, show: str, kind: str, key: str, who: str = "bank", *, blind: bool = False, **given: Any) -> Any:
        """Object to what a decision of the same client has shown it, unless ``blind``."""
        if who not in STEWARDS and not blind:
            self.decide(show, who, amount="1000.00")
        body = {"enterprise": {"uscc": self.uscc(show)}, "record": {"kind": kind, "key": key}, **PROVEN, **given}
        return self.post("/v1/objections", body, who)

    def filed(self, show: str, kind: str, key: str, who: str = "bank") -> str:
        answer = self.object(show, kind, key, who)
        assert state(answer) == "filed"
        return str(answer.get_json()["objection_id"])

    def step(self, objection: str, act: str, who: str | None = None, **changes: Any) -> Any:
        by = who or ("steward2" if act == "ruling" else "steward")
        body = {**ACTS.get(act, {}), **changes}
        return self.post(f"/v1/objections/{objection}/{act}", body, by)

    def ruled(self, objection: str, ruling: str) -> None:
        for act in ("acceptance", "source-check"):
            state(self.step(objection, act))
        state(self.step(objection, "ruling", ruling=ruling))

    def values(self, decision: dict[str, Any]) -> dict[str, Any]:
        """What the decision rested on, by its evidence."""
        stored = self.platform.store.decision(decision["decision_id"])
        assert stored is not None and stored.private is not None
        return values_of(stored.private)

    def today(self) -> date:
        return (self.now + timedelta(hours=8)).date()


def state(answer: Any) -> str:
    assert answer.status_code == 201, answer.text
    document = answer.get_json()
    assert not ObjectionActSchema().validate(document)
    return str(document["state"])


def codes(decision: dict[str, Any]) -> set[str]:
    return {one["code"] for one in decision["reasons"]}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    made = Town(tmp_path_factory.mktemp("town"))
    yield made
    made.platform.store.close()


@pytest.fixture
def town(shared: Town) -> Town:
    shared.now = datetime.now(UTC)
    return shared


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Town]:
    """A town where nothing was decided yet, so that its clock may stand at any day."""
    made = Town(tmp_path)
    yield made
    made.platform.store.close()


def dishonest(town: Town, key: str, list_name: str = "list_court_dishonest", **changes: Any) -> ListEntry:
    return ListEntry(key, list_name, town.today() - timedelta(days=90), **changes)


def test_a_red_record_turns_yellow_while_it_is_disputed_and_is_gone_from_the_ruling_on(town: Town) -> None:
    before_all = town.decide("approve", amount="1000.00")
    town.deliver("approve", "lists", "L-court", dishonest(town, "L-court"))
    town.deliver("approve", "indicators", "IND15", IndicatorValue("IND15", Decimal(12), town.today()))
    red = town.decide("approve", amount="1000.00")
    assert (red["outcome"], red["card"]) == ("DECLINE", "red") and "RED_COURT" in codes(red)
    kept = town.get(f"/v1/decisions/{red['decision_id']}").data

    objection = town.filed("approve", "lists", "L-court")
    assert town.decide("approve", amount="1000.00")["card"] == "red", "filing alone changes nothing"
    assert state(town.step(objection, "acceptance")) == "accepted"
    disputed = town.decide("approve", amount="1000.00")
    assert (disputed["outcome"], disputed["card"]) == ("REFER", "yellow")
    assert "DATA_DISPUTE" in codes(disputed) and "RED_COURT" not in codes(disputed)
    assert town.values(disputed)["features"]["enforcement_amount_ratio"] is None, "models do not read it either"

    assert state(town.step(objection, "source-check")) == "source_check"
    assert state(town.step(objection, "ruling")) == "ruled"
    after = town.decide("approve", amount="1000.00")
    assert (after["outcome"], after["card"]) == ("APPROVE", "none") or "MULTI_LENDER" in codes(after), after
    assert not {"RED_COURT", "DATA_DISPUTE", "CARD_YELLOW"} & codes(after)
    values = town.values(after)
    assert values["facts.list_court_dishonest"] == "none" and values["features"]["enforcement_amount_ratio"] is None
    assert "L-court" not in str(values.get("records"))
    explained = town.get(f"/v1/decisions/{after['decision_id']}/explanation?lang=en").get_json()
    shown = [one for stage in explained["stages"] for one in stage["rules"] if one.get("reason") == "RED_COURT"]
    assert [one["result"] for one in shown] == ["not_matched"]
    assert state(town.step(objection, "application")) == "applied"
    assert state(town.step(objection, "notification")) == "notified"

    assert town.get(f"/v1/decisions/{red['decision_id']}").data == kept, "what was decided stays byte for byte"
    told = {name: town.history(one).get_json() for name, one in
            {"before": before_all, "red": red, "disputed": disputed, "after": after}.items()}  # fmt: skip
    assert not HistorySchema().validate(told["red"])
    assert {name: one["later_repaired"] for name, one in told.items()} == {
        "before": False, "red": True, "disputed": True, "after": False,
    }  # fmt: skip
    assert [(one["kind"], one["how"]) for one in told["red"]["repairs"]] == [("lists", "objection")]
    why = town.get(f"/v1/decisions/{red['decision_id']}/explanation").get_json()
    assert why["later_repaired"] is True
    for one in (red, disputed, after):
        stored = town.platform.store.decision(one["decision_id"])
        assert stored is not None and differences(town.platform, stored) == []
    # Its source delivers it again and again: what is deleted stays so.
    town.deliver("approve", "lists", "L-court", dishonest(town, "L-court", severity="serious"))
    assert town.decide("approve", amount="1000.00")["card"] == "none"
    assert "counts for nothing" in refusal(town.object("approve", "lists", "L-court"))
    assert findings(town) == []


def test_a_rejected_objection_brings_the_red_card_back_from_the_ruling_on(town: Town) -> None:
    town.deliver("whitelist", "lists", "L-reject", dishonest(town, "L-reject"))
    objection = town.filed("whitelist", "lists", "L-reject")
    state(town.step(objection, "acceptance"))
    assert town.decide("whitelist")["card"] == "yellow"
    state(town.step(objection, "source-check", answer="confirmed"))
    assert town.decide("whitelist")["card"] == "yellow", "the provider's answer is no ruling"
    state(town.step(objection, "ruling", ruling="reject"))
    again = town.decide("whitelist")
    assert (again["outcome"], again["card"]) == ("DECLINE", "red")
    assert town.history(again).get_json()["later_repaired"] is False
    assert findings(town) == []


def test_who_objects_again_to_what_was_upheld_stays_red_until_another_ruling(quiet: Town) -> None:
    def closed(ruling: str) -> list[str]:
        objection, cards = quiet.filed("whitelist", "lists", "L-again"), []
        for act in ("acceptance", "source-check"):
            state(quiet.step(objection, act))
            cards.append(quiet.decide("whitelist")["card"])
        state(quiet.step(objection, "ruling", ruling=ruling))
        for act in ("application", "notification"):
            state(quiet.step(objection, act))
        told = quiet.get(f"/v1/objections/{objection}/history").get_json()
        assert not ObjectionHistorySchema().validate(told)
        return cards

    quiet.deliver("whitelist", "lists", "L-again", dishonest(quiet, "L-again"))
    assert [closed("reject") for _ in range(3)] == [["yellow", "yellow"], ["red", "red"], ["red", "red"]]
    quiet.deliver("whitelist", "lists", "L-again", dishonest(quiet, "L-again", severity="serious"))
    assert closed("reject") == ["yellow", "yellow"], "what its source says anew was never ruled on"
    assert closed("delete") == ["red", "red"] and quiet.decide("whitelist")["card"] != "red"
    assert findings(quiet) == []


def test_a_corrected_record_counts_again_once_its_source_says_otherwise(town: Town) -> None:
    def overdue(**changes: Any) -> Overdue:
        started = town.today() - timedelta(days=300)
        return Overdue("O-1", "bank-x", started, 120, town.today() - timedelta(days=100), **changes)

    town.deliver("invoice", "overdues", "O-1", overdue())
    town.deliver("invoice", "indicators", "IND22", IndicatorValue("IND22", Decimal(120), town.today()))
    red = town.decide("invoice")
    assert red["card"] == "red" and "RED_DPD" in codes(red)
    objection = town.filed("invoice", "overdues", "O-1")
    state(town.step(objection, "acceptance"))
    disputed = town.decide("invoice")
    assert disputed["card"] != "red" and "DATA_DISPUTE" in codes(disputed) and disputed["outcome"] == "REFER"
    assert town.values(disputed)["facts.max_overdue_days_24m"] == 0
    state(town.step(objection, "source-check"))
    state(town.step(objection, "ruling", ruling="correct"))
    assert not {"RED_DPD", "DATA_DISPUTE"} & codes(town.decide("invoice"))
    town.deliver("invoice", "overdues", "O-1", overdue())
    assert town.decide("invoice")["card"] != "red", "the same mistake again"
    town.deliver("invoice", "overdues", "O-1", replace(overdue(), max_days=95))
    corrected = town.decide("invoice")
    assert corrected["card"] == "red"
    assert town.history(red).get_json()["later_repaired"] is True
    assert town.history(corrected).get_json()["later_repaired"] is False, "what it used is not what was ruled wrong"


def test_a_tax_rating_under_dispute_makes_no_red_card(town: Town) -> None:
    year = town.today().year - 1
    wrong = TaxRating(year, "D", date(year + 1, 4, 20), "direct")
    town.deliver("line", "tax_ratings", str(year), wrong)
    assert "red" == town.decide("line")["card"]
    objection = town.filed("line", "tax_ratings", str(year))
    state(town.step(objection, "acceptance"))
    disputed = town.decide("line")
    assert (disputed["card"], disputed["outcome"]) == ("yellow", "REFER") and "DATA_DISPUTE" in codes(disputed)
    state(town.step(objection, "source-check"))
    state(town.step(objection, "ruling", ruling="correct"))
    assert town.decide("line")["card"] != "red"


def test_an_indicator_under_dispute_is_not_known_and_a_struck_value_stays_out_until_another_comes(town: Town) -> None:
    def value(number: int) -> IndicatorValue:
        return IndicatorValue("IND01", Decimal(number), town.today())

    town.deliver("control", "indicators", "IND01", value(64))
    before = town.decide("control")
    objection = town.filed("control", "indicators", "IND01")
    state(town.step(objection, "acceptance"))
    disputed = town.values(town.decide("control"))
    assert "facts.debt_to_asset_ratio" not in disputed and disputed["features"]["debt_to_asset_ratio"] is None
    state(town.step(objection, "source-check"))
    state(town.step(objection, "ruling", ruling="correct"))
    town.deliver("control", "indicators", "IND01", value(64))
    assert town.values(town.decide("control"))["features"]["debt_to_asset_ratio"] is None
    town.deliver("control", "indicators", "IND01", value(41))
    after = town.decide("control")
    assert town.values(after)["features"]["debt_to_asset_ratio"] == "41.0"
    assert [town.history(one).get_json()["later_repaired"] for one in (before, after)] == [True, False]


def test_a_repair_at_the_source_ends_the_card_and_takes_the_penalty_out_of_the_indicator(town: Town) -> None:
    listed = town.today() - timedelta(days=183)
    penalty = ListEntry("P-1", "list_admin_penalty", listed, "general")
    town.deliver("purpose", "lists", "P-1", penalty)
    town.deliver("purpose", "lists", "P-2", replace(penalty, record_id="P-2", listed_on=listed - timedelta(days=366)))
    town.deliver("purpose", "indicators", "IND14", IndicatorValue("IND14", Decimal("2.49"), town.today()))
    carded = town.decide("purpose")
    assert carded["card"] == "yellow" and town.values(carded)["features"]["admin_penalty_lookback"] == "2.49"
    for key, one in {"P-1": penalty, "P-2": replace(penalty, record_id="P-2")}.items():
        ended = replace(one, ended_on=town.today(), end_reason="repaired")
        town.deliver("purpose", "lists", key, ended)
    after = town.decide("purpose")
    assert after["card"] == "none" and town.values(after)["features"]["admin_penalty_lookback"] == "0.0"
    told = town.history(carded).get_json()
    assert told["later_repaired"] is True and {one["how"] for one in told["repairs"]} == {"repair"}
    assert town.history(after).get_json()["later_repaired"] is False


def test_what_a_controlling_firm_is_ruled_free_of_does_not_reach_its_subsidiaries(town: Town) -> None:
    town.deliver("over-limit", "relations", "parent", Relation(town.uscc("first-loan"), "parent"))
    town.deliver("first-loan", "lists", "L-parent", dishonest(town, "L-parent"))
    red_above = town.decide("over-limit")
    assert "YEL_REL" in codes(red_above)
    objection = town.filed("first-loan", "lists", "L-parent")
    state(town.step(objection, "acceptance"))
    assert "YEL_REL" not in codes(town.decide("over-limit")), "a yellow card never passes on"
    state(town.step(objection, "source-check"))
    state(town.step(objection, "ruling"))
    assert "YEL_REL" not in codes(town.decide("over-limit"))
    assert town.history(red_above).get_json()["later_repaired"] is True


def test_an_objection_to_a_decision_changes_nothing_of_it_and_nothing_of_the_next(town: Town) -> None:
    made = town.decide("over-limit")
    kept = town.get(f"/v1/decisions/{made['decision_id']}").data
    body = {"decision_id": made["decision_id"], **PROVEN}
    assert town.post("/v1/objections", body, "other").status_code == 404
    answer = town.post("/v1/objections", body)
    assert state(answer) == "filed"
    objection = answer.get_json()["objection_id"]
    assert "is open" in refusal(town.post("/v1/objections", body))
    for act in ("acceptance", "source-check"):
        state(town.step(objection, act))
    assert "never deleted" in blamed(town.step(objection, "ruling", ruling="delete"))["ruling"]
    state(town.step(objection, "ruling", ruling="correct"))
    assert town.get(f"/v1/decisions/{made['decision_id']}").data == kept
    assert "DATA_DISPUTE" not in codes(town.decide("over-limit"))
    assert findings(town) == []


def test_the_second_instance_is_heard_once_by_people_who_have_not_ruled(town: Town) -> None:
    town.deliver("yellow", "lists", "L-appeal", dishonest(town, "L-appeal"))
    objection = town.filed("yellow", "lists", "L-appeal")
    town.ruled(objection, "reject")
    state(town.step(objection, "application"))
    assert state(town.step(objection, "notification")) == "notified"
    assert town.step(objection, "appeal", "other", **PROVEN).status_code == 404
    assert "only who filed" in refusal(town.step(objection, "appeal", "steward", **PROVEN))
    assert state(town.step(objection, "appeal", "bank", **PROVEN)) == "arbitration"
    assert town.decide("yellow")["card"] == "red", "until the second ruling the first holds"
    for who in ("steward", "steward2"):
        assert "another person" in refusal(town.step(objection, "arbitration", who, ruling="delete", **PROVEN))
    assert state(town.step(objection, "arbitration", "steward3", ruling="delete", **PROVEN)) == "ruled"
    assert town.decide("yellow")["card"] != "red"
    state(town.step(objection, "application"))
    state(town.step(objection, "notification"))
    assert "cannot be appealed" in refusal(town.step(objection, "appeal", "bank", **PROVEN))
    assert findings(town) == []


def test_a_record_has_one_open_objection_of_each_client_at_a_time(town: Town) -> None:
    town.deliver("old-code", "lists", "L-twice", dishonest(town, "L-twice"))
    first = town.filed("old-code", "lists", "L-twice")
    assert "is open" in refusal(town.object("old-code", "lists", "L-twice"))
    second = town.filed("old-code", "lists", "L-twice", "other")
    assert "is open" in refusal(town.object("old-code", "lists", "L-twice", "other"))
    assert state(town.step(first, "refusal", reason="EVIDENCE_MISSING")) == "refused"
    assert town.decide("old-code")["card"] == "red"
    assert "is open" in refusal(town.object("old-code", "lists", "L-twice", "other")), "whatever becomes of another's"
    town.filed("old-code", "lists", "L-twice")
    town.ruled(second, "delete")
    assert town.decide("old-code")["card"] != "red"
    told = town.get(f"/v1/objections/{first}/history").get_json()
    assert told["acts"][-1]["details"]["texts"]["zh"] == "未提供有效证明材料"


def test_of_two_who_file_or_accept_at_once_one_is_too_late(town: Town) -> None:
    town.deliver("control", "lists", "L-race", dishonest(town, "L-race"))
    for who in ("bank", "other"):
        town.decide("control", who, amount="1000.00")

    def file(number: int) -> Any:
        return town.object("control", "lists", "L-race", ("bank", "other")[number % 2], blind=True)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(file, range(12)))
    assert sorted(one.status_code for one in found) == [201] * 2 + [409] * 10
    objection = next(one.get_json()["objection_id"] for one in found if one.status_code == 201)
    with ThreadPoolExecutor(8) as pool:
        tried = list(pool.map(lambda n: town.step(objection, "acceptance", f"steward{(n % 2 + 2)}"), range(8)))
    assert sorted(one.status_code for one in tried) == [201] + [409] * 7
    assert findings(town) == []


def test_retries_of_one_filing_are_one_objection(town: Town) -> None:
    town.deliver("control", "lists", "L-key", dishonest(town, "L-key"))
    town.decide("control")
    body = {"enterprise": {"uscc": town.uscc("control")}, "record": {"kind": "lists", "key": "L-key"}, **PROVEN}
    key = str(uuid.uuid4())
    first, second = (town.post("/v1/objections", body, key=key) for _ in "ab")
    assert first.data == second.data and second.headers["Idempotent-Replayed"] == "true"
    assert first.headers["Location"] == f"/v1/objections/{first.get_json()['objection_id']}"
    other = town.post("/v1/objections", {**body, "comment": "more"}, key=key)
    assert other.status_code == 422 and other.get_json()["type"] == "/problems/idempotency-conflict"


def test_nobody_sees_or_moves_what_belongs_to_another(town: Town) -> None:
    town.deliver("invoice", "lists", "L-own", dishonest(town, "L-own"))
    authorised = {"authorization_id": "AUTH-1", "comment": "Confidential Zhang"}
    assert town.object("invoice", "lists", "L-own", "fintech").status_code == 422
    objection = town.object("invoice", "lists", "L-own", "fintech", **authorised).get_json()["objection_id"]
    for path in ("", "/history"):
        for who, status in {"fintech": 200, "steward": 200, "auditor": 200, "bank": 404, "risk": 403}.items():
            assert town.get(f"/v1/objections/{objection}{path}", who).status_code == status, who
    told = town.get(f"/v1/objections/{objection}/history", "fintech").get_json()
    assert not ObjectionHistorySchema().validate(told)
    assert not ObjectionSchema().validate(town.get(f"/v1/objections/{objection}", "fintech").get_json())
    state(town.step(objection, "acceptance", comment="Confidential Li"))
    mine = town.get(f"/v1/objections/{objection}/history", "fintech").text
    assert "Zhang" in mine and "Li" not in mine and town.ids["steward"] not in mine
    whole = town.get(f"/v1/objections/{objection}/history", "auditor").text
    assert "Zhang" in whole and "Li" in whole and town.ids["steward"] in whole
    for act in ACTS:
        assert town.step(objection, act, "bank").status_code == 403
    listed = {who: town.get("/v1/objections?limit=100", who).get_json() for who in ("fintech", "bank", "auditor")}
    assert not ObjectionListSchema().validate(listed["auditor"])
    ids = {who: [one["objection_id"] for one in page["objections"]] for who, page in listed.items()}
    assert objection in ids["fintech"] and objection in ids["auditor"] and objection not in ids["bank"]

    ObjectionDesk(town.platform).erase(objection, town.now)
    told_after = town.get(f"/v1/objections/{objection}/history", "auditor").text
    assert "Confidential" not in told_after and '"erased"' in told_after
    state(town.step(objection, "source-check", comment="Confidential Wu"))
    assert "Confidential" not in town.get(f"/v1/objections/{objection}/history", "auditor").text
    assert findings(town) == []


def test_who_has_not_seen_a_record_gets_the_answer_of_one_that_is_not(quiet: Town) -> None:
    quiet.deliver("old-code", "overdues", "O-unseen", Overdue("O-unseen", "bank-x", quiet.today(), 5))
    quiet.deliver("old-code", "tax_ratings", "2019", TaxRating(2019, "C", date(2020, 4, 20)))
    quiet.deliver("old-code", "lists", "L-unseen", dishonest(quiet, "L-unseen"))

    def told(kind: str, key: str, who: str = "other") -> tuple[int, str, str]:
        answer = quiet.object("old-code", kind, key, who, blind=True, authorization_id="AUTH-1")
        found = answer.get_json()
        return answer.status_code, found.get("type", "filed"), found.get("detail", "")

    seen = {"lists": "L-unseen", "overdues": "O-unseen", "tax_ratings": "2019", "indicators": "IND01"}
    for who in ("other", "fintech"):
        quiet.decide("approve", who, amount="1000.00")  # a decision on somebody else shows nothing
        for kind, key in seen.items():
            assert told(kind, key, who) == told(kind, "none-such", who), (kind, who)
            assert told(kind, key, who)[0] == 404
    quiet.decide("old-code", "other", amount="1000.00")
    quiet.deliver("old-code", "lists", "L-later", dishonest(quiet, "L-later"))
    assert told("lists", "L-later") == told("lists", "none-such"), "of what came after its decisions it knows nothing"
    assert [told(kind, key)[0] for kind, key in seen.items()] == [201] * 4
    assert quiet.object("old-code", "lists", "L-later", "steward").status_code == 201


def test_what_is_upheld_while_another_waits_is_upheld_for_that_one_too(town: Town) -> None:
    town.deliver("missing", "lists", "L-both", dishonest(town, "L-both"))
    first, second = (town.filed("missing", "lists", "L-both", who) for who in ("bank", "other"))
    town.ruled(first, "reject")
    assert town.decide("missing")["card"] == "red"
    state(town.step(second, "acceptance"))
    assert town.decide("missing")["card"] == "red", "it was ruled on between its filing and its acceptance"
    for act in ("source-check", "ruling"):
        state(town.step(second, act))
    assert town.decide("missing")["card"] != "red" and findings(town) == []


def test_who_filed_does_nothing_else_but_appeal(town: Town) -> None:
    town.deliver("yellow", "lists", "L-party", dishonest(town, "L-party"))
    objection = town.filed("yellow", "lists", "L-party", "steward3")
    for act in ACTS:
        changes = {"ruling": "reject"} if act == "ruling" else {}
        assert "by who filed it" in refusal(town.step(objection, act, "steward3", **changes))
        state(town.step(objection, act, **changes))
    assert state(town.step(objection, "appeal", "steward3", **PROVEN)) == "arbitration"
    assert "by who filed it" in refusal(town.step(objection, "arbitration", "steward3", ruling="delete", **PROVEN))
    assert findings(town) == []


def test_the_list_is_read_page_by_page(town: Town) -> None:
    for number in range(5):
        town.deliver("line", "lists", f"L-page-{number}", dishonest(town, f"L-page-{number}"))
        town.filed("line", "lists", f"L-page-{number}", "other")
    seen, after = [], ""
    while True:
        page = town.get(f"/v1/objections?limit=2&state=filed{after}", "other").get_json()
        seen += [one["target"]["key"] for one in page["objections"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen[:5] == [f"L-page-{number}" for number in (4, 3, 2, 1, 0)]
    assert town.get("/v1/objections?after=nowhere", "other").status_code == 422


def test_acts_are_events_of_who_objected_and_of_nobody_else(town: Town) -> None:
    town.deliver("missing", "lists", "L-event", dishonest(town, "L-event"))
    objection = town.filed("missing", "lists", "L-event")
    town.ruled(objection, "reject")

    def heard(who: str) -> list[tuple[str, dict[str, Any]]]:
        found, after = [], "evt_start"
        while page := (told := town.get(f"/v1/events?limit=100&after={after}", who).get_json())["events"]:
            assert not EventListSchema().validate(told)
            assert all(set(one["data"]) == set(DATA[one["type"]]) for one in page)
            found += [(one["type"], one["data"]) for one in page if one["data"].get("objection_id") == objection]
            after = page[-1]["id"]
        return found

    told = [("filed", {}), ("accepted", {}), ("checked", {"answer": "wrong"}), ("ruled", {"ruling": "reject"})]
    assert heard("bank") == [(f"objection.{how}", {"objection_id": objection, **data}) for how, data in told]
    assert heard("other") == []


def test_what_a_repaired_record_was_in_is_no_row_to_train_on(quiet: Town) -> None:
    late = Overdue("O-5", "bank-x", quiet.today() - timedelta(days=400), 5, quiet.today() - timedelta(days=390))
    quiet.deliver("approve", "overdues", "O-5", late)
    for show in ("approve", "whitelist"):
        made = quiet.decide(show, amount="1000.00")
        state_of(quiet.act(made, "final", final("1000.00", contract_id=show)))
        state_of(quiet.act(made, "drawdowns", moved(quiet, "1000.00", show)))

    def rows() -> list[Any]:
        return [training_row(quiet.platform, one) for one in outcomes(quiet.platform, quiet.today())]

    assert [type(one) for one in rows()] == [dict, dict]
    quiet.ruled(quiet.filed("approve", "overdues", "O-5"), "delete")
    assert [one if isinstance(one, str) else "row" for one in rows()] == [REPAIRED, "row"]


BAD_BODIES: list[tuple[str, dict[str, Any], set[str]]] = [
    ("", PROVEN, {"enterprise", "record"}),
    ("", {}, {"enterprise", "record", "evidence"}),
    ("", {"decision_id": "d", "record": {"kind": "lists", "key": "L"}, **PROVEN}, {"record"}),
    ("", {"enterprise": {"uscc": "1"}, "record": {"kind": "months", "key": ""}, **PROVEN},
     {"enterprise.uscc", "record.kind", "record.key"}),
    ("", {"decision_id": "d", "evidence": ["AB" * 32]}, {"evidence.0"}),
    ("", {"decision_id": "d", "record": {"kind": "lists", "key": ""}, "enterprise": 1},
     {"record", "record.key", "enterprise", "evidence"}),
    ("", {"record": {"kind": "lists", "key": "L"}, "evidence": []}, {"enterprise", "evidence"}),
    ("/x/refusal", {"reason": "NONE"}, {"reason"}),
    ("/x/source-check", {"answer": "wrong", "more": 1}, {"evidence", "more"}),
    ("/x/ruling", {"ruling": "maybe"}, {"ruling", "evidence"}),
    ("/x/source-check", {"answer": "wrong"}, {"evidence"}),
    ("/x/acceptance", {"comment": "x" * 1001, "more": 1}, {"comment", "more"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "wrong"), BAD_BODIES)
def test_fields_that_are_not_acceptable_are_all_named(
    town: Town, path: str, body: dict[str, Any], wrong: set[str]
) -> None:
    answer = town.post(f"/v1/objections{path}", body, "steward")
    assert answer.status_code == 422, answer.text
    assert {one["field"] for one in answer.get_json()["errors"]} == wrong


def rests_on(town: Town, decision: dict[str, Any], who: str = "bank") -> Any:
    """What the explanation of a decision tells of records, as its schema has it."""
    explained = town.get(f"/v1/decisions/{decision['decision_id']}/explanation?lang=en", who).get_json()
    assert ExplanationSchema().validate(explained) == {}
    return explained["records"]


def test_what_an_explanation_names_can_be_objected_to_as_it_stands(quiet: Town) -> None:
    quiet.deliver("approve", "lists", "L-1", dishonest(quiet, "L-1"))
    quiet.deliver("approve", "lists", "L-over", dishonest(quiet, "L-over", ended_on=quiet.today() - timedelta(days=30)))
    began = quiet.today() - timedelta(days=200)
    quiet.deliver("approve", "overdues", "O-1", Overdue("O-1", "bank-9", began, 120))
    quiet.deliver("approve", "overdues", "O-short", Overdue("O-short", "bank-9", began, 20, cured_on=quiet.today()))
    quiet.deliver("approve", "tax_ratings", "2099", TaxRating(2099, "D", quiet.today(), basis="direct"))
    decision = quiet.decide("approve", amount="1000.00")
    assert {"RED_COURT", "RED_DPD", "RED_TAXD"} <= codes(decision)
    told = rests_on(quiet, decision)
    named = {(one["reason"], one["record"]["kind"], one["record"]["key"]) for one in told}
    assert {("RED_COURT", "lists", "L-1"), ("RED_DPD", "overdues", "O-1"), ("RED_TAXD", "tax_ratings", "2099")} <= named
    assert not {key for _, _, key in named} & {"L-over", "O-short"}
    court = next(one for one in told if one["reason"] == "RED_COURT")
    assert (court["fact"], court["label"]) == ("list_court_dishonest", "dishonest judgement debtor")
    bodies = {str(one["record"]): {name: one[name] for name in ("enterprise", "record")} for one in told}
    for body in bodies.values():
        assert state(quiet.post("/v1/objections", {**body, **PROVEN})) == "filed"


def test_inputs_of_a_score_that_arrived_as_values_stand_behind_its_reasons(quiet: Town) -> None:
    quiet.deliver("approve", "indicators", "IND22", IndicatorValue("IND22", Decimal(40), quiet.today()))
    quiet.scorer.pd = Decimal("0.400000")
    decision = quiet.decide("approve", amount="1000.00")
    assert "PD_DECLINE" in codes(decision)
    behind = {one["reason"]: one for one in rests_on(quiet, decision) if one["record"]["key"] == "IND22"}
    told = behind["PD_DECLINE"]
    assert told["fact"] == "max_overdue_days_24m" and set(behind) == {"PD_DECLINE", "PD_REFER"}
    body = {name: told[name] for name in ("enterprise", "record")}
    assert state(quiet.post("/v1/objections", {**body, **PROVEN})) == "filed"


def test_who_may_not_see_a_fact_is_told_no_record_behind_it(quiet: Town) -> None:
    quiet.deliver("approve", "lists", "L-court", dishonest(quiet, "L-court"))
    quiet.deliver("approve", "lists", "L-tax", dishonest(quiet, "L-tax", list_name="list_tax_major"))
    told = rests_on(quiet, quiet.decide("approve", "fintech", amount="1000.00"), "fintech")
    assert {"reason": "RED_COURT", "rule": "RED-01", "withheld": True} in told
    assert ("RED_TAX", "L-tax") in {(one["reason"], one.get("record", {}).get("key")) for one in told}
    assert "L-court" not in str(told)


def test_what_is_not_on_record_cannot_be_objected_to(town: Town) -> None:
    for kind, key in {"lists": "nothing", "tax_ratings": "1999", "indicators": "IND99", "overdues": "O-none"}.items():
        assert town.object("approve", kind, key).status_code == 404
    assert town.step("nothing", "acceptance").status_code == 404
    assert town.step("no%20such", "acceptance").status_code == 404


def test_what_is_late_is_told_once_and_silence_of_the_provider_can_be_told_then(quiet: Town) -> None:
    def at(moment: str) -> None:
        quiet.now = datetime.fromisoformat(f"{moment}+08:00").astimezone(UTC)

    at("2026-11-30T10:00")  # a Monday
    quiet.deliver("approve", "lists", "L-late", ListEntry("L-late", "list_court_dishonest", date(2026, 1, 5)))
    objection = quiet.filed("approve", "lists", "L-late")
    clock = ReviewClock(quiet.platform, lambda: quiet.now)
    told: Callable[[], list[tuple[str, str]]] = lambda: [
        (one.act.how, str(one.act.details["step"])) for one in clock.look() if one.act.subject == objection
    ]
    document = quiet.get(f"/v1/objections/{objection}").get_json()
    assert [(one["step"], one["due_at"]) for one in document["steps"]] == [
        ("acceptance", "2026-12-02T09:30:00.000000Z"),  # 17:30 of the second working day
        ("objection", "2026-12-21T09:30:00.000000Z"),  # the 20th day is a Sunday
    ]
    assert document["sla"] == "running" and told() == []
    at("2026-12-01T17:30")
    assert told() == [("objection.near", "acceptance")] and told() == []
    at("2026-12-02T17:30")
    assert told() == [("objection.breached", "acceptance")]
    assert quiet.get(f"/v1/objections/{objection}").get_json()["sla"] == "breached"
    state(quiet.step(objection, "acceptance"))
    silent = {"answer": "no_answer", "evidence": []}
    assert "the provider has time until" in blamed(quiet.step(objection, "source-check", **silent))["answer"]
    at("2026-12-09T17:30")
    assert told() == [("objection.near", "source_check"), ("objection.breached", "source_check")]
    assert ReviewClock(quiet.platform, lambda: quiet.now).look() == (), "another worker knows of them"
    assert state(quiet.step(objection, "source-check", **silent)) == "source_check"
    at("2026-12-21T18:00")
    assert told() == [("objection.near", "objection"), ("objection.breached", "objection")]
    for act in ("ruling", "application", "notification"):
        state(quiet.step(objection, act))
    quiet.now += 30 * DAY
    assert told() == [] and quiet.get(f"/v1/objections/{objection}").get_json()["sla"] is None
    assert findings(quiet) == []


TAMPERS = {
    "UPDATE objections SET effect = NULL WHERE objection_id = :id": "not what its acts have left",
    "UPDATE objections SET uscc = '91350100M000100Y43' WHERE objection_id = :id": "not what its acts have left",
    "UPDATE objections SET state = 'ruled' WHERE objection_id = :id": "not what its acts have left",
    "UPDATE acts SET how = 'refused' WHERE subject = :id": "the record says",
    "DELETE FROM objections WHERE objection_id = :id": "does not tell of the objection",
}


def test_who_changes_what_stands_behind_the_log_is_found_out(quiet: Town) -> None:
    quiet.deliver("approve", "lists", "L-tamper", dishonest(quiet, "L-tamper"))
    objection = quiet.filed("approve", "lists", "L-tamper")
    quiet.step(objection, "acceptance")
    assert findings(quiet) == []
    engine = quiet.platform.store._database.engine
    for tamper, told in TAMPERS.items():
        with engine.connect() as connection, connection.begin() as transaction:
            tables = ("objections", "acts")
            kept = [connection.execute(text(f"SELECT * FROM {table}")).mappings().all() for table in tables]
            transaction.rollback()
        with engine.begin() as connection:
            connection.execute(text(tamper), {"id": objection})
        assert any(told in one for one in findings(quiet)), tamper
        with engine.begin() as connection:
            for table, rows in zip(("objections", "acts"), kept, strict=True):
                connection.execute(text(f"DELETE FROM {table}"))
                for row in rows:
                    columns, values = ", ".join(f'"{name}"' for name in row), ", ".join(f":{name}" for name in row)
                    connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), dict(row))
    assert findings(quiet) == []


def test_an_act_that_lies_about_what_was_upheld_is_found_out(quiet: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    told_truly = ObjectionDesk._seen

    def claim(upheld: bool) -> None:
        """From now on the operator, who has the log's key, signs what is not so."""
        said = {fold.RULED_BEFORE: True} if upheld else {}
        lie = lambda *given: {fold.RECORD_DIGEST: told_truly(*given)[fold.RECORD_DIGEST], **said}  # noqa: E731
        monkeypatch.setattr(ObjectionDesk, "_seen", lie)

    quiet.deliver("approve", "lists", "L-lie", dishonest(quiet, "L-lie"))
    claim(True)
    first = quiet.filed("approve", "lists", "L-lie")
    assert ["upheld before, which it was not" in one for one in findings(quiet)] == [True]
    claim(False)
    quiet.ruled(first, "reject")
    for act in ("application", "notification"):
        state(quiet.step(first, act))
    assert len(findings(quiet)) == 1
    second = quiet.filed("approve", "lists", "L-lie")
    state(quiet.step(second, "acceptance"))
    assert ["does not say that the record was upheld" in one for one in findings(quiet)] == [False, True, True]
    monkeypatch.setattr(fold, "TODAY", fold.FIRST_PROCEDURE)
    quiet.filed("approve", "lists", "L-lie", "other")
    assert "a procedure that was over" in findings(quiet)[-1]


def test_objections_of_the_first_procedure_are_judged_by_it(quiet: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet.deliver("approve", "lists", "L-old", dishonest(quiet, "L-old"))
    with monkeypatch.context() as before:
        before.setattr(fold, "TODAY", fold.FIRST_PROCEDURE)
        before.setattr(ObjectionDesk, "_seen", lambda *given: {fold.RECORD_DIGEST: "00" * 32})
        old = quiet.filed("approve", "lists", "L-old", "steward3")
        assert "is open" in refusal(quiet.object("approve", "lists", "L-old")), "then one for all"
        state(quiet.step(old, "acceptance"))
        state(quiet.step(old, "source-check", "steward3"))
    state(quiet.step(old, "ruling", ruling="reject"))
    new = quiet.filed("approve", "lists", "L-old")
    assert quiet.get(f"/v1/objections/{new}/history").get_json()["acts"][0]["details"]["ruled_before"] is True
    assert findings(quiet) == []


def test_who_decided_by_what_was_repaired_later_is_told_once(quiet: Town) -> None:
    watches = [RepairWatch(quiet.platform, lambda: quiet.now) for _ in "ab"]

    def told() -> list[tuple[str, str]]:
        return [(one.act.subject, str(one.act.details["how"])) for watch in watches for one in watch.look()]

    for key in ("L-ruled", "L-repaired"):
        quiet.deliver("approve", "lists", key, dishonest(quiet, key))
    quiet.deliver("over-limit", "relations", "parent", Relation(quiet.uscc("approve"), "parent"))
    mine, theirs = quiet.decide("approve", amount="1000.00"), quiet.decide("approve", "other", amount="1000.00")
    below, elsewhere = quiet.decide("over-limit"), quiet.decide("whitelist")
    assert told() == []
    quiet.ruled(quiet.filed("approve", "lists", "L-ruled", "steward3"), "delete")
    ids = {one["decision_id"] for one in (mine, theirs, below)}
    assert sorted(told()) == sorted((one, "objection") for one in ids) and told() == []
    repaired = dishonest(quiet, "L-repaired", ended_on=quiet.today(), end_reason="repaired")
    later = quiet.decide("approve", amount="1000.00")
    quiet.now += timedelta(minutes=1)
    quiet.deliver("approve", "lists", "L-repaired", repaired)
    assert told() == [(later["decision_id"], "repair")] and told() == []
    assert RepairWatch(quiet.platform, lambda: quiet.now).look() == (), "also after a restart"
    heard = {who: quiet.get("/v1/events?limit=100", who).get_json()["events"] for who in ("bank", "other")}
    kind = "decision.later_repaired"
    of = {who: [one["data"] for one in found if one["type"] == kind] for who, found in heard.items()}
    assert {one["decision_id"] for one in of["bank"]} == {one["decision_id"] for one in (mine, below, later)}
    names = {name: theirs[name] for name in ("decision_id", "application_id")}
    assert of["other"] == [names | {"how": "objection"}] and elsewhere["decision_id"] not in str(of)
    assert findings(quiet) == []


def test_a_source_that_goes_on_with_what_was_ruled_wrong_is_late_after_twenty_working_days(quiet: Town) -> None:
    late: list[int] = []
    watch = RepairWatch(quiet.platform, lambda: quiet.now, late.append)

    def counted(day: str) -> int:
        quiet.now = datetime.fromisoformat(f"{day}+08:00").astimezone(UTC)
        watch._step(math.inf)
        return late[-1]

    quiet.now = datetime.fromisoformat("2026-06-01T02:00+00:00")  # a Monday
    for show in ("approve", "whitelist", "line"):
        quiet.deliver(show, "lists", f"L-{show}", ListEntry(f"L-{show}", "list_court_dishonest", date(2026, 1, 5)))
        quiet.ruled(quiet.filed(show, "lists", f"L-{show}", "steward3"), "correct" if show == "line" else "delete")
    assert counted("2026-06-30T17:29") == 0  # 19 June is a holiday
    assert counted("2026-06-30T17:30") == 3
    assert counted("2026-07-01T09:00") == 3
    ended = {"ended_on": date(2026, 7, 1), "end_reason": "repaired"}
    repaired = ListEntry("L-approve", "list_court_dishonest", date(2026, 1, 5), **ended)
    quiet.deliver("approve", "lists", "L-approve", repaired)
    quiet.deliver("line", "lists", "L-line", ListEntry("L-line", "list_court_dishonest", date(2026, 2, 5)))
    assert counted("2026-07-01T10:00") == 1, "one was repaired, of one its source says something else"


def test_a_repair_is_told_late_after_three_working_days(quiet: Town) -> None:
    told_late: list[int] = []
    watch = RepairWatch(quiet.platform, lambda: quiet.now, told_late=told_late.append)

    def deliver(show: str, at: str, **ended: Any) -> None:
        quiet.now = datetime.fromisoformat(f"{at}+08:00").astimezone(UTC)
        entry = ListEntry(f"L-{show}", "list_samr_illegal", date(2026, 1, 5), **ended)
        quiet.deliver(show, "lists", f"L-{show}", entry)

    def counted() -> int:
        watch._step(math.inf)
        return told_late[-1]

    repaired = {"ended_on": date(2026, 6, 16), "end_reason": "repaired"}  # a Tuesday; 19 June is a holiday
    for show in ("approve", "whitelist", "line", "yellow"):
        deliver(show, "2026-06-15T09:00")
    deliver("over-limit", "2026-06-25T09:00", **repaired)  # it never stood here
    deliver("approve", "2026-06-22T17:30", **repaired)
    deliver("line", "2026-06-29T09:00", ended_on=date(2026, 6, 16), end_reason="performed")
    assert counted() == 0
    deliver("whitelist", "2026-06-22T17:31", **repaired)
    assert counted() == 1
    deliver("whitelist", "2026-06-29T09:00", **repaired)
    deliver("approve", "2026-06-29T09:00", **repaired)
    assert counted() == 1, "what was told before is told again"
    deliver("yellow", "2027-01-04T09:00", **repaired)
    assert counted() == 1, "the first is thirty days old"
