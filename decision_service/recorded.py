"""A recorded decision taken again: its facts under its ruleset, its features under its models."""

from __future__ import annotations

from decision_service.audit.replay import Answer, Recorded, Stored, read_record, replay, rescore_difference
from decision_service.decide import Assessment, Platform, assess, blend_weights
from decision_service.policy import PolicyInForce
from decision_service.rulebook.facts import Facts
from decision_service.vocabulary import Outcome, Scores

COMPUTED = "limit_max"
CALENDAR = ("CALENDAR_MISSING", "")


def in_force(platform: Platform, recorded: Recorded) -> PolicyInForce:
    """The rules of the record as they were for its client.

    Raises ``NotFound`` when they are not in the store, ``AuditError`` when changed.
    """
    policy = platform.policies.by_digest(recorded.ruleset_digest)
    return policy.on(recorded.in_force_on, recorded.client_id)


def given_facts(policy: PolicyInForce, recorded: Recorded) -> Facts:
    """The facts as they were before any rule was evaluated."""
    catalogue = policy.rules.catalogue
    given = {
        name: value
        for name, value in recorded.facts.items()
        if name != COMPUTED and catalogue[name].combine is None and catalogue[name].derived is None
    }
    return Facts(catalogue, given)


def assess_again(platform: Platform, recorded: Recorded) -> Assessment:
    """What the recorded ruleset says of the recorded facts."""
    policy = in_force(platform, recorded)
    return assess(policy, given_facts(policy, recorded))


def differences(platform: Platform, stored: Stored) -> list[str]:
    """Where taking a decision again disagrees with its record, as sentences; empty when it agrees.

    Raises ``AuditError`` when the record cannot be read or its values are erased, ``NotFound`` without its ruleset.
    """
    recorded = read_record(stored)
    found = [
        replay(stored, evaluate=lambda again: answer(platform, again)),
        rescore_difference(recorded, score_again(platform, recorded)),
    ]
    return [text for one in found if one is not None for text in one.differences]


def answer(platform: Platform, recorded: Recorded) -> Answer:
    """The answer of the rules, in the form in which replay compares it."""
    assessment = assess_again(platform, recorded)
    reasons = tuple((one.code, one.rule) for one in assessment.reasons)
    if CALENDAR in recorded.answer.reasons and assessment.outcome is Outcome.REFER:
        reasons += (CALENDAR,)  # the calendar of that day is no fact; it adds a reason and decides nothing
    return Answer(
        outcome=assessment.outcome.name,
        reasons=reasons,
        card=assessment.card,
        whitelisted=assessment.whitelisted,
        limit=assessment.limit,
        conditions=assessment.effects.conditions,
        rate_spread_bp=assessment.effects.rate_spread_bp,
        stages={
            stage.value: (verdict.result.matched, verdict.result.unknown)
            for stage, verdict in assessment.verdicts.items()
        },
    )


def score_again(platform: Platform, recorded: Recorded) -> Scores:
    """Scores by the recorded model versions from the recorded features, blended as recorded."""
    policy = in_force(platform, recorded)
    return platform.scorer.score_version(
        recorded.features,
        recorded.series,
        recorded.mask,
        versions=recorded.scores.models,
        weights=blend_weights(policy.rules.catalogue, recorded.facts),
        single_model_blend=policy.rules.products[recorded.product].single_model_blend,
    )
