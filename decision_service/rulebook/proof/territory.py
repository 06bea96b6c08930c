"""Where a change of the rules makes a difference: as a term over all applications, and for one that was evaluated."""

from __future__ import annotations

import z3

from decision_service.rulebook.cases import Assessed
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.proof.symbols import FALSE, TRUE, Truth
from decision_service.rulebook.proof.world import PRODUCT, World
from decision_service.rulebook.regions import Region, RegionKind, by_id, dependants, does, named_by_effects, read_by
from decision_service.rulebook.ruleset import RulesInForce


class Territory:
    """The regions of two rulesets, ``old`` and ``new``, seen by their worlds over the same inputs."""

    def __init__(self, regions: tuple[Region, ...], old: World, new: World) -> None:
        self.regions = regions
        self._worlds = old, new
        self._rules = old.rules, new.rules
        self._by_id = by_id(old.rules), by_id(new.rules)
        self._reads_limit = old.limit_reads | new.limit_reads
        self._readers = {region: self._readers_of(region) for region in regions}

    def inside(self, region: Region) -> z3.BoolRef:
        """Where what a region is about makes a difference to a rule, to what is required or to the limit."""
        if region.kind is RegionKind.RULE:
            return self._unlike(region.name)
        scope, (old, new) = self._scope(region), self._worlds
        if region.kind is RegionKind.REQUIRED:
            return z3.And(scope, old.complete != new.complete)
        readers = self._readers[region]
        return scope if readers is None else z3.And(scope, z3.Or([self._unlike(one) for one in readers]))

    def outside(self, *but: Region) -> z3.BoolRef:
        """Where no region is, or none but some."""
        return z3.Not(z3.Or([self.inside(region) for region in self.regions if region not in but]))

    def of(self, application: Application, before: Assessed, after: Assessed) -> tuple[Region, ...]:
        """The regions in which an application lies, by what both rulesets say of it."""
        return tuple(region for region in self.regions if self._holds(region, application, before, after))

    def _holds(self, region: Region, application: Application, before: Assessed, after: Assessed) -> bool:
        if region.kind is RegionKind.RULE:
            return self._came_out_otherwise(region.name, before, after)
        if region.kind is RegionKind.INDUSTRY:
            return application.industry == region.name
        product = application.values.get(PRODUCT)
        if region.kind is RegionKind.REQUIRED:
            complete = [_complete(rules, one) for rules, one in zip(self._rules, (before, after))]
            return product == region.name and complete[0] != complete[1]
        if region.kind is RegionKind.PRODUCT and product != region.scope:
            return False
        readers = self._readers[region]
        return readers is None or any(self._came_out_otherwise(one, before, after) for one in readers)

    def _scope(self, region: Region) -> z3.BoolRef:
        inputs = self._worlds[0].inputs
        if region.kind is RegionKind.INDUSTRY:
            return inputs.industry == inputs.codes.index(region.name)
        if region.kind not in (RegionKind.PRODUCT, RegionKind.REQUIRED):
            return TRUE
        product, choices = inputs.symbol(PRODUCT), inputs.catalogue[PRODUCT].choices
        name = region.scope or region.name
        return z3.And(product.known, product.value == choices.index(name)) if name in choices else FALSE

    def _readers_of(self, region: Region) -> tuple[str, ...] | None:
        """The rules that read a parameter or fact; ``None`` if it may also matter without any rule's truth.

        So it may in the limit's formula, as a cap or factor, as a required fact, as what rules set.
        """
        if region.kind in (RegionKind.RULE, RegionKind.REQUIRED, RegionKind.INDUSTRY):
            return None
        found: set[str] = set()
        for rules, rule_of in zip(self._rules, self._by_id):
            names = dependants(rules.catalogue, region.facts)
            otherwise = {name for product in rules.products.values() for name in product.required_facts}
            otherwise |= {fact.name for fact in rules.catalogue.settable} | self._reads_limit
            otherwise |= {name for rule in rule_of.values() for name in named_by_effects(rule)}
            if names & otherwise:
                return None
            found |= {rule.id for rule in rule_of.values() if read_by(rule) & names}
        return tuple(sorted(found))

    def _unlike(self, rule_id: str) -> z3.BoolRef:
        """The rule matches, or is unknown, by one ruleset and does not do the same by the other."""
        one, other = (rule_of.get(rule_id) for rule_of in self._by_id)
        truths = [world.rule(rule) for world, rule in zip(self._worlds, (one, other)) if rule is not None]
        if one is None or other is None or does(one) != does(other):
            return z3.Or([z3.Not(truth.no) for truth in truths])
        return _differ(*truths)

    def _came_out_otherwise(self, rule_id: str, before: Assessed, after: Assessed) -> bool:
        one, other = (rule_of.get(rule_id) for rule_of in self._by_id)
        states = [_state(rule_id, assessed) for assessed in (before, after)]
        if one is None or other is None or does(one) != does(other):
            return states != ["no", "no"]
        return states[0] != states[1]


def _differ(one: Truth, other: Truth) -> z3.BoolRef:
    return z3.Or(one.yes != other.yes, one.no != other.no)


def _state(rule_id: str, assessed: Assessed) -> str:
    if rule_id in assessed.matched:
        return "yes"
    return "unknown" if rule_id in assessed.unknown else "no"


def _complete(rules: RulesInForce, assessed: Assessed) -> bool:
    product = rules.products.get(str(assessed.facts[PRODUCT]))
    return product is not None and all(assessed.facts[name] is not None for name in product.required_facts)
