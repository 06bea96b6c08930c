"""Facts and conditions as terms: a value beside whether it is known, a truth as Kleene's two halves."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import z3

from decision_service.rulebook.conditions import AllOf, AnyOf, Comparison, Condition, Exact, FactName
from decision_service.rulebook.encoding import Fact
from decision_service.rulebook.formulas import Call, Constant, Formula, Input, Scaled, Sum, Term

TRUE, FALSE = z3.BoolVal(True), z3.BoolVal(False)


@dataclass(frozen=True, slots=True)
class Symbol:
    """A fact as Z3 sees it: ``value`` is an integer term (a choice is its place in the declared order)."""

    value: z3.ArithRef
    known: z3.BoolRef = TRUE


@dataclass(frozen=True, slots=True)
class Truth:
    """A condition's truth: ``yes`` when it is true, ``no`` when it is false, neither when it is unknown."""

    yes: z3.BoolRef
    no: z3.BoolRef

    @property
    def unknown(self) -> z3.BoolRef:
        """Neither true nor false."""
        return z3.And(z3.Not(self.yes), z3.Not(self.no))


UNKNOWN = Symbol(z3.IntVal(0), FALSE)
SymbolOf = Callable[[str], Symbol]


def literal(fact: Fact, exact: Exact) -> z3.ArithRef:
    """An exact value of a fact as a term; a word that is none of its choices equals none of them."""
    if isinstance(exact, str):
        return z3.IntVal(fact.choices.index(exact) if exact in fact.choices else -1)
    return z3.IntVal(exact)


def exact_of(fact: Fact, value: int) -> Exact:
    """The exact value behind an integer of a model."""
    return fact.choices[value] if fact.choices else value


def truth(condition: Condition, symbol: SymbolOf, facts: Mapping[str, Fact]) -> Truth:
    """The truth of a condition in Kleene's strong logic, as the reference evaluator computes it."""
    if isinstance(condition, Comparison):
        return _comparison(condition, symbol, facts)
    if isinstance(condition, (AllOf, AnyOf)):
        parts = [truth(part, symbol, facts) for part in condition.parts]
        yes, no = [part.yes for part in parts], [part.no for part in parts]
        return Truth(z3.And(yes), z3.Or(no)) if isinstance(condition, AllOf) else Truth(z3.Or(yes), z3.And(no))
    part = truth(condition.part, symbol, facts)
    return Truth(part.no, part.yes)


_OPERATORS: Mapping[str, Callable[[z3.ArithRef, z3.ArithRef], z3.BoolRef]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}


def _comparison(comparison: Comparison, symbol: SymbolOf, facts: Mapping[str, Fact]) -> Truth:
    left, operand = symbol(comparison.fact), comparison.operand
    fact = facts[comparison.fact]
    if isinstance(operand, FactName):
        right = symbol(operand.name)
        known = z3.And(left.known, right.known)
        other = in_words_of(fact, facts[operand.name], right.value)
        holds = _OPERATORS[comparison.operator](left.value, other)
    elif isinstance(operand, tuple):
        known, holds = left.known, z3.Or([left.value == literal(fact, one) for one in operand])
    else:
        known, holds = left.known, _OPERATORS[comparison.operator](left.value, literal(fact, operand))
    return Truth(z3.And(known, holds), z3.And(known, z3.Not(holds)))


def in_words_of(fact: Fact, other: Fact, value: z3.ArithRef) -> z3.ArithRef:
    """A choice of another fact as this fact counts its choices."""
    if fact.choices == other.choices:
        return value
    places: z3.ArithRef = z3.IntVal(-1)
    for place, word in enumerate(other.choices):
        places = z3.If(value == place, literal(fact, word), places)
    return places


def derived(formula: Formula, fact: Fact, symbol: SymbolOf, facts: Mapping[str, Fact]) -> Symbol:
    """A derived fact: exact, floored to its unit; unknown with an input, or outside the fact's range."""
    numerator, denominator = _integers(formula.term, symbol, facts)
    value = numerator * fact.type.scale / denominator  # Z3 divides integers downward when the divisor is positive
    inside = z3.And(value >= fact.minimum, value <= fact.maximum)
    return Symbol(value, z3.And([symbol(name).known for name in formula.inputs] + [inside]))


def _integers(term: Term, symbol: SymbolOf, facts: Mapping[str, Fact]) -> tuple[z3.ArithRef, int]:
    """A term as an integer over a fixed positive denominator, as ``formulas.compile_formula`` computes it."""
    if isinstance(term, Constant):
        return z3.IntVal(term.value.numerator), term.value.denominator
    if isinstance(term, Input):
        return symbol(term.name).value, facts[term.name].type.scale
    if isinstance(term, Scaled):
        inner, below = _integers(term.term, symbol, facts)
        return inner * term.factor.numerator, below * term.factor.denominator
    parts = [_integers(one, symbol, facts) for one in term.terms]
    denominator = math.lcm(*(below for _, below in parts))
    aligned = [above * (denominator // below) for above, below in parts]
    if isinstance(term, Sum):
        return z3.Sum(aligned), denominator
    assert isinstance(term, Call)
    if term.function == "abs":
        return z3.If(aligned[0] >= 0, aligned[0], -aligned[0]), denominator
    return (least(aligned) if term.function == "min" else most(aligned)), denominator


def least(values: Sequence[z3.ArithRef]) -> z3.ArithRef:
    """The least of some integers."""
    found = values[0]
    for value in values[1:]:
        found = z3.If(value < found, value, found)
    return found


def most(values: Sequence[z3.ArithRef]) -> z3.ArithRef:
    """The greatest of some integers."""
    found = values[0]
    for value in values[1:]:
        found = z3.If(value > found, value, found)
    return found
