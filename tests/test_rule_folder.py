"""A folder of rules as a whole: what it lacks and what is wrong in its cases is told at once."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from decision_service.errors import RulebookError
from decision_service.rule_folder import check_folder, load_policy, named_by_platform
from tests.api.real import RULES

TODAY = date(2026, 11, 24)
NEW_LIST = """\
  - name: list_new
    card: red
    label: {zh: 新, en: new}
    periods:
      - {severity: any, effective_from: 2024-01-01}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RULES, tmp_path / "rules"))


def mistakes(folder: Path) -> list[str]:
    with pytest.raises(RulebookError) as caught:
        check_folder(folder, on=TODAY)
    return [str(problem) for problem in caught.value.problems]


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text, before
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def test_the_shipped_folder_can_decide_and_has_cases() -> None:
    policy, cases = check_folder(RULES, on=TODAY)
    policy.close()
    assert len(cases) > 300


def test_what_the_platform_names_and_what_is_declared_are_the_same() -> None:
    policy = load_policy(RULES, on=TODAY)
    try:
        catalogue = policy.ruleset.catalogue
        declared = {name for name, fact in catalogue.items() if fact.source != "parameter" and fact.derived is None}
        named = {name for name in named_by_platform(policy) if catalogue[name].source != "parameter"}
        assert named == declared
    finally:
        policy.close()


def test_without_its_card_rules_a_folder_is_refused(folder: Path) -> None:
    (folder / "cards.yaml").unlink()
    shutil.rmtree(folder / "cases")
    found = mistakes(folder)
    assert any("sets 'card'" in problem and problem.startswith(f"{folder}/facts.yaml:") for problem in found)
    assert f"{folder}/cases:1: there are no cases; write cases/*.yaml for the rules" in found


def test_without_rules_that_approve_a_folder_is_refused_for_every_product(folder: Path) -> None:
    change(folder / "auto_approval.yaml", "outcome: APPROVE", "outcome: REFER")
    text = (folder / "auto_approval.yaml").read_text(encoding="utf-8")
    (folder / "auto_approval.yaml").write_text(text.replace("outcome: APPROVE", "outcome: REFER"), encoding="utf-8")
    with pytest.raises(RulebookError) as caught:
        load_policy(folder, on=TODAY)
    assert [problem.file for problem in caught.value.problems] == [
        f"{folder}/products/invoice_loan.yaml",
        f"{folder}/products/working_capital.yaml",
    ]


def test_a_list_without_its_fact_is_named_in_the_list_file(folder: Path) -> None:
    with (folder / "lists.yaml").open("a", encoding="utf-8") as file:
        file.write(NEW_LIST)
    (found,) = mistakes(folder)
    assert "lists.yaml:" in found and "'list_new' is a fact that the platform works with" in found
    line = int(found.removeprefix(f"{folder}/lists.yaml:").split(":")[0])
    assert "list_new" in (folder / "lists.yaml").read_text(encoding="utf-8").splitlines()[line - 1]


def test_mistakes_in_cases_stand_beside_what_is_lacking(folder: Path) -> None:
    change(folder / "cases" / "cards.yaml", "base: sound_manufacturer", "base: sound_manufacturre")
    with (folder / "lists.yaml").open("a", encoding="utf-8") as file:
        file.write(NEW_LIST)
    files = [problem.split(":")[0].removeprefix(f"{folder}/") for problem in mistakes(folder)]
    assert files == ["cases/cards.yaml", "lists.yaml"]


CASE = "cases:\n  - {name: new, as_of: 2024-06-03, expect: {outcome: REFER}, records: %s}\n"
BAD_RECORDS = {
    "a kind that no case may have": ("{feeds: []}", "'feeds' cannot stand in a case"),
    "a field that does not exist": ("{overdues: [{recrod_id: r}]}", "has no field 'recrod_id'"),
    "a record that is no mapping": ("{overdues: [5]}", "5 is not a mapping of fields"),
    "no list of records": ("{overdues: 5}", "records:"),
    "related parties without their codes": ("{related_lists: [5]}", "related_lists is not a mapping"),
    "controllers without their codes": ("{controllers: [5]}", "controllers is not a mapping"),
    "a controller that is a number": ("{controllers: {x: 5}}", "5 is not a mapping of kinds"),
}


@pytest.mark.parametrize(("records", "message"), BAD_RECORDS.values(), ids=BAD_RECORDS.keys())
def test_records_of_cases_are_read(folder: Path, records: str, message: str) -> None:
    (folder / "cases" / "new.yaml").write_text(CASE % records, encoding="utf-8")
    (found,) = mistakes(folder)
    assert found.startswith(f"{folder}/cases/new.yaml:2:") and message in found


@pytest.mark.parametrize("name", ["more/new.yaml", "new.yml"])
def test_a_case_file_in_the_wrong_place_is_not_passed_over(folder: Path, name: str) -> None:
    path = folder / "cases" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("cases: []\n", encoding="utf-8")
    (found,) = mistakes(folder)
    assert found.startswith(f"{path}:1: this file is not read by anything")
