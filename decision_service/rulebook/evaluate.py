"""The reference evaluator: what rules mean. Three-valued, free of order, with a trace of each comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from decision_service.rulebook.conditions import AllOf, AnyOf, Comparison, Condition, Exact, FactName, Not, comparisons
from decision_service.rulebook.facts import FactCatalogue, Facts
from decision_service.rulebook.rules import Rule, Stage, StageResult
from decision_service.rulebook.ruleset import RulesInForce

Values = Mapping[str, Exact | None]
Truth = bool | None
"""True, false, or ``None`` for unknown (Kleene's strong logic, as in SQL)."""

Test = Callable[[Values], Truth]


@dataclass(frozen=True, slots=True)
class ComparisonTrace:
    """One comparison with what was seen on both sides, as readable text."""

    text: str
    fact: str
    operator: str
    left: str
    right: str
    truth: Truth


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule with its truth and every comparison in it, in the order written."""

    rule: str
    stage: Stage
    truth: Truth
    comparisons: tuple[ComparisonTrace, ...]


class ReferenceEngine:
    """Every stage compiled once to closures; safe to share between threads."""

    def __init__(self, rules: RulesInForce) -> None:
        self._rules = rules
        self._tests = {
            stage: tuple((rule.id, compile_condition(rule.when)) for rule in rules.rules(stage)) for stage in Stage
        }

    def evaluate(self, stage: Stage, facts: Values) -> StageResult:
        """Which rules of a stage match and which are unknown. ``facts`` must hold every fact that the rules name."""
        values = facts.table if isinstance(facts, Facts) else facts
        matched, unknown = [], []
        for rule_id, test in self._tests[stage]:
            truth = test(values)
            if truth is None:
                unknown.append(rule_id)
            elif truth:
                matched.append(rule_id)
        return StageResult(tuple(matched), tuple(unknown))

    def explain(self, stage: Stage, facts: Values, lang: str = "en") -> tuple[RuleTrace, ...]:
        """The trace of a stage: every rule, by id, whether it matched or not."""
        return tuple(_trace(rule, facts, self._rules.catalogue, lang) for rule in self._rules.rules(stage))


def truth_of(condition: Condition, facts: Values) -> Truth:
    """The truth of one condition over facts."""
    return compile_condition(condition)(facts)


def unknown_facts(condition: Condition, facts: Values) -> tuple[str, ...]:
    """The unknown facts that keep a condition unknown, sorted; empty when it is true or false."""
    return tuple(sorted(set(_undecided(condition, facts))))


def _undecided(condition: Condition, facts: Values) -> Iterator[str]:
    if isinstance(condition, Comparison):
        operand = condition.operand
        names = (condition.fact, operand.name) if isinstance(operand, FactName) else (condition.fact,)
        yield from (name for name in names if facts[name] is None)
    elif isinstance(condition, Not):
        yield from _undecided(condition.part, facts)
    elif truth_of(condition, facts) is None:
        for part in condition.parts:
            yield from _undecided(part, facts)


def compile_condition(condition: Condition) -> Test:
    """A condition as a function of facts; no dispatch is left to do when it runs."""
    if isinstance(condition, Comparison):
        return _compile_comparison(condition)
    if isinstance(condition, Not):
        return _negation(compile_condition(condition.part))
    tests = tuple(compile_condition(part) for part in condition.parts)
    if isinstance(condition, AllOf):
        return _conjunction(tests)
    if isinstance(condition, AnyOf):
        return _disjunction(tests)
    raise TypeError(f"not a condition: {condition!r}")


def _conjunction(tests: tuple[Test, ...]) -> Test:
    def test(values: Values) -> Truth:
        truth: Truth = True
        for part in tests:
            found = part(values)
            if found is False:
                return False
            if found is None:
                truth = None
        return truth

    return test


def _disjunction(tests: tuple[Test, ...]) -> Test:
    def test(values: Values) -> Truth:
        truth: Truth = False
        for part in tests:
            found = part(values)
            if found:
                return True
            if found is None:
                truth = None
        return truth

    return test


def _negation(part: Test) -> Test:
    def test(values: Values) -> Truth:
        found = part(values)
        return None if found is None else not found

    return test


def _compile_comparison(comparison: Comparison) -> Test:
    name, operand = comparison.fact, comparison.operand
    if isinstance(operand, FactName):
        return _BETWEEN_FACTS[comparison.operator](name, operand.name)
    if comparison.operator == "in":
        assert isinstance(operand, tuple)
        return _member(name, frozenset(operand))
    return _WITH_LITERAL[comparison.operator](name, operand)


def _member(name: str, members: frozenset[Exact]) -> Test:
    return lambda values: None if (value := values[name]) is None else value in members


# One closure per operator, with the operator written out: calling operator.le would double the time of a comparison.
_WITH_LITERAL: Mapping[str, Callable[..., Test]] = {
    "<": lambda name, to: lambda values: None if (value := values[name]) is None else value < to,
    "<=": lambda name, to: lambda values: None if (value := values[name]) is None else value <= to,
    "==": lambda name, to: lambda values: None if (value := values[name]) is None else value == to,
    "!=": lambda name, to: lambda values: None if (value := values[name]) is None else value != to,
    ">=": lambda name, to: lambda values: None if (value := values[name]) is None else value >= to,
    ">": lambda name, to: lambda values: None if (value := values[name]) is None else value > to,
}


def _both(compare: Callable[[Exact, Exact], bool]) -> Callable[[str, str], Test]:
    def bind(left: str, right: str) -> Test:
        def test(values: Values) -> Truth:
            one, other = values[left], values[right]
            return None if one is None or other is None else compare(one, other)

        return test

    return bind


_BETWEEN_FACTS: Mapping[str, Callable[[str, str], Test]] = {
    "<": _both(lambda one, other: one < other),  # type: ignore[operator]
    "<=": _both(lambda one, other: one <= other),  # type: ignore[operator]
    "==": _both(lambda one, other: one == other),
    "!=": _both(lambda one, other: one != other),
    ">=": _both(lambda one, other: one >= other),  # type: ignore[operator]
    ">": _both(lambda one, other: one > other),  # type: ignore[operator]
}


def _trace(rule: Rule, facts: Values, catalogue: FactCatalogue, lang: str) -> RuleTrace:
    seen = tuple(_comparison_trace(one, facts, catalogue, lang) for one in comparisons(rule.when))
    return RuleTrace(rule.id, rule.stage, truth_of(rule.when, facts), seen)


def _comparison_trace(comparison: Comparison, facts: Values, catalogue: FactCatalogue, lang: str) -> ComparisonTrace:
    name, operand = comparison.fact, comparison.operand
    if isinstance(operand, FactName):
        right = catalogue.text(operand.name, facts[operand.name], lang)
    elif isinstance(operand, tuple):
        right = f"[{', '.join(catalogue.text(name, item, lang) for item in operand)}]"
    else:
        right = catalogue.text(name, operand, lang)
    return ComparisonTrace(
        text=comparison.text,
        fact=name,
        operator=comparison.operator,
        left=catalogue.text(name, facts[name], lang),
        right=right,
        truth=truth_of(comparison, facts),
    )
