"""What means the same in two worlds, so that it can be one term: facts, rules and the limit, with all behind them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from functools import cached_property
from typing import Protocol

from decision_service.rulebook.conditions import Condition, Exact, facts_named
from decision_service.rulebook.encoding import Fact
from decision_service.rulebook.proof.inputs import INDUSTRY_STATUS, LIMIT, PRODUCT, Inputs
from decision_service.rulebook.proof.limit_terms import LimitFunction
from decision_service.rulebook.rules import Rule, Stage
from decision_service.rulebook.ruleset import RulesInForce

SCOPES = ("policy", PRODUCT, "industry")


class Likened(Protocol):
    """What a likeness needs of a world."""

    rules: RulesInForce
    inputs: Inputs
    limit: LimitFunction

    @property
    def limit_reads(self) -> frozenset[str]:
        """The facts behind the limit's formula."""

    def row(self, code: str | None) -> Mapping[str, Exact]:
        """The parameters of an industry and of policy."""


class Likeness:
    """Which facts and rules mean the same in two worlds for every application.

    It goes by what the rules say and from where their facts come; what it does not see alike may be so all the same.
    """

    def __init__(self, one: Likened, other: Likened) -> None:
        self._one, self._other = one, other
        self._facts: dict[str, bool] = {}
        self._rules: dict[str, bool] = {}

    def fact(self, name: str) -> bool:
        """Whether a fact has the same value, or is unknown, in both."""
        if name not in self._facts:
            one, other = (world.rules.catalogue.get(name) for world in (self._one, self._other))
            alike = one is not None and other is not None and _declared(one) == _declared(other)
            self._facts[name] = alike and one is not None and self._computed(one)
        return self._facts[name]

    def rule(self, rule: Rule) -> bool:
        """Whether a rule of the first world is one of the second, and true, false or unknown in both."""
        if rule.id not in self._rules:
            other = self._others.get(rule.id)
            same = other is not None and (rule is other or rule.when == other.when)
            self._rules[rule.id] = same and self.condition(rule.when)
        return self._rules[rule.id]

    def condition(self, condition: Condition) -> bool:
        """Whether every fact of a condition has the same value in both."""
        return self._all(facts_named(condition))

    def _all(self, names: Iterable[str]) -> bool:
        return all(self.fact(name) for name in names)

    @cached_property
    def _others(self) -> Mapping[str, Rule]:
        return {rule.id: rule for stage in Stage for rule in self._other.rules.rules(stage)}

    def _computed(self, fact: Fact) -> bool:
        scope = fact.name.partition(".")[0]
        if fact.derived is not None:
            return self._all(fact.derived.inputs)
        if fact.combine is not None:
            return self._by_rules(Stage.STATUS, fact.name)
        if fact.name == LIMIT:
            return self._limit()
        if not self._same_source(fact.name):
            return False
        return self._parameter(fact.name) if fact.name == INDUSTRY_STATUS or scope in SCOPES else True

    def _same_source(self, name: str) -> bool:
        return self._one.inputs.source(name) is self._other.inputs.source(name)

    def _limit(self) -> bool:
        """The same formula from the same facts, and the same effects."""
        one, other = self._one, self._other
        if one.limit is not other.limit or one.limit_reads != other.limit_reads:
            return False
        return self._all(sorted(one.limit_reads)) and self._by_rules(Stage.LIMIT)

    def _by_rules(self, stage: Stage, name: str | None = None) -> bool:
        """The rules of a stage, or those that set a fact, say the same and read the same."""
        one, other = (_saying(world.rules.rules(stage), name) for world in (self._one, self._other))
        named = [fact for rule, _ in one for fact in (*facts_named(rule.when), *_numbers(rule))]
        return [said for _, said in one] == [said for _, said in other] and self._all(named)

    def _parameter(self, name: str) -> bool:
        one, other, codes = self._one.rules, self._other.rules, self._one.inputs.codes
        if codes != self._other.inputs.codes:
            return False
        if name == INDUSTRY_STATUS:
            return all(one.industry_status(code) == other.industry_status(code) for code in (*codes, None))
        if name.startswith(f"{PRODUCT}."):
            words = one.catalogue[PRODUCT].choices
            values = [[rules.parameters(word, None).get(name) for word in words] for rules in (one, other)]
            return values[0] == values[1] and self.fact(PRODUCT)
        return all(self._one.row(code).get(name) == self._other.row(code).get(name) for code in (*codes, None))


def _declared(fact: Fact) -> Hashable:
    term = fact.derived and fact.derived.term
    return fact.type, fact.choices, fact.minimum, fact.maximum, fact.combine, fact.default, term


def _saying(rules: Iterable[Rule], name: str | None) -> list[tuple[Rule, Hashable]]:
    """Each rule, or each that sets a fact, with its condition and what it sets or effects."""
    chosen = [rule for rule in rules if name is None or name in dict(rule.sets)]
    return [(rule, (rule.when, rule.effects, dict(rule.sets).get(name or ""))) for rule in chosen]


def _numbers(rule: Rule) -> tuple[str, ...]:
    """The facts that are a rule's cap or factor."""
    effects = (rule.effects.limit_cap, rule.effects.limit_factor) if rule.effects is not None else ()
    return tuple(one for one in effects if isinstance(one, str))
