"""The numbers of a proof, with which the limit's formula stays linear."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import z3

from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.encoding import Fact
from decision_service.rulebook.proof.inputs import PRODUCT, Inputs
from decision_service.rulebook.proof.symbols import UNKNOWN, Symbol, least, literal, most
from decision_service.rulebook.ruleset import RulesInForce


class Seen(Protocol):
    """What the limit's formula reads: the facts of a world."""

    rules: RulesInForce
    inputs: Inputs

    def fact(self, name: str) -> Symbol:
        """A fact of any source."""


class LimitFunction(Protocol):
    """The limit's formula, generic over numbers (``lending.limits.limit``)."""

    def __call__(self, numbers: "Terms", /, *, cap: Symbol | None, factor: Symbol) -> Symbol: ...


class Terms:
    """The numbers of a proof, for ``lending.limits``.

    ``industry`` are one industry's parameters, which are constants here; with ``bound`` all that depends on the product
    is that one number. ``read`` are the facts asked for, ``own_bound`` is what the formula has found for the product.
    """

    def __init__(
        self, world: Seen, *, industry: Mapping[str, Exact] | None = None, bound: Symbol | None = None
    ) -> None:
        self._world = world
        self._industry = industry
        self._bound = bound
        self._product: str | None = None
        self.own_bound: Symbol | None = bound
        self.read: set[str] = set()

    def constant(self, value: int) -> Symbol:
        """A number that is always known."""
        return Symbol(z3.IntVal(value))

    def fact(self, name: str) -> Symbol:
        """A fact; a constant where the industry or the product determines it."""
        self.read.add(name)
        if name.startswith("industry.") and self._industry is not None:
            return self._shown(name, self._industry.get(name))
        if name.startswith("product.") and self._product is not None:
            return self._shown(name, self._world.rules.parameters(self._product, None).get(name))
        return self._world.fact(name)

    def by_choice(self, name: str, numbers: Mapping[str, Callable[[], Symbol]]) -> Symbol:
        """The number that belongs to a fact's choice; unknown for a choice without one."""
        self.read.add(name)
        if name == PRODUCT and self._bound is not None:
            return self._bound
        fact, chosen, found = self._world.rules.catalogue[name], self._world.fact(name), UNKNOWN
        for word, number in numbers.items():
            if word not in fact.choices:
                continue  # nobody can choose it, and what it would read need not be declared
            if name == PRODUCT:
                self._product = word
            here = z3.And(chosen.known, chosen.value == literal(fact, word))
            found = either(here, number(), found)
        if name == PRODUCT:
            self._product, self.own_bound = None, found
        return found

    def minus(self, one: Symbol, other: Symbol) -> Symbol:
        """one − other"""
        return Symbol(one.value - other.value, z3.And(one.known, other.known))

    def times(self, one: Symbol, other: Symbol) -> Symbol:
        """one × other; linear where one of them is a constant or a choice among constants."""
        return Symbol(_product_of(one.value, other.value), z3.And(one.known, other.known))

    def floor(self, one: Symbol, other: Symbol) -> Symbol:
        """⌊one ÷ other⌋; unknown unless ``other`` is above zero."""
        divisor = z3.simplify(other.value)
        value = one.value / divisor if not z3.is_int_value(divisor) or divisor.as_long() > 0 else z3.IntVal(0)
        return Symbol(value, z3.And(one.known, other.known, divisor > 0))

    def least(self, numbers: Sequence[Symbol]) -> Symbol:
        """The least; unknown if one of them is."""
        return Symbol(least([one.value for one in numbers]), z3.And([one.known for one in numbers]))

    def most(self, numbers: Sequence[Symbol]) -> Symbol:
        """The greatest; unknown if one of them is."""
        return Symbol(most([one.value for one in numbers]), z3.And([one.known for one in numbers]))

    def _shown(self, name: str, exact: Exact | None) -> Symbol:
        symbol = constant_of(self._world.rules.catalogue[name], exact)
        return Symbol(symbol.value, z3.And(symbol.known, self._world.inputs.shown(name)))


class Known(Terms):
    """The numbers of which only is asked whether they are known: what is not linear may be any number."""

    def times(self, one: Symbol, other: Symbol) -> Symbol:
        """Exact by a constant alone."""
        exact = any(z3.is_int_value(z3.simplify(each.value)) for each in (one, other))
        return super().times(one, other) if exact else _any(one, other)

    def floor(self, one: Symbol, other: Symbol) -> Symbol:
        """Known as ever: its divisor must be above zero."""
        return _any(one, other, other.value > 0)


def _any(one: Symbol, other: Symbol, *also: z3.BoolRef) -> Symbol:
    return Symbol(z3.FreshInt("any"), z3.And(one.known, other.known, *also))


def constant_of(fact: Fact, exact: Exact | None) -> Symbol:
    """An exact value as a symbol; ``None`` is unknown."""
    return UNKNOWN if exact is None else Symbol(literal(fact, exact))


def either(here: z3.BoolRef, symbol: Symbol, otherwise: Symbol) -> Symbol:
    """One symbol where something holds, another elsewhere."""
    return Symbol(z3.If(here, symbol.value, otherwise.value), z3.If(here, symbol.known, otherwise.known))


def _product_of(one: z3.ArithRef, other: z3.ArithRef) -> z3.ArithRef:
    """A product that stays linear: a choice among constants is taken apart."""
    one, other = z3.simplify(one), z3.simplify(other)
    for chosen, number in ((one, other), (other, one)):
        if z3.is_app_of(chosen, z3.Z3_OP_ITE):
            condition, then, otherwise = chosen.children()
            if z3.is_int_value(then) or z3.is_int_value(otherwise):
                return z3.If(condition, _product_of(then, number), _product_of(otherwise, number))
    return one * other
