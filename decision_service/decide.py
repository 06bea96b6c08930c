"""The use case on one screen: an application becomes one audited decision, or no answer at all."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from decision_service.audit.record import build_record
from decision_service.audit.signing import Signer
from decision_service.errors import CalendarError, FactError, Inadmissible, NotFound, StoreError
from decision_service.kill_switch import switch_facts
from decision_service.lending.clock import due_at
from decision_service.lending.exposure import exposure_facts
from decision_service.lending.limits import limit_max
from decision_service.policy import Policies, Policy, PolicyInForce, Verdict
from decision_service.portrait.disputes import spoken
from decision_service.portrait.industry import industry_code
from decision_service.portrait.records import EnterpriseRecords
from decision_service.portrait.snapshot import Snapshot
from decision_service.portrayal import encoded, portray
from decision_service.rulebook.facts import FactCatalogue, Facts
from decision_service.rulebook.rules import LimitEffects, Stage
from decision_service.rulebook.stages import combine, limit_effects, set_status
from decision_service.scoring.scorer import Scorer
from decision_service.store import Committed, DecisionCommit, ExposureChanged, ExposureState, Situation, Store
from decision_service.tracing import span
from decision_service.vocabulary import Client, CreditApplication, Decision, Outcome, Reason, Scores

SHANGHAI = ZoneInfo("Asia/Shanghai")
ATTEMPTS = 24
"""Well above what the others can change of those requests that are answered together."""
DECLARED = ("product", "amount", "term_months", "purpose")
UNREASONED = "the reasons of the score could not be computed; its explanation will try again"
PD_REASONS = frozenset({"PD_REFER", "PD_DECLINE", "MODEL_GAP"})


@dataclass(frozen=True)
class Platform:
    """The parts a decision needs, joined once in ``app.py``."""

    store: Store
    policies: Policies
    scorer: Scorer
    signer: Signer
    code_version: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the rules say of a table of facts: a pure function of facts and ruleset. Money is fen."""

    outcome: Outcome
    reasons: tuple[Reason, ...]
    card: str | None
    whitelisted: bool | None
    limit: int | None
    effects: LimitEffects
    facts: Facts
    verdicts: Mapping[Stage, Verdict]

    @property
    def matched(self) -> tuple[str, ...]:
        """Ids of all rules that matched, of every stage."""
        return tuple(rule for verdict in self.verdicts.values() for rule in verdict.result.matched)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Ids of all rules whose condition is unknown."""
        return tuple(rule for verdict in self.verdicts.values() for rule in verdict.result.unknown)


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything learnt about one application before the rules: facts, what the models read, what they said.

    ``records`` are those that spoke, by kind.
    """

    facts: Facts
    portrait: Snapshot
    scores: Scores
    records: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Decided:
    """The stored answer: its bytes, and the outcome if it is new; ``None`` if the answer had been given before."""

    decision_id: str
    body: bytes
    outcome: Outcome | None

    @property
    def replayed(self) -> bool:
        """Whether the answer had been given before."""
        return self.outcome is None


Render = Callable[[Decision, Mapping[str, Any]], bytes]


def decide(
    application: CreditApplication,
    *,
    client: Client,
    idempotency_key: str,
    body_digest: str,
    platform: Platform,
    render: Render,
    now: datetime,
) -> Decided:
    """Decide one application and store decision, evidence and reservation in one transaction.

    ``render(decision, receipt)`` gives the bytes that are answered and stored. ``now`` is aware.
    Raises ``NotFound`` (enterprise), ``Inadmissible``, ``IdempotencyConflict``, ``StillRunning``,
    ``StoreError`` (no answer).
    """
    earlier = platform.store.begin(client.client_id, idempotency_key, body_digest, now)
    if earlier is not None:
        return Decided(earlier.decision_id, earlier.body, None)
    try:
        policy = platform.policies.current()
        # A known key was answered above, whatever the rules say today.
        if problems := inadmissible(declared(application), policy):
            raise Inadmissible(problems)
        for _ in range(ATTEMPTS):
            try:
                draft = _draft(application, client=client, policy=policy, platform=platform, now=now)
                with span("commit"):
                    committed = _commit(draft, idempotency_key, body_digest, platform=platform, render=render)
                return Decided(draft.decision.decision_id, committed.body, draft.decision.outcome)
            except ExposureChanged:
                continue  # another decision of the same customer came first: look again
    except BaseException:
        platform.store.release(client.client_id, idempotency_key)
        raise
    platform.store.release(client.client_id, idempotency_key)
    raise StoreError("the customer's exposure kept changing", remedy="send the same request again")


