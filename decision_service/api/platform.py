"""The service of the API over the real platform: store, rules, models, evidence."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from decision_service.api import render
from decision_service.api.problems import invalid_fields
from decision_service.api.schemas import SimulationRequest
from decision_service.api.service import Document, Page
from decision_service.audit.merkle import inclusion_proof, root_of
from decision_service.decide import (
    Decided,
    Platform,
    Render,
    business_date,
    decide,
    declared,
    inadmissible,
)
from decision_service.errors import FactError, NotFound, StoreError
from decision_service.explain import explain
from decision_service.identity.desk import IdentityDesk, Issuer
from decision_service.lives import LifeDesk
from decision_service.objections import ObjectionDesk
from decision_service.policy import Policy
from decision_service.recorded import COMPUTED
from decision_service.rulebook.rules import Stage
from decision_service.simulate import Simulation, simulate_application, simulate_facts
from decision_service.store import Batches, StoredDecision, scopes
from decision_service.vocabulary import Client, CreditApplication
from decision_service.webhooks.desk import WebhookDesk
from decision_service.webhooks.reach import Reach


class PlatformService:
    """Implements ``service.Service``; holds no state of its own but the keys of tokens."""

    def __init__(self, platform: Platform, reach: Reach = Reach(), issuer: Issuer = Issuer()) -> None:
        """``reach`` is where webhooks may lead, ``issuer`` who issues access tokens."""
        self._platform = platform
        self._reach = reach
        self._identity = IdentityDesk(platform.store, platform.signer, issuer)

    def client(self, key: str) -> Client | None:
        """The client of a bearer key."""
        return self._platform.store.client_by_key(key)

    def field_problems(self, fields: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What the active ruleset's declarations do not admit of a body's fields, simulated facts among them."""
        policy = self._policy()
        return [*inadmissible(fields, policy), *fact_problems(fields.get("facts", {}), policy)]

    def choices(self) -> Mapping[str, Sequence[str]]:
        """What the active rules admit of fields with closed lists; nothing while no rules are active."""
        try:
            ruleset = self._policy().ruleset
        except StoreError:
            return {}
        return {"product": sorted(ruleset.products), "purpose": ruleset.catalogue["purpose"].choices}

    def decide(
        self,
        application: CreditApplication,
        *,
        client: Client,
        idempotency_key: str,
        body_digest: str,
        render: Render,
        now: datetime,
    ) -> Decided:
        """Decide and store."""
        self._policy()  # a service without rules is unavailable, not "not found"
        return decide(
            application,
            client=client,
            idempotency_key=idempotency_key,
            body_digest=body_digest,
            platform=self._platform,
            render=render,
            now=now,
        )

    def decision(self, decision_id: str, owner: str | None) -> bytes:
        """The stored body."""
        return self._stored(decision_id, owner).body

    def decisions(self, owner: str | None, *, after: str | None, limit: int) -> Page:
        """A page of stored bodies."""
        found, cursor = self._platform.store.decisions(owner, after, limit)
        return Page(tuple(one.body for one in found), cursor)

    def explanation(self, decision_id: str, owner: str | None, *, lang: str, openness: int) -> Document:
        """Every rule with what it saw, under the ruleset that decided."""
        stored = self._stored(decision_id, owner)
        return explain(self._platform, stored, lang=lang, openness=openness)

    def proof(self, decision_id: str, owner: str | None) -> Document:
        """The record, its place in the tree, and the checkpoint over one and the same size of the log."""
        stored = self._stored(decision_id, owner)
        leaves = tuple(self._platform.store.leaf_hashes())
        return {
            "decision_id": stored.decision_id,
            "record": b64encode(stored.record).decode(),
            "leaf_index": stored.leaf_index,
            "leaf_hash": stored.leaf_hash.hex(),
            "tree_size": len(leaves),
            "inclusion_proof": [one.hex() for one in inclusion_proof(leaves, stored.leaf_index)],
            "checkpoint": self._platform.signer.checkpoint(len(leaves), root_of(leaves)),
            "public_key": self._platform.signer.public.text(),
        }

    def checkpoint(self) -> str:
        """The signed note over the whole log."""
        size, root = self._platform.store.log_head()
        return self._platform.signer.checkpoint(size, root)

    def identity(self) -> IdentityDesk:
        """The store's clients, with tokens whose keys follow from the log's key."""
        return self._identity

    def batches(self) -> Batches:
        """The store's."""
        return self._platform.store.batches()

    def lives(self) -> LifeDesk:
        """Over the store, the rules and the log's key."""
        return LifeDesk(self._platform)

    def objections(self) -> ObjectionDesk:
        """Over the store and the log's key."""
        return ObjectionDesk(self._platform)

    def webhooks(self) -> WebhookDesk:
        """The store's, with secrets that follow from the log's key."""
        return WebhookDesk(self._platform.store, self._platform.signer, self._reach)

    def simulate(self, request: SimulationRequest, *, client: Client, now: datetime) -> Document:
        """An assessment that is not stored."""
        policy = self._policy()
        self._check_facts(request, policy)
        if request.application is None:
            concerned = scopes(str(request.facts.get("product")), request.industry, client.client_id)
            result = simulate_facts(
                request.facts,
                industry=request.industry,
                client_id=client.client_id,
                policy=policy,
                as_of=request.as_of or business_date(now),
                switched_off=self._platform.store.switched_off(concerned),
            )
        else:
            result = simulate_application(
                request.application,
                client=client,
                platform=self._platform,
                overrides=request.facts,
                as_of=request.as_of,
                now=now,
            )
        return simulated(result)

    def ruleset(self, *, client: Client, now: datetime) -> Document:
        """The ruleset in force, as far as it concerns the client: others' overlays are not counted."""
        ruleset = self._policy().ruleset
        today = business_date(now)
        rules = ruleset.in_force(today, client.client_id)
        return {
            "version": ruleset.version,
            "digest": ruleset.digest,
            "in_force_on": today.isoformat(),
            "rules": sum(len(rules.rules(stage)) for stage in Stage),
            "products": sorted(ruleset.products),
            "purposes": list(ruleset.catalogue["purpose"].choices),
        }

    def models(self) -> Document:
        """The models in use by the products of the active ruleset, and what is wrong with them."""
        names, scorer = self._policy().models, self._platform.scorer
        return {"models": render.models(scorer.versions(names)), "problems": list(scorer.problems(names))}

    def ready(self) -> tuple[str, ...]:
        """What is wrong with models. Raises ``StoreError`` when no decision could be taken."""
        self._platform.store.ready()
        return self._platform.scorer.problems(self._policy().models)

    def _policy(self) -> Policy:
        try:
            return self._platform.policies.current()
        except NotFound as error:  # to a caller this is no missing thing but a service that is not set up
            raise StoreError(error.what, remedy=error.remedy) from error

    def _stored(self, decision_id: str, owner: str | None) -> StoredDecision:
        stored = self._platform.store.decision(decision_id, owner)
        if stored is None:
            raise NotFound("there is no such decision", remedy="check the id; only one's own decisions can be read")
        return stored

    def _check_facts(self, request: SimulationRequest, policy: Policy) -> None:
        problems = fact_problems(request.facts, policy)
        if request.application is None and "product" not in request.facts:
            problems.append(("facts.product", "is required when there is no application"))
        if request.application is not None:
            problems += inadmissible(declared(request.application), policy)
        if problems:
            raise invalid_fields(problems)


