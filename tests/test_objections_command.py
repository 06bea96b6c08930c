"""`objections`: the table, one objection with its acts, and forgetting comments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from decision_service.cli import main
from tests.api.test_objections import Town, dishonest, state


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    made = Town(tmp_path_factory.mktemp("town"))
    yield made
    made.platform.store.close()


def run(town: Town, *words: str) -> Any:
    home = Path(str(town.platform.store._database.url.database)).parent
    environment = {"DECISION_HOME": str(home), "DECISION_DATABASE_URL": f"sqlite:///{home}/decisions.db"}
    return CliRunner(env=environment).invoke(main, words)


def test_stewards_see_what_is_due_and_what_was_done(town: Town) -> None:
    ids = []
    for number in range(2):
        town.deliver("approve", "lists", f"L-{number}", dishonest(town, f"L-{number}"))
        answer = town.object("approve", "lists", f"L-{number}", comment="Confidential Zhang")
        ids.append(str(answer.get_json()["objection_id"]))
    state(town.step(ids[0], "acceptance"))
    listed = run(town, "objections", "list")
    assert listed.exit_code == 0, listed.output
    assert "list_court_dishonest L-0" in listed.output and "source_check" in listed.output
    whole = json.loads(run(town, "objections", "list", "--state", "filed", "--json").output)
    assert [one["objection_id"] for one in whole["objections"]] == [ids[1]] and whole["next"] is None
    first = json.loads(run(town, "objections", "list", "--limit", "1", "--json").output)
    rest = json.loads(run(town, "objections", "list", "--after", first["next"], "--json").output)
    assert [one["objection_id"] for one in (*first["objections"], *rest["objections"])] == ids[::-1]

    shown = run(town, "objections", "show", ids[0])
    assert shown.exit_code == 0 and f"steward {town.ids['steward']}" in shown.output and "1 documents" in shown.output
    assert "Confidential Zhang" in shown.output
    assert run(town, "objections", "erase", ids[0]).exit_code == 0
    told = json.loads(run(town, "objections", "show", ids[0], "--json").output)
    assert [one["act"] for one in told["acts"]] == ["filed", "accepted", "erased"] and "Confidential" not in str(told)
    again = run(town, "objections", "erase", ids[0])
    assert again.exit_code == 2 and "erased before" in again.output
    verified = run(town, "audit", "verify")
    assert verified.exit_code == 0 and "4 objections" in verified.output, verified.output


def test_what_is_not_there_is_told_without_a_traceback(town: Town, tmp_path: Path) -> None:
    missing = run(town, "objections", "show", "nothing")
    assert missing.exit_code == 2 and "there is no such objection" in missing.output
    wrong = run(town, "objections", "list", "--after", "nowhere")
    assert wrong.exit_code == 2 and "this is not a cursor" in wrong.output
    environment = {"DECISION_HOME": str(tmp_path), "DECISION_DATABASE_URL": f"sqlite:///{tmp_path}/none.db"}
    nowhere = CliRunner(env=environment).invoke(main, ["objections", "list"])
    assert nowhere.exit_code == 2 and "there is no store" in nowhere.output


def test_what_is_late_is_told_and_is_a_finding(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.deliver("whitelist", "lists", "L-clock", dishonest(town, "L-clock"))
    town.ruled(town.filed("whitelist", "lists", "L-clock", "steward3"), "delete")
    town.deliver("line", "lists", "L-slow", dishonest(town, "L-slow"))
    slow = town.filed("line", "lists", "L-slow", "steward3")
    assert run(town, "objections", "clock").exit_code == 0
    monkeypatch.setattr("decision_service.commands.objections.now", lambda: town.now + timedelta(days=90))
    found = run(town, "objections", "clock")
    assert found.exit_code == 1 and slow in found.output and "L-clock" in found.output, found.output
    told = json.loads(run(town, "objections", "clock", "--json").output)
    assert slow in {one["objection_id"] for one in told["late"]}
    assert [one["target"]["key"] for one in told["sources"]] == ["L-clock"]


def test_a_repair_that_was_told_late_is_a_finding(tmp_path: Path) -> None:
    town = Town(tmp_path)
    entry = dishonest(town, "L-told")
    town.deliver("approve", "lists", "L-told", entry)
    assert json.loads(run(town, "objections", "clock", "--json").output)["repairs"] == []
    ended = town.today() - timedelta(days=30)
    town.deliver("approve", "lists", "L-told", replace(entry, ended_on=ended, end_reason="repaired"))
    found = run(town, "objections", "clock", "--json")
    (told,) = json.loads(found.output)["repairs"]
    assert found.exit_code == 1 and (told["key"], told["ended_on"]) == ("L-told", str(ended))
    assert "list_court_dishonest L-told" in run(town, "objections", "clock").output
    town.platform.store.close()
