"""Worlds beside the reference evaluator: the terms of a proof, with every input fixed, value by value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import z3

from decision_service.lending.limits import limit
from decision_service.rulebook.columnar import RULE
from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.encoding import FactType
from decision_service.rulebook.invariants import is_given
from decision_service.rulebook.parameters import ParameterRow, ParameterTable
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.proof.inputs import INDUSTRY_STATUS, LIMIT, Inputs, inputs_of
from decision_service.rulebook.proof.symbols import Symbol, exact_of, literal
from decision_service.rulebook.proof.world import World
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.vocabulary import Outcome
from decision_service.workbench.reference import judge
from tests.rulebook.columns import reference_rows
from tests.rulebook.generate import TableMaker

Row = dict[str, Any]
MILLIONTHS = (0, 1, 300_000, 650_000, 999_999, 1_000_000, 3_000_000)


class Fixed:
    """A world, plain or one that hides facts, whose inputs are fixed to one application after another."""

    def __init__(self, rules: RulesInForce, *, hiding: bool) -> None:
        self.rules = rules
        self._given = inputs_of(rules)
        self._inputs: Inputs = self._given.hidden(tag="~hidden") if hiding else self._given
        self._world = World(rules, self._inputs, limit=limit)
        self._terms = self._build()
        self._limits: dict[int, list[z3.BoolRef]] = {}
        self._hiding = hiding

    def row(self, application: Application, shown: frozenset[str]) -> Row:
        """What the world says of an application of whose facts only some are shown."""
        place = self._given.codes.index(application.industry) if application.industry in self._given.codes else -1
        solver = z3.Solver()
        solver.add(*self._limit(place))
        solver.add(*self._equal(application, place, shown), *self._inputs.constraints)
        assert solver.check() == z3.sat, application
        model = solver.model()
        return {name: _value(model, self.rules, name, term) for name, term in self._terms.items()}

    def _build(self) -> dict[str, Any]:
        world, rules = self._world, self.rules
        terms: dict[str, Any] = {"outcome": world.strictness, LIMIT: world.fact(LIMIT), "rate_spread_bp": world.spread}
        terms |= {fact.name: world.fact(fact.name) for fact in rules.catalogue.settable}
        terms |= {"limit_cap": world.cap, "limit_factor": world.factor}
        terms |= {f"condition {code}": imposed for code, imposed in world.condition_codes().items()}
        terms |= {RULE + rule.id: world.rule(rule) for stage in Stage for rule in rules.rules(stage)}
        return terms

    def _limit(self, place: int) -> list[z3.BoolRef]:
        """The whole formula, and beside it the looser ones from the same bound: none may exclude another."""
        if place not in self._limits:
            world = self._world
            bound, own = world.bound_symbol, world.bound_in_full(place)
            same = z3.Implies(own.known, bound.value == own.value)
            loose = [world.limit_from_bound(), world.limit_by_order(), same]
            self._limits[place] = [world.limit_in_full(place), *loose]
        return self._limits[place]

    def _equal(self, application: Application, place: int, shown: frozenset[str]) -> Iterator[z3.BoolRef]:
        yield self._inputs.industry == place
        for name in self._given.names():
            value, symbol = application.values.get(name), self._given.symbol(name)
            yield symbol.known == (value is not None)
            if value is not None:
                yield symbol.value == literal(self.rules.catalogue[name], value)
        for name in self.rules.catalogue if self._hiding else ():
            yield self._inputs.shown(name) == (name in shown)


def _value(model: z3.ModelRef, rules: RulesInForce, name: str, term: Any) -> Any:
    if isinstance(term, Symbol):
        if not z3.is_true(model.eval(term.known, model_completion=True)):
            return None
        number = model.eval(term.value, model_completion=True).as_long()
        if name == "limit_cap":
            return number if number < 2**63 else None
        return exact_of(rules.catalogue[name], number) if name in rules.catalogue else number
    if name.startswith(RULE):
        yes, no = (z3.is_true(model.eval(one, model_completion=True)) for one in (term.yes, term.no))
        assert not (yes and no), name
        return True if yes else False if no else None
    if z3.is_bool(term):
        return z3.is_true(model.eval(term, model_completion=True))
    return model.eval(term, model_completion=True).as_long()


def disagreements(
    rules: RulesInForce, *, seed: int, applications: int, hiding: bool = False, bases: Sequence[Application] = ()
) -> tuple[list[str], set[Outcome]]:
    """Every value in which a world and the reference differ over random applications, and the outcomes there were.

    Most applications lie near one of ``bases``, if there are any.
    """
    fixed, maker, random = Fixed(rules, hiding=hiding), TableMaker(rules), Random(seed)
    found, outcomes = [], set()
    for number in range(applications):
        application = _application(rules, maker, random, bases)
        shown = frozenset(one for one in rules.catalogue if not hiding or random.random() > 0.02)
        world, expected = fixed.row(application, shown), _expected(rules, _hidden(rules, application, shown))
        outcomes.add(Outcome(expected["outcome"]))
        found += [
            f"application {number}: {name} is {world[name]!r}, the reference says {value!r}"
            for name, value in expected.items()
            if world[name] != value
        ]
    return found, outcomes


def _expected(rules: RulesInForce, application: Application) -> Row:
    facts = application.facts(rules)
    (row,) = reference_rows(rules, [facts.table])
    imposed = judge(rules, facts).effects.conditions
    codes = {code for rule in rules.rules(Stage.LIMIT) if rule.effects for code in rule.effects.conditions}
    return row | {f"condition {code}": code in imposed for code in codes}


def _hidden(rules: RulesInForce, application: Application, shown: frozenset[str]) -> Application:
    """The application with all facts unknown that are not shown."""
    hidden = frozenset(
        name for name in rules.catalogue if name not in shown and ("." in name or name == INDUSTRY_STATUS)
    )
    values = {name: value if name in shown else None for name, value in application.values.items()}
    return replace(application, values=values, hidden=hidden)


def _application(
    rules: RulesInForce, maker: TableMaker, random: Random, bases: Sequence[Application]
) -> Application:
    table = maker.table(random)
    given = {name: value for name, value in table.items() if is_given(rules.catalogue[name])}
    for name, value in given.items():
        if rules.catalogue[name].type is FactType.FLAG and value is not None:
            given[name] = int(value) & 1  # beside the boundary of a flag there is nothing
    if bases and random.random() < 0.8:
        base, changed = random.choice(bases), random.sample(sorted(given), random.randint(0, 4))
        return replace(base, values={**base.values, **{name: given[name] for name in changed}})
    return Application(given, random.choice((*rules.industry_codes(), None, "??")), rules.on)


def with_parameters(rules: RulesInForce, random: Random) -> RulesInForce:
    """Generated rules with industries and products whose parameters lie where limits come out in range."""

    def row(key: str, scope: str) -> ParameterRow:
        names = [name for name in rules.catalogue if name.startswith(f"{scope}.") and random.random() < 0.9]
        values: dict[str, Exact] = {name: random.choice(MILLIONTHS) for name in names}
        return ParameterRow(key, values, rules.on)

    return RulesInForce(
        rules.catalogue,
        [rule for stage in Stage for rule in rules.rules(stage)],
        products=rules.products,
        industries=ParameterTable([row(code, "industry") for code in ("01", "02", "35")]),
        excluded_industries=["06"],
        product_parameters=ParameterTable([row(name, "product") for name in rules.products]),
    )