def fact_problems(facts: Mapping[str, Any], policy: Policy) -> list[tuple[str, str]]:
    """Every fact that its declaration does not admit, and those that cannot be given."""
    catalogue = policy.ruleset.catalogue
    found = []
    for name, value in facts.items():
        if name in catalogue and (catalogue[name].derived or catalogue[name].combine or name == COMPUTED):
            found.append((f"facts.{name}", "is computed; give the facts it comes from"))
            continue
        if value is None and name in catalogue:
            continue
        try:
            catalogue.encode(name, value)
        except FactError as error:
            found.append((f"facts.{name[:64]}", f"{error.what}; {error.remedy}"))
    return found


def simulated(result: Simulation) -> dict[str, Any]:
    """A simulation as a document; nothing in it can be taken for a decision."""
    assessment, ruleset = result.assessment, result.policy.ruleset
    return {
        "simulation": True,
        "as_of": result.as_of.isoformat(),
        "outcome": assessment.outcome.name,
        "limit": render.fen(assessment.limit),
        "card": assessment.card,
        "whitelisted": assessment.whitelisted,
        "scores": {**render.scores(result.scores), "grade": assessment.facts["grade"]},
        "reasons": render.reasons(assessment.reasons),
        "conditions": list(assessment.effects.conditions),
        "rate_spread_bp": assessment.effects.rate_spread_bp,
        "ruleset": {"version": ruleset.version, "digest": ruleset.digest},
        "models": render.models(result.scores.models),
        "overridden_facts": list(result.given),
        "matched_rules": list(assessment.matched),
        "unknown_rules": list(assessment.unknown),
    }
