"""The recipes of rules/README.md, followed to the letter on a copy of the shipped rules."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from decision_service.case_runs import run_ruleset
from decision_service.cli import main
from decision_service.decide import business_date
from decision_service.policy import Policy
from decision_service.rule_folder import check_folder, load_policy

RULES = Path(__file__).resolve().parents[2] / "rules"
TITLES = ("How to change a threshold", "How to go back", "How to stop automatic approval")
SINCE = "effective_from: 2023-10-15"
STRICTEST = {
    "auto_approval": "disabled",
    "auto_cap": "0.01",
    "auto_cap_mode": "industry",
    "group_auto_cap": "0.02",
    "restrict_auto_cap": "0.01",
    "first_time_auto_cap": "0.01",
    "model_gap_max": "0.00",
    "portrait_coverage_min": "1.00",
    "lenders_30d_max": "1",
    "revenue_growth_max": "0.00",
}


def changed(folder: Path, changes: Mapping[str, str], *, on: date) -> Path:
    """A copy of the rules: the rows of these parameters end, and rows with new values begin on the same day."""
    shutil.copytree(RULES, folder)
    file = folder / "parameters.yaml"
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        name = next((one for one in changes if f"name: {one}," in line), None)
        if name is None:
            lines.append(line)
            continue
        assert SINCE in line
        lines.append(line.replace(SINCE, f"{SINCE}, effective_to: {on}"))
        lines.append(f"  - {{name: {name}, value: {changes[name]}, effective_from: {on}, reference: decided today}}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


class Team:
    """Two members of the risk team with a key each, on a store where the shipped rules decide."""

    def __init__(self, home: Path) -> None:
        self.environ = {"DECISION_HOME": str(home), "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db"}
        self.keys = [self.run("clients", "add", "--name", name, "--kind", "risk")["key"] for name in ("ann", "bob")]
        self.run("rules", "activate", str(RULES))

    def run(self, *arguments: str, person: int | None = None) -> Any:
        """A command by one of the two; what it prints as JSON."""
        key = {"DECISION_KEY": None if person is None else self.keys[person]}
        result = CliRunner().invoke(main, [*arguments, "--json"], env={**self.environ, **key})
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


def recipe(title: str) -> list[list[str]]:
    """The commands of a section of rules/README.md, in order, as words."""
    text = (RULES / "README.md").read_text(encoding="utf-8")
    section = text[text.index(f"/ {title}\n") :].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.strip().splitlines()]


def test_the_recipes_are_commands_of_ours() -> None:
    recipes = [recipe(title) for title in TITLES]
    assert [len(commands) for commands in recipes] == [7, 1, 3]
    assert {words[0] for commands in recipes for words in commands} == {"decision-service"}


def value(policy: Policy, name: str, on: date) -> object:
    return policy.on(on).parameters("working_capital", "35")[name]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            {"auto_approval": "disabled"}, id="automatic approval is switched off", marks=pytest.mark.slow
        ),
        pytest.param({"auto_cap": "1_000_000.00"}, id="the automatic cap is lowered", marks=pytest.mark.slow),
        pytest.param(STRICTEST, id="every parameter is as strict as can be"),
    ],
)
def test_a_change_from_today_on_is_released_as_the_recipe_says_and_decides_at_once(
    tmp_path: Path, changes: Mapping[str, str]
) -> None:
    folder, team = changed(tmp_path / "rules", changes, on=business_date(datetime.now(UTC))), Team(tmp_path / "home")
    for words in recipe(TITLES[0]):
        here = [str(folder) if word == "rules" and place > 1 else word for place, word in enumerate(words)]
        told = team.run(*here[1:], person=int("approve" in words))
    before, after = told
    assert (before["state"], after["state"]) == ("no longer active", "active")
    assert (after["published"]["person"]["name"], after["approved"]["person"]["name"]) == ("ann", "bob")
    (back,) = recipe(TITLES[1])
    assert team.run(*back[1:], person=1)["digest"] == before["digest"]


def test_automatic_approval_is_stopped_by_one_and_started_by_another_as_the_recipe_says(tmp_path: Path) -> None:
    team = Team(tmp_path / "home")
    off, listed, on = recipe(TITLES[2])
    assert team.run(*off[1:], person=0)["state"] == "off"
    assert [one["scope"] for one in team.run(*listed[1:])] == ["all"]
    assert team.run(*on[1:], person=1)["state"] == "on"
    assert team.run(*listed[1:]) == []


def test_the_change_holds_from_its_day_and_not_before(tmp_path: Path) -> None:
    folder = changed(tmp_path / "rules", {"auto_approval": "disabled"}, on=date(2026, 11, 24))
    policy = load_policy(folder, on=date(2026, 11, 24))
    assert value(policy, "policy.auto_approval", date(2026, 11, 23)) == "enabled"
    assert value(policy, "policy.auto_approval", date(2026, 11, 24)) == "disabled"


def test_no_shipped_case_is_decided_by_a_policy_still_to_come() -> None:
    _, cases = check_folder(RULES, on=date(2026, 11, 24))
    late = [case.name for case in cases if case.decided_by > date(2026, 7, 1)]
    assert not late, "such a case stands in the way of every change: give it policy_on"


def test_a_case_with_policy_on_is_decided_by_the_policy_of_that_day(tmp_path: Path) -> None:
    folder = changed(tmp_path / "rules", {"auto_approval": "disabled"}, on=date(2026, 11, 24))
    cases = folder / "cases" / "edge_cases.yaml"
    cases.write_text(cases.read_text(encoding="utf-8").replace("    policy_on: 2026-04-01\n", ""), encoding="utf-8")
    policy, sentences = check_folder(folder, on=date(2026, 11, 24))
    failed = run_ruleset(policy, sentences).failures
    assert len(failed) == 4 and all("KILL_SWITCH" in str(failure.problem) for failure in failed)
