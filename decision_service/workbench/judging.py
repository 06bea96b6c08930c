"""A gate judges a version of the rules before it may be published; what the gates say is told all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

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


def judge(
    candidate: Candidate, gates: Iterable[Gate], *, tell: Callable[[Judgement], object] = lambda one: None
) -> tuple[Judgement, ...]:
    """What every gate says, so that all problems are told at once; ``tell`` is called as each ends."""
    found = []
    for gate in gates:
        found.append(Judgement(gate.name, gate.run(candidate)))
        tell(found[-1])
    return tuple(found)
