"""`rules lint`, its findings inside `rules check`, and its gate: what they print, their exit codes."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bench.lint import grow
from decision_service.cli import main
from decision_service.rule_folder import candidate
from decision_service.workbench.gates import lint as lint_gate
from decision_service.workbench.lint import lint
from tests.api.real import RULES

ON = "2026-11-24"
DEAD = """\
stage: decision
rules:
  - id: NEW-1
    title: {zh: 新, en: new}
    when:
      all:
        - product == working_capital
        - overdue_days_serious >= 90
        - overdue_days_serious < 30
    outcome: REFER
    reason: PD_REFER
    effective_from: 2023-10-15
    reference: new
"""
CASES = """\
cases:
  - name: The new rule misses
    base: sound_manufacturer
    as_of: 2024-06-03
    industry: "35"
    expect: {outcome: APPROVE}
    misses: [NEW-1]
"""
OPEN = "exposure_total < 5_000_000"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RULES, tmp_path / "rules"))


@pytest.fixture
def dead(folder: Path) -> Path:
    (folder / "new.yaml").write_text(DEAD, encoding="utf-8")
    (folder / "cases" / "new.yaml").write_text(CASES, encoding="utf-8")
    return folder


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["rules", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return result


def as_json(*arguments: object, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code).stdout)


def test_the_shipped_rules_are_clean() -> None:
    assert run("lint", RULES, "--on", ON).stdout == f"{RULES}: no finding\n"


def test_a_finding_is_told_with_file_line_code_and_remedy_in_either_language(dead: Path) -> None:
    told, count = run("lint", dead, "--on", ON, code=1).stdout.splitlines()
    assert told.startswith(f"{dead}/new.yaml:9: rule NEW-1 contradicts itself: 'overdue_days_serious >= 90' and ")
    assert told.endswith("[contradiction]; correct one of the comparisons, or delete the part")
    assert count == f"{dead}: 1 finding; see docs/lint/"
    assert "new.yaml:9: 规则 NEW-1 的条件自相矛盾" in run("lint", dead, "--on", ON, "--lang", "zh", code=1).stdout


def test_as_json_a_finding_has_both_languages_and_its_page(dead: Path) -> None:
    (found,) = as_json("lint", dead, "--on", ON, code=1)["findings"]
    assert (found["code"], found["file"], found["line"]) == ("contradiction", f"{dead}/new.yaml", 9)
    assert "自相矛盾" in found["zh"] and "contradicts itself" in found["en"] and set(found["remedy"]) == {"zh", "en"}
    assert found["witness"] is None and (RULES.parent / found["page"]).is_file()


def test_check_and_the_gate_of_publication_find_the_same(dead: Path) -> None:
    checked = as_json("check", dead, "--on", ON, code=1)
    assert [one["code"] for one in checked["findings"]] == ["contradiction"] and len(checked["problems"]) == 1
    assert "[contradiction]" in run("check", dead, "--on", ON, code=1).stdout
    result = lint_gate(candidate(dead, on=date.fromisoformat(ON)))
    assert not result.passed and len(result.problems) == 1 and "new.yaml:9" in result.problems[0]


def test_an_application_shows_an_open_boundary_beside_a_profile(folder: Path) -> None:
    overlay = folder / "overlays" / "bank-03"
    overlay.mkdir(parents=True)
    text = (folder / "auto_approval.yaml").read_text(encoding="utf-8")
    own = text.partition("  - id: AUTO-002")[0].replace("exposure_total <= 5_000_000", "exposure_total < 2_000_000")
    above = "  - {id: B3-1, title: {zh: 超, en: above}, when: exposure_total > 2_000_000, outcome: REFER"
    rest = ", reason: AMT_OVER_5M, effective_from: 2023-10-15, reference: board}\n"
    (overlay / "auto.yaml").write_text(own + above + rest, encoding="utf-8")
    lines = run("lint", folder, "--on", ON, code=1).stdout.splitlines()
    opened = [number for number, line in enumerate(lines) if line.endswith("write <= or >= on one side")]
    assert len(opened) == 1 and "where exposure_total is exactly 2_000_000" in lines[opened[0]]
    assert lines[opened[0] + 1].startswith("  as profile ")


def test_a_mistake_of_reading_that_has_a_page_bears_its_code(folder: Path) -> None:
    path = folder / "parameters.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(
        "  - {name: lenders_30d_max, value: 3,",
        "  - {name: lenders_30d_max, value: 4, effective_from: 2026-01-01, reference: new}\n"
        "  - {name: lenders_30d_max, value: 3,",
    ), encoding="utf-8")
    assert "[parameter-overlap]" in run("lint", folder, code=1).stdout


def test_without_a_folder_the_command_cannot_run(tmp_path: Path) -> None:
    assert "there is no such folder" in run("lint", tmp_path / "none", code=2).output


def test_the_help_has_an_example() -> None:
    assert "Example: decision-service rules lint rules" in run("lint", "--help").stdout


@pytest.mark.slow
def test_among_two_hundred_rules_a_planted_fault_is_the_only_finding(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    ruleset = grow(folder, rules=200)
    assert len(ruleset.rules) == 200 and len(ruleset.industries.keys()) == 78
    assert lint(candidate(folder, on=date.fromisoformat(ON))) == ()
    (folder / "new.yaml").write_text(DEAD, encoding="utf-8")
    (found,) = lint(candidate(folder, on=date.fromisoformat(ON)))
    assert (found.code, found.file, found.line) == ("contradiction", "new.yaml", 9)