def declared(application: CreditApplication) -> dict[str, Any]:
    """The fields of an application that the rules declare as facts."""
    return {name: getattr(application, name) for name in DECLARED}


def inadmissible(fields: Mapping[str, Any], policy: Policy) -> tuple[tuple[str, str], ...]:
    """Every (field, why) of an application's declared fields that the ruleset's declarations do not admit."""
    found = []
    for name in DECLARED:
        try:
            if name in fields:
                policy.ruleset.catalogue.encode(name, fields[name])
        except FactError as error:
            found.append((name, f"{error.what}; {error.remedy}"))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Draft:
    """A decision that is not yet durable, and what it was seen to rest on."""

    decision: Decision
    findings: Findings
    assessment: Assessment
    seen: Situation


def _draft(
    application: CreditApplication, *, client: Client, policy: Policy, platform: Platform, now: datetime
) -> Draft:
    with span("read records"):
        seen = situation(platform.store, client.client_id, application, now=now)
    in_force = policy.on(business_date(now), client.client_id)
    findings = find(
        application,
        seen.records,
        seen.exposure,
        repeated=seen.repeated,
        switched_off=seen.switched_off,
        client_id=client.client_id,
        policy=policy,
        scorer=platform.scorer,
        now=now,
    )
    with span("rules"):
        assessment = assess(in_force, findings.facts)
    findings = replace(findings, scores=_explained(findings, assessment, platform.scorer))
    decision = _decision(application, client, findings, assessment, policy=policy, now=now)
    return Draft(decision, findings, assessment, seen)


def situation(store: Store, client_id: str, application: CreditApplication, *, now: datetime) -> Situation:
    """What is on file when an application comes; raises ``NotFound``."""
    found = store.situation(client_id, application, now)
    if found is None:
        raise _not_on_record(application.uscc)
    return found


def enterprise_records(store: Store, uscc: str) -> EnterpriseRecords:
    """All records of an enterprise; raises ``NotFound``."""
    records = store.records(uscc)
    if records is None:
        raise _not_on_record(uscc)
    return records


def _not_on_record(uscc: str) -> NotFound:
    return NotFound(
        f"enterprise {uscc} is not on record", where="enterprise.uscc", remedy="check the code or load its feeds"
    )


def find(
    application: CreditApplication,
    records: EnterpriseRecords,
    exposure: ExposureState,
    *,
    repeated: bool,
    switched_off: Sequence[str],
    client_id: str,
    policy: Policy,
    scorer: Scorer,
    now: datetime,
) -> Findings:
    """Portrait, exposure, parameters in force and scores: the one flat table of facts."""
    in_force = policy.on(business_date(now), client_id)
    rules, catalogue = in_force.rules, in_force.rules.catalogue
    code = industry_code(records.registration)
    parameters = rules.parameters(application.product, code)
    with span("portrait"):
        portrait = portray(records, policy=policy, in_force=in_force, product=application.product, now=now)
    values: dict[str, Any] = {
        **portrait.facts,
        **exposure_facts(records, exposure, client_id=client_id, now=now),
        "application_approved": repeated,
        **declared(application),
        "industry_status": rules.industry_status(code),
        **switch_facts(catalogue, switched_off),
    }
    exact = {**encoded(catalogue, values), **parameters}
    product = rules.products[application.product]
    with span("scores"):
        scores = scorer.score(
            portrait.features_for(product.name),
            portrait.series,
            portrait.mask,
            models=(product.xgb_model, product.lstm_model),
            weights=blend_weights(catalogue, parameters),
            single_model_blend=product.single_model_blend,
            fallback=product.scorecard_model,
            contributions=False,
        )
    exact.update(encoded(catalogue, score_values(scores)))
    return Findings(Facts(catalogue, exact), portrait, scores, spoken(records, portrait.as_of))


def blend_weights(catalogue: FactCatalogue, parameters: Mapping[str, Any]) -> tuple[Decimal, Decimal] | None:
    """The product's own blend weights if it has any, else the industry's; ``None`` when neither is in force."""
    for scope in ("product", "industry"):
        names = (f"{scope}.weight_xgb", f"{scope}.weight_lstm")
        if all(parameters.get(name) is not None for name in names):
            return catalogue.decode(names[0], parameters[names[0]]), catalogue.decode(names[1], parameters[names[1]])
    return None


def score_values(scores: Scores) -> dict[str, Any]:
    """The facts that the models supply."""
    return {
        "pd_xgb": scores.pd_xgb,
        "pd_lstm": scores.pd_lstm,
        "pd_12m": scores.pd_12m,
        "models_status": scores.status,
    }


