"""What two rulesets, each as in force on one day, say differently: the regions in which decisions may come apart."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from decision_service.rulebook.conditions import AllOf, AnyOf, Comparison, Condition, Exact, Not
from decision_service.rulebook.encoding import Fact
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.rules import Rule, Stage
from decision_service.rulebook.ruleset import RulesInForce


class RegionKind(Enum):
    """What a region is about."""

    RULE = "rule"
    POLICY = "policy"
    PRODUCT = "product"
    REQUIRED = "required"
    INDUSTRY = "industry"
    FACT = "fact"


@dataclass(frozen=True, slots=True)
class Region:
    """One thing that two rulesets say differently.

    ``name`` is the id of a rule, the name of a parameter or fact, a product (of required facts) or an industry's code.
    ``scope`` is the product of a product's parameter. ``facts`` are the parameters or the fact that differ.
    """

    kind: RegionKind
    name: str
    scope: str = ""
    facts: frozenset[str] = frozenset()

    def __str__(self) -> str:
        words = {
            RegionKind.RULE: f"rule {self.name}",
            RegionKind.POLICY: self.name,
            RegionKind.PRODUCT: f"{self.name} of {self.scope}",
            RegionKind.REQUIRED: f"facts that {self.name} requires",
            RegionKind.INDUSTRY: f"industry {self.name}",
            RegionKind.FACT: f"fact {self.name}",
        }
        return words[self.kind]


def regions(old: RulesInForce, new: RulesInForce) -> tuple[Region, ...]:
    """Everything that differs in what is in force, rules first; without any, both decide alike."""
    found = [*_rules(old, new), *_policy(old, new), *_products(old, new), *_industries(old, new), *_facts(old, new)]
    return tuple(found)


def bare(condition: Condition) -> Condition:
    """A condition without the way it is spelled and the order in which its parts stand."""
    if isinstance(condition, Comparison):
        operand = condition.operand
        members = tuple(sorted(operand, key=repr)) if isinstance(operand, tuple) else operand
        return replace(condition, text="", operand=members)
    if isinstance(condition, Not):
        return Not(bare(condition.part))
    kind = AllOf if isinstance(condition, AllOf) else AnyOf
    return kind(tuple(sorted((bare(part) for part in condition.parts), key=repr)))


def does(rule: Rule) -> Hashable:
    """What a rule does when it matches, beside its condition."""
    return rule.stage, rule.outcome, frozenset(rule.sets), rule.effects, rule.reason


def by_id(rules: RulesInForce) -> dict[str, Rule]:
    """Every rule in force by its id."""
    return {rule.id: rule for stage in Stage for rule in rules.rules(stage)}


def incomparable(old: FactCatalogue, new: FactCatalogue) -> tuple[str, ...]:
    """Facts that are not the same thing in both: of another type, computed in one only, set from other choices."""
    both = [(old[name], new[name]) for name in old if name in new]
    return tuple(one.name for one, other in both if _nature(one) != _nature(other))


def differently_admitted(old: FactCatalogue, new: FactCatalogue) -> tuple[str, ...]:
    """Given facts whose range or choices differ: some applications only one of the two rulesets admits."""
    both = [(old[name], new[name]) for name in old if name in new and old[name].derived is None]
    return tuple(one.name for one, other in both if _admits(one) != _admits(other))


def _nature(fact: Fact) -> Hashable:
    settable = (fact.combine, fact.choices) if fact.combine is not None else None
    return fact.type, fact.derived is None, settable, fact.source in ("parameter", "lending")


def _admits(fact: Fact) -> Hashable:
    return fact.minimum, fact.maximum, frozenset(fact.choices)


def _rules(old: RulesInForce, new: RulesInForce) -> Iterator[Region]:
    before, after = by_id(old), by_id(new)
    for rule_id in sorted({*before, *after}):
        one, other = before.get(rule_id), after.get(rule_id)
        if one is None or other is None or (bare(one.when), does(one)) != (bare(other.when), does(other)):
            yield Region(RegionKind.RULE, rule_id)


def _policy(old: RulesInForce, new: RulesInForce) -> Iterator[Region]:
    for name in _differing(old.parameters("", None), new.parameters("", None)):
        yield Region(RegionKind.POLICY, name, facts=frozenset({name}))


def _products(old: RulesInForce, new: RulesInForce) -> Iterator[Region]:
    for product in sorted({*old.products, *new.products}):
        for name in _differing(_own(old, product, None), _own(new, product, None)):
            yield Region(RegionKind.PRODUCT, name, product, frozenset({name}))
        if _required(old, product) != _required(new, product):
            yield Region(RegionKind.REQUIRED, product)


def _industries(old: RulesInForce, new: RulesInForce) -> Iterator[Region]:
    for code in sorted({*old.industry_codes(), *new.industry_codes()}):
        names = _differing(_own(old, "", code), _own(new, "", code))
        if names or old.industry_status(code) != new.industry_status(code):
            yield Region(RegionKind.INDUSTRY, code, facts=frozenset(names))


def _facts(old: RulesInForce, new: RulesInForce) -> Iterator[Region]:
    for name in [*old.catalogue, *(name for name in new.catalogue if name not in old.catalogue)]:
        one, other = old.catalogue.get(name), new.catalogue.get(name)
        if one is not None and other is not None and _computed(one) != _computed(other):
            yield Region(RegionKind.FACT, name, facts=frozenset({name}))


def _computed(fact: Fact) -> Hashable:
    if fact.derived is None:
        return fact.default
    return fact.derived.term, fact.minimum, fact.maximum


def _required(rules: RulesInForce, product: str) -> frozenset[str] | None:
    return frozenset(rules.products[product].required_facts) if product in rules.products else None


def _own(rules: RulesInForce, product: str, industry: str | None) -> dict[str, Exact]:
    """The parameters of one product or industry alone."""
    names = ("product." if product else "industry.",)
    return {name: one for name, one in rules.parameters(product, industry).items() if name.startswith(names)}


def _differing(old: Mapping[str, Exact], new: Mapping[str, Exact]) -> list[str]:
    return [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
