"""Asks of two rulesets, for all applications at once, what comes out otherwise by the one than by the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import z3

from decision_service.rulebook.cases import Assessed, Evaluate
from decision_service.rulebook.encoding import Fact
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.proof.applications import Application, nearer
from decision_service.rulebook.proof.search import Question, search
from decision_service.rulebook.proof.symbols import FALSE, TRUE
from decision_service.rulebook.proof.territory import Territory
from decision_service.rulebook.proof.world import LIMIT, PRODUCT, Inputs, LimitFunction, World
from decision_service.rulebook.regions import Region, regions
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.vocabulary import Outcome

OUTCOME, SPREAD, CONDITIONS, REASONS = "outcome", "rate_spread_bp", "conditions", "reasons"


@dataclass(frozen=True, slots=True)
class Aspect:
    """What comes out otherwise: the outcome, from one to another, or something else while the outcome stays.

    ``name`` is ``outcome``, a fact that rules set (``card``), ``limit_max``, ``rate_spread_bp``, ``conditions`` or
    ``reasons``.
    """

    name: str
    before: Outcome | None = None
    after: Outcome | None = None

    def __str__(self) -> str:
        if self.before is None or self.after is None:
            return self.name
        return f"{self.before.name}→{self.after.name}"

    def shown_by(self, before: Assessed, after: Assessed) -> bool:
        """Whether two assessments of one application show it."""
        if self.before is not None:
            return (before.outcome, after.outcome) == (self.before, self.after)
        return before.outcome is after.outcome and value_of(self.name, before) != value_of(self.name, after)


@dataclass(frozen=True, slots=True)
class Flip:
    """An application for which an aspect comes out otherwise, by evaluation, and what both rulesets say of it.

    ``base`` names the familiar application that it was brought near, ``regions`` are all that it lies in.
    """

    aspect: Aspect
    application: Application
    base: str
    before: Assessed
    after: Assessed
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """``flip``, or ``none``: proven that no application shows it, or neither, and ``doubt`` says why."""

    none: bool = False
    flip: Flip | None = None
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class _Seen:
    """One application evaluated by both rulesets."""

    application: Application
    before: Assessed
    after: Assessed
    regions: tuple[Region, ...]


Shows = Callable[[_Seen], bool]


class Difference:
    """Two rulesets, each as in force on its day, over the same applications: all those that both admit.

    ``evaluate`` is the reference; ``limit`` the limit's formula; ``bases`` are familiar applications by name.
    """

    def __init__(
        self,
        old: RulesInForce,
        new: RulesInForce,
        *,
        evaluate: Evaluate,
        limit: LimitFunction,
        bases: Mapping[str, Application],
    ) -> None:
        self.old, self.new = old, new
        self.regions = regions(old, new)
        self._evaluate = evaluate
        self._bases = bases
        inputs = shared_inputs(old, new)
        self._before, self._after = (World(rules, inputs, limit=limit) for rules in (old, new))
        self._territory = Territory(self.regions, self._before, self._after)
        self._related = same_bound(self._before, self._after)

    def aspects(self) -> tuple[Aspect, ...]:
        """Everything that may come out otherwise, outcomes first."""
        flips = [Aspect(OUTCOME, one, other) for one in Outcome for other in Outcome if one is not other]
        names = dict.fromkeys(fact.name for rules in (self.old, self.new) for fact in rules.catalogue.settable)
        return (*flips, *(Aspect(name) for name in (*names, LIMIT, SPREAD, CONDITIONS, REASONS)))

    def anything(self) -> Answer:
        """An application for which anything at all comes out otherwise: one question."""
        aspects = self.aspects()

        def shown(seen: _Seen) -> bool:
            return any(aspect.shown_by(seen.before, seen.after) for aspect in aspects)

        return self._answer(z3.Or([self._otherwise(aspect) for aspect in aspects]), shown, aspects)

    def somewhere(self, aspect: Aspect) -> Answer:
        """An application that shows an aspect, wherever it lies."""
        return self._answer(self._otherwise(aspect), lambda seen: aspect.shown_by(seen.before, seen.after), (aspect,))

    def within(self, aspect: Aspect, region: Region) -> Answer:
        """An application inside a region that shows an aspect; if it can be, one that lies in no other region."""
        here = z3.And(self._otherwise(aspect), self._territory.inside(region))

        def shown(seen: _Seen) -> bool:
            return aspect.shown_by(seen.before, seen.after) and region in seen.regions

        def shown_alone(seen: _Seen) -> bool:
            return aspect.shown_by(seen.before, seen.after) and seen.regions == (region,)

        alone = self._answer(z3.And(here, self._territory.outside(region)), shown_alone, (aspect,))
        if not alone.none or len(self.regions) == 1:
            return alone
        return self._answer(here, shown, (aspect,))

    def elsewhere(self, aspect: Aspect) -> Answer:
        """An application that shows an aspect outside every region; there should be none."""

        def shown(seen: _Seen) -> bool:
            return aspect.shown_by(seen.before, seen.after) and not seen.regions

        return self._answer(z3.And(self._otherwise(aspect), self._territory.outside()), shown, (aspect,))

    def _answer(self, wanted: z3.BoolRef, shown: Shows, aspects: tuple[Aspect, ...]) -> Answer:
        if not self.regions:
            return Answer(none=True)

        def fails(one: Application, _: Application) -> bool:
            return shown(self._see(one))

        found = search(Question((self._before, self._after), wanted, fails, self._related))
        if found.pair is None:
            return Answer(found.none, doubt=found.doubt)
        base, application = self._familiar(found.pair[0], lambda near: shown(self._see(near)))
        seen = self._see(application)
        aspect = next(one for one in aspects if one.shown_by(seen.before, seen.after))
        return Answer(flip=Flip(aspect, application, base, seen.before, seen.after, seen.regions))

    def _see(self, application: Application) -> _Seen:
        before, after = (self._evaluate(rules, application.facts(rules)) for rules in (self.old, self.new))
        return _Seen(application, before, after, self._territory.of(application, before, after))

    def _familiar(self, found: Application, fails: Callable[[Application], bool]) -> tuple[str, Application]:
        """The application brought near the base from which the fewest facts differ."""
        product = found.values.get(PRODUCT)
        alike = [name for name, base in self._bases.items() if base.values.get(PRODUCT) == product]
        near = [(name, nearer(found, self._bases[name], fails)) for name in alike or self._bases]
        return min(near, key=lambda one: distance(one[1], self._bases[one[0]]), default=("", found))

    def _otherwise(self, aspect: Aspect) -> z3.BoolRef:
        before, after = self._before, self._after
        if aspect.before is not None and aspect.after is not None:
            return z3.And(before.outcome(aspect.before), after.outcome(aspect.after))
        return z3.And(before.strictness == after.strictness, self._another(aspect.name))

    def _another(self, name: str) -> z3.BoolRef:
        before, after = self._before, self._after
        if name == SPREAD:
            return before.spread != after.spread
        if name == CONDITIONS:
            return _another_set(before.condition_codes(), after.condition_codes())
        if name == REASONS:
            return _another_set(reason_codes(before), reason_codes(after))
        one, other = before.fact(name), after.fact(name)
        return z3.Or(one.known != other.known, z3.And(one.known, one.value != other.value))


def value_of(name: str, assessed: Assessed) -> Any:
    """What an assessment says of an aspect: reasons and conditions as sets of codes, the limit in fen."""
    if name == OUTCOME:
        return assessed.outcome
    if name == REASONS:
        return frozenset(one.code for one in assessed.reasons)
    if name == CONDITIONS:
        return frozenset(assessed.effects.conditions)
    return assessed.effects.rate_spread_bp if name == SPREAD else assessed.facts[name]


def distance(one: Application, other: Application) -> int:
    """How many facts two applications differ in, the industry among them."""
    names = {*one.values, *other.values}
    return sum(one.values.get(name) != other.values.get(name) for name in names) + (one.industry != other.industry)


def shared_inputs(old: RulesInForce, new: RulesInForce) -> Inputs:
    """The applications that both rulesets admit: ranges and choices that both have, every industry that one knows."""
    facts = {**new.catalogue, **old.catalogue}
    both = [_common(fact, new.catalogue.get(name, fact)) for name, fact in facts.items()]
    codes = sorted({*old.industry_codes(), *new.industry_codes()})
    return Inputs(FactCatalogue(both), tuple(codes))


def _common(one: Fact, other: Fact) -> Fact:
    choices = tuple(choice for choice in one.choices if choice in other.choices)
    low, high = max(one.minimum, other.minimum), min(one.maximum, other.maximum)
    return replace(one, minimum=low, maximum=high, choices=choices)


def same_bound(old: World, new: World) -> z3.BoolRef:
    """The product's own bound is the same where both rulesets compute it by the same formula from the same numbers."""
    reads = sorted(old.limit_reads | new.limit_reads)
    if any(_formula(old, name) != _formula(new, name) for name in reads):
        return TRUE
    one, other = old.bound_symbol, new.bound_symbol
    inputs, product = old.inputs, old.fact(PRODUCT)
    places = range(-1, len(inputs.codes))
    here = [inputs.industry == place for place in places if old.limit_row(place) == new.limit_row(place)]
    rows = [{name: world.rules.parameters(name, None) for name in world.rules.products} for world in (old, new)]
    alike = [
        product.value == place
        for place, name in enumerate(inputs.catalogue[PRODUCT].choices)
        if all(rows[0].get(name, {}).get(fact) == rows[1].get(name, {}).get(fact) for fact in reads)
    ]
    same = z3.And(one.known == other.known, z3.Implies(one.known, one.value == other.value))
    return z3.Implies(z3.And(z3.Or(here), z3.Or(z3.Not(product.known), *alike)), same)


