"""`rules diff`: folders and stored versions, the report in both languages, exit codes, flips as cases that pass."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from decision_service.cli import main
from decision_service.rule_folder import candidate
from decision_service.rulebook.cases import run_cases
from decision_service.rulebook.files import load
from decision_service.store import Store
from decision_service.workbench.reference import judge
from tests.api.real import RULES

DAY = "2026-11-24"
CHANGED = ("cards.yaml", "overdue_days_serious >= 90", "overdue_days_serious >= 60")
SAME = ("cards.yaml", "overdue_days_serious >= 90", "not (overdue_days_serious < 90)")


class Desk:
    """A home without a store, and folders of rules beside the shipped one."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def folder(self, name: str, *edits: tuple[str, str, str]) -> Path:
        folder = self.home / name
        shutil.copytree(RULES, folder)
        for path, before, after in edits:
            text = (folder / path).read_text(encoding="utf-8")
            assert before in text, before
            (folder / path).write_text(text.replace(before, after), encoding="utf-8")
        return folder

    def run(self, *arguments: object) -> Result:
        environ = {"DECISION_HOME": str(self.home), "MLFLOW_TRACKING_URI": f"sqlite:///{self.home}/mlflow.db"}
        result = CliRunner().invoke(main, ("rules", "diff", *map(str, arguments), "--on", DAY), env=environ)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_change_is_told_with_who_flips_and_exits_1(desk: Desk) -> None:
    new = desk.folder("new", CHANGED)
    result = desk.run(RULES, new, "--as-cases", desk.home / "flips.yaml")
    assert result.exit_code == 1, result.output
    assert "when: overdue_days_serious >= 90 → overdue_days_serious >= 60" in result.stdout
    assert "APPROVE→DECLINE" in result.stdout and "(overdue_days_serious): " in result.stdout
    assert "before: APPROVE" in result.stdout and "RED_DPD (RED-08)" in result.stdout
    assert not (desk.home / "decisions.db").exists()
    assert (desk.home / "flips.yaml").read_text(encoding="utf-8").startswith("# Written by")  # no schemas beside it
    _cases_pass_by_the_new_rules_and_fail_by_the_old(desk.home / "flips.yaml", new)


def _cases_pass_by_the_new_rules_and_fail_by_the_old(flips: Path, new: Path) -> None:
    shutil.copy(flips, new / "cases" / "flips.yaml")
    found = candidate(new, on=date.fromisoformat(DAY))
    written = [case for case in found.cases if case.file.endswith("flips.yaml")]
    assert len(written) >= 5
    report = run_cases(found.policy.ruleset, written, evaluate=judge)
    assert not report.failures
    assert len(run_cases(load(RULES), written, evaluate=judge).failures) == len(written)


def test_the_report_is_told_in_chinese_and_as_json(desk: Desk) -> None:
    new = desk.folder("new", ("limits.yaml", "rate_spread_bp: 50", "rate_spread_bp: 60"))
    chinese = desk.run(RULES, new, "--lang", "zh")
    assert "利率加点不同" in chinese.stdout and "利率加点 60 个基点" in chinese.stdout
    found: dict[str, Any] = json.loads(desk.run(RULES, new, "--json").stdout)
    assert found["verdict"] == "flips"
    ((effect,),) = [stretch["effects"] for stretch in found["stretches"]]
    assert (effect["region"], [flip["what"] for flip in effect["flips"]]) == ("rule LIM-03", ["rate_spread_bp"])
    assert [flip["after"]["rate_spread_bp"] for flip in effect["flips"]] == [60]
    assert found["changes"][0]["parts"] == [{"name": "rate_spread_bp", "before": "50", "after": "60"}]


def test_no_decision_changes_is_said_to_be_proven_and_exits_0(desk: Desk) -> None:
    result = desk.run(RULES, desk.folder("new", SAME), "--as-cases", desk.home / "flips.yaml")
    assert result.exit_code == 0, result.output
    assert "rule RED-08: no decision changes: proven" in result.stdout
    assert result.stdout.endswith(
        "no decision changes: proven for every application that both versions admit\nno case to write\n"
    )
    assert not (desk.home / "flips.yaml").exists()


def test_a_stored_version_is_named_by_the_beginning_of_its_digest(desk: Desk) -> None:
    ruleset = load(RULES)
    store = Store.open(f"sqlite:///{desk.home}/decisions.db")
    store.save_ruleset(ruleset.digest, ruleset.version, ruleset.sources, datetime.now(UTC))
    store.close()
    result = desk.run(ruleset.version[:8], RULES)
    assert result.exit_code == 0, result.output
    assert "nothing differs but order, comments or spelling" in result.stdout


REFUSED = {
    "A version that is not there": (("nothing-here", RULES), "there is no store"),
    "A client without an overlay": ((RULES, RULES, "--client", "bank-03"), "neither version has an overlay"),
    "A file that exists": ((RULES, RULES, "--as-cases", RULES / "facts.yaml"), "nothing is overwritten"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_compared_exits_2_with_a_sentence(desk: Desk, case: str) -> None:
    arguments, sentence = REFUSED[case]
    result = desk.run(*arguments)
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr


def test_a_folder_with_mistakes_exits_2_and_names_them(desk: Desk) -> None:
    broken = desk.folder("broken", ("cards.yaml", "overdue_days_serious >= 90", "overdue_days >= 90"))
    result = desk.run(RULES, broken)
    assert result.exit_code == 2, result.output
    assert "cards.yaml:" in result.stderr and "overdue_days" in result.stderr
