"""One ruleset over every application at once: what each rule, the card, the limit and the outcome are, as terms."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import z3

from decision_service.rulebook.conditions import Condition, Exact
from decision_service.rulebook.encoding import Fact
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.proof.symbols import (
    FALSE,
    TRUE,
    UNKNOWN,
    Symbol,
    Truth,
    derived,
    in_words_of,
    least,
    literal,
    most,
    truth,
)
from decision_service.rulebook.rules import Rule, Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.rulebook.stages import UNIT_FACTOR
from decision_service.vocabulary import Outcome

PRODUCT, INDUSTRY_STATUS, LIMIT = "product", "industry_status", "limit_max"
NO_CAP = 2**63
"""Stands for a cap that no rule gives; no amount of fen reaches it."""


class LimitFunction(Protocol):
    """The limit's formula, generic over numbers (``lending.limits.limit``)."""

    def __call__(self, numbers: "Terms", /, *, cap: Symbol | None, factor: Symbol) -> Symbol: ...


@dataclass
class Inputs:
    """What an application may bring: a symbol per given fact, and the place of its industry among ``codes``.

    Two worlds over the same inputs see the same applications. ``variant`` makes inputs that differ in some facts only.
    """

    catalogue: FactCatalogue
    codes: tuple[str, ...]
    tag: str = ""
    constraints: list[z3.BoolRef] = field(default_factory=list)
    _symbols: dict[str, Symbol] = field(default_factory=dict)
    _bounds: dict[Any, Symbol] = field(default_factory=dict)
    _parent: "Inputs | None" = None
    _own: frozenset[str] = frozenset()
    _hiding: bool = False

    def __post_init__(self) -> None:
        if self._parent is None:
            self.industry = z3.Int(f"industry{self.tag}")
            self.constraints += [self.industry >= -1, self.industry < len(self.codes)]
        else:
            self.industry = self._parent.industry

    def symbol(self, name: str) -> Symbol:
        """The symbol of a given fact, within its declared range."""
        if name not in self._symbols:
            self._symbols[name] = self._make(name)
        return self._symbols[name]

    def shown(self, name: str) -> z3.BoolRef:
        """Whether a fact that would be known is not hidden: only ``hidden`` inputs hide."""
        return z3.Bool(f"shown{self.tag}!{name}") if self._hiding else TRUE

    def names(self) -> tuple[str, ...]:
        """The given facts that anything has read so far."""
        own = tuple(self._symbols)
        return own if self._parent is None else tuple(dict.fromkeys((*self._parent.names(), *own)))

    def bound(self, reads: frozenset[str], parameters: Hashable) -> Symbol:
        """A product's own bound on the limit, whatever its formula: the same wherever all that it reads is the same.

        ``reads`` are the facts of the formula, ``parameters`` the numbers of the ruleset in it. Hiding facts can make a
        bound unknown, and changes nothing else.
        """
        if parameters not in self._bounds:
            self._bounds[parameters] = self._make_bound(reads, parameters)
        return self._bounds[parameters]

    def _make_bound(self, reads: frozenset[str], parameters: Hashable) -> Symbol:
        if self._parent is not None and not self._own & reads:
            before = self._parent.bound(reads, parameters)
            return Symbol(before.value, z3.And(before.known, z3.FreshBool("bound"))) if self._hiding else before
        return Symbol(z3.FreshInt("bound"), z3.FreshBool("bound"))

    def differing(self, names: Iterable[str], *, tag: str) -> "Inputs":
        """The same application, except that these facts may have other values (known or not as before)."""
        return Inputs(self.catalogue, self.codes, tag, self.constraints, _parent=self, _own=frozenset(names))

    def hidden(self, *, tag: str) -> "Inputs":
        """The same application with any facts made unknown."""
        return Inputs(self.catalogue, self.codes, tag, self.constraints, _parent=self, _hiding=True)

    def _make(self, name: str) -> Symbol:
        if self._parent is not None and name not in self._own:
            before = self._parent.symbol(name)
            return Symbol(before.value, z3.And(before.known, self.shown(name))) if self._hiding else before
        fact = self.catalogue[name]
        value = z3.Int(f"{name}{self.tag}")
        low, high = (0, len(fact.choices) - 1) if fact.choices else bounds(fact)
        self.constraints += [value >= low, value <= high]
        known = z3.Bool(f"known!{name}") if self._parent is None else self._parent.symbol(name).known
        return Symbol(value, known)


def bounds(fact: Fact) -> tuple[int, int]:
    """The least and the greatest exact value of a fact that is no choice; a flag is 0 or 1."""
    return (0, 1) if fact.type.value == "flag" else (fact.minimum, fact.maximum)


def inputs_of(*rulesets: RulesInForce) -> Inputs:
    """Inputs that several rulesets share: their facts together, every industry that one of them knows."""
    facts = {name: fact for rules in reversed(rulesets) for name, fact in rules.catalogue.items()}
    codes = sorted({code for rules in rulesets for code in rules.industry_codes()})
    return Inputs(FactCatalogue(facts.values()), tuple(codes))


