"""What follows from applications after their decisions: events for their banks, changed cards, labels to learn from."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from decision_service.api.event_schemas import DATA, EventListSchema
from decision_service.audit.act import MODEL_SWITCHED
from decision_service.card_watch import CardWatch
from decision_service.cli import main
from decision_service.commands.audit import verified
from decision_service.decide import business_date
from decision_service.portrait.records import ListEntry
from decision_service.review_clock import ReviewClock
from decision_service.vocabulary import ModelVersion
from decision_service.workbench.model_watch import ModelWatch
from tests.api.real import VERSION
from tests.api.test_lives import City, final, reviewed, state_of

BEGIN = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)  # a Tuesday, 10:00 in Shanghai
DAY = timedelta(days=1)


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    made = City(tmp_path)
    yield made
    made.platform.store.close()


def lent(city: City, show: str = "approve", contract: str = "C-1", amount: str = "1000.00") -> dict[str, Any]:
    """A decision whose money was drawn."""
    made = city.decide(show)
    state_of(city.act(made, "final", final(amount, contract_id=contract)))
    state_of(city.act(made, "drawdowns", on(city, contract, amount=amount)))
    return made


def on(city: City, contract: str = "C-1", **body: Any) -> dict[str, Any]:
    return {**body, "contract_id": contract, "on": business_date(city.now).isoformat()}


def events(city: City, who: str) -> list[tuple[str, dict[str, Any]]]:
    page = city.get("/v1/events?limit=200", who).get_json()
    assert not EventListSchema().validate(page)
    assert all(set(one["data"]) == set(DATA[one["type"]]) for one in page["events"])
    return [(one["type"], one["data"]) for one in page["events"]]


def test_acts_are_events_of_the_client_that_applied_and_of_nobody_else(city: City) -> None:
    made = city.decide("yellow")
    state_of(city.act(made, "assignment", {}, "risk"))
    state_of(city.act(made, "review", reviewed("1.00", comment="seen the lease"), "risk"))
    state_of(city.act(made, "final", final("1.00", contract_id="C-9")))
    ids = {"decision_id": made["decision_id"], "application_id": made["application_id"]}
    expected = [
        ("decision.made", ids | {"outcome": "REFER"}),
        ("application.assigned", ids),
        ("application.reviewed", ids | {"outcome": "APPROVE"}),
        ("application.final", ids | {"outcome": "APPROVE"}),
    ]
    assert [one for one in events(city, "bank") if one[0] != "ruleset.switched"] == expected
    assert [one for one in events(city, "risk") if one[0] != "ruleset.switched"] == expected
    for other in ("other", "fintech"):
        assert {kind for kind, _ in events(city, other)} <= {"ruleset.switched"}
    assert "lease" not in json.dumps(events(city, "risk"))


def test_reminders_are_events_too(city: City) -> None:
    city.now = BEGIN
    made = city.decide("yellow")
    city.now += 2 * DAY + timedelta(hours=8)
    ReviewClock(city.platform, lambda: city.now).look()
    told = [(kind, data.get("day")) for kind, data in events(city, "bank") if kind.startswith("sla.")]
    assert told == [("sla.near", 1), ("sla.near", 2)]
    city.now += DAY
    ReviewClock(city.platform, lambda: city.now).look()
    assert events(city, "bank")[-1][0] == "sla.breached"
    assert events(city, "bank")[-1][1]["decision_id"] == made["decision_id"]


def red(city: City, show: str, **changes: Any) -> None:
    """A court's list names the firm."""
    entry = ListEntry("red", "list_court_dishonest", business_date(city.now) - DAY)
    rows = [(city.uscc(show), "red", replace(entry, **changes))]
    city.platform.store.write_records("lists", rows, source_time=city.now, now=city.now)


