"""Questions about rules that lint asks over all applications at once; every answer is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain

import z3

from decision_service.errors import EngineError
from decision_service.rulebook.cases import Assessed, Evaluate
from decision_service.rulebook.conditions import AllOf, AnyOf, Condition, Not, facts_named
from decision_service.rulebook.encoding import FactType
from decision_service.rulebook.evaluate import truth_of
from decision_service.rulebook.proof.applications import Application, application_of
from decision_service.rulebook.proof.inputs import LIMIT, PRODUCT, Inputs, inputs_of
from decision_service.rulebook.proof.limit_terms import LimitFunction
from decision_service.rulebook.proof.search import Question, search
from decision_service.rulebook.proof.symbols import TRUE, Symbol, literal
from decision_service.rulebook.proof.world import World
from decision_service.rulebook.reads import Reads
from decision_service.rulebook.rules import Rule, Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.vocabulary import Outcome

TIMEOUT_MS = 20_000
SWITCHES = (FactType.CHOICE, FactType.FLAG)
Holds = Callable[[Assessed], bool]


class Switched(World):
    """A world in which parameters that are switches may stand in any position.

    A switch is a choice or a flag of the city or a product: rules are written for every position of it, and none of
    them is a fault because the switch stands otherwise today. ``free`` makes every parameter any value at all.
    """

    def __init__(self, rules: RulesInForce, inputs: Inputs, *, limit: LimitFunction, free: bool = False) -> None:
        super().__init__(rules, inputs, limit=limit)
        self._free = free

    def share_limit(self, other: World) -> None:
        """Have the limit of another world: what differs between the two is not in its formula."""
        self._facts[LIMIT] = other.fact(LIMIT)

    def _parameter(self, name: str, scope: str) -> Symbol:
        switch = self.rules.catalogue[name].type in SWITCHES and scope != "industry"
        return self._any(name) if switch or self._free else super()._parameter(name, scope)

    def _any(self, name: str) -> Symbol:
        symbol = self.inputs.symbol(name)
        if symbol.known is not TRUE:
            self.inputs.constraints.append(symbol.known)
        return Symbol(symbol.value)


class Analysis:
    """One set of rules on one day. ``evaluate`` is the reference, ``limit`` the limit's formula.

    Raises ``EngineError`` where Z3 gives no answer in time: a question without answer is not taken for a fine rule.
    """

    def __init__(self, rules: RulesInForce, *, evaluate: Evaluate, limit: LimitFunction) -> None:
        self.rules = rules
        self.reads = Reads(rules)
        self.inputs = inputs_of(rules)
        self.limit = limit
        self.world = Switched(rules, self.inputs, limit=limit)
        self._evaluate = evaluate
        self._solver = z3.Solver()
        self._solver.set("timeout", TIMEOUT_MS)
        self._constrained = 0
        self._free: tuple[Switched, z3.Solver] | None = None

    def assess(self, application: Application) -> Assessed:
        """What the rules say of one application."""
        return self._evaluate(self.rules, application.facts(self.rules))

    def possible(self, *wanted: z3.BoolRef) -> z3.ModelRef | None:
        """A model in which all of this holds, whatever the limit may be; ``None`` if there is none."""
        new = self.inputs.constraints[self._constrained :]
        self._constrained += len(new)
        self._solver.add(*new)
        self._solver.push()
        self._solver.add(*wanted)
        answer = self._solver.check()
        model = self._solver.model() if answer == z3.sat else None
        self._solver.pop()
        if answer == z3.unknown:
            what = f"Z3 gave no answer within {TIMEOUT_MS // 1000} seconds"
            raise EngineError(what, remedy="simplify the condition; split the rule")
        return model

    def application(self, *wanted: z3.BoolRef, holds: Holds) -> Application | None:
        """An application with which all of this holds, and of which the reference says so too; ``None`` for none."""
        model = self.possible(*wanted)
        if model is None:
            return None
        found = application_of(model, self.inputs, self.rules)
        return found if holds(self.assess(found)) else self._searched(z3.And(*wanted), holds)

    def somewhere(self, wanted: z3.BoolRef, conditions: Iterable[Condition], holds: Holds) -> bool:
        """Whether something about conditions can be so. Only one that reads the limit needs the limit's formula."""
        model = self.possible(wanted)
        if model is None:
            return False
        names = frozenset().union(*(facts_named(one) for one in conditions))
        if LIMIT not in self.reads.of(names):
            return True
        return self.application(wanted, holds=holds) is not None

    def _searched(self, wanted: z3.BoolRef, holds: Holds) -> Application | None:
        world = self.world
        found = search(Question((world, world), wanted, lambda one, _: holds(self.assess(one))))
        if found.doubt:
            raise EngineError(found.doubt, remedy="simplify the rules")
        return None if found.pair is None else found.pair[0]

    def reachable(self, rule: Rule) -> bool:
        """Whether some application makes a rule match."""
        return self.somewhere(
            self.world.rule(rule).yes, [rule.when], lambda found: truth_of(rule.when, found.facts) is True
        )

    def same_truth(self, one: Condition, other: Condition) -> bool:
        """Whether two conditions are true, false and unknown for the same applications."""
        first, second = self.world.truth(one), self.world.truth(other)
        differ = z3.Or(first.yes != second.yes, first.no != second.no)
        return not self.somewhere(
            differ, [one, other], lambda found: truth_of(one, found.facts) is not truth_of(other, found.facts)
        )

    def clashing(self, rule: Rule) -> tuple[tuple[Condition, ...], bool]:
        """The parts of an unreachable rule that exclude each other, and whether they do whatever the parameters are.

        All of the condition where the limit's formula is what excludes it.
        """
        parts = rule.when.parts if isinstance(rule.when, AllOf) else (rule.when,)
        core = self._core(self.world, parts)
        free = Switched(self.rules, inputs_of(self.rules), limit=self.limit, free=True)
        return core or tuple(parts), len(core) > 1 and bool(self._core(free, core))

    def _core(self, world: World, parts: Sequence[Condition]) -> tuple[Condition, ...]:
        """Parts that cannot be true at once, none of them superfluous; none if all can."""
        left = list(parts)
        if self._together(world, left):
            return ()
        for part in parts:
            fewer = [one for one in left if one is not part]
            if not self._together(world, fewer):
                left = fewer
        return tuple(left)

    @staticmethod
    def _together(world: World, parts: Iterable[Condition]) -> bool:
        solver = z3.Solver()
        solver.add(*(world.truth(part).yes for part in parts))
        solver.add(*world.inputs.constraints)
        return bool(solver.check() != z3.unsat)

    def implies(self, one: Rule, other: Rule, *, unknown: bool) -> bool:
        """Whether a rule matches wherever one does; with ``unknown`` also whether it is never false where that is not.

        The first rule must be one that can match.
        """
        if not self._may_follow(one, other):
            return False
        first, second = self.world.rule(one), self.world.rule(other)
        conditions = [one.when, other.when]

        def alone(found: Assessed) -> bool:
            return truth_of(one.when, found.facts) is True and truth_of(other.when, found.facts) is not True

        def in_doubt(found: Assessed) -> bool:
            return truth_of(one.when, found.facts) is not False and truth_of(other.when, found.facts) is False

        if self.somewhere(z3.And(first.yes, z3.Not(second.yes)), conditions, alone):
            return False
        return not (unknown and self.somewhere(z3.And(z3.Not(first.no), second.no), conditions, in_doubt))

    def _may_follow(self, one: Rule, other: Rule) -> bool:
        """A part that reads only what the first rule does not may be unknown when that one is true."""
        read = self.reads.of_rule(one)
        parts = other.when.parts if isinstance(other.when, AllOf) else (other.when,)
        given = [self.reads.given(facts_named(part)) for part in parts]
        return all(not names or names & read for names in given)

    def at_least_as_tight(self, one: Rule, other: Rule) -> bool:
        """Whether the cap and factor of a limit rule are at most those of another, wherever that one counts."""
        mine, theirs = one.effects, other.effects
        if mine is None or theirs is None:
            return True
        counts = z3.Not(self.world.rule(other).no)
        for tight, loose in ((mine.limit_cap, theirs.limit_cap), (mine.limit_factor, theirs.limit_factor)):
            if tight is not None and loose is not None:
                if self.possible(counts, self.world.number(tight) > self.world.number(loose)) is not None:
                    return False
        return True

    def gap(self, product: str, *, but: Iterable[z3.BoolRef] = ()) -> Application | None:
        """An application for a product with everything known that no decision rule decides, outside of ``but``."""
        world = self.world
        deciding = self.rules.rules(Stage.DECISION)
        chosen = world.fact(PRODUCT).value == literal(self.rules.catalogue[PRODUCT], product)
        known = [z3.Not(world.rule(rule).unknown) for rule in deciding]
        undecided = z3.Not(world.decided_by(*Outcome))
        ids = {rule.id for rule in deciding}
        return self.application(
            chosen,
            world.complete,
            *known,
            undecided,
            *(z3.Not(one) for one in but),
            holds=lambda found: not ids & {*found.matched, *found.unknown},
        )

    def outweighing(self, rule: Rule, *, nearby: Iterable[Application] = ()) -> tuple[Rule, ...]:
        """Rules of which always one outweighs an approving rule when it matches, so that it never approves; or none.

        ``nearby`` are applications that match it; what stands in the way of one is mended first, before a search.
        """
        world = self.world
        matched = world.rule(rule).yes
        strict = [one for one in self.rules.rules(Stage.DECISION) if one.outcome is not Outcome.APPROVE]
        model = self.possible(matched, world.approved)
        if model is not None:
            approves = _approving(rule)
            found = application_of(model, self.inputs, self.rules)
            tried = chain([found], (self._mended(one, found, strict) for one in nearby))
            if any(approves(self.assess(one)) for one in tried):
                return ()
            if self._searched(z3.And(matched, world.approved), approves) is not None:
                return ()
        left = strict
        for one in strict:
            fewer = [other for other in left if other is not one]
            if self.possible(matched, world.complete, *(world.rule(other).no for other in fewer)) is None:
                left = fewer
        return tuple(left)

    def _mended(self, near: Application, found: Application, strict: Iterable[Rule]) -> Application:
        """An application with those facts of another that keep the rules from being true that stand in its way."""
        seen = self.assess(near)
        standing = {*seen.matched, *seen.unknown}
        named = [facts_named(rule.when) for rule in strict if rule.id in standing]
        names = self.reads.given(frozenset().union(*named)) & found.values.keys()
        return replace(near, values={**near.values, **{name: found.values[name] for name in names}})

    def both(self, one: Rule, other: Rule) -> Application | None:
        """An application that two rules match."""
        ids = {one.id, other.id}
        first, second = self.world.rule(one), self.world.rule(other)
        return self.application(first.yes, second.yes, holds=lambda found: ids <= set(found.matched))

    def starved(self, rule: Rule, parameter: str, *, product: str | None) -> bool:
        """Whether a parameter without a row keeps a rule from an answer though all given facts are known."""
        world = self.world
        given = [world.fact(name).known for name in self.reads.given(facts_named(rule.when))]
        where = [] if product is None else [
            world.fact(PRODUCT).value == literal(self.rules.catalogue[PRODUCT], product), world.fact(PRODUCT).known
        ]
        in_effects = parameter not in self.reads.of(facts_named(rule.when))
        asked = z3.Not(world.rule(rule).no) if in_effects else world.rule(rule).unknown
        return self.possible(*given, *where, z3.Not(world.fact(parameter).known), asked) is not None


def _approving(rule: Rule) -> Holds:
    return lambda found: found.outcome is Outcome.APPROVE and rule.id in found.matched


def never_true(part: Condition) -> Condition:
    """What a part would be if it were false whenever its facts are known."""
    return AllOf((part, Not(part)))


def always_true(part: Condition) -> Condition:
    """What a part would be if it were true whenever its facts are known."""
    return AnyOf((part, Not(part)))
