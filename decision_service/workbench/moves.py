"""Single changes of given facts that bring a condition nearer to a wished truth, or a comparison to its boundary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from decision_service.lending.limits import limit_max
from decision_service.rulebook.case_file import COMPUTED
from decision_service.rulebook.conditions import AllOf, Comparison, Condition, Exact, FactName, Not
from decision_service.rulebook.coverage import MEMBER, OFFSETS, boundary_state
from decision_service.rulebook.encoding import Fact
from decision_service.rulebook.evaluate import Truth, truth_of, unknown_facts
from decision_service.rulebook.facts import FactCatalogue, Facts
from decision_service.rulebook.rules import LimitEffects, Rule, Stage
from decision_service.rulebook.ruleset import RulesInForce

Move = tuple[str, Exact | None]
"""A given fact and its new exact value; ``None`` makes it unknown."""

UNITS_OFF: Mapping[tuple[str, bool], tuple[int, ...]] = {
    ("<", True): (-1,),
    ("<", False): (0,),
    ("<=", True): (0,),
    ("<=", False): (1,),
    (">", True): (1,),
    (">", False): (0,),
    (">=", True): (0,),
    (">=", False): (-1,),
    ("==", True): (0,),
    ("==", False): (1, -1),
    ("!=", True): (1, -1),
    ("!=", False): (0,),
}
"""How many units the left side is put above the right one for a truth: as near to the boundary as can be."""
PROBE = 1_000
ROUNDS = 8
"""A derived fact is brought to a value by stepping its inputs: the first step, in units, and how often it is mended."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A truth wished of a condition; ``state`` is the boundary state wished beside it, if any."""

    condition: Condition
    truth: Truth
    state: str = ""

    def met(self, facts: Facts) -> bool:
        """Whether facts (those after every stage) have it."""
        if truth_of(self.condition, facts) is not self.truth:
            return False
        if not self.state or not isinstance(self.condition, Comparison):
            return True
        return boundary_state(self.condition, facts, facts.catalogue) == self.state


def moves(goal: Goal, facts: Facts, rules: RulesInForce, *, usual: Mapping[str, Exact]) -> Iterator[Move]:
    """Changes that may bring ``facts`` (those after every stage) nearer to a goal, parameters last.

    ``usual`` are values for facts that are unknown and must be known. No move is promised to reach the goal: whoever
    asks tries them.
    """
    found = dict.fromkeys((*_toward(goal, facts, rules), *_made_known(goal.condition, facts, usual)))
    catalogue = rules.catalogue
    admitted = [(name, value) for name, value in found if facts[name] != value and admits(catalogue[name], value)]
    yield from sorted(admitted, key=lambda move: catalogue[move[0]].source == "parameter")


def admits(fact: Fact, value: Exact | None) -> bool:
    """Whether a case may give a fact this value; the word for unknown may be one of its choices."""
    if fact.derived is not None or fact.source in COMPUTED:
        return False
    if value is None:
        return "unknown" not in fact.choices
    return value in fact.choices if isinstance(value, str) else fact.minimum <= value <= fact.maximum


def _toward(goal: Goal, facts: Facts, rules: RulesInForce) -> Iterator[Move]:
    condition, truth = goal.condition, goal.truth
    if isinstance(condition, Comparison):
        yield from _compared(goal, condition, facts, rules)
    elif isinstance(condition, Not):
        yield from _toward(Goal(condition.part, None if truth is None else not truth), facts, rules)
    else:
        settling = not isinstance(condition, AllOf)
        for part in condition.parts:
            found = truth_of(part, facts)
            if truth is None and found is settling:
                yield from _toward(Goal(part, not settling), facts, rules)
            if found is not truth:
                yield from _toward(Goal(part, truth), facts, rules)


def _made_known(condition: Condition, facts: Facts, usual: Mapping[str, Exact]) -> Iterator[Move]:
    """Usual values for the given facts that keep a condition unknown."""
    for name in unknown_facts(condition, facts):
        fact = facts.catalogue[name]
        for given in (name,) if fact.derived is None else _given(fact, facts.catalogue):
            if facts[given] is None and given in usual:
                yield given, usual[given]


def _compared(goal: Goal, comparison: Comparison, facts: Facts, rules: RulesInForce) -> Iterator[Move]:
    for value in _left_values(goal, comparison, facts):
        yield from _ways(comparison.fact, value, facts, rules)
    if isinstance(comparison.operand, FactName):
        for value in _right_values(goal, comparison, facts):
            yield from _ways(comparison.operand.name, value, facts, rules)