def assess(policy: PolicyInForce, facts: Facts) -> Assessment:
    """Stages status, limit and decision over facts; pure. Engines that differ never approve."""
    rules, engines = policy.rules, policy.engines
    status = engines.evaluate(Stage.STATUS, facts)
    facts = set_status(rules, status.result, facts)
    limiting = engines.evaluate(Stage.LIMIT, facts)
    effects = limit_effects(rules, limiting.result, facts)
    limit = limit_max(facts, effects)
    facts = facts.with_values({"limit_max": limit})
    deciding = engines.evaluate(Stage.DECISION, facts)
    verdicts = {Stage.STATUS: status, Stage.LIMIT: limiting, Stage.DECISION: deciding}
    results = {stage: verdict.result for stage, verdict in verdicts.items()}
    alarms = sorted({verdict.alarm for verdict in verdicts.values() if verdict.alarm})
    outcome, reasons = combine(rules, results, facts, alarms=alarms)
    card, whitelisted = facts["card"], facts["whitelisted"]
    return Assessment(
        outcome=outcome,
        reasons=reasons,
        card=None if card is None else str(card),
        whitelisted=None if whitelisted is None else bool(whitelisted),
        limit=limit,
        effects=effects,
        facts=facts,
        verdicts=verdicts,
    )


def _explained(findings: Findings, assessment: Assessment, scorer: Scorer) -> Scores:
    """Contributions and reasons are worth their time only when the score is a reason."""
    scores, facts, portrait = findings.scores, findings.facts, findings.portrait
    if not PD_REASONS.intersection(one.code for one in assessment.reasons):
        return scores
    features = portrait.features_for(str(facts["product"]))
    versions = scores.models  # those that scored, whatever is in force; a fallback is last
    explained = filter(None, (scorer.explained(version, features) for version in reversed(versions)))
    weights = blend_weights(facts.catalogue, facts)
    found = scorer.reasons(
        features, portrait.series, portrait.mask, versions=versions, weights=weights, shares=False
    )
    return replace(
        scores,
        contributions=next((one.shares for one in explained), {}),
        reasons=None if found is None else found.stated,
        problems=scores.problems if found is not None else (*scores.problems, UNREASONED),
    )


def _decision(
    application: CreditApplication,
    client: Client,
    findings: Findings,
    assessment: Assessment,
    *,
    policy: Policy,
    now: datetime,
) -> Decision:
    approved = assessment.outcome is Outcome.APPROVE
    due, extra = _due(assessment, policy, now)
    grade = assessment.facts["grade"]
    return Decision(
        decision_id=str(uuid.uuid4()),
        application=application,
        client_id=client.client_id,
        outcome=assessment.outcome,
        approved_amount=application.amount if approved else None,
        limit=None if assessment.limit is None else Decimal(assessment.limit).scaleb(-2),
        card=assessment.card,
        whitelisted=assessment.whitelisted,
        decided_at=now,
        due_at=due,
        scores=findings.scores,
        grade=None if grade is None else str(grade),
        reasons=assessment.reasons + extra,
        conditions=assessment.effects.conditions,
        rate_spread_bp=assessment.effects.rate_spread_bp,
        ruleset_version=policy.ruleset.version,
        ruleset_digest=policy.ruleset.digest,
    )


def _due(assessment: Assessment, policy: Policy, now: datetime) -> tuple[datetime | None, tuple[Reason, ...]]:
    """When people must have decided; only a referred application waits for people."""
    if assessment.outcome is not Outcome.REFER:
        return None, ()
    try:
        return due_at(now), ()
    except CalendarError:
        return None, (policy.on(business_date(now)).rules.reason("CALENDAR_MISSING"),)


def _commit(
    draft: Draft, idempotency_key: str, body_digest: str, *, platform: Platform, render: Render
) -> Committed:
    decision = draft.decision
    record = build_record(
        decision,
        facts=draft.assessment.facts,
        features=draft.findings.portrait,
        verdicts=draft.assessment.verdicts,
        idempotency_key=idempotency_key,
        body_digest=body_digest,
        code_version=platform.code_version,
        records=draft.findings.records,
    )

    def finish(leaf_index: int, leaf_hash: bytes) -> bytes:
        return render(decision, platform.signer.receipt(decision.decision_id, leaf_index, leaf_hash))

    commit = DecisionCommit(
        decision=decision,
        record=record.body,
        private=record.private,
        idempotency_key=idempotency_key,
        body_digest=body_digest,
        reserve=decision.approved_amount,
    )
    seen = draft.seen
    return platform.store.commit_decision(
        commit, expected=seen.exposure, acts=seen.acts, finish=finish, now=decision.decided_at
    )


def business_date(moment: datetime) -> date:
    """The Asia/Shanghai date of an aware moment."""
    return moment.astimezone(SHANGHAI).date()