class World:
    """What a ruleset makes of the inputs.

    The limit is any number at all until ``limit_from_bound`` or ``limit_in_full``, from its formula ``limit``, is
    demanded as well: what holds for any limit needs no more.
    """

    def __init__(self, rules: RulesInForce, inputs: Inputs, *, limit: LimitFunction) -> None:
        self.rules = rules
        self.inputs = inputs
        self.limit = limit
        self._facts: dict[str, Symbol] = {}
        self._truths: dict[str, Truth] = {}
        self._bounds: dict[tuple[Exact | None, ...], Symbol] = {}
        self._limits: dict[tuple[Exact | None, ...], z3.BoolRef] = {}
        self.settled: dict[Hashable, Any] = {}
        """What searches have found out about this world and another, for later ones."""

    def fact(self, name: str) -> Symbol:
        """A fact of any source."""
        if name not in self._facts:
            self._facts[name] = self._make(name)
        return self._facts[name]

    def truth(self, condition: Condition) -> Truth:
        """The truth of any condition over the facts."""
        return truth(condition, self.fact, self.rules.catalogue)

    def rule(self, rule: Rule) -> Truth:
        """The truth of a rule's condition."""
        if rule.id not in self._truths:
            self._truths[rule.id] = self.truth(rule.when)
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
            return self._by_industry(name, lambda code: self.rules.industry_status(code))
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
            return self._by_industry(name, lambda code: self.rules.parameters("", code).get(name))
        fact = self.rules.catalogue[name]
        if scope == "policy":
            return self._shown(name, _constant(fact, self.rules.parameters("", None).get(name)))
        found, product = UNKNOWN, self.fact(PRODUCT)
        for place, choice in enumerate(self.rules.catalogue[PRODUCT].choices):
            symbol = _constant(fact, self.rules.parameters(choice, None).get(name))
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
        """The facts that the limit's formula reads, and those from which they are derived."""
        asked = Terms(self)
        self.limit(asked, cap=None, factor=Symbol(z3.IntVal(UNIT_FACTOR)))
        names = set(asked.read)
        for name, _ in reversed(self.rules.catalogue.derivations):
            formula = self.rules.catalogue[name].derived
            names.update(formula.inputs if name in names and formula is not None else ())
        return frozenset(names)

    def limit_row(self, place: int) -> tuple[Exact | None, ...]:
        """The industry's parameters in the limit's formula; ``place`` is that of the industry among the codes."""
        row = self.rules.parameters("", self.code(place))
        return tuple(row.get(name) for name in sorted(self.limit_reads) if name.startswith("industry."))

    def code(self, place: int) -> str | None:
        """The industry at a place; ``None`` for one that no file knows."""
        return self.inputs.codes[place] if place >= 0 else None

    @cached_property
    def bound_symbol(self) -> Symbol:
        """The product's own bound on the limit, as a number that may be anything."""
        rows = tuple(self.limit_row(place) for place in range(-1, len(self.inputs.codes)))
        products = [
            tuple(sorted(self.rules.parameters(name, None).items())) for name in self.rules.catalogue[PRODUCT].choices
        ]
        return self.inputs.bound(self.limit_reads, (rows, tuple(products)))

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
        return self._limit_is(Terms(self, bound=self.bound_symbol))

    def limit_in_full(self, place: int) -> z3.BoolRef:
        """The limit by its whole formula, with the parameters of one industry."""
        row = self.limit_row(place)
        if row not in self._limits:
            self._limits[row] = self._limit_is(self._terms(place))
        return self._limits[row]

    def _terms(self, place: int) -> "Terms":
        return Terms(self, industry=self.rules.parameters("", self.code(place)))

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
            found = _either(self.factor.value == value, symbol, found)
        return found


class Terms:
    """The numbers of a proof, for ``lending.limits``.

    ``industry`` are one industry's parameters, which are constants here; with ``bound`` all that depends on the product
    is that one number. ``read`` are the facts asked for.
    """

    def __init__(
        self, world: World, *, industry: Mapping[str, Exact] | None = None, bound: Symbol | None = None
    ) -> None:
        self._world = world
        self._industry = industry or {}
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
        if name.startswith("industry."):
            return self._shown(name, self._industry.get(name))
        if name.startswith("product.") and self._product is not None:
            return self._shown(name, self._world.rules.parameters(self._product, None).get(name))
        return self._world.fact(name)

    def by_choice(self, name: str, numbers: Mapping[str, Callable[[], Symbol]]) -> Symbol:
        """The number that belongs to a fact's choice; unknown for a choice without one."""
        self.read.add(name)
        fact, chosen, found = self._world.rules.catalogue[name], self._world.fact(name), UNKNOWN
        if name == PRODUCT and self._bound is not None:
            return Symbol(self._bound.value, z3.And(self._bound.known, chosen.known))
        for word, number in numbers.items():
            if word not in fact.choices:
                continue  # nobody can choose it, and what it would read need not be declared
            if name == PRODUCT:
                self._product = word
            here = z3.And(chosen.known, chosen.value == literal(fact, word))
            found = _either(here, number(), found)
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
        symbol = _constant(self._world.rules.catalogue[name], exact)
        return Symbol(symbol.value, z3.And(symbol.known, self._world.inputs.shown(name)))


def _constant(fact: Fact, exact: Exact | None) -> Symbol:
    return UNKNOWN if exact is None else Symbol(literal(fact, exact))


def _either(here: z3.BoolRef, symbol: Symbol, otherwise: Symbol) -> Symbol:
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
