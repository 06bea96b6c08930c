"""The portrait under a policy: whether a firm above the enterprise is red is what the rules say of its own records."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from decision_service.errors import FactError
from decision_service.policy import Policy, PolicyInForce
from decision_service.portrait.industry import industry_code
from decision_service.portrait.lists import RED
from decision_service.portrait.records import EnterpriseRecords
from decision_service.portrait.relations import Cards
from decision_service.portrait.snapshot import Snapshot, snapshot
from decision_service.rulebook.facts import FactCatalogue, Facts
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.rulebook.stages import set_status, sets


def portray(
    records: EnterpriseRecords, *, policy: Policy, in_force: PolicyInForce, product: str, now: datetime
) -> Snapshot:
    """The snapshot of an enterprise, with the cards of the firms that control it or may do so."""
    cards = {
        uscc: red_card(above, policy=policy, in_force=in_force, product=product, now=now)
        for uscc, above in records.controllers.items()
    }
    return _snapshot(records, policy=policy, in_force=in_force, product=product, now=now, cards=cards)


def red_card(
    records: EnterpriseRecords, *, policy: Policy, in_force: PolicyInForce, product: str, now: datetime
) -> bool | None:
    """Whether the status rules give an enterprise a red card by its own records; unknown if they might.

    What its own parents pass on is not asked again: that makes a yellow card, which never passes on.
    """
    seen = _snapshot(records, policy=policy, in_force=in_force, product=product, now=now, cards={})
    facts = _standing(seen, records, in_force.rules, product)
    verdict = in_force.engines.evaluate(Stage.STATUS, facts)
    return None if verdict.alarm else sets(in_force.rules, verdict.result, "card", RED)


def card(
    records: EnterpriseRecords, *, policy: Policy, in_force: PolicyInForce, product: str, now: datetime
) -> str | None:
    """The card of an enterprise by its records, whatever it may apply for; ``None`` is unknown."""
    seen = portray(records, policy=policy, in_force=in_force, product=product, now=now)
    facts = _standing(seen, records, in_force.rules, product)
    verdict = in_force.engines.evaluate(Stage.STATUS, facts)
    found = None if verdict.alarm else set_status(in_force.rules, verdict.result, facts)["card"]
    return None if found is None else str(found)


def _standing(seen: Snapshot, records: EnterpriseRecords, rules: RulesInForce, product: str) -> Facts:
    """The facts of an enterprise that applies for nothing."""
    code = industry_code(records.registration)
    values = {**seen.facts, "product": product, "industry_status": rules.industry_status(code)}
    return Facts(rules.catalogue, {**encoded(rules.catalogue, values), **rules.parameters(product, code)})


def encoded(catalogue: FactCatalogue, values: Mapping[str, Any]) -> dict[str, Any]:
    """Exact values; one that its declaration does not admit is unknown, never a guess."""
    exact: dict[str, Any] = {}
    encoders = catalogue.encoders
    for name, value in values.items():
        try:
            exact[name] = None if value is None else encoders[name](value)
        except (FactError, KeyError):  # a name without an encoder is undeclared, which ``Facts`` tells
            exact[name] = None
    return exact


def _snapshot(
    records: EnterpriseRecords,
    *,
    policy: Policy,
    in_force: PolicyInForce,
    product: str,
    now: datetime,
    cards: Cards,
) -> Snapshot:
    return snapshot(
        records,
        registry=policy.registry,
        lists=policy.lists,
        industry=in_force.parameters(product, industry_code(records.registration)),
        product=product,
        now=now,
        cards=cards,
    )
