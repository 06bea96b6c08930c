"""Applications out of Z3's models: given facts and an industry, brought near a familiar one, told in people's words."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

import z3

from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.encoding import Fact
from decision_service.rulebook.facts import FactCatalogue, Facts
from decision_service.rulebook.proof.inputs import INDUSTRY_STATUS, PRODUCT, Inputs
from decision_service.rulebook.proof.symbols import exact_of
from decision_service.rulebook.ruleset import RulesInForce

UNITLESS = frozenset({"", "1", "ratio", "ordinal", "0-1", "0-100"})


@dataclass(frozen=True, slots=True)
class Application:
    """One application: exact values of given facts (``None`` is unknown), its industry's code, the day it is decided.

    ``hidden`` are parameters and an industry status that are unknown although they are in force.
    """

    values: Mapping[str, Exact | None]
    industry: str | None
    on: date
    hidden: frozenset[str] = frozenset()

    def facts(self, rules: RulesInForce) -> Facts:
        """The table of facts that a ruleset sees: these values, its own parameters, its own view of the industry."""
        product = self.values.get(PRODUCT)
        values: dict[str, Exact | None] = dict(rules.parameters(str(product), self.industry))
        if INDUSTRY_STATUS in rules.catalogue:
            values[INDUSTRY_STATUS] = rules.industry_status(self.industry)
        values.update({name: value for name, value in self.values.items() if name in rules.catalogue})
        values.update(dict.fromkeys(self.hidden & rules.catalogue.keys()))
        return Facts(rules.catalogue, values)

    def told(self, catalogue: FactCatalogue, lang: str, *, beside: "Application | None" = None) -> list[str]:
        """Each fact in the reader's words with its value and unit, or only those that differ from another's."""
        names = [name for name in catalogue if name in self.values]
        other = {} if beside is None else beside.values
        shown = [name for name in names if beside is None or other.get(name) != self.values[name]]
        lines = [_told(catalogue, name, self.values[name], lang) for name in shown]
        lines += [_told(catalogue, name, None, lang) for name in sorted(self.hidden)]
        if self.industry is not None and (beside is None or beside.industry != self.industry):
            lines.insert(0, f"行业代码：{self.industry}" if lang == "zh" else f"industry code: {self.industry}")
        return lines


def _told(catalogue: FactCatalogue, name: str, exact: Exact | None, lang: str) -> str:
    fact = catalogue[name]
    unit = "" if exact is None or fact.unit in UNITLESS else f" {fact.unit}"
    label = fact.label.get(lang, name)
    text = catalogue.text(name, exact, lang)
    return f"{label}（{name}）：{text}{unit}" if lang == "zh" else f"{label} ({name}): {text}{unit}"


def application_of(model: z3.ModelRef, inputs: Inputs, rules: RulesInForce) -> Application:
    """The application that a model describes; facts that nothing has read are left out."""
    values: dict[str, Exact | None] = {}
    for name in inputs.names():
        symbol = inputs.symbol(name)
        known = z3.is_true(model.eval(symbol.known, model_completion=True))
        number = model.eval(symbol.value, model_completion=True).as_long()
        values[name] = exact_of(inputs.catalogue[name], number) if known else None
    place = model.eval(inputs.industry, model_completion=True).as_long()
    code = inputs.codes[place] if place >= 0 else None
    return Application(values, code, rules.on, _hidden(model, inputs, rules))


def _hidden(model: z3.ModelRef, inputs: Inputs, rules: RulesInForce) -> frozenset[str]:
    names = [name for name in rules.catalogue if "." in name or name == INDUSTRY_STATUS]
    return frozenset(
        name for name in names if z3.is_false(model.eval(inputs.shown(name), model_completion=True))
    )


def nearer(
    found: Application, base: Application, fails: Callable[[Application], bool], catalogue: FactCatalogue
) -> Application:
    """The application with as many facts as possible taken from ``base``, as long as it still ``fails`` the claim.

    A model's values are arbitrary; beside a familiar application the few that matter stand out, each no further from
    the base's than it must be. A fact that the base leaves out is left out, if it can be.
    """
    changed = replace(found, values={**base.values, **found.values})
    near, before = changed if fails(changed) else found, None
    while near != before:
        before = near
        near = _after(_reverts(near, base), near, fails)
        if near == before:
            near = _after(itertools.chain(_pairs(near, base), _shifts(near, base, catalogue)), near, fails)
    for name in _apart(near, base):
        near = _closest(near, base, name, fails)
    left_out = {name for name, value in near.values.items() if value is None and name not in base.values}
    return replace(near, values={name: value for name, value in near.values.items() if name not in left_out})


Move = Callable[[Application], Application]


def _after(moves: Iterable[Move], near: Application, fails: Callable[[Application], bool]) -> Application:
    """What remains when every move is made that the claim does not mind."""
    for move in moves:
        moved = move(near)
        near = moved if moved != near and fails(moved) else near
    return near


def _apart(near: Application, base: Application) -> list[str]:
    return [name for name in sorted(near.values) if near.values[name] != base.values.get(name)]


def _reverts(near: Application, base: Application) -> Iterator[Move]:
    """Ways to take one fact of the base, its industry first."""
    if near.industry != base.industry:
        yield lambda one: replace(one, industry=base.industry)
    for name in _apart(near, base):
        yield partial(_with, name=name, value=base.values.get(name))


def _pairs(near: Application, base: Application) -> Iterator[Move]:
    """Ways to take two facts of the base at once: such as must lie close to each other."""
    for names in itertools.combinations(_apart(near, base), 2):
        yield partial(_taken, base, names)


def _shifts(near: Application, base: Application, catalogue: FactCatalogue) -> Iterator[Move]:
    """Ways to take one number of the base while another, in its range, takes up the difference: their sum stays."""
    for name, other in itertools.permutations(_apart(near, base), 2):
        if other in catalogue:
            yield partial(_shifted, base, name, catalogue[other])


def _taken(base: Application, names: Iterable[str], one: Application) -> Application:
    return replace(one, values={**one.values, **{name: base.values.get(name) for name in names}})


def _shifted(base: Application, name: str, other: Fact, one: Application) -> Application:
    value, taken, home = one.values[name], one.values[other.name], base.values.get(name)
    if not (isinstance(value, int) and isinstance(taken, int) and isinstance(home, int)):
        return one
    moved = taken + value - home
    return _with(_with(one, name, home), other.name, moved) if other.minimum <= moved <= other.maximum else one


def _closest(near: Application, base: Application, name: str, fails: Callable[[Application], bool]) -> Application:
    """A number as close to the base's as the claim bears it: at a boundary, if it has one."""
    value, home = near.values[name], base.values.get(name)
    while isinstance(value, int) and isinstance(home, int) and abs(value - home) > 1:
        middle = (value + home) // 2
        if fails(moved := _with(near, name, middle)):
            value, near = middle, moved
        else:
            home = middle
    return near


def _with(one: Application, name: str, value: Exact | None) -> Application:
    return replace(one, values={**one.values, name: value})


def distance(one: Application, other: Application) -> int:
    """How many facts two applications differ in, the industry among them."""
    names = {*one.values, *other.values}
    return sum(one.values.get(name) != other.values.get(name) for name in names) + (one.industry != other.industry)
