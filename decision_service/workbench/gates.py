"""The gates that a version of the rules must pass before it may be published; all judge the same texts, read once."""

from __future__ import annotations

from decision_service.case_runs import run_ruleset
from decision_service.rule_folder import Candidate
from decision_service.workbench.counterexamples import account, told
from decision_service.workbench.judging import Gate, GateResult
from decision_service.workbench.lint import lint as findings_of
from decision_service.workbench.prove import Result, familiar
from decision_service.workbench.prove import prove as proven
from decision_service.workbench.prove import reports, tasks_of


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


def prove(candidate: Candidate) -> GateResult:
    """Every claim is proven for all applications, now and after every later change, and every overlay only tightens."""
    tasks = tasks_of(candidate.policy.ruleset, on=candidate.on)
    proofs, bases = tuple(proven(candidate, tasks)), familiar(candidate)
    claims = reports(candidate, proofs)
    failed = [proof for proof in proofs if proof.result is not Result.PROVEN]
    problems = tuple("\n  ".join((account(proof), *told(proof, bases))) for proof in failed)
    broken = [f"{one.invariant.id} {one.result.value}" for one in claims if one.result is not Result.PROVEN]
    overlays = len(candidate.policy.ruleset.overlays)
    state = "all proven" if not broken else ", ".join(broken)
    return GateResult(not broken, f"{len(claims)} claims, {overlays} overlays: {state}", problems)


def lint(candidate: Candidate) -> GateResult:
    """Nothing in the rules can never matter, is left open, or is used by nobody."""
    found = findings_of(candidate)
    problems = tuple(str(one.problem("en")) for one in found)
    return GateResult(not found, f"{len(found)} findings" if found else "no finding", problems)


GATES: tuple[Gate, ...] = (
    Gate("check", check),
    Gate("lint", lint),
    Gate("test", test),
    Gate("prove", prove),
)
"""All gates, in the order in which they are told."""
