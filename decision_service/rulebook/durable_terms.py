"""Conditions in the words of durable-rules: tests of one flat message, joined by all and any, without negation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from decision_service.errors import EngineError
from decision_service.rulebook.conditions import AllOf, Comparison, Condition, Exact, FactName, Not
from decision_service.rulebook.encoding import INT64_MAX, INT64_MIN, FactType
from decision_service.rulebook.facts import FactCatalogue

MAX_JOINTS = 12  # durable-rules keeps 31 marks per pattern; every all and any takes two
MAX_WIDTH = 12  # tests of one pattern that may lie on its stack of 64 at the same time
MAX_TERMS = 1024  # patterns of one rule
MAX_FIRINGS = 1024  # a pattern fires once for every combination of alternatives that holds
_NEGATION = {"<": ">=", "<=": ">", "==": "!=", "!=": "==", ">=": "<", ">": "<="}
_OPERATOR = {"<": "$lt", "<=": "$lte", "!=": "$neq", ">=": "$gte", ">": "$gt"}


@dataclass(frozen=True, slots=True)
class Test:
    """A comparison of one property with an integer or with another property; false when either is absent."""

    left: str
    operator: str
    right: int | str

    def patterns(self) -> list[dict[str, Any]]:
        """In durable-rules' JSON. Comparing with an absent property is undefined there, so ``$ex`` asks first."""
        if isinstance(self.right, int):
            return [_pattern(self.operator, self.left, self.right)]
        return [{"$ex": {self.right: 1}}, _pattern(self.operator, self.left, {"$m": self.right})]


