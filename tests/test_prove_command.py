"""`rules prove` at the terminal: what it prints, its exit codes, and counterexamples as cases."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.api.real import RULES
from tests.test_cli import Shell

ON = ("--on", "2026-11-24")
RED = "when: card == red\n    outcome: DECLINE"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "home", tmp_path)


@pytest.fixture(scope="module")
def mild(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped rules, but that a red card refers."""
    folder = Path(shutil.copytree(RULES, tmp_path_factory.mktemp("mild") / "rules"))
    policy = folder / "credit_policy.yaml"
    text = policy.read_text(encoding="utf-8")
    policy.write_text(text.replace(RED, RED.replace("DECLINE", "REFER")), encoding="utf-8")
    return folder


def test_every_shipped_claim_is_proven_in_time_and_told_in_a_line(shell: Shell) -> None:
    lines = shell.fine("rules", "prove", str(RULES), *ON).splitlines()
    assert all(" proven " in line for line in lines[:-1]) and len(lines) >= 21
    assert lines[-1].startswith(f"{len(lines) - 1} claims, 1 stretch of time, 0 overlays: all proven in ")


def test_what_is_proven_is_told_as_json(shell: Shell) -> None:
    found = shell.json("rules", "prove", str(RULES), *ON, "--only", "line-5m", "--only", "both-models")
    assert found["proven"] and [one["id"] for one in found["claims"]] == ["line-5m", "both-models"]
    first = found["claims"][0]
    assert (first["claim"], first["result"], first["file"]) == ("implication", "proven", "invariants.yaml")
    (proof,) = first["proofs"]
    assert (proof["from"], proof["client"], proof["counterexample"]) == ("2026-11-24", None, [])


def test_a_claim_that_does_not_hold_is_refuted_with_its_line_and_an_application(shell: Shell, mild: Path) -> None:
    result = shell.run("rules", "prove", str(mild), *ON, "--only", "red-declines", "--only", "line-5m")
    assert result.exit_code == 1
    line = (mild / "invariants.yaml").read_text(encoding="utf-8").splitlines().index("  - id: red-declines") + 1
    place = f"{mild}/invariants.yaml:{line}: red-declines: refuted from 2026-11-24 on: 红牌一律拒绝 · A red card always"
    assert place in result.stdout and "as profile red_manufacturer\n" in result.stdout
    assert "comes out as: 转人工 REFER, 红黄牌 · card red" in result.stdout and "CARD-001" in result.stdout
    assert "2 claims, 1 stretch of time, 0 overlays: 1 not proven" in result.stdout


def test_a_counterexample_is_json_too(shell: Shell, mild: Path) -> None:
    result = shell.run("rules", "prove", str(mild), *ON, "--only", "red-declines", "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["proven"]) == (1, False)
    (application,) = found["claims"][0]["proofs"][0]["counterexample"]
    assert (application["outcome"], application["card"]) == ("REFER", "red")
    assert (application["base"], application["differs"]) == ("red_manufacturer", {"zh": [], "en": []})
    assert "CARD-001" in application["matched"] and application["facts"]["amount"] == "3,000,000.00"


def test_counterexamples_become_cases_that_the_next_test_runs(shell: Shell, mild: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(mild, tmp_path / "rules"))
    target = folder / "cases" / "counterexamples.yaml"
    for number in (1, 2):
        result = shell.run("rules", "prove", str(folder), *ON, "--only", "red-declines", "--as-case", str(target))
        assert result.exit_code == 1 and f"1 case written to {target}" in result.stdout
        text = target.read_text(encoding="utf-8")
        assert text.count("- name:") == number
        assert text.startswith("# yaml-language-server: $schema=../schemas/cases.json\n# Written by")
        assert text.count("yaml-language-server") == 1
    tested = shell.run("rules", "test", str(folder), *ON)
    assert tested.exit_code == 1
    for name in ("red-declines: A red card always declines", "red-declines: A red card always declines (2)"):
        assert f"case '{name}': expected DECLINE, got REFER" in tested.stdout


def test_nothing_is_written_where_everything_is_proven(shell: Shell, tmp_path: Path) -> None:
    target = tmp_path / "cases.yaml"
    told = shell.fine("rules", "prove", str(RULES), *ON, "--only", "line-5m", "--as-case", str(target))
    assert "no case to write" in told and not target.exists()


UNFIT = {
    "a file that is not YAML": ("cases.yaml", "cases: [}\n"),
    "a file whose cases stand in a line": ("cases.yaml", "cases: [{name: a}]\n"),
    "a file that goes on after its cases": ("cases.yaml", "cases:\n  - name: a\nprofiles:\n  one: {}\n"),
    "a name that no case file has": ("cases.txt", "cases:\n  - name: a\n"),
}


@pytest.mark.parametrize(("name", "text"), UNFIT.values(), ids=list(UNFIT))
def test_a_file_to_which_no_case_can_be_appended_stays_as_it_is(
    shell: Shell, mild: Path, tmp_path: Path, name: str, text: str
) -> None:
    target = tmp_path / name
    target.write_text(text, encoding="utf-8")
    result = shell.run("rules", "prove", str(mild), *ON, "--only", "red-declines", "--as-case", str(target))
    assert result.exit_code == 2 and str(target) in result.stderr
    assert target.read_text(encoding="utf-8") == text


def test_out_of_time_is_undecided_which_is_no_proof(shell: Shell) -> None:
    result = shell.run("rules", "prove", str(RULES), *ON, "--only", "limit-within-product", "--timeout", "0.000001")
    assert result.exit_code == 1 and "UNDECIDED" in result.stdout and "Z3 gave no answer in time" in result.stdout


REFUSED = {
    "a claim that there is not": (("--only", "line-5"), "there is no claim of this id; did you mean line-5m?"),
    "no time at all": (("--timeout", "0"), "0"),
}


@pytest.mark.parametrize(("options", "why"), REFUSED.values(), ids=list(REFUSED))
def test_what_cannot_be_proven_is_refused(shell: Shell, options: tuple[str, ...], why: str) -> None:
    result = shell.run("rules", "prove", str(RULES), *ON, *options)
    assert result.exit_code == 2 and why in result.stderr


def test_a_folder_with_mistakes_is_not_proven(shell: Shell, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(RULES, tmp_path / "rules"))
    claims = folder / "invariants.yaml"
    claims.write_text(claims.read_text(encoding="utf-8").replace("claim: monotone", "claim: monotonous", 1))
    result = shell.run("rules", "prove", str(folder), *ON)
    assert result.exit_code == 1
    assert "there is no claim of the form 'monotonous'; did you mean monotone?" in result.stdout
