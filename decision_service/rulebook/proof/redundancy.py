"""Parts of a condition that make no difference: never true, or always true, wherever they are asked."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import z3

from decision_service.rulebook.conditions import AllOf, AnyOf, Comparison, Condition, Not, facts_named
from decision_service.rulebook.proof.analysis import Analysis, always_true, never_true
from decision_service.rulebook.proof.world import LIMIT
from decision_service.rulebook.rules import Rule

Rebuild = Callable[[Condition], Condition]


@dataclass(frozen=True, slots=True)
class Idle:
    """A part of a rule's condition that could be left out; ``place`` counts its first comparison from 0."""

    part: Condition
    place: int
    always: bool


def idle_parts(analysis: Analysis, rule: Rule) -> Iterator[Idle]:
    """The largest parts that never make a difference, each beside those that are left without the ones before it.

    A part is idle if the condition is true, false and unknown for the same applications with the part always true (or
    always false) whenever its facts are known. The whole of a condition is not asked: a rule may always match.
    """
    if not isinstance(rule.when, AllOf) or not _each_counts(analysis, rule.when):
        yield from _Walk(analysis).inside(rule.when, lambda part: part, 0)


def _each_counts(analysis: Analysis, condition: AllOf) -> bool:
    """Whether each part of a conjunction of comparisons is false somewhere while no other part is: none is idle then.

    That is the usual case, and asks for less than ``same_truth``.
    """
    if LIMIT in analysis.reads.of(facts_named(condition)):
        return False
    if not all(isinstance(part, Comparison) for part in condition.parts):
        return False
    truths = [analysis.world.truth(part) for part in condition.parts]
    excluded = [z3.Not(truth.no) for truth in truths]
    return all(
        analysis.possible(truth.no, *excluded[:place], *excluded[place + 1 :]) is not None
        for place, truth in enumerate(truths)
    )


class _Walk:
    """Goes through the parts of one condition, the largest first."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis

    def inside(self, condition: Condition, rebuild: Rebuild, place: int) -> Generator[Idle, None, Condition]:
        """Idle parts of a condition that stands where ``rebuild`` puts it; returns the condition without them."""
        if isinstance(condition, Not):
            return Not((yield from self.inside(condition.part, lambda part: rebuild(Not(part)), place)))
        if isinstance(condition, Comparison):
            return condition
        return (yield from self._parts(condition, rebuild, place))

    def _parts(self, condition: AllOf | AnyOf, rebuild: Rebuild, place: int) -> Generator[Idle, None, Condition]:
        """From the last to the first: of two that say the same, the later is the one too many."""
        kind, left = type(condition), list(condition.parts)
        places = [place + sum(map(_size, left[:number])) for number in range(len(left))]
        for number in reversed(range(len(left))):
            def put(part: Condition, number: int = number) -> Condition:
                return rebuild(kind((*left[:number], part, *left[number + 1 :])))

            part = left[number]
            idle = self._idle(part, put)
            if idle is None:
                left[number] = yield from self.inside(part, put, places[number])
            else:
                yield Idle(part, places[number], idle)
                left[number] = always_true(part) if idle else never_true(part)
        return kind(tuple(left))

    def _idle(self, part: Condition, put: Rebuild) -> bool | None:
        for always, changed in ((True, always_true(part)), (False, never_true(part))):
            if self._analysis.same_truth(put(part), put(changed)):
                return always
        return None


def _size(condition: Condition) -> int:
    if isinstance(condition, Comparison):
        return 1
    return _size(condition.part) if isinstance(condition, Not) else sum(map(_size, condition.parts))
