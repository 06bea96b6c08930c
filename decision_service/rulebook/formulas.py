"""Formulas of derived facts: linear arithmetic with decimal coefficients, min, max and abs, computed exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from lark import Lark, Transformer, v_args
from lark.exceptions import LarkError, UnexpectedInput, VisitError

from decision_service.errors import FactError
from decision_service.rulebook.literals import parse_number

MAX_LENGTH = 500

GRAMMAR = r"""
    ?start: sum
    ?sum: product | sum "+" product -> add | sum "-" product -> subtract
    ?product: atom | product "*" atom -> multiply | product "/" atom -> divide
    ?atom: NUMBER -> number | NAME -> fact | "-" atom -> negate | "(" sum ")"
        | FUNCTION "(" sum ("," sum)* ")" -> call
    FUNCTION.2: /(min|max|abs)(?=\s*\()/
    NAME: /[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*/
    NUMBER: /[0-9][A-Za-z0-9_.]*/
    %ignore /[ \t\r\n]+/
"""


@dataclass(frozen=True, slots=True)
class Constant:
    """A number."""

    value: Fraction


@dataclass(frozen=True, slots=True)
class Input:
    """The value of a fact, in natural units (CNY, 1, days)."""

    name: str


@dataclass(frozen=True, slots=True)
class Scaled:
    """A term times a constant."""

    factor: Fraction
    term: "Term"


@dataclass(frozen=True, slots=True)
class Sum:
    """Terms added."""

    terms: tuple["Term", ...]


@dataclass(frozen=True, slots=True)
class Call:
    """``min``, ``max`` or ``abs`` of terms."""

    function: str
    terms: tuple["Term", ...]


Term = Constant | Input | Scaled | Sum | Call


@dataclass(frozen=True, slots=True)
class Formula:
    """A derived fact's formula: its text, its tree and the facts it reads."""

    text: str
    term: Term
    inputs: tuple[str, ...]


def parse_formula(text: str) -> Formula:
    """Read a formula; raises ``FactError`` with the place of the mistake."""
    if len(text) > MAX_LENGTH:
        raise FactError(f"the formula is {len(text)} characters long", remedy=f"use at most {MAX_LENGTH}")
    try:
        term: Any = _PARSER.parse(text)
    except UnexpectedInput as error:
        raise FactError(
            f"the formula '{text}' cannot be read at column {error.column}",
            remedy="use + - * / with numbers, facts, min(…), max(…), abs(…)",
        ) from error
    except VisitError as error:
        raise error.orig_exc if isinstance(error.orig_exc, FactError) else error
    except LarkError as error:
        raise FactError(f"the formula '{text}' cannot be read: {error}", remedy="see docs/rule-language.md") from error
    return Formula(text, term, tuple(sorted(set(_inputs(term)))))


def compile_formula(
    formula: Formula, *, scales: Mapping[str, int], scale: int
) -> Callable[[Mapping[str, Any]], int | None]:
    """A function from exact values to the exact result, or ``None`` when an input is unknown.

    ``scales`` gives how many exact units make one natural unit of each input (money 100, ratio 1,000,000, else 1),
    ``scale`` that of the result. Arithmetic is rational; the result is floored to the unit.
    """
    numerator, denominator = _integers(formula.term, scales)
    inputs = formula.inputs

    def compute(values: Mapping[str, Any]) -> int | None:
        for name in inputs:
            if values[name] is None:
                return None
        return numerator(values) * scale // denominator

    return compute


Numerator = Callable[[Mapping[str, Any]], int]


def _integers(term: Term, scales: Mapping[str, int]) -> tuple[Numerator, int]:
    """A term as an integer-valued function over a fixed positive denominator: exact, and faster than fractions."""
    if isinstance(term, Constant):
        value = term.value.numerator
        return (lambda values: value), term.value.denominator
    if isinstance(term, Input):
        name = term.name
        return (lambda values: values[name]), scales[name]
    if isinstance(term, Scaled):
        inner, below = _integers(term.term, scales)
        factor = term.factor.numerator
        return (lambda values: inner(values) * factor), below * term.factor.denominator
    parts, denominator = _aligned(term.terms, scales)
    if isinstance(term, Sum):
        return (lambda values: sum([part(values) * by for part, by in parts])), denominator
    if term.function == "abs":
        ((part, by),) = parts
        return (lambda values: abs(part(values) * by)), denominator
    choose = min if term.function == "min" else max
    return (lambda values: choose([part(values) * by for part, by in parts])), denominator


def _aligned(terms: tuple[Term, ...], scales: Mapping[str, int]) -> tuple[tuple[tuple[Numerator, int], ...], int]:
    compiled = [_integers(term, scales) for term in terms]
    denominator = math.lcm(*(below for _, below in compiled))
    return tuple((part, denominator // below) for part, below in compiled), denominator


def _inputs(term: Term) -> Iterator[str]:
    if isinstance(term, Input):
        yield term.name
    elif isinstance(term, Scaled):
        yield from _inputs(term.term)
    elif isinstance(term, (Sum, Call)):
        for part in term.terms:
            yield from _inputs(part)


@v_args(inline=True)
class _Build(Transformer):
    """Lark's tree to terms; products fold their constant, anything else is not linear."""

    def number(self, token: str) -> Term:
        return Constant(Fraction(parse_number(str(token))))

    def fact(self, token: str) -> Term:
        return Input(str(token))

    def negate(self, term: Term) -> Term:
        return self._scaled(Fraction(-1), term)

    def add(self, left: Term, right: Term) -> Term:
        return Sum((left, right))

    def subtract(self, left: Term, right: Term) -> Term:
        return Sum((left, self.negate(right)))

    def multiply(self, left: Term, right: Term) -> Term:
        if isinstance(left, Constant):
            return self._scaled(left.value, right)
        if isinstance(right, Constant):
            return self._scaled(right.value, left)
        raise FactError("a formula multiplies two facts", remedy="multiply by a number only")

    def divide(self, left: Term, right: Term) -> Term:
        if not isinstance(right, Constant) or right.value == 0:
            raise FactError("a formula divides by something else than a number", remedy="divide by a number above zero")
        return self._scaled(1 / right.value, left)

    def call(self, function: str, *terms: Term) -> Term:
        if (str(function) == "abs") != (len(terms) == 1):
            raise FactError(
                f"{function}() has {len(terms)} arguments", remedy="give abs() one and min(), max() two or more"
            )
        return Call(str(function), terms)

    @staticmethod
    def _scaled(factor: Fraction, term: Term) -> Term:
        if isinstance(term, Constant):
            return Constant(factor * term.value)
        return Scaled(factor, term)


_PARSER = Lark(GRAMMAR, parser="lalr", transformer=_Build())
