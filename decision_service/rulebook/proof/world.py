"""One ruleset over every application at once: what each rule, the card, the limit and the outcome are, as terms."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cached_property
from typing import Any

import z3

from decision_service.rulebook.conditions import Condition, Exact, facts_named
from decision_service.rulebook.encoding import Fact
from decision_service.rulebook.proof.inputs import INDUSTRY_STATUS, LIMIT, PRODUCT, Inputs
from decision_service.rulebook.proof.likeness import Likeness
from decision_service.rulebook.proof.limit_terms import Known, LimitFunction, Terms, constant_of, either
from decision_service.rulebook.proof.symbols import (
    FALSE,
    UNKNOWN,
    Symbol,
    Truth,
    derived,
    in_words_of,
    literal,
    most,
    truth,
)
from decision_service.rulebook.rules import Rule, Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.rulebook.stages import UNIT_FACTOR
from decision_service.vocabulary import Outcome

NO_CAP = 2**256
"""Stands for a cap that no rule gives: above what any bound can reach by products of 64-bit numbers."""


class World:
    """What a ruleset makes of the inputs.

    The limit is any number at all until ``limit_from_bound`` or ``limit_in_full``, from its formula ``limit``, is
    demanded as well: what holds for any limit needs no more. Whatever means the same in one of the worlds ``beside`` is
    taken from there, so that it is the same term.
    """

    def __init__(
        self, rules: RulesInForce, inputs: Inputs, *, limit: LimitFunction, beside: Iterable["World"] = ()
    ) -> None:
        self.rules = rules
        self.inputs = inputs
        self.limit = limit
        self._facts: dict[str, Symbol] = {}
        self._truths: dict[str, Truth] = {}
        self._rows: dict[str | None, Mapping[str, Exact]] = {}
        self._bounds: dict[tuple[Exact | None, ...], Symbol] = {}
        self._limits: dict[tuple[Exact | None, ...], z3.BoolRef] = {}
        self.settled: dict[Hashable, Any] = {}
        """What searches have found out about this world and another, for later ones."""
        self._beside = tuple((other, Likeness(self, other)) for other in beside)

    def fact(self, name: str) -> Symbol:
        """A fact of any source."""
        if name not in self._facts:
            other = next((one for one, likeness in self._beside if likeness.fact(name)), None)
            self._facts[name] = self._make(name) if other is None else other.fact(name)
        return self._facts[name]

    def alike(self, other: "World") -> Likeness:
        """What means the same in another world."""
        return next((likeness for one, likeness in self._beside if one is other), None) or Likeness(self, other)

    def truth(self, condition: Condition) -> Truth:
        """The truth of any condition over the facts."""
        return truth(condition, self.fact, self.rules.catalogue)

    def rule(self, rule: Rule) -> Truth:
        """The truth of a rule's condition."""
        if rule.id not in self._truths:
            other = next((one for one, likeness in self._beside if likeness.rule(rule)), None)
            self._truths[rule.id] = self.truth(rule.when) if other is None else other.rule(rule)
        return self._truths[rule.id]

    @cached_property
    def declined(self) -> z3.BoolRef:
        """The outcome is DECLINE."""
        return z3.Or([self.rule(rule).yes for rule in self._deciding(Outcome.DECLINE)])

    @cached_property
    def approved(self) -> z3.BoolRef:
        """The outcome is APPROVE: a rule approves, none declines, refers or might, and nothing required is missing."""
        strict = [self.rule(rule).no for rule in self._deciding(Outcome.DECLINE, Outcome.REFER)]
        return z3.And([self.decided_by(Outcome.APPROVE), *strict, self.complete])

    @cached_property
    def referred(self) -> z3.BoolRef:
        """The outcome is REFER."""
        return z3.And(z3.Not(self.declined), z3.Not(self.approved))

    def outcome(self, outcome: Outcome) -> z3.BoolRef:
        """Whether this is the outcome."""
        return {
            Outcome.APPROVE: self.approved,
            Outcome.REFER: self.referred,
            Outcome.DECLINE: self.declined,
        }[outcome]

    @cached_property
    def strictness(self) -> z3.ArithRef:
        """0 for APPROVE, 1 for REFER, 2 for DECLINE."""
        return z3.If(self.declined, z3.IntVal(2), z3.If(self.approved, z3.IntVal(0), z3.IntVal(1)))

    def decided_by(self, *outcomes: Outcome) -> z3.BoolRef:
        """Whether a decision rule with one of these outcomes matches."""
        return z3.Or([self.rule(rule).yes for rule in self._deciding(*outcomes)])

    @cached_property
    def complete(self) -> z3.BoolRef:
        """Everything that the product requires is known."""
        names = self.rules.catalogue[PRODUCT].choices
        product = self.fact(PRODUCT)
        parts = [product.known]
        for name in names:
            required = self.rules.products[name].required_facts if name in self.rules.products else ()
            known = z3.And([self.fact(one).known for one in required]) if name in self.rules.products else FALSE
            parts.append(z3.Implies(product.value == literal(self.rules.catalogue[PRODUCT], name), known))
        return z3.And(parts)

    @cached_property
    def cap(self) -> Symbol:
        """The cap of all limit rules that match or are unknown, in fen; ``NO_CAP`` when there is none."""
        return Symbol(self._strictest("limit_cap", z3.IntVal(NO_CAP)))

    @cached_property
    def factor(self) -> Symbol:
        """The factor on the limit, in millionths."""
        return Symbol(self._strictest("limit_factor", z3.IntVal(UNIT_FACTOR)))

    @cached_property
    def spread(self) -> z3.ArithRef:
        """The spread in basis points."""
        spreads = [
            z3.If(self._counts(rule), z3.IntVal(rule.effects.rate_spread_bp), z3.IntVal(0))
            for rule in self.rules.rules(Stage.LIMIT)
            if rule.effects is not None and rule.effects.rate_spread_bp
        ]
        return most([z3.IntVal(0), *spreads])

    def condition_codes(self) -> Mapping[str, z3.BoolRef]:
        """Whether each condition of the limit rules is imposed."""
        found: dict[str, list[z3.BoolRef]] = {}
        for rule in self.rules.rules(Stage.LIMIT):
            for code in rule.effects.conditions if rule.effects is not None else ():
                found.setdefault(code, []).append(self._counts(rule))
        return {code: z3.Or(rules) for code, rules in found.items()}

    def _deciding(self, *outcomes: Outcome) -> list[Rule]:
        return [rule for rule in self.rules.rules(Stage.DECISION) if rule.outcome in outcomes]

    def _counts(self, rule: Rule) -> z3.BoolRef:
        """A limit rule counts unless it is false: every effect only tightens."""
        return z3.Not(self.rule(rule).no)

    def _strictest(self, effect: str, otherwise: z3.ArithRef) -> z3.ArithRef:
        found = otherwise
        for rule in self.rules.rules(Stage.LIMIT):
            value = getattr(rule.effects, effect, None)
            if value is not None:
                number = self.number(value)
                found = z3.If(z3.And(self._counts(rule), number < found), number, found)
        return found

    def number(self, value: int | str) -> z3.ArithRef:
        """A number or a named fact, which counts as zero when it is unknown."""
        if isinstance(value, int):
            return z3.IntVal(value)
        fact = self.fact(value)
        return z3.If(fact.known, fact.value, z3.IntVal(0))

    def _make(self, name: str) -> Symbol:
        fact = self.rules.catalogue[name]
        if fact.combine is not None:
            return self._status(fact)
        if fact.derived is not None:
            return derived(fact.derived, fact, self.fact, self.rules.catalogue)
        if name == LIMIT:
            # Anything at all, of this world's own: two rulesets, or two applications, seldom have the same.
            return Symbol(z3.FreshInt(LIMIT), z3.FreshBool(LIMIT))
        if name == INDUSTRY_STATUS:
            return self._by_industry(name, self.rules.industry_status)
        scope, _, own = name.partition(".")
        if own and scope in ("policy", PRODUCT, "industry"):
            return self._parameter(name, scope)
        return self._given(fact)

    def _given(self, fact: Fact) -> Symbol:
        """What the application brings; a choice as this ruleset counts them, which another may list otherwise."""
        symbol, shared = self.inputs.symbol(fact.name), self.inputs.catalogue[fact.name]
        if shared.choices == fact.choices:
            return symbol
        return Symbol(in_words_of(fact, shared, symbol.value), symbol.known)

    def _status(self, fact: Fact) -> Symbol:
        """The strongest value over the rules that match; unknown if a rule that is unknown could make it stronger."""
        setters = [
            (fact.rank(value), self.rule(rule))
            for rule in self.rules.rules(Stage.STATUS)
            for name, value in rule.sets
            if name == fact.name
        ]
        assert fact.default is not None
        default = fact.rank(fact.default)
        matched = z3.Or([rule.yes for _, rule in setters])
        reached: z3.ArithRef = z3.IntVal(default)
        for rank in sorted({rank for rank, _ in setters}):
            reached = z3.If(z3.Or([rule.yes for other, rule in setters if other == rank]), z3.IntVal(rank), reached)
        stronger = z3.Or([z3.And(rule.unknown, rank > reached) for rank, rule in setters])
        other = z3.Or([rule.unknown for rank, rule in setters if rank != default])
        return Symbol(reached, z3.Not(z3.If(matched, stronger, other)))

    def _parameter(self, name: str, scope: str) -> Symbol:
        if scope == "industry":
            return self._by_industry(name, lambda code: self.row(code).get(name))
        fact = self.rules.catalogue[name]
        if scope == "policy":
            return self._shown(name, constant_of(fact, self.row(None).get(name)))
        found, product = UNKNOWN, self.fact(PRODUCT)
        for place, choice in enumerate(self.rules.catalogue[PRODUCT].choices):
            symbol = constant_of(fact, self.rules.parameters(choice, None).get(name))
            here = z3.And(product.known, product.value == place)
            found = Symbol(z3.If(here, symbol.value, found.value), z3.If(here, symbol.known, found.known))
        return self._shown(name, found)

    def _by_industry(self, name: str, value_of: Callable[[str | None], Exact | None]) -> Symbol:
        """A fact that only the industry determines; ``None`` is the industry that no file knows."""
        fact = self.rules.catalogue[name]
        places: dict[Exact | None, list[int]] = {}
        for place, code in enumerate((None, *self.inputs.codes), start=-1):
            places.setdefault(value_of(code), []).append(place)
        value, known = z3.IntVal(0), z3.BoolVal(True)
        for exact, group in places.items():
            here = z3.Or([self.inputs.industry == place for place in group])
            if exact is None:
                known = z3.Not(here)
            else:
                value = z3.If(here, literal(fact, exact), value)
        return self._shown(name, Symbol(value, known))

    def _shown(self, name: str, symbol: Symbol) -> Symbol:
        return Symbol(symbol.value, z3.And(symbol.known, self.inputs.shown(name)))

    @cached_property
    def limit_reads(self) -> frozenset[str]:
        """The facts that the limit's formula reads, and all those behind them."""
        asked = Known(self)
        self.limit(asked, cap=None, factor=Symbol(z3.IntVal(UNIT_FACTOR)))
        names, left = set(asked.read), sorted(asked.read)
        while left:
            behind = self._behind(left.pop()) - names
            names |= behind
            left += sorted(behind)
        return frozenset(names)

    def _behind(self, name: str) -> frozenset[str]:
        """What a fact is derived from, or read by the rules that set it."""
        fact = self.rules.catalogue[name]
        if fact.derived is not None:
            return frozenset(fact.derived.inputs)
        setters = [rule for rule in self.rules.rules(Stage.STATUS) if name in dict(rule.sets)]
        return frozenset(one for rule in setters for one in facts_named(rule.when))

    def limit_row(self, place: int) -> tuple[Exact | None, ...]:
        """The industry's parameters in the limit's formula; ``place`` is that of the industry among the codes."""
        row = self.row(self.code(place))
        return tuple(row.get(name) for name in sorted(self.limit_reads) if name.startswith("industry."))

    def code(self, place: int) -> str | None:
        """The industry at a place; ``None`` for one that no file knows."""
        return self.inputs.codes[place] if place >= 0 else None

    def row(self, code: str | None) -> Mapping[str, Exact]:
        """The parameters of an industry and of policy."""
        if code not in self._rows:
            self._rows[code] = self.rules.parameters("", code)
        return self._rows[code]

    @cached_property
    def bound_symbol(self) -> Symbol:
        """The product's own bound on the limit: a number that may be anything, known exactly where it is."""
        asked = Known(self)
        self.limit(asked, cap=None, factor=Symbol(z3.IntVal(UNIT_FACTOR)))
        assert asked.own_bound is not None
        return Symbol(self._any_bound, asked.own_bound.known)

    @cached_property
    def _any_bound(self) -> z3.ArithRef:
        rows = tuple(self.limit_row(place) for place in range(-1, len(self.inputs.codes)))
        products = [
            tuple(sorted(self.rules.parameters(name, None).items())) for name in self.rules.catalogue[PRODUCT].choices
        ]
        return self.inputs.bound(self.limit_reads, (rows, tuple(products), self._meaning_of_reads()))

    def _meaning_of_reads(self) -> tuple[Hashable, ...]:
        """What the facts of the formula mean here: a fact derived or ranged otherwise gives another bound.

        One that rules set is this ruleset's own.
        """
        facts = [self.rules.catalogue[name] for name in sorted(self.limit_reads)]
        return tuple(
            (one.name, one.type, one.choices, one.minimum, one.maximum, one.derived and one.derived.text)
            + ((id(self.rules),) if one.combine is not None else ())
            for one in facts
        )

    def bound_in_full(self, place: int) -> Symbol:
        """The product's own bound by its whole formula, with the parameters of one industry."""
        row = self.limit_row(place)
        if row not in self._bounds:
            terms = self._terms(place)
            self.limit(terms, cap=None, factor=Symbol(z3.IntVal(UNIT_FACTOR)))
            assert terms.own_bound is not None
            self._bounds[row] = terms.own_bound
        return self._bounds[row]

    def limit_from_bound(self) -> z3.BoolRef:
        """The limit comes from the product's own bound by cap, factor and rounding; the bound may be anything."""
        if self._limit_of is not None:
            return self._limit_of.limit_from_bound()
        return self._limit_is(Terms(self, bound=self.bound_symbol))

    def limit_by_order(self) -> z3.BoolRef:
        """Of the limit only whether it is known, and that it is above neither the product's own bound nor the cap.

        The factor is at most one; below zero, it may turn a bound below zero into any limit.
        """
        limit, bound = self.fact(LIMIT), self.bound_symbol
        below = [z3.Or(limit.value == 0, limit.value <= top) for top in (bound.value, self.cap.value)]
        plain = z3.Implies(self.factor.value >= 0, z3.And(limit.value >= 0, *below))
        return z3.And(limit.known == bound.known, z3.Implies(limit.known, plain))

    def limit_at_most(self, other: "World") -> z3.BoolRef:
        """That the limit is not above another world's where bound, cap and factor are not."""
        mine, its = ((one.bound_symbol.value, one.cap.value, one.factor.value) for one in (self, other))
        equal = z3.And([one == another for one, another in zip(mine, its)])
        lower = z3.And([mine[2] >= 0, *(one <= another for one, another in zip(mine, its))])
        both = z3.And(self.fact(LIMIT).known, other.fact(LIMIT).known)
        below = self.fact(LIMIT).value <= other.fact(LIMIT).value
        return z3.Implies(z3.And(both, z3.Or(equal, lower)), below)

    @cached_property
    def _limit_of(self) -> "World | None":
        """The world beside this one that has the same limit."""
        return next((one for one, likeness in self._beside if likeness.fact(LIMIT)), None)

    def limit_in_full(self, place: int) -> z3.BoolRef:
        """The limit by its whole formula, with the parameters of one industry."""
        if self._limit_of is not None:
            return self._limit_of.limit_in_full(place)
        row = self.limit_row(place)
        if row not in self._limits:
            self._limits[row] = self._limit_is(self._terms(place))
        return self._limits[row]

    def _terms(self, place: int) -> "Terms":
        return Terms(self, industry=self.row(self.code(place)))

    def _limit_is(self, terms: "Terms") -> z3.BoolRef:
        found, limit = self._limit_by(terms), self.fact(LIMIT)
        return z3.And(limit.known == found.known, z3.Implies(found.known, limit.value == found.value))

    def _limit_by(self, terms: "Terms") -> Symbol:
        """One formula per factor that the rules may reach: an amount times a term would not be linear."""
        effects = [rule.effects for rule in self.rules.rules(Stage.LIMIT) if rule.effects is not None]
        given = [one.limit_factor for one in effects if one.limit_factor is not None]
        if any(isinstance(one, str) for one in given):
            return self.limit(terms, cap=self.cap, factor=self.factor)
        found = UNKNOWN
        for value in sorted({UNIT_FACTOR, *(one for one in given if isinstance(one, int))}):
            symbol = self.limit(terms, cap=self.cap, factor=Symbol(z3.IntVal(value)))
            found = either(self.factor.value == value, symbol, found)
        return found
