"""What a version of the rules must pass before it may be published; each gate judges the same texts, read once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from decision_service.case_runs import run_ruleset
from decision_service.rule_folder import Candidate


@dataclass(frozen=True, slots=True)
class GateResult:
    """Whether a version passed, in one line for the log, and every problem as a sentence."""

    passed: bool
    summary: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gate:
    """One judgement; ``run`` never changes what it is given."""

    name: str
    run: Callable[[Candidate], GateResult]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a gate said."""

    gate: str
    result: GateResult


def check(candidate: Candidate) -> GateResult:
    """Files, gaps and cases could be read as a whole, or there would be no candidate."""
    ruleset = candidate.policy.ruleset
    sizes = {"rules": ruleset.rules, "facts": ruleset.catalogue, "reasons": ruleset.reasons, "cases": candidate.cases}
    return GateResult(True, ", ".join(f"{len(found)} {what}" for what, found in sizes.items()))


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


def judge(candidate: Candidate, gates: Iterable[Gate]) -> tuple[Judgement, ...]:
    """What every gate says, so that all problems are told at once."""
    return tuple(Judgement(gate.name, gate.run(candidate)) for gate in gates)
