"""Boundaries left open: one rule up to a point, another beyond it, and exactly on it something milder than both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import z3

from decision_service.errors import EngineError
from decision_service.rulebook.conditions import Comparison, Condition, FactName, Not
from decision_service.rulebook.encoding import FactType
from decision_service.rulebook.evaluate import truth_of
from decision_service.rulebook.proof.analysis import Analysis, Switched
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.proof.inputs import LIMIT
from decision_service.rulebook.proof.search import Question, search
from decision_service.rulebook.proof.symbols import Symbol
from decision_service.rulebook.proof.world import World
from decision_service.rulebook.rules import Rule, Stage
from decision_service.vocabulary import Outcome

FINE = (FactType.MONEY, FactType.RATIO)
MIRRORED: Mapping[str, str] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
OPPOSITE: Mapping[str, str] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
LAST_BELOW: Mapping[str, int] = {"<": -1, "<=": 0}
"""By operator, how many units above its boundary a comparison from below is true for the last time."""
FIRST_ABOVE: Mapping[str, int] = {">": 1, ">=": 0}
"""By operator, how many units above its boundary a comparison from above is true for the first time."""


@dataclass(frozen=True, slots=True)
class Side:
    """A comparison of a rule with a boundary; ``edge`` is the last or first value for which it is true.

    ``edge`` is relative to the fact ``to``, or absolute when ``to`` is empty.
    """

    rule: Rule
    comparison: Comparison
    place: int
    fact: str
    to: str
    edge: int
    below: bool
    strict: bool


@dataclass(frozen=True, slots=True)
class Opening:
    """A point between two sides that neither covers; it lies ``offset`` above ``to``, or at ``offset``."""

    below: Side
    above: Side
    offset: int

    @property
    def fact(self) -> str:
        """The fact whose boundary it is."""
        return self.below.fact


def openings(analysis: Analysis) -> Iterator[Opening]:
    """Pairs of sides of rules of one stage, about the same fact and boundary, that leave out just one unit."""
    for stage in Stage:
        sides = [side for rule in analysis.rules.rules(stage) for side in _sides(rule, analysis)]
        below = [side for side in sides if side.below]
        above = [side for side in sides if not side.below]
        for low, high in product(below, above):
            if _one_unit_apart(low, high, analysis.rules.catalogue[low.fact].type):
                yield Opening(low, high, low.edge + 1)


def _one_unit_apart(low: Side, high: Side, kind: FactType) -> bool:
    """``<`` beside ``>`` at one boundary; where the unit is a fen or a millionth, any two that leave out just one."""
    about_the_same = (low.fact, low.to) == (high.fact, high.to)
    return about_the_same and high.edge - low.edge == 2 and (kind in FINE or low.strict and high.strict)


def _sides(rule: Rule, analysis: Analysis) -> Iterator[Side]:
    for place, (comparison, operator) in enumerate(_operators(rule.when, False)):
        fact, operand = comparison.fact, comparison.operand
        if operator not in OPPOSITE or isinstance(operand, (tuple, str)):
            continue
        to = operand.name if isinstance(operand, FactName) else ""
        if to and (fact == LIMIT or fact > to != LIMIT):
            fact, to, operator = to, fact, MIRRORED[operator]
        if LIMIT in analysis.reads.behind(fact) or not analysis.reads.given([fact]):
            continue
        base = 0 if isinstance(operand, FactName) else operand
        below = operator in LAST_BELOW
        edge = base + (LAST_BELOW if below else FIRST_ABOVE)[operator]
        yield Side(rule, comparison, place, fact, to, edge, below, operator in ("<", ">"))


def _operators(condition: Condition, negated: bool) -> Iterator[tuple[Comparison, str]]:
    """Every comparison in the order written, with its operator as it counts under the negations around it."""
    if isinstance(condition, Comparison):
        yield condition, OPPOSITE.get(condition.operator, "") if negated else condition.operator
    elif isinstance(condition, Not):
        yield from _operators(condition.part, not negated)
    else:
        for part in condition.parts:
            yield from _operators(part, negated)


def is_open(analysis: Analysis, opening: Opening) -> Application | None:
    """An application exactly on the point that neither rule matches, though each does one unit to its side.

    Its decision (card, limit) is milder than what either rule gives, or no decision rule says anything of it.
    """
    here = analysis.world
    low, high = (_beside(analysis, opening, step) for step in (-1, 1))
    rules = opening.below.rule, opening.above.rule
    wanted = z3.And(
        _on_point(here, opening, 0),
        _on_point(low, opening, -1),
        _on_point(high, opening, 1),
        low.rule(rules[0]).yes,
        high.rule(rules[1]).yes,
        *(here.rule(rule).no for rule in rules),
        _milder(here, opening),
    )
    if analysis.possible(wanted) is None:
        return None

    def fails(one: Application, _: Application) -> bool:
        found = analysis.assess(one)
        return all(truth_of(rule.when, found.facts) is False for rule in rules)

    found = search(Question((here, low, high), wanted, fails))
    if found.doubt:
        raise EngineError(found.doubt, remedy="simplify the two rules")
    return None if found.pair is None else found.pair[0]


def point(world: World, opening: Opening) -> z3.BoolRef:
    """That an application lies exactly on an opening."""
    return _on_point(world, opening, 0)


def _on_point(world: World, opening: Opening, step: int) -> z3.BoolRef:
    fact = world.fact(opening.fact)
    to = world.fact(opening.below.to) if opening.below.to else Symbol(z3.IntVal(0))
    return z3.And(fact.known, to.known, fact.value == to.value + opening.offset + step)


def _beside(analysis: Analysis, opening: Opening, step: int) -> World:
    """The same application with another value of the fact; the limit is the same if the fact is not in its formula."""
    moved = analysis.reads.given([opening.fact])
    inputs = analysis.inputs.differing(sorted(moved), tag=f"~{opening.fact}{step:+d}")
    world = Switched(analysis.rules, inputs, limit=analysis.limit)
    if LIMIT in analysis.rules.catalogue and not moved & world.limit_reads:
        world.share_limit(analysis.world)
    return world


def _milder(here: World, opening: Opening) -> z3.BoolRef:
    """What follows on the point is milder than what each of the two rules would make of it."""
    rules = opening.below.rule, opening.above.rule
    if rules[0].stage is Stage.DECISION:
        return _milder_outcome(here, rules)
    if rules[0].stage is Stage.STATUS:
        return _weaker(here, rules)
    return _looser(here, rules)


def _milder_outcome(here: World, rules: tuple[Rule, Rule]) -> z3.BoolRef:
    outcomes = [rule.outcome for rule in rules if rule.outcome is not None]
    known = [z3.Not(here.rule(rule).unknown) for rule in here.rules.rules(Stage.DECISION)]
    undecided = z3.And(here.complete, *known, z3.Not(here.decided_by(*Outcome)))
    return z3.Or(undecided, here.strictness < int(min(outcomes)))


def _weaker(here: World, rules: tuple[Rule, Rule]) -> z3.BoolRef:
    """A fact that both set is weaker."""
    first, second = (dict(rule.sets) for rule in rules)
    found = []
    for name in sorted(first.keys() & second.keys()):
        fact, symbol = here.rules.catalogue[name], here.fact(name)
        found.append(z3.And(symbol.known, symbol.value < min(fact.rank(first[name]), fact.rank(second[name]))))
    return z3.Or(found)


def _looser(here: World, rules: tuple[Rule, Rule]) -> z3.BoolRef:
    """An effect that both have is weaker."""
    effects = [rule.effects for rule in rules if rule.effects is not None]
    found = [z3.BoolVal(False)]
    for symbol, name in ((here.cap.value, "limit_cap"), (here.factor.value, "limit_factor")):
        values = [getattr(one, name) for one in effects]
        if all(value is not None for value in values):
            found.append(z3.And([symbol > here.number(value) for value in values]))
    if all(one.rate_spread_bp for one in effects):
        found.append(here.spread < min(one.rate_spread_bp or 0 for one in effects))
    return z3.Or(found)