@dataclass(frozen=True, slots=True)
class Every:
    """Holds when every part holds."""

    parts: tuple["Formula", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """Holds when one part holds."""

    parts: tuple["Formula", ...]


Formula = Test | Every | Some


class Vocabulary:
    """Facts as short property names without dots, choices as integers: exact, and nothing durable-rules can misread.

    All choices of a catalogue share one sorted list, so that two choice facts compare by their texts.
    """

    def __init__(self, catalogue: FactCatalogue, names: Iterable[str]) -> None:
        texts = {choice for fact in catalogue.values() for choice in fact.choices}
        self.codes: Mapping[str, int] = {text: code for code, text in enumerate(sorted(texts))}
        self.properties: Mapping[str, str] = {name: f"f{index}" for index, name in enumerate(sorted(names))}
        unknown = sorted(set(self.properties) - set(catalogue))
        if unknown:
            raise EngineError(f"undeclared facts: {', '.join(unknown)}", remedy="declare them in facts.yaml")
        self.choices: Mapping[str, Mapping[str, int]] = {
            name: {text: self.codes[text] for text in catalogue[name].choices}
            for name in self.properties
            if catalogue[name].type is FactType.CHOICE
        }

    def formula(self, condition: Condition, *, truth: bool) -> Formula:
        """What holds exactly when the condition is true (or, with ``truth=False``, when it is false).

        Neither holds for an unknown condition. Raises ``EngineError`` for a comparison that cannot be exact.
        """
        if isinstance(condition, Comparison):
            return self._comparison(condition, truth)
        if isinstance(condition, Not):
            return self.formula(condition.part, truth=not truth)
        parts = [self.formula(part, truth=truth) for part in condition.parts]
        return joined(Every if isinstance(condition, AllOf) is truth else Some, parts)

    def _comparison(self, comparison: Comparison, truth: bool) -> Formula:
        fact, operator, operand = comparison.fact, comparison.operator, comparison.operand
        if operator == "in":
            return self._membership(comparison, truth)
        if operator not in _NEGATION:
            raise EngineError(f"unknown operator '{operator}'", where=f"fact {fact}")
        operator = operator if truth else _NEGATION[operator]
        return Test(self.properties[fact], operator, self._operand(fact, operand))

    def _membership(self, comparison: Comparison, truth: bool) -> Formula:
        """A choice is in a list when it is none of the other declared choices: no alternatives are needed for it."""
        fact, operand = comparison.fact, comparison.operand
        if not isinstance(operand, tuple) or not operand:
            raise EngineError(f"'in' needs a list of values, not {operand!r}", where=f"fact {fact}")
        left, members = self.properties[fact], [self._literal(fact, item) for item in operand]
        if not truth or len(members) == 1:
            return joined(Every, [Test(left, "==" if truth else "!=", member) for member in members])
        if fact not in self.choices:
            return joined(Some, [Test(left, "==", member) for member in members])
        others = sorted(set(self.choices[fact].values()) - set(members))
        return joined(Every, [Test(left, "!=", other) for other in others] or [Test(left, ">=", 0)])

    def _operand(self, fact: str, operand: Exact | FactName | tuple[Exact, ...]) -> int | str:
        if isinstance(operand, FactName):
            if (fact in self.choices) != (operand.name in self.choices):
                raise EngineError(f"'{fact}' and '{operand.name}' are of different types", where=f"fact {fact}")
            return self.properties[operand.name]
        if isinstance(operand, tuple):
            raise EngineError("only 'in' compares with a list", where=f"fact {fact}")
        return self._literal(fact, operand)

    def _literal(self, fact: str, literal: Exact) -> int:
        if fact in self.choices and isinstance(literal, str) and literal in self.codes:
            return self.codes[literal]
        if fact not in self.choices and type(literal) is int and INT64_MIN <= literal <= INT64_MAX:
            return literal
        raise EngineError(f"{literal!r} is no exact value of this fact", where=f"fact {fact}")


def terms(formula: Formula) -> list[Formula]:
    """The formula as patterns, of which at least one holds exactly when it does, each within durable-rules' limits.

    Raises ``EngineError`` when that takes more than ``MAX_TERMS`` patterns, or ``MAX_FIRINGS`` could fire at once.
    """
    if firings(formula) > MAX_FIRINGS:
        raise EngineError(f"the condition can hold in more than {MAX_FIRINGS} ways at once", remedy="split the rule")
    found = []
    for term in _terms(formula):
        found.append(term)
        if len(found) > MAX_TERMS:
            raise EngineError(
                f"the condition needs more than {MAX_TERMS} patterns", remedy="split the rule"
            )
    return found


def _terms(formula: Formula) -> Iterator[Formula]:
    if isinstance(formula, Some):
        for part in formula.parts:
            yield from _terms(part)
    elif isinstance(formula, Test) or (joints(formula) <= MAX_JOINTS and width(formula) <= MAX_WIDTH):
        yield formula
    else:
        widest = max((part for part in formula.parts if isinstance(part, Some)), key=width)
        rest = [part for part in formula.parts if part is not widest]
        for part in widest.parts:
            yield from _terms(joined(Every, [*rest, part]))


def joints(formula: Formula) -> int:
    """How often all and any are needed to write a formula; a comparison of two facts needs an all of its own."""
    if isinstance(formula, Test):
        return int(isinstance(formula.right, str))
    return 1 + sum(joints(part) for part in formula.parts)


def width(formula: Formula) -> int:
    """How many tests of a formula may be waiting at once while durable-rules walks through it."""
    if isinstance(formula, Test):
        return 1
    widths = [width(part) for part in formula.parts]
    return sum(widths) if isinstance(formula, Some) else 1 + sum(one - 1 for one in widths)


def firings(formula: Formula) -> int:
    """How often a formula may fire for one message; of the members of a list only one can hold."""
    if isinstance(formula, Test):
        return 1
    counts = [firings(part) for part in formula.parts]
    if isinstance(formula, Every):
        return math.prod(counts)
    members = {(part.left, part.operator) for part in formula.parts if isinstance(part, Test)}
    is_list = len(members) == 1 and next(iter(members))[1] == "==" and sum(counts) == len(set(formula.parts))
    return 1 if is_list else sum(counts)


def pattern(formula: Formula) -> dict[str, Any]:
    """A formula in durable-rules' JSON."""
    if isinstance(formula, Some):
        return {"$or": [pattern(part) for part in formula.parts]}
    steps = _steps(formula)
    return steps[0] if len(steps) == 1 else {"$and": steps}


def _steps(formula: Formula) -> list[dict[str, Any]]:
    if isinstance(formula, Test):
        return formula.patterns()
    if isinstance(formula, Every):
        return [step for part in formula.parts for step in _steps(part)]
    return [pattern(formula)]


def _pattern(operator: str, left: str, right: Any) -> dict[str, Any]:
    return {left: right} if operator == "==" else {_OPERATOR[operator]: {left: right}}


def joined(kind: type[Every] | type[Some], parts: Iterable[Formula]) -> Formula:
    """Joined parts, with nested parts of the same kind taken in."""
    flat: list[Formula] = []
    for part in parts:
        flat += part.parts if isinstance(part, kind) else (part,)
    if not flat:
        raise EngineError("a condition without parts", remedy="write at least one comparison")
    return flat[0] if len(flat) == 1 else kind(tuple(flat))
