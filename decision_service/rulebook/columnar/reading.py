"""Which given facts a ruleset reads at all: a table needs no other columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from decision_service.rulebook.columnar.limiting import LIMIT, LimitOf, effects_named
from decision_service.rulebook.columnar.numbers import Number, Sheet
from decision_service.rulebook.conditions import facts_named
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import RulesInForce


def facts_read(rules: RulesInForce, *, limit: LimitOf) -> frozenset[str]:
    """The given facts that rules, effects, products and the limit's formulas read, also by way of derived facts."""
    return frozenset(name for name in _read(rules, limit) if _is_given(name, rules.catalogue))


def derived_read(rules: RulesInForce, *, limit: LimitOf) -> frozenset[str]:
    """The derived facts that they read, also by way of one another."""
    return frozenset(name for name in _read(rules, limit) if rules.catalogue[name].derived is not None)


def _read(rules: RulesInForce, limit: LimitOf) -> set[str]:
    names = {"product", *effects_named(rules), *_read_by(limit, rules.catalogue)}
    for stage in Stage:
        for rule in rules.rules(stage):
            names |= facts_named(rule.when)
    for product in rules.products.values():
        names.update(product.required_facts)
    return _with_inputs(names, rules.catalogue)


def _read_by(limit: LimitOf, catalogue: FactCatalogue) -> set[str]:
    sheet = _Noting(catalogue)
    limit(sheet, cap=None, factor=sheet.constant(0))
    return sheet.names


class _Noting(Sheet):
    """A sheet that remembers which facts were asked for."""

    def __init__(self, catalogue: FactCatalogue) -> None:
        super().__init__(catalogue)
        self.names: set[str] = set()

    def fact(self, name: str) -> Number:
        self.names.add(name)
        return super().fact(name)

    def by_choice(self, name: str, numbers: Mapping[str, Callable[[], Number]]) -> Number:
        self.names.add(name)
        return super().by_choice(name, numbers)


def _with_inputs(names: Iterable[str], catalogue: FactCatalogue) -> set[str]:
    """The names themselves, and those that derived facts among them come from."""
    pending, seen = list(names), set[str]()
    while pending:
        name = pending.pop()
        if name not in seen and name in catalogue:
            seen.add(name)
            formula = catalogue[name].derived
            pending += formula.inputs if formula is not None else ()
    return seen


def _is_given(name: str, catalogue: FactCatalogue) -> bool:
    return catalogue[name].derived is None and name != LIMIT and catalogue[name].combine is None