def _formula(world: World, name: str) -> object:
    fact = world.rules.catalogue.get(name)
    return None if fact is None or fact.derived is None else (fact.derived.term, fact.minimum, fact.maximum)


def reason_codes(world: World) -> Mapping[str, z3.BoolRef]:
    """Whether each reason code is given, as ``stages.combine`` gives them."""
    given: dict[str, list[z3.BoolRef]] = {}
    for stage in Stage:
        for rule in world.rules.rules(stage):
            holds = world.rule(rule).yes
            here = z3.And(holds, world.approved) if rule.outcome is Outcome.APPROVE else holds
            given.setdefault(rule.reason or "", []).append(here)
    given.pop("", None)
    strict = world.decided_by(Outcome.REFER)
    deciding = world.rules.rules(Stage.DECISION)
    doubtful = [world.rule(rule).unknown for rule in deciding if rule.outcome is not Outcome.APPROVE]
    missing = z3.Or(*doubtful, z3.Not(world.complete))
    unsure = z3.Or([world.rule(rule).unknown for rule in deciding if rule.outcome is Outcome.APPROVE])
    open_ = z3.And(world.referred, z3.Not(strict), z3.Not(missing), z3.Not(world.decided_by(Outcome.APPROVE)))
    given.setdefault("DATA_MISSING", []).append(z3.Or(z3.And(world.referred, missing), z3.And(open_, unsure)))
    given.setdefault("NO_APPROVAL", []).append(z3.And(open_, z3.Not(unsure)))
    return {code: z3.Or(terms) for code, terms in given.items()}


def _another_set(one: Mapping[str, z3.BoolRef], other: Mapping[str, z3.BoolRef]) -> z3.BoolRef:
    return z3.Or([one.get(code, FALSE) != other.get(code, FALSE) for code in sorted({*one, *other})])
