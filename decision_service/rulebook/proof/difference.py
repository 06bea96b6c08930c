"""Asks of two rulesets, for all applications at once, what comes out otherwise by the one than by the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import z3

from decision_service.rulebook.cases import Assessed, Evaluate
from decision_service.rulebook.encoding import Fact
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.proof.applications import Application, distance, nearer
from decision_service.rulebook.proof.inputs import LIMIT, PRODUCT, Inputs
from decision_service.rulebook.proof.limit_terms import LimitFunction
from decision_service.rulebook.proof.search import Question, search
from decision_service.rulebook.proof.symbols import FALSE, TRUE
from decision_service.rulebook.proof.world import World
from decision_service.rulebook.regions import Region, RegionKind, regions
from decision_service.rulebook.reverted import Reverted
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

    ``base`` names the familiar application that it was brought near, ``regions`` are those without any one of which it
    would come out otherwise than it does.
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


Shows = Callable[[Assessed, Assessed], bool]


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
        self._limit = limit
        before = World(old, inputs, limit=limit)
        self._worlds = (before, World(new, inputs, limit=limit, beside=[before]))
        self._related = same_bound(*self._worlds)
        self._reverted: dict[Region, Reverted] = {}

    def aspects(self) -> tuple[Aspect, ...]:
        """Everything that may come out otherwise, outcomes first; a fact that only one version sets has no other."""
        flips = [Aspect(OUTCOME, one, other) for one in Outcome for other in Outcome if one is not other]
        names = [fact.name for fact in self.old.catalogue.settable if fact.name in self.new.catalogue]
        return (*flips, *(Aspect(name) for name in (*names, LIMIT, SPREAD, CONDITIONS, REASONS)))

    def anything(self) -> Answer:
        """An application for which anything at all comes out otherwise: one question."""
        aspects = self.aspects()

        def shown(before: Assessed, after: Assessed) -> bool:
            return any(aspect.shown_by(before, after) for aspect in aspects)

        wanted = z3.Or([_otherwise(aspect, *self._worlds) for aspect in aspects])
        return self._answer(wanted, shown, aspects)

    def somewhere(self, aspect: Aspect) -> Answer:
        """An application that shows an aspect, whatever it comes from; if the outcome stays, an approved one first."""
        return self._mildest(aspect, lambda outcome: self._somewhere(aspect, outcome))

    def _somewhere(self, aspect: Aspect, outcome: Outcome | None) -> Answer:
        wanted = _otherwise(aspect, *self._worlds)
        if outcome is None:
            return self._answer(wanted, aspect.shown_by, (aspect,))

        def shown(before: Assessed, after: Assessed) -> bool:
            return after.outcome is outcome and aspect.shown_by(before, after)

        return self._answer(z3.And(wanted, self._worlds[1].outcome(outcome)), shown, (aspect,))

    def _mildest(self, aspect: Aspect, ask: Callable[[Outcome | None], Answer]) -> Answer:
        """What comes out otherwise matters most to those who are approved, least to those who are declined."""
        found = ask(None)
        if aspect.before is not None or found.flip is None:
            return found
        for outcome in Outcome:
            if outcome >= found.flip.after.outcome:
                break
            if (milder := ask(outcome)).flip is not None:
                return milder
        return found

    def within(self, aspect: Aspect, region: Region) -> Answer:
        """An application that shows an aspect, and without the change of a region would come out otherwise."""
        if self.regions == (region,):
            return self.somewhere(aspect)
        without = World(self._without(region), self._worlds[0].inputs, limit=self._limit, beside=self._worlds)
        return self._mildest(aspect, lambda outcome: self._within(aspect, region, without, outcome))

    def _within(self, aspect: Aspect, region: Region, without: World, outcome: Outcome | None) -> Answer:
        after = self._worlds[1]
        wanted = [_otherwise(aspect, *self._worlds), _unlike(aspect.name, without, after), self._scope(region)]
        wanted += [after.outcome(outcome)] if outcome is not None else []

        def fails(one: Application, _: Application) -> bool:
            seen = self._judged(one)
            if outcome is not None and seen[1].outcome is not outcome:
                return False
            return aspect.shown_by(*seen) and self._matters(aspect, region, one)

        related = z3.And(self._related, same_bound(after, without))
        return self._found(Question((*self._worlds, without), z3.And(wanted), fails, related), (aspect,))

    def still(self, flip: Flip, region: Region) -> Flip | None:
        """The application of a flip on this day, if it shows the same and a region plays a part."""
        application = replace(flip.application, on=self.new.on)
        shows = flip.aspect.shown_by(*self._judged(application))
        if not shows or not self._matters(flip.aspect, region, application):
            return None
        return self._flip(application, flip.base, flip.aspect)

    def _answer(self, wanted: z3.BoolRef, shown: Shows, aspects: tuple[Aspect, ...]) -> Answer:
        if not self.regions:
            return Answer(none=True)

        def fails(one: Application, _: Application) -> bool:
            return shown(*self._judged(one))

        return self._found(Question(self._worlds, wanted, fails, self._related), aspects)

    def _found(self, question: Question, aspects: tuple[Aspect, ...]) -> Answer:
        found = search(question)
        if found.pair is None:
            return Answer(found.none, doubt=found.doubt)
        base, application = self._familiar(found.pair[0], lambda near: question.fails(near, near))
        seen = self._judged(application)
        return Answer(flip=self._flip(application, base, next(one for one in aspects if one.shown_by(*seen))))

    def _flip(self, application: Application, base: str, aspect: Aspect) -> Flip:
        before, after = self._judged(application)
        part = tuple(region for region in self.regions if self._matters(aspect, region, application))
        return Flip(aspect, application, base, before, after, part)

    def _judged(self, application: Application) -> tuple[Assessed, Assessed]:
        return self._assess(self.old, application), self._assess(self.new, application)

    def _assess(self, rules: RulesInForce, application: Application) -> Assessed:
        return self._evaluate(rules, application.facts(rules))

    def _matters(self, aspect: Aspect, region: Region, application: Application) -> bool:
        """Whether an application would come out otherwise by the new rules without the change of a region."""
        without = self._assess(self._without(region), application)
        after = self._assess(self.new, application)
        return without.outcome is not after.outcome or value_of(aspect.name, without) != value_of(aspect.name, after)

    def _without(self, region: Region) -> RulesInForce:
        if self.regions == (region,):
            return self.old
        if region not in self._reverted:
            self._reverted[region] = Reverted(self.old, self.new, region)
        return self._reverted[region]

    def _scope(self, region: Region) -> z3.BoolRef:
        """All applications to which the change of an industry can matter, for the solver's sake."""
        inputs = self._worlds[0].inputs
        industry = region.kind is RegionKind.INDUSTRY
        return inputs.industry == inputs.codes.index(region.name) if industry else TRUE

    def _familiar(self, found: Application, fails: Callable[[Application], bool]) -> tuple[str, Application]:
        """The application brought near the base from which the fewest facts differ."""
        product = found.values.get(PRODUCT)
        alike = [name for name, base in self._bases.items() if base.values.get(PRODUCT) == product]
        catalogue = self._worlds[0].inputs.catalogue
        near = [(name, nearer(found, self._bases[name], fails, catalogue)) for name in alike or self._bases]
        return min(near, key=lambda one: distance(one[1], self._bases[one[0]]), default=("", found))


def _otherwise(aspect: Aspect, before: World, after: World) -> z3.BoolRef:
    if aspect.before is not None and aspect.after is not None:
        return z3.And(before.outcome(aspect.before), after.outcome(aspect.after))
    return z3.And(before.strictness == after.strictness, _another(aspect.name, before, after))


def _unlike(name: str, before: World, after: World) -> z3.BoolRef:
    other = before.strictness != after.strictness
    return other if name == OUTCOME else z3.Or(other, _another(name, before, after))


def _another(name: str, before: World, after: World) -> z3.BoolRef:
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
    inputs, product = old.inputs, old.inputs.symbol(PRODUCT)
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
