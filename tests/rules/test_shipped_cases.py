"""The shipped cases: every one comes out as it says, every rule is matched by one and missed by another."""

from __future__ import annotations

from pathlib import Path

import pytest

from decision_service.case_runs import run_ruleset
from decision_service.policy import Policy
from decision_service.rulebook.cases import CaseReport, load_cases
from decision_service.rulebook.files import load

FOLDER = Path(__file__).resolve().parents[2] / "rules"


@pytest.fixture(scope="module")
def report() -> CaseReport:
    policy = Policy(load(FOLDER))
    try:
        return run_ruleset(policy, load_cases(FOLDER, policy.ruleset))
    finally:
        policy.close()


def test_every_case_comes_out_as_it_says(report: CaseReport) -> None:
    assert not [str(failure.problem) for failure in report.failures]


def test_every_rule_is_matched_by_one_case_and_missed_by_another(report: CaseReport) -> None:
    assert (report.never_matched, report.never_missed) == ((), ())


def test_every_rule_is_left_unknown_by_a_case(report: CaseReport) -> None:
    assert not [rule_id for rule_id, seen in report.coverage.items() if not seen.unknown]
