"""Which truth values of each comparison the cases show, whether it decides its rule, and its boundary on both sides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from decision_service.rulebook.conditions import AllOf, Comparison, Condition, FactName, Not, comparisons
from decision_service.rulebook.evaluate import Truth, Values, compile_condition
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.rules import Rule, Stage
from decision_service.rulebook.ruleset import RulesInForce

TRUTHS: Mapping[Truth, str] = {True: "true", False: "false", None: "unknown"}
DECIDES: Mapping[bool, str] = {True: "decides_true", False: "decides_false"}
OFFSETS: Mapping[str, int] = {"at": 0, "above": 1, "below": -1}
"""Boundary states, by how many units the left side lies above the right one."""
BOUNDARIES: Mapping[str, tuple[str, ...]] = {
    "<": ("below", "at"),
    ">=": ("below", "at"),
    "<=": ("at", "above"),
    ">": ("at", "above"),
    "==": ("below", "at", "above"),
    "!=": ("below", "at", "above"),
}
"""The two neighbouring values between which a comparison changes; for equality the one between two changes."""
MEMBER = "is "
"""State of a list's member: the comparison is true, and decides, because the fact is this member."""


SHOWING: Mapping[str, str] = {
    "true": "true",
    "false": "false",
    "unknown": "unknown",
    "decides_true": "deciding by being true",
    "decides_false": "deciding by being false",
    "at": "exactly at its boundary",
    "above": "one unit above its boundary",
    "below": "one unit below its boundary",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """How many cases show a state, and the first that does."""

    cases: int = 0
    first: str = ""


@dataclass(frozen=True, slots=True)
class ComparisonCoverage:
    """What cases show of one comparison; ``place`` counts a rule's comparisons from 0, in the order written.

    ``states`` has every state that the comparison can have: ``true``, ``false``, ``unknown``; ``decides_true`` and
    ``decides_false``; for an ordered fact those of ``below``, ``at``, ``above`` that lie at its boundary; for a list
    ``is X`` for each of its members.
    """

    rule: Rule
    place: int
    comparison: Comparison
    states: Mapping[str, Seen]

    @property
    def missing(self) -> tuple[str, ...]:
        """The states that no case shows."""
        return tuple(state for state, seen in self.states.items() if not seen.cases)

    @property
    def gap(self) -> str:
        """What no case shows, as a sentence; empty when nothing is missing."""
        return f"no case shows {self.showing(self.missing)}" if self.missing else ""

    def showing(self, states: Iterable[str]) -> str:
        """The comparison in these states, in words."""
        words = (SHOWING.get(state, f"true because {self.comparison.fact} {state}") for state in states)
        return f"'{self.comparison.text}' {', or '.join(words)}"

    @property
    def paired(self) -> bool:
        """Whether there is a pair of cases for modified condition/decision coverage (MC/DC), as ``decides`` says."""
        return all(self.states[state].cases for state in DECIDES.values())


class Coverage:
    """Counts states over cases, one after the other; rules are told apart by their names."""

    def __init__(self, rules: Iterable[Rule], catalogue: FactCatalogue) -> None:
        self._probes = {rule.name: Probe(rule, catalogue) for rule in sorted(rules, key=lambda one: one.name)}
        self._counts = {name: probe.nothing_seen() for name, probe in self._probes.items()}

    def add(self, case: str, rules: RulesInForce, facts: Values) -> None:
        """Count one case by name; ``facts`` are those after every stage, ``rules`` those that decided it."""
        for stage in Stage:
            for rule in rules.rules(stage):
                for counts, shown in zip(self._counts[rule.name], self._probes[rule.name].shown(facts)):
                    for state in shown:
                        before = counts[state]
                        counts[state] = Seen(before.cases + 1, before.first or case)

    def comparisons(self) -> tuple[ComparisonCoverage, ...]:
        """Every comparison of every rule, by the rule's name."""
        return tuple(
            ComparisonCoverage(probe.rule, place, comparison, dict(self._counts[name][place]))
            for name, probe in self._probes.items()
            for place, comparison in enumerate(probe.comparisons)
        )


class Probe:
    """Tells which states facts show of each comparison of one rule, in the order written.

    Facts mostly repeat the same few truths, so what decides is kept by truths.
    """

    def __init__(self, rule: Rule, catalogue: FactCatalogue) -> None:
        self.rule = rule
        self.comparisons = tuple(comparisons(rule.when))
        self._catalogue = catalogue
        self._tests = [compile_condition(one) for one in self.comparisons]
        self._boundaries = [boundary_states(one, catalogue) for one in self.comparisons]
        self._deciding: dict[tuple[Truth, ...], tuple[bool, ...]] = {}

    def nothing_seen(self) -> list[dict[str, Seen]]:
        """Every state that each comparison can have, seen in no case."""
        names = (*TRUTHS.values(), *DECIDES.values())
        return [dict.fromkeys((*names, *own), Seen()) for own in self._boundaries]

    def shown(self, facts: Values) -> tuple[frozenset[str], ...]:
        """By comparison, the states that facts (those after every stage) show."""
        truths = tuple(test(facts) for test in self._tests)
        if truths not in self._deciding:
            self._deciding[truths] = decides(self.rule.when, truths)
        deciding = self._deciding[truths]
        return tuple(frozenset(self._of(place, facts, truth, deciding[place])) for place, truth in enumerate(truths))

    def _of(self, place: int, facts: Values, truth: Truth, deciding: bool) -> Iterator[str]:
        """A boundary is shown only where the comparison decides: elsewhere moving it would change nothing."""
        yield TRUTHS[truth]
        if truth is None or not deciding:
            return
        yield DECIDES[truth]
        state = boundary_state(self.comparisons[place], facts, self._catalogue)
        if state in self._boundaries[place]:
            yield state


def decides(condition: Condition, truths: Sequence[Truth]) -> tuple[bool, ...]:
    """Of each comparison, whether it decides the condition while the others have these truths.

    It decides if, the others staying as they are, the condition is true for one of *true* and *false* in its place and
    false for the other. In three-valued logic this means: whatever is joined to it or to a group around it by ``and``
    is true, whatever is joined by ``or`` is false; a part that is unknown masks like one that settles the matter.

    A comparison has an MC/DC pair if it decides in one case being true and in another being false. As it stands at one
    place under a fixed number of ``not``, the rule's truth then differs in the two, and the other comparisons, though
    they may differ themselves, have no effect in either: masking MC/DC, of which the unique-cause form is the special
    case that they are equal.
    """
    found = []
    for place in range(len(truths)):
        with_true, with_false = (
            truth_with(condition, iter((*truths[:place], truth, *truths[place + 1 :]))) for truth in (True, False)
        )
        found.append(None not in (with_true, with_false) and with_true is not with_false)
    return tuple(found)


def truth_with(condition: Condition, truths: Iterator[Truth]) -> Truth:
    """The truth of a condition whose comparisons have given truths, in the order written."""
    if isinstance(condition, Comparison):
        return next(truths)
    if isinstance(condition, Not):
        inner = truth_with(condition.part, truths)
        return None if inner is None else not inner
    parts = [truth_with(part, truths) for part in condition.parts]
    settling = not isinstance(condition, AllOf)
    if settling in parts:
        return settling
    return None if None in parts else not settling


def boundary_states(comparison: Comparison, catalogue: FactCatalogue) -> tuple[str, ...]:
    """The boundary states of a comparison, or those of a list's members; none for one choice or flag.

    What lies outside the fact's range is none either.
    """
    operand, fact = comparison.operand, catalogue[comparison.fact]
    if isinstance(operand, tuple):
        return tuple(f"{MEMBER}{catalogue.text(fact.name, one)}" for one in operand)
    if not fact.type.ordered:
        return ()
    states = BOUNDARIES[comparison.operator]
    if not isinstance(operand, int):
        return states
    return tuple(state for state in states if fact.minimum <= operand + OFFSETS[state] <= fact.maximum)


def boundary_state(comparison: Comparison, facts: Values, catalogue: FactCatalogue) -> str:
    """The state at its boundary that facts show of a comparison, or an empty text."""
    value = facts[comparison.fact]
    if isinstance(comparison.operand, tuple):
        return f"{MEMBER}{catalogue.text(comparison.fact, value)}" if value in comparison.operand else ""
    units = distance(comparison, facts)
    return next((state for state, offset in OFFSETS.items() if offset == units), "")


def distance(comparison: Comparison, facts: Values) -> int | None:
    """How many units the left side lies above the right one; unknown if a side is, or is no number."""
    operand = comparison.operand
    left, right = facts[comparison.fact], facts[operand.name] if isinstance(operand, FactName) else operand
    return left - right if isinstance(left, int) and isinstance(right, int) else None
