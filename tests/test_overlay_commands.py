"""Overlays at the terminal: clients with readable ids, a folder with an overlay checked, tested, listed, published."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.api.real import RULES
from tests.api.test_two_banks import OVERLAY
from tests.test_cli import Shell

CASES = """\
cases:
  - name: A large request of bank three is referred
    client: bank-03
    base: sound_manufacturer
    as_of: 2024-06-03
    industry: "35"
    facts: {amount: 1_000_000.01, lenders_30d: 0}
    expect: {outcome: REFER, reasons: [B3_LARGE]}
    misses: [NA-11]
    matches: [B3-01]
  - name: A request of one million of bank three is approved
    client: bank-03
    base: sound_manufacturer
    as_of: 2024-06-03
    industry: "35"
    facts: {amount: 1_000_000.00, lenders_30d: 0, pd_xgb: 0.01, pd_lstm: 0.01, pd_12m: 0.01}
    expect: {outcome: APPROVE, reasons: [AUTO_OK]}
  - name: A request of one million at a higher risk is not approved by bank three
    client: bank-03
    base: sound_manufacturer
    as_of: 2024-06-03
    industry: "35"
    facts: {amount: 1_000_000.00, lenders_30d: 0, pd_xgb: 0.010001, pd_lstm: 0.010001, pd_12m: 0.010001}
    expect: {outcome: REFER, reasons: [NO_APPROVAL]}
    misses: [AUTO-001]
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "home", tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped rules with an overlay of bank-03 and its cases."""
    found = Path(shutil.copytree(RULES, tmp_path_factory.mktemp("overlaid") / "rules"))
    for path, text in {**OVERLAY, "cases/bank_03.yaml": CASES}.items():
        (found / path).parent.mkdir(parents=True, exist_ok=True)
        (found / path).write_text(text, encoding="utf-8")
    return found


def test_a_client_may_have_an_id_that_people_can_read(shell: Shell) -> None:
    added = shell.json("clients", "add", "--name", "Bank three", "--kind", "bank", "--id", "bank-03")
    other = shell.json("clients", "add", "--name", "Bank four", "--kind", "bank")
    assert added["client_id"] == "bank-03" and added["key"] and len(other["client_id"]) == 36
    assert [row["client_id"] for row in shell.json("clients", "list")] == ["bank-03", other["client_id"]]


BAD_IDS = ["Bank-03", "bank_03", "bank 03", "-bank", "bank-", "bank--03", "", "银行", "../bank", "b" * 65, "bank-03\n"]


@pytest.mark.parametrize("client_id", BAD_IDS)
def test_an_id_that_no_folder_should_have_is_refused(shell: Shell, client_id: str) -> None:
    result = shell.run("clients", "add", "--name", "Bank", "--kind", "bank", "--id", client_id)
    assert result.exit_code == 2 and "cannot be the id of a client; use at most 64 small letters" in result.stderr
    assert shell.json("clients", "list") == []


def test_an_id_is_given_once_even_after_its_client_was_revoked(shell: Shell) -> None:
    for revoke in (False, True):
        if revoke:
            shell.fine("clients", "revoke", "bank-03")
        else:
            shell.fine("clients", "add", "--name", "Bank", "--kind", "bank", "--id", "bank-03")
        again = shell.run("clients", "add", "--name", "Other", "--kind", "bank", "--id", "bank-03")
        assert again.exit_code == 2 and "there is a client bank-03, or was one; choose another id" in again.stderr
    assert len(shell.json("clients", "list")) == 1


def test_a_folder_with_an_overlay_is_checked_and_tested(shell: Shell, folder: Path) -> None:
    assert shell.json("rules", "check", str(folder))["overlays"] == ["bank-03"]
    assert "overlay of bank-03: 2 rules, 1 rows of parameters" in shell.fine("rules", "check", str(folder))
    assert shell.json("rules", "test", str(folder))["failures"] == []


def test_a_rule_of_an_overlay_that_no_case_misses_fails_the_test(shell: Shell, folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "copied"))
    cases = copied / "cases" / "bank_03.yaml"
    text = cases.read_text(encoding="utf-8")
    cases.write_text(text[: text.index("  - name: A request of one million of")], encoding="utf-8")
    result = shell.run("rules", "test", str(copied))
    assert result.exit_code == 1
    assert "bank-03/B3-01: no case misses it" in result.output
    assert "bank-03/AUTO-001: no case matches it" in result.output


def test_the_rules_of_an_overlay_are_listed_with_their_client_and_place(shell: Shell, folder: Path) -> None:
    places = {row["rule"]: row["place"] for row in shell.json("rules", "list", str(folder))}
    assert places["bank-03/B3-01"] == "overlays/bank-03/decision.yaml:3"
    assert places["bank-03/AUTO-001"] == "overlays/bank-03/decision.yaml:10"
    assert places["AUTO-001"].startswith("auto_approval.yaml:")


def test_an_overlay_of_nobody_is_pointed_out_when_it_is_published(shell: Shell, folder: Path) -> None:
    for known in (False, True):
        if known:
            shell.fine("clients", "add", "--name", "Bank three", "--kind", "bank", "--id", "bank-03")
        result = shell.run("rules", "publish", str(folder))
        assert result.exit_code == 0, result.output
        assert ("overlays/bank-03: no client has this id, so nobody is decided by it" in result.stderr) is not known