def test_the_card_of_an_existing_borrower_changes_and_its_bank_is_told_once(city: City) -> None:
    made = lent(city)
    watch, another = CardWatch(city.platform, lambda: city.now), CardWatch(city.platform, lambda: city.now)
    assert watch.look() == ()
    red(city, "approve")
    assert [one.act.how for one in (*watch.look(), *another.look(), *watch.look())] == ["card.changed"]
    kind, data = events(city, "bank")[-1]
    ids = {"decision_id": made["decision_id"], "application_id": made["application_id"]}
    assert (kind, data) == ("card.changed", ids | {"card": "red", "card_before": "none"})
    assert "card.changed" not in dict(events(city, "other"))
    city.now += timedelta(hours=1)
    red(city, "approve", ended_on=business_date(city.now), end_reason="removed")
    told = watch.look()
    assert [one.act.details["card"] for one in told] == ["none"]
    assert not list(verified(city.platform).findings)


def test_who_has_repaid_is_watched_until_the_contract_is_closed(city: City) -> None:
    made = lent(city)
    assert state_of(city.act(made, "repayments", on(city, amount="1000.00"))) == "repaid"
    red(city, "approve")
    assert [one.act.details["card"] for one in CardWatch(city.platform, lambda: city.now).look()] == ["red"]
    state_of(city.act(made, "closure", on(city, end="settled")))
    city.now += timedelta(hours=1)
    red(city, "approve", ended_on=business_date(city.now), end_reason="removed")
    assert CardWatch(city.platform, lambda: city.now).look() == ()


def test_who_has_not_borrowed_is_not_watched(city: City) -> None:
    city.decide("approve")
    red(city, "approve")
    assert CardWatch(city.platform, lambda: city.now).look() == ()


def test_a_new_champion_is_told_to_everybody_once_for_all_workers(city: City) -> None:
    clock = lambda: city.now  # noqa: E731
    first, second = (ModelWatch(city.platform, lambda *_: None, clock) for _ in range(2))
    first.look()
    second.look()
    assert city.platform.store.acts("notice", "pd-xgboost") == ()
    second_version = ModelVersion(VERSION.name, "2", "sha256:01")
    city.scorer.in_force = second_version
    for watch in (first, second, ModelWatch(city.platform, lambda *_: None, clock), first):
        watch.look()
    told = [data for kind, data in events(city, "other") if kind == MODEL_SWITCHED]
    assert {one["model"] for one in told} == set(city.platform.policies.current().models)
    assert len(told) == len({one["model"] for one in told})
    assert (told[0]["version_before"], told[0]["version"], told[0]["digest"]) == ("1", "2", "sha256:01")
    city.scorer.in_force = VERSION
    ModelWatch(city.platform, lambda *_: None, clock).look()
    assert len([1 for kind, _ in events(city, "other") if kind == MODEL_SWITCHED]) == 2 * len(told)


def test_outcomes_are_exported_with_the_inputs_of_their_decisions(
    city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = lent(city), lent(city, "whitelist", "C-2")
    city.now += 100 * DAY
    state_of(city.act(bad, "overdues", on(city, "C-2", days=95, amount="1000.00")))
    state_of(city.act(good, "repayments", on(city, amount="1000.00")))
    state_of(city.act(good, "closure", on(city, end="settled")))
    monkeypatch.setenv("DECISION_HOME", str(tmp_path))
    out, later = tmp_path / "o.csv", business_date(city.now).isoformat()
    ask = ["outcomes", "export", "--product", "working_capital", "--on", later, "--out", str(out), "--json"]
    answer = CliRunner().invoke(main, ask)
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["known"] == 2 and json.loads(answer.stdout)["defaulted"] == 1
    rows = {row["decision_id"]: row for row in csv.DictReader(out.open())}
    assert {key: row["defaulted"] for key, row in rows.items()} == {
        good["decision_id"]: "0",
        bad["decision_id"]: "1",
    }
    assert rows[bad["decision_id"]]["industry_code"] and rows[good["decision_id"]]["debt_to_asset_ratio"]
    early = CliRunner().invoke(main, [*ask[:4], "--out", str(out)])
    assert early.exit_code == 2 and "2 not known yet" in early.output