def _left_values(goal: Goal, comparison: Comparison, facts: Facts) -> Iterable[Exact | None]:
    operand = comparison.operand
    right = facts[operand.name] if isinstance(operand, FactName) else operand
    fact = facts.catalogue[comparison.fact]
    if goal.truth is None:
        return (None,)
    if isinstance(right, tuple):
        return _members(fact, right, goal, facts.catalogue)
    if right is None:
        return ()
    if isinstance(right, int) and fact.type.ordered:
        return [right + units for units in _units(goal, comparison)]
    others = [value for value in (fact.choices or (0, 1)) if value != right]
    return [right] if (comparison.operator == "==") is goal.truth else others


def _right_values(goal: Goal, comparison: Comparison, facts: Facts) -> Iterable[Exact | None]:
    left = facts[comparison.fact]
    if goal.truth is None:
        return (None,)
    if isinstance(left, int) and facts.catalogue[comparison.fact].type.ordered:
        return [left - units for units in _units(goal, comparison)]
    return () if left is None or (comparison.operator == "==") is not goal.truth else (left,)


def _units(goal: Goal, comparison: Comparison) -> tuple[int, ...]:
    if goal.state:
        return (OFFSETS[goal.state],)
    return UNITS_OFF[comparison.operator, bool(goal.truth)]


def _members(fact: Fact, members: tuple[Exact, ...], goal: Goal, catalogue: FactCatalogue) -> list[Exact]:
    if goal.truth:
        return [one for one in members if goal.state in ("", f"{MEMBER}{catalogue.text(fact.name, one)}")]
    if fact.choices:
        return [one for one in fact.choices if one not in members]
    numbers = [one for one in members if isinstance(one, int)]
    return [max(numbers) + 1, min(numbers) - 1]


def _ways(name: str, value: Exact | None, facts: Facts, rules: RulesInForce) -> Iterator[Move]:
    """Changes of given facts by which a fact may come to a value, however it is made."""
    fact = rules.catalogue[name]
    if fact.derived is not None:
        yield from _through_formula(fact, value, facts)
    elif fact.combine is not None:
        yield from _through_status(fact, value, facts, rules)
    elif fact.source in COMPUTED:
        yield from ((read, None) for read in _read_by_limit(facts) if value is None)
    else:
        yield name, value


def _through_formula(fact: Fact, value: Exact | None, facts: Facts) -> Iterator[Move]:
    for given in _given(fact, facts.catalogue):
        if value is None:
            yield given, None
        elif isinstance(value, int) and (solved := _solved(fact.name, value, given, facts)) is not None:
            yield given, solved


def _given(fact: Fact, catalogue: FactCatalogue) -> Iterator[str]:
    """The given facts from which a derived one comes."""
    for name in fact.derived.inputs if fact.derived is not None else ():
        if catalogue[name].derived is None:
            yield name
        else:
            yield from _given(catalogue[name], catalogue)


def _solved(name: str, wanted: int, given: str, facts: Facts) -> int | None:
    """The value of one given fact that brings a derived fact to a value, all else equal; by following its slope."""
    value = facts[given]
    step = PROBE
    for _ in range(ROUNDS):
        if not isinstance(value, int):
            return None
        here, there = (facts.with_values({given: one})[name] for one in (value, value + step))
        if here == wanted:
            return value
        if not isinstance(here, int) or not isinstance(there, int) or there == here:
            return None
        value += round(Fraction((wanted - here) * step, there - here)) or (1 if wanted > here else -1)
    return None


def _through_status(fact: Fact, value: Exact | None, facts: Facts, rules: RulesInForce) -> Iterator[Move]:
    """A settable fact has the strongest value of the rules that match, its default if none does."""
    setting = [(rule, set_to) for rule in rules.rules(Stage.STATUS) for name, set_to in rule.sets if name == fact.name]
    if value is None:
        yield from _all_toward(None, (rule for rule, _ in setting), facts, rules)
        return
    stronger = [rule for rule, set_to in setting if fact.rank(set_to) > fact.rank(value)]
    standing = [rule for rule in stronger if truth_of(rule.when, facts) is not False]
    yield from _all_toward(False, standing, facts, rules)
    if value != fact.default and not standing:
        yield from _all_toward(True, (rule for rule, set_to in setting if set_to == value), facts, rules)


def _all_toward(truth: Truth, these: Iterable[Rule], facts: Facts, rules: RulesInForce) -> Iterator[Move]:
    for rule in these:
        yield from _toward(Goal(rule.when, truth), facts, rules)


def _read_by_limit(facts: Facts) -> list[str]:
    """The facts that the limit of this application is computed from."""
    reading = _Reading(facts.table)
    limit_max(reading, LimitEffects())
    return sorted(reading.names)


class _Reading(dict[str, "Exact | None"]):
    """A table of facts that remembers which of them were read."""

    def __init__(self, table: Mapping[str, Exact | None]) -> None:
        super().__init__(table)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Exact | None:
        self.names.add(name)
        return super().__getitem__(name)
