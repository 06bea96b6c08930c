"""`rules test`: exit codes, coverage, suggestions that touch nothing, JUnit; a fixed day for it and `rules check`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from decision_service.cli import main
from tests.api.real import RULES

BOUNDARIES = "boundaries.yaml"
LATE = "2031-01-01"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RULES, tmp_path / "rules"))


@pytest.fixture
def gaps(folder: Path) -> Path:
    """The shipped rules without the cases that were once suggested."""
    (folder / "cases" / BOUNDARIES).unlink()
    return folder


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["rules", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return result


def as_json(*arguments: object, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code).stdout)


def replace_in(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def test_the_shipped_rules_pass_without_a_gap_even_strictly() -> None:
    lines = run("test", RULES, "--strict").stdout.splitlines()
    assert lines[-2].endswith("comparisons, no gap") and lines[-1].endswith("all as expected")


def test_gaps_are_told_with_file_and_line_and_fail_only_when_strict(gaps: Path) -> None:
    output = run("test", gaps).stdout
    line = (gaps / "cards.yaml").read_text(encoding="utf-8").splitlines().index("  - id: RED-06") + 1
    assert f"{gaps}/cards.yaml:{line}: RED-06: no case shows 'tax_rating == D' deciding by being false" in output
    assert "add --suggest" in output and "25 of them with gaps" in output
    assert run("test", gaps, "--strict", code=1).stdout == output


def test_json_has_every_comparison_with_its_states_and_the_first_case_that_shows_them(gaps: Path) -> None:
    report = as_json("test", gaps)
    assert (report["gaps"], report["failures"], report["never_matched"], report["never_missed"]) == (27, [], [], [])
    (found,) = [one for one in report["comparisons"] if one["missing"] and one["rule"] == "NA-02G"]
    assert found["comparison"] == "group_exposure_others > 0.00" and found["missing"] == ["above"]
    assert found["mcdc"] is True and found["file"] == "never_automatic.yaml"
    assert found["states"]["above"] == {"cases": 0, "first": None}
    assert found["states"]["at"]["cases"] > 1 and found["states"]["at"]["first"]
    assert report["rules"]["AUTO-001"]["matched"] > 50


@pytest.mark.parametrize("option", ["--coverage", "--verbose"])
def test_the_whole_table_has_a_row_for_every_comparison(option: str) -> None:
    lines = run("test", RULES, option).stdout.splitlines()
    assert lines[0].split()[:2] == ["rule", "comparison"]
    assert any(line.startswith("RED-08 ") and "below " in line and "at " in line for line in lines)
    assert len(lines) == len(as_json("test", RULES)["comparisons"]) + 4


def test_suggestions_are_written_pass_and_close_the_gaps(gaps: Path) -> None:
    report = as_json("test", gaps, "--suggest")
    written = gaps / "cases" / "suggested.yaml"
    found = report["suggested"]
    assert (found["file"], len(found["cases"]), found["not_found"]) == (str(written), 26, [])
    assert report["gaps"] == 0
    text = written.read_text(encoding="utf-8")
    assert text.splitlines()[0] == "# yaml-language-server: $schema=../schemas/cases.json"
    assert text.count("# to be confirmed by a person") == 26
    assert "AUTO-101: exposure_total one fen above 5,000,000.00" in text
    assert as_json("test", gaps, "--strict")["gaps"] == 0


def test_nothing_that_exists_is_overwritten(gaps: Path, tmp_path: Path) -> None:
    cases = gaps / "cases"
    (cases / "suggested.yaml").write_text("cases: []\n", encoding="utf-8")
    report = as_json("test", gaps, "--suggest")
    assert report["suggested"]["file"] == str(cases / "suggested_2.yaml")
    assert (cases / "suggested.yaml").read_text(encoding="utf-8") == "cases: []\n"
    mine = cases / "amounts.yaml"
    before = mine.read_bytes()
    assert "nothing is overwritten" in run("test", gaps, "--suggest", mine, code=2).stderr
    assert "this is a folder" in run("test", gaps, "--suggest", tmp_path, code=2).stderr
    assert mine.read_bytes() == before


def test_suggestions_elsewhere_leave_the_folder_as_it_is(gaps: Path, tmp_path: Path) -> None:
    report = as_json("test", gaps, "--suggest", tmp_path / "look.yaml")
    assert report["gaps"] == 27 and (tmp_path / "look.yaml").is_file()
    assert not (gaps / "cases" / "suggested.yaml").exists()


def test_without_a_gap_nothing_is_written(folder: Path) -> None:
    assert "no case to suggest; nothing written" in run("test", folder, "--suggest").stdout
    assert not (folder / "cases" / "suggested.yaml").exists()


def test_a_file_that_cannot_be_written_is_named(gaps: Path, tmp_path: Path) -> None:
    assert str(tmp_path / "no" / "x.yaml") in run("test", gaps, "--suggest", tmp_path / "no" / "x.yaml", code=2).stderr
    assert str(tmp_path / "no" / "x.xml") in run("test", gaps, "--junit", tmp_path / "no" / "x.xml", code=2).stderr


def test_junit_has_every_case_and_fails_with_the_command(folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    replace_in(folder / "cases" / "approval.yaml", "limit: 15_000_000.00", "limit: 15_000_000.01")
    output = run("test", folder, "--junit", report, code=1).stdout
    root = ElementTree.parse(report).getroot()
    assert {suite.get("name") for suite in root} == {
        *(str(path) for path in (folder / "cases").glob("*.yaml") if path.name != "profiles.yaml"), "coverage"
    }  # fmt: skip
    (failed,) = [test for test in root.iter("testcase") if len(test)]
    assert failed.get("file") == str(folder / "cases" / "approval.yaml")
    assert f"{failed.get('file')}:{failed.get('line')}: case '{failed.get('name')}'" in output
    assert "got 15,000,000.00" in (failed[0].get("message") or "")


def test_junit_tells_of_files_that_cannot_be_used_instead_of_keeping_an_old_report(
    folder: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.xml"
    report.write_text("old", encoding="utf-8")
    replace_in(folder / "cards.yaml", "when: list_court_dishonest == active", "when: list_court_dishonest == actve")
    assert "mistake" in run("test", folder, "--junit", report, code=1).stdout
    (error,) = ElementTree.parse(report).getroot().iter("error")
    assert "cards.yaml" in (error.text or "")


def test_a_rule_without_a_case_that_matches_fails(folder: Path) -> None:
    with (folder / "cards.yaml").open("a", encoding="utf-8") as file:
        file.write(
            "  - id: YEL-99\n    title: {zh: 新, en: new}\n    when: lenders_30d > 9_000\n    sets: {card: yellow}\n"
            "    reason: YEL_ABN\n    effective_from: 2023-10-15\n    reference: test\n"
        )
    assert "YEL-99: no case matches it; write one" in run("test", folder, code=1).stdout
    report = as_json("test", folder, "--suggest")
    assert report["never_matched"] == [] and report["gaps"] == 0


@pytest.mark.parametrize("command", ["check", "test"])
def test_a_folder_is_judged_by_the_day_that_is_given(folder: Path, command: str) -> None:
    approval = folder / "auto_approval.yaml"
    text = approval.read_text(encoding="utf-8")
    ended = text.replace("effective_from: 2023-10-15", f"effective_from: 2023-10-15\n    effective_to: {LATE}")
    approval.write_text(ended, encoding="utf-8")
    before = run(command, folder, "--on", "2030-12-31", code=int(command == "check"))  # lint looks ahead
    assert "can approve the product" not in before.stdout
    for product in ("working_capital", "invoice_loan"):
        assert f"can approve the product {product}" in run(command, folder, "--on", LATE, code=1).stdout


@pytest.mark.parametrize("command", ["check", "test"])
def test_a_day_is_a_date(command: str) -> None:
    assert "2026-02-30" in run(command, RULES, "--on", "2026-02-30", code=2).stderr
