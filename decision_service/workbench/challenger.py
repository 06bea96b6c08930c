"""Challengers: models that score every decision beside the champions, after the answer, and never answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal

from decision_service.audit.replay import Recorded, read_record
from decision_service.decide import Platform, blend_weights, score_values
from decision_service.errors import AuditError, ModelError, NotFound, StoreError
from decision_service.following import Follower
from decision_service.policy import Policy
from decision_service.portrayal import encoded
from decision_service.recorded import given_facts, in_force
from decision_service.rulebook.rules import Product
from decision_service.store import ChallengerResult, StoredDecision
from decision_service.vocabulary import ModelVersion, Scores
from decision_service.workbench.reference import judge
from decision_service.workbench.shadow_compare import paired
from decision_service.workbench.shadow_follow import (
    BATCH,
    COMPARED,
    ENGINES_DIFFERED,
    ERASED,
    UNREADABLE,
    Rest,
    no_rest,
)

CHALLENGER = "challenger"
SAME_VERSION, NO_SCORE = "same version", "no score"
"""It decided itself by then; or it gives no score, nor does anybody say what it would have been."""
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Challenge:
    """Versions that would take the place of the champions of the same names, on some products."""

    members: tuple[ModelVersion, ...]
    products: tuple[str, ...]

    @property
    def subject(self) -> str:
        """As it is kept and called: ``name/version``, several with a space between."""
        return " ".join(f"{one.name}/{one.version}" for one in self.members)


def challenges(platform: Platform) -> tuple[Challenge, ...]:
    """Each challenger by itself, and both of a product together. Raises ``ModelError`` and what ``current`` raises."""
    policy = platform.policies.current()
    return _among(policy, platform.scorer.behind(CHALLENGER, policy.models))


def _among(policy: Policy, challengers: tuple[ModelVersion, ...]) -> tuple[Challenge, ...]:
    found: dict[tuple[ModelVersion, ...], list[str]] = {}
    for product in policy.ruleset.products.values():
        mine = tuple(one for one in challengers if one.name in (product.xgb_model, product.lstm_model))
        for members in dict.fromkeys([*((one,) for one in mine), mine]):
            if members:
                found.setdefault(members, []).append(product.name)
    return tuple(Challenge(members, tuple(products)) for members, products in found.items())


def catch_up(platform: Platform, challenge: Challenge, *, rest: Rest = no_rest) -> Iterator[int]:
    """Score the decisions that a challenger has not scored; how many, batch by batch. Raises ``StoreError``."""
    known = platform.store.challengers()
    known.begin(challenge.subject)
    while ahead := known.ahead(challenge.subject, challenge.products, BATCH):
        results = []
        for stored in ahead:
            began = time.perf_counter()
            results.append(result(platform, challenge, stored))
            rest(time.perf_counter() - began)
        yield known.add(results)


def result(platform: Platform, challenge: Challenge, stored: StoredDecision) -> ChallengerResult:
    """What the rules that decided would say with the challenger's scores, or why there is nothing to say."""
    if stored.private is None:
        return ChallengerResult(challenge.subject, stored.leaf_index, ERASED)
    try:
        recorded = read_record(stored)
        policy = in_force(platform, recorded)
    except (AuditError, NotFound):
        return ChallengerResult(challenge.subject, stored.leaf_index, UNREADABLE)
    if recorded.alarms:
        return ChallengerResult(challenge.subject, stored.leaf_index, ENGINES_DIFFERED)
    if set(challenge.members) <= set(recorded.scores.models):
        return ChallengerResult(challenge.subject, stored.leaf_index, SAME_VERSION)
    product = policy.rules.products[recorded.product]
    catalogue = policy.rules.catalogue
    scores = _scored(platform, challenge, recorded, product, blend_weights(catalogue, recorded.facts))
    if scores.pd_12m is None and recorded.scores.pd_12m is None:
        return ChallengerResult(challenge.subject, stored.leaf_index, NO_SCORE)
    facts = given_facts(policy, recorded).with_values(encoded(catalogue, score_values(scores)))
    found = judge(policy.rules, facts)
    was, own = _own(challenge, product, recorded.scores), _own(challenge, product, scores)
    return ChallengerResult(
        challenge.subject,
        stored.leaf_index,
        COMPARED,
        active_pd=_millionths(was),
        pd=_millionths(own),
        active_pd_12m=_millionths(recorded.scores.pd_12m),
        pd_12m=_millionths(scores.pd_12m),
        outcome=found.outcome.name,
        rules=paired(policy.rules, policy.rules, recorded, found).written(),
    )


def _scored(
    platform: Platform,
    challenge: Challenge,
    recorded: Recorded,
    product: Product,
    weights: tuple[Decimal, Decimal] | None,
) -> Scores:
    """The recorded features scored again, the challengers in the place of their champions."""
    versions = {one.name: one for one in (*recorded.scores.models, *challenge.members)}
    return platform.scorer.score_version(
        recorded.features,
        recorded.series,
        recorded.mask,
        versions=tuple(versions.values()),
        weights=weights,
        single_model_blend=product.single_model_blend,
    )


def _own(challenge: Challenge, product: Product, scores: Scores) -> Decimal | None:
    """The score of the one model that is challenged."""
    if len(challenge.members) > 1:
        return None
    return scores.pd_xgb if challenge.members[0].name == product.xgb_model else scores.pd_lstm


def _millionths(probability: Decimal | None) -> int | None:
    return None if probability is None else int(probability * MILLION)


class ChallengerFollower(Follower):
    """Follows the challengers; a registry or a challenger that fails is told and costs no answer."""

    name = "challengers"

    def _is_needed(self) -> bool:
        return bool(challenges(self._platform))

    def _turn(self) -> AbstractContextManager[bool]:
        return self._platform.store.challengers().turn(self._clock())

    def _step(self, ends: float) -> bool:
        found = challenges(self._platform)
        for challenge in found:
            try:
                for _ in catch_up(self._platform, challenge, rest=self._rest):
                    if time.monotonic() > ends or self._end.is_set():
                        return False
            except (StoreError, ModelError) as error:
                self._alarm(str(error))
        return bool(found) and time.monotonic() < ends
