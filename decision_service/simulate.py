"""What-if: assess an application with facts changed, or facts alone; never stored, never a decision."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from typing import Any

from decision_service.decide import (
    SHANGHAI,
    Assessment,
    Platform,
    assess,
    business_date,
    encoded,
    find,
    situation,
)
from decision_service.errors import InputError
from decision_service.kill_switch import switch_facts
from decision_service.policy import Policy, PolicyInForce
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.rules import Product
from decision_service.vocabulary import Client, CreditApplication, Scores

BLEND = "pd_12m"


@dataclass(frozen=True, slots=True)
class Simulation:
    """An assessment that was never a decision, and the ruleset it used.

    ``scores`` are those that were assessed: a given one stands in the place of the models'. ``given`` names the facts
    that the caller gave, sorted.
    """

    assessment: Assessment
    scores: Scores
    given: tuple[str, ...]
    policy: Policy
    as_of: date


def simulate_application(
    application: CreditApplication,
    *,
    client: Client,
    platform: Platform,
    overrides: Mapping[str, Any],
    as_of: date | None,
    now: datetime,
) -> Simulation:
    """Assess an application as ``decide`` would for this client, with some facts overridden (``None``: unknown).

    Raises ``FactError`` for an override that its declaration does not admit, ``NotFound`` for the enterprise.
    """
    moment = now if as_of is None else datetime.combine(as_of, time(12), SHANGHAI)
    policy = platform.policies.current()
    seen = situation(platform.store, client.client_id, application, now=now)
    findings = find(
        application,
        seen.records,
        seen.exposure,
        repeated=False,
        switched_off=seen.switched_off,
        client_id=client.client_id,
        policy=policy,
        scorer=platform.scorer,
        now=moment,
    )
    facts = findings.facts.with_values(strictly_encoded(policy, overrides))
    on = business_date(moment)
    scores = assessed_scores(facts, findings.scores, policy.ruleset.products[application.product], given=overrides)
    in_force = policy.on(on, client.client_id)
    return Simulation(assess(in_force, facts), scores, tuple(sorted(overrides)), policy, on)


def simulate_facts(
    facts: Mapping[str, Any],
    *,
    industry: str | None,
    client_id: str,
    policy: Policy,
    as_of: date,
    switched_off: Sequence[str] = (),
) -> Simulation:
    """Assess facts alone, for a client; parameters in force on ``as_of`` are filled in, what is not given is unknown.

    The switch of automatic approval is filled in as well: ``switched_off`` are the scopes for which it is off.
    Raises ``InputError`` when no product is named, ``FactError`` for a value its declaration does not admit.
    """
    in_force = policy.on(as_of, client_id)
    exact = strictly_encoded(policy, facts)
    product = exact.get("product")
    if not isinstance(product, str):
        raise InputError("a simulation on facts alone needs the product", where="facts.product")
    catalogue = in_force.rules.catalogue
    filled_in = {
        **parameter_facts(in_force, product, industry),
        **encoded(catalogue, switch_facts(catalogue, switched_off)),
    }
    table = Facts(catalogue, {**filled_in, **exact})
    scores = _as_assessed(table, Scores())
    return Simulation(assess(in_force, table), scores, tuple(sorted(facts)), policy, as_of)


def assessed_scores(facts: Facts, scores: Scores, product: Product, *, given: Collection[str]) -> Scores:
    """The scores among ``facts``, and of the models those whose score or blend was not replaced by a ``given`` one."""
    own = {product.xgb_model: "pd_xgb", product.lstm_model: "pd_lstm"}
    used = [model for model in scores.models if not {own.get(model.name, BLEND), BLEND} <= set(given)]
    return _as_assessed(facts, replace(scores, models=tuple(used)))


def _as_assessed(facts: Facts, scores: Scores) -> Scores:
    blend, by_features, by_series = (
        None if (exact := facts[name]) is None else facts.catalogue.decode(name, exact)
        for name in (BLEND, "pd_xgb", "pd_lstm")
    )
    return replace(scores, pd_12m=blend, pd_xgb=by_features, pd_lstm=by_series)


def parameter_facts(in_force: PolicyInForce, product: str, industry: str | None) -> dict[str, Any]:
    """Parameters of a product and an industry in force, and whether the industry is covered."""
    rules = in_force.rules
    status = encoded(rules.catalogue, {"industry_status": rules.industry_status(industry)})
    return {**rules.parameters(product, industry), **status}


def strictly_encoded(policy: Policy, values: Mapping[str, Any]) -> dict[str, Any]:
    """Exact values of facts named by a caller; raises ``FactError`` for the first that is not admitted."""
    catalogue = policy.ruleset.catalogue
    return {name: None if value is None else catalogue.encode(name, value) for name, value in values.items()}


__all__ = [
    "Simulation",
    "assessed_scores",
    "parameter_facts",
    "simulate_application",
    "simulate_facts",
    "strictly_encoded",
]
