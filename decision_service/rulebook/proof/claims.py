"""What each form of a claim asks of all applications: the question whose answer would break it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import z3

from decision_service.rulebook.cases import Assessed, Evaluate
from decision_service.rulebook.conditions import Condition, Exact, facts_named
from decision_service.rulebook.evaluate import truth_of
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.invariants import OUTCOME, Claim, Invariant, with_outcome
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.proof.inputs import Inputs, inputs_of
from decision_service.rulebook.proof.limit_terms import LimitFunction
from decision_service.rulebook.proof.search import Question
from decision_service.rulebook.proof.symbols import FALSE, TRUE, Symbol, SymbolOf, Truth, truth
from decision_service.rulebook.proof.world import World
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.vocabulary import Outcome

NO_LIMIT = -1


class Claims:
    """Claims about one ruleset on one day as questions; ``evaluate`` is the reference, ``limit`` its limit.

    ``base`` are those about the rules that an overlay was laid over: what it does not touch is taken from them.
    """

    def __init__(
        self, rules: RulesInForce, *, evaluate: Evaluate, limit: LimitFunction, base: "Claims | None" = None
    ) -> None:
        self.rules = rules
        self._evaluate = evaluate
        self._limit = limit
        self._words = with_outcome(rules.catalogue)
        self._base = base
        self._inputs: Inputs = inputs_of(rules) if base is None else base._inputs
        self._world: World = World(rules, self._inputs, limit=limit, beside=() if base is None else [base._world])
        self._variants: dict[str, World] = {}

    def question(
        self, invariant: Invariant, *, against: RulesInForce | None = None, until: float = math.inf
    ) -> Question:
        """An application, or a pair, that breaks the claim; ``against`` are the rules with the overlay.

        ``until`` is the moment of ``time.monotonic`` at which the search gives up.
        """
        if invariant.claim is Claim.OVERLAY_NEVER_LOOSENS:
            assert against is not None
            return self._overlay(against, until)
        forms: Mapping[Claim, Callable[[Invariant, float], Question]] = {
            Claim.IMPLICATION: self._implication,
            Claim.MONOTONE: self._monotone,
            Claim.UNKNOWN_NEVER_APPROVES: self._unknown,
            Claim.ALWAYS_DECIDED: self._decided,
        }
        return forms[invariant.claim](invariant, until)

    def follows(self, invariant: Invariant, base: RulesInForce) -> bool:
        """Whether a claim that holds for the base holds here, too, where no outcome is milder than the base's.

        It does if its facts mean the same by both, and what breaks it with one outcome does with every milder one.
        """
        if self._base is None or self._base.rules is not base or invariant.claim is not Claim.IMPLICATION:
            return False
        conditions = [one for one in (invariant.given, invariant.then) if one is not None]
        names = frozenset().union(*(facts_named(one) for one in conditions)) - {OUTCOME.name}
        likeness = self._world.alike(self._base._world)
        return all(likeness.fact(name) for name in names) and _keeps(invariant, self._words, names)

    def _implication(self, invariant: Invariant, until: float) -> Question:
        """What is given is true, and what must follow is false or unknown."""
        given, then = self._truth(self._world, invariant.given), self._truth(self._world, invariant.then)

        def fails(one: Application, _: Application) -> bool:
            return self._holds(invariant.given, one) is True and self._holds(invariant.then, one) is not True

        return Question((self._world, self._world), z3.And(given.yes, z3.Not(then.yes)), fails, until=until)

    def _decided(self, invariant: Invariant, until: float) -> Question:
        """Everything that the rules read is known, and no decision rule matches."""
        world = self._world
        given = self._truth(world, invariant.given)
        rules = self.rules.rules(Stage.DECISION)
        known = [z3.Not(world.rule(rule).unknown) for rule in rules]
        broken = z3.And([given.yes, world.complete, *known, z3.Not(world.decided_by(*Outcome))])

        def fails(one: Application, _: Application) -> bool:
            found = self._assess(one, self.rules)
            decided = {rule.id for rule in rules} & {*found.matched, *found.unknown}
            return self._holds(invariant.given, one) is True and not decided

        return Question((world, world), broken, fails, until=until)

    def _unknown(self, _: Invariant, until: float) -> Question:
        """The same application twice, some of its facts hidden the second time: only then it is approved."""
        hidden = self._variant("~hidden", lambda: self._inputs.hidden(tag="~hidden"))
        broken = z3.And(hidden.approved, z3.Not(self._world.approved))

        def fails(one: Application, other: Application) -> bool:
            approved = [self._assess(each, self.rules).outcome is Outcome.APPROVE for each in (one, other)]
            return approved == [False, True]

        return Question((self._world, hidden), broken, fails, until=until)

    def _monotone(self, invariant: Invariant, until: float) -> Question:
        """The same application twice, the second with a worse value of the fact, and better off."""
        world, tag = self._world, f"~worse {invariant.fact}"
        worse = self._variant(tag, lambda: self._inputs.differing([invariant.fact], tag=tag))
        before, after = world.fact(invariant.fact), worse.fact(invariant.fact)
        moved = after.value > before.value if invariant.worse == "higher" else after.value < before.value
        given = [self._truth(each, invariant.given).yes for each in (world, worse)]
        better = _better_limit if invariant.of == "limit" else _better_outcome

        def fails(one: Application, other: Application) -> bool:
            if not all(self._holds(invariant.given, each) is True for each in (one, other)):
                return False
            return self._moved(invariant, one, other) and self._improved(invariant.of, one, other)

        wanted, related = z3.And([*given, better(world, worse)]), z3.And([before.known, moved])
        return Question((world, worse), wanted, fails, related, until)

    def _variant(self, tag: str, inputs: Callable[[], Inputs]) -> World:
        """The rules over inputs that differ, made once for all claims that ask for them."""
        if tag not in self._variants:
            base = None if self._base is None else self._base._variant(tag, inputs)
            beside = [self._world] if base is None else [base, self._world]
            mine = inputs() if base is None else base.inputs
            self._variants[tag] = World(self.rules, mine, limit=self._limit, beside=beside)
        return self._variants[tag]

    def _moved(self, invariant: Invariant, one: Application, other: Application) -> bool:
        fact = self.rules.catalogue[invariant.fact]
        before, after = one.values.get(fact.name), other.values.get(fact.name)
        if before is None or after is None:
            return False
        step = fact.rank(after) - fact.rank(before)
        return step > 0 if invariant.worse == "higher" else step < 0

    def _improved(self, of: str, one: Application, other: Application) -> bool:
        before, after = self._assess(one, self.rules), self._assess(other, self.rules)
        if of == "outcome":
            return after.outcome < before.outcome
        return after.limit is not None and after.limit > (NO_LIMIT if before.limit is None else before.limit)

    def _overlay(self, against: RulesInForce, until: float) -> Question:
        """The same application under both: by the overlay its outcome is milder or one of its terms better."""
        world, bank = self._world, World(against, self._inputs, limit=self._limit, beside=[self._world])
        broken = z3.Or(_better_outcome(world, bank), _better_terms(world, bank))

        def fails(one: Application, _: Application) -> bool:
            return looser(self._assess(one, self.rules), self._assess(one, against))

        return Question((world, bank), broken, fails, until=until)

    def _truth(self, world: World, condition: Condition | None) -> Truth:
        def symbol(name: str) -> Symbol:
            return Symbol(world.strictness) if name == OUTCOME.name else world.fact(name)

        return _truth_of(condition, symbol, self._words)

    def _holds(self, condition: Condition | None, application: Application) -> bool | None:
        if condition is None:
            return True
        found = self._assess(application, self.rules)
        table: dict[str, Exact | None] = {**found.facts, OUTCOME.name: found.outcome.name}
        return truth_of(condition, table)

    def _assess(self, application: Application, rules: RulesInForce) -> Assessed:
        return self._evaluate(rules, application.facts(rules))


def _keeps(invariant: Invariant, words: FactCatalogue, names: Iterable[str]) -> bool:
    """Whether no facts at all break a claim with some outcome, but not with every milder one."""
    facts = {name: Symbol(z3.Int(name), z3.Bool(f"known!{name}")) for name in names}
    milder, stricter = z3.Ints("milder stricter")

    def broken(outcome: z3.ArithRef) -> z3.BoolRef:
        symbols = {**facts, OUTCOME.name: Symbol(outcome)}
        given, then = (_truth_of(one, symbols.__getitem__, words) for one in (invariant.given, invariant.then))
        return z3.And(given.yes, z3.Not(then.yes))

    solver = z3.SolverFor("QF_LIA")
    solver.add(milder >= 0, milder <= stricter, stricter < len(OUTCOME.choices))
    solver.add(broken(stricter), z3.Not(broken(milder)))
    return bool(solver.check() == z3.unsat)


def _truth_of(condition: Condition | None, symbol: SymbolOf, words: FactCatalogue) -> Truth:
    return Truth(TRUE, FALSE) if condition is None else truth(condition, symbol, words)


def looser(base: Assessed, bank: Assessed) -> bool:
    """Whether the second is better off than the first in any way that a bank's overlay must not allow.

    Who is declined is not better off by terms that nobody is offered.
    """
    if bank.outcome < base.outcome or bank.outcome is Outcome.DECLINE:
        return bank.outcome < base.outcome
    if bank.limit is not None and (base.limit is None or bank.limit > base.limit):
        return True
    effects, own = base.effects, bank.effects
    return own.rate_spread_bp < effects.rate_spread_bp or not set(effects.conditions) <= set(own.conditions)


def _better_outcome(before: World, after: World) -> z3.BoolRef:
    return after.strictness < before.strictness


def _better_limit(before: World, after: World) -> z3.BoolRef:
    one, other = before.fact("limit_max"), after.fact("limit_max")
    return z3.And(other.known, z3.Or(z3.Not(one.known), other.value > one.value))


def _better_terms(base: World, bank: World) -> z3.BoolRef:
    """The bank does not decline, and its limit is higher, its spread lower, or a condition is missing."""
    own = bank.condition_codes()
    missing = [z3.And(said, z3.Not(own.get(code, z3.BoolVal(False)))) for code, said in base.condition_codes().items()]
    better = z3.Or([_better_limit(base, bank), bank.spread < base.spread, *missing])
    return z3.And(z3.Not(bank.declined), better)
