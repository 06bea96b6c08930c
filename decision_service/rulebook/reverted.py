"""Rules with all that another version changed but one thing, so that it can be said what that one thing does."""

from __future__ import annotations

from collections.abc import Mapping

from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.regions import Region, RegionKind, by_id
from decision_service.rulebook.rules import Product, Rule
from decision_service.rulebook.ruleset import RulesInForce


class Reverted(RulesInForce):
    """The new rules in force, except that one region is as in the old ones."""

    def __init__(self, old: RulesInForce, new: RulesInForce, region: Region) -> None:
        super().__init__(
            _catalogue(old, new, region),
            _rules(old, new, region).values(),
            on=new.on,
            reasons={**old.reasons, **new.reasons},
            products=_products(old, new, region),
            client=new.client,
        )
        self._old, self._new, self._region = old, new, region

    def parameters(self, product: str, industry_code: str | None) -> dict[str, Exact]:
        """As the new rules have them, but for the region's own."""
        found = self._new.parameters(product, industry_code)
        if not self._concerns(product, industry_code):
            return found
        before = self._old.parameters(product, industry_code)
        kept = {name: value for name, value in found.items() if name not in self._region.facts}
        return kept | {name: before[name] for name in self._region.facts if name in before}

    def industry_codes(self) -> tuple[str, ...]:
        """Every industry that one of both names."""
        return tuple(sorted({*self._old.industry_codes(), *self._new.industry_codes()}))

    def industry_status(self, industry_code: str | None) -> str:
        """As the new rules have it, but for the region's own industry."""
        here = self._region.kind is RegionKind.INDUSTRY and industry_code == self._region.name
        return (self._old if here else self._new).industry_status(industry_code)

    def _concerns(self, product: str, industry_code: str | None) -> bool:
        kind, region = self._region.kind, self._region
        if kind is RegionKind.PRODUCT:
            return product == region.scope
        return kind is RegionKind.POLICY or kind is RegionKind.INDUSTRY and industry_code == region.name


def _catalogue(old: RulesInForce, new: RulesInForce, region: Region) -> FactCatalogue:
    """All facts that one of both declares; where they differ, as in the new ones but for the region's."""
    facts = {**old.catalogue, **new.catalogue}
    if region.kind is RegionKind.FACT:
        facts[region.name] = old.catalogue[region.name]
    return FactCatalogue(facts.values())


def _rules(old: RulesInForce, new: RulesInForce, region: Region) -> Mapping[str, Rule]:
    rules = by_id(new)
    if region.kind is not RegionKind.RULE:
        return rules
    rules.pop(region.name, None)
    before = by_id(old).get(region.name)
    return rules if before is None else {**rules, region.name: before}


def _products(old: RulesInForce, new: RulesInForce, region: Region) -> Mapping[str, Product]:
    products = dict(new.products)
    if region.kind is not RegionKind.REQUIRED:
        return products
    products.pop(region.name, None)
    return products if region.name not in old.products else {**products, region.name: old.products[region.name]}
