"""Derived facts as columns: rational arithmetic, floored to the unit; outside its range a result is unknown."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping
from functools import reduce

import ibis

from decision_service.rulebook.columnar.numbers import Number, Sheet
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.formulas import Call, Constant, Formula, Input, Scaled, Sum, Term


def with_derived(table: ibis.Table, catalogue: FactCatalogue, read: Container[str]) -> ibis.Table:
    """The table with those of its derived facts that are ``read``, with all that they come from among them."""
    return _with(table, Sheet(catalogue), catalogue, [name for name, _ in catalogue.derivations if name in read])


def derived_again(
    table: ibis.Table, catalogue: FactCatalogue, read: Container[str], **computed: Number
) -> ibis.Table:
    """The table with those of them computed again that come from facts which have just been computed."""
    again = catalogue.derived_from(name for name in computed if name in catalogue)
    names = [name for name, _ in again if name in read]
    return _with(table, Sheet(catalogue, **computed), catalogue, names)


def _with(table: ibis.Table, sheet: Sheet, catalogue: FactCatalogue, names: Iterable[str]) -> ibis.Table:
    for name in names:
        fact = catalogue[name]
        assert fact.derived is not None
        found = _computed(fact.derived, sheet, catalogue, scale=fact.type.scale)
        sheet.let(sheet.within(found, fact.minimum, fact.maximum), name)
    return sheet.apply(table)


def _computed(formula: Formula, sheet: Sheet, catalogue: FactCatalogue, *, scale: int) -> Number:
    """The exact result: whole numbers over one denominator, floored at the end and nowhere before."""
    scales = {name: catalogue[name].type.scale for name in formula.inputs}
    number, below = _fraction(formula.term, sheet, scales)
    common = math.gcd(scale, below)
    number = _scaled(sheet, number, scale // common)
    below //= common
    return number if below == 1 else sheet.floor(number, sheet.constant(below))


def _fraction(term: Term, sheet: Sheet, scales: Mapping[str, int]) -> tuple[Number, int]:
    """A term in natural units as a number and what it is divided by."""
    if isinstance(term, Constant):
        return sheet.constant(term.value.numerator), term.value.denominator
    if isinstance(term, Input):
        return sheet.fact(term.name), scales[term.name]
    if isinstance(term, Scaled):
        inner, below = _fraction(term.term, sheet, scales)
        return _scaled(sheet, inner, term.factor.numerator), below * term.factor.denominator
    parts = [_fraction(part, sheet, scales) for part in term.terms]
    common = math.lcm(*(below for _, below in parts))
    numbers = [_scaled(sheet, number, common // below) for number, below in parts]
    if isinstance(term, Sum):
        return reduce(sheet.plus, numbers), common
    assert isinstance(term, Call)
    if term.function == "abs":
        return sheet.absolute(numbers[0]), common
    return (sheet.least if term.function == "min" else sheet.most)(numbers), common


def _scaled(sheet: Sheet, number: Number, factor: int) -> Number:
    return number if factor == 1 else sheet.times(number, sheet.constant(factor))
