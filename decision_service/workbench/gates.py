"""The gates that a version of the rules must pass before it may be published; all judge the same texts, read once."""

from __future__ import annotations

from decision_service.case_runs import run_ruleset
from decision_service.rule_folder import Candidate
from decision_service.workbench.judging import Gate, GateResult


def check(candidate: Candidate) -> GateResult:
    """Files, gaps and cases could be read as a whole, or there would be no candidate."""
    ruleset = candidate.policy.ruleset
    rules, facts, cases = len(ruleset.every_rule()), len(ruleset.catalogue), len(candidate.cases)
    return GateResult(True, f"{rules} rules, {facts} facts, {len(ruleset.reasons)} reasons, {cases} cases")


def test(candidate: Candidate) -> GateResult:
    """Every case comes out as it says by both engines, every rule is matched by one case and missed by another."""
    report = run_ruleset(candidate.policy, candidate.cases)
    uncovered = [f"{rule}: no case matches it; write one" for rule in report.never_matched]
    uncovered += [f"{rule}: no case misses it; write one" for rule in report.never_missed]
    problems = (*(str(failure.problem) for failure in report.failures), *uncovered)
    state = "all as expected" if not problems else f"{len(problems)} problems"
    return GateResult(report.passed, f"{report.cases} cases: {state}", problems)


GATES: tuple[Gate, ...] = (
    Gate("check", check),
    Gate("test", test),
)
"""All gates, in the order in which they are told."""
