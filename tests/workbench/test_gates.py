"""The gates on the way to a publication: all problems at once, judged on the very texts that are kept."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

from decision_service.rule_folder import candidate
from decision_service.workbench.gates import GATES
from decision_service.workbench.judging import Gate, GateResult, judge
from decision_service.workbench.versions import packed
from tests.api.real import RULES

TODAY = date(2026, 11, 24)
END = ", effective_from: 2023-10-15, reference: new}\n"
FIRST = [gate for gate in GATES if gate.name in ("check", "test")]


def test_the_shipped_rules_pass_and_each_gate_says_so_in_a_line() -> None:
    judgements = judge(candidate(RULES, on=TODAY), FIRST)
    assert [(one.gate, one.result.passed, one.result.problems) for one in judgements] == [
        ("check", True, ()),
        ("test", True, ()),
    ]
    assert all("\n" not in one.result.summary for one in judgements) and " cases" in judgements[1].result.summary


def test_a_case_that_comes_out_otherwise_and_a_rule_without_cases_do_not_pass(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(RULES, tmp_path / "rules"))
    cases = folder / "cases" / "cards.yaml"
    cases.write_text(cases.read_text(encoding="utf-8").replace("outcome: DECLINE", "outcome: APPROVE", 1))
    limits = folder / "limits.yaml"
    more = "  - {id: LIM-NEW, title: {zh: 新, en: new}, when: amount > 900_000_000.00, effects: {limit_factor: 0.5}"
    limits.write_text(limits.read_text(encoding="utf-8") + more + END, encoding="utf-8")
    result = judge(candidate(folder, on=TODAY), FIRST)[1].result
    assert not result.passed
    assert any("cards.yaml:" in problem for problem in result.problems)
    assert "LIM-NEW: no case matches it; write one" in result.problems


def test_a_gate_that_fails_does_not_keep_the_next_one_from_being_told() -> None:
    no = Gate("no", lambda found: GateResult(False, "no", ("one",)))
    judgements = judge(candidate(RULES, on=TODAY), [no, *FIRST[:1], no])
    assert [one.result.passed for one in judgements] == [False, True, False]


def test_what_is_judged_is_what_is_kept_though_the_folder_changes_meanwhile(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(RULES, tmp_path / "rules"))
    found = candidate(folder, on=TODAY)
    before, cases = dict(found.policy.ruleset.sources), packed(found.case_texts)
    for path in [*folder.glob("*.yaml"), *folder.glob("cases/*.yaml")]:
        path.write_text("changed\n", encoding="utf-8")
    assert judge(found, FIRST)[1].result.passed
    assert (dict(found.policy.ruleset.sources), packed(found.case_texts)) == (before, cases)
    assert sorted(found.case_texts) == sorted(f"cases/{path.name}" for path in (RULES / "cases").glob("*.yaml"))
