"""Small decisions for tests of the store: real records, real receipts, hand-written facts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from decision_service.api.render import decision_bytes
from decision_service.audit.entries import Outside
from decision_service.audit.record import build_record
from decision_service.audit.signing import Signer
from decision_service.audit.verify import VerifyReport, verify_log
from decision_service.rulebook.rules import Stage, StageResult
from decision_service.rulebook.ruleset import digest_of
from decision_service.store import Committed, DecisionCommit, ExposureState, Store
from decision_service.vocabulary import CreditApplication, Decision, ModelVersion, Outcome, Reason, Scores

NOW = datetime(2026, 11, 24, 2, 30, 15, 123456, tzinfo=timezone.utc)
USCC = "91350100M000100Y43"
SOURCES = {"cards.yaml": "stage: status\n# 红牌\n", "VERSION": "v1\n"}
RULESET = digest_of(SOURCES)
LINE = 500_000_000  # the 5,000,000 CNY line in fen


@dataclass(frozen=True)
class KnownFacts:
    """A fixed table of facts."""

    values: dict[str, Any]

    def known(self) -> dict[str, Any]:
        """As a table of facts answers."""
        return self.values


@dataclass(frozen=True)
class Inputs:
    """What the models read of an enterprise that hardly reported anything."""

    series: tuple[tuple[float, ...], ...] = ((1.5, math.nan), (0.1, 2e300))
    mask: tuple[bool, ...] = (True, False)
    features: dict[str, Any] = field(
        default_factory=lambda: {"sales_growth": 0.1, "debt_to_asset_ratio": math.nan, "industry_code": "35"}
    )

    def features_for(self, product: str) -> dict[str, Any]:
        """The same for every product."""
        return self.features


@dataclass(frozen=True)
class Verdict:
    """A stage's result by both engines."""

    result: StageResult
    alarm: str | None = None
    detail: str = ""


def application(number: int, *, amount: str = "1000.00", uscc: str = USCC) -> CreditApplication:
    """An application; the number makes it distinct."""
    return CreditApplication(
        f"APP-{number}", "working_capital", Decimal(amount), 12, "working_capital", f"AUTH-{number}", uscc
    )


def decision(
    asked: CreditApplication,
    *,
    client_id: str = "bank-1",
    outcome: Outcome = Outcome.APPROVE,
    now: datetime = NOW,
    decision_id: str = "",
) -> Decision:
    """A decision on an application."""
    approved = outcome is Outcome.APPROVE
    code = "AUTO_OK" if approved else "AMT_OVER_5M"
    return Decision(
        decision_id=decision_id or f"D-{client_id}-{asked.application_id}",
        application=asked,
        client_id=client_id,
        outcome=outcome,
        approved_amount=asked.amount if approved else None,
        limit=Decimal("3600000.00"),
        card="none",
        whitelisted=False,
        decided_at=now,
        due_at=None if approved else now + timedelta(days=3),
        scores=Scores(
            pd_xgb=Decimal("0.011000"),
            pd_lstm=Decimal("0.014000"),
            pd_12m=Decimal("0.012345"),
            status="ok",
            models=(ModelVersion("pd-xgboost", "3", "sha256:aa"), ModelVersion("pd-lstm", "1", "sha256:bb")),
            contributions={"sales_growth": -0.25},
        ),
        grade="P2",
        reasons=(Reason(code, "AUTO-001", "符合秒批条件。", "Meets the conditions.", ("pd_12m",)),),
        conditions=("monthly_statement",),
        rate_spread_bp=0,
        ruleset_version="v1",
        ruleset_digest=RULESET,
    )


FACTS = KnownFacts({"amount": 100_000, "card": "none", "pd_12m": 12_345, "exposure_total": 2**60})
VERDICTS = {
    Stage.STATUS: Verdict(StageResult()),
    Stage.LIMIT: Verdict(StageResult(("LIM-001",), ("LIM-002",))),
    Stage.DECISION: Verdict(StageResult(("AUTO-001",))),
}


def draft(made: Decision, *, key: str | None = None, digest: str = "body-1", **options: Any) -> DecisionCommit:
    """What ``decide`` hands to the store; an approval reserves its amount."""
    key = key or f"key-{made.decision_id}"
    record = build_record(
        made,
        facts=FACTS,
        features=Inputs(),
        verdicts=VERDICTS,
        idempotency_key=key,
        body_digest=digest,
        code_version="test",
        **options,
    )
    return DecisionCommit(
        decision=made,
        record=record.body,
        private=record.private,
        idempotency_key=key,
        body_digest=digest,
        reserve=made.approved_amount,
    )


def commit(
    store: Store, signer: Signer, commit_draft: DecisionCommit, *, expected: ExposureState | None = None
) -> Committed:
    """Store a draft as ``decide`` does, under the one ruleset of these tests."""
    made = commit_draft.decision
    if store.ruleset_sources(RULESET) is None:
        store.save_ruleset(RULESET, "v1", SOURCES, NOW)

    def finish(leaf_index: int, leaf_hash: bytes) -> bytes:
        return decision_bytes(made, signer.receipt(made.decision_id, leaf_index, leaf_hash))

    return store.commit_decision(commit_draft, expected=expected, finish=finish, now=made.decided_at)


def commit_some(store: Store, signer: Signer, count: int) -> list[Committed]:
    """Decisions 0 … count − 1, every third one referred."""
    return [
        commit(store, signer, draft(decision(application(number), outcome=Outcome(int(number % 3 == 2)))))
        for number in range(count)
    ]


def verified(store: Store, signer: Signer, *, now: datetime = NOW, **options: Any) -> VerifyReport:
    """What verification finds in a store of such decisions at a moment."""
    outside = Outside(render=decision_bytes, clock=lambda: now, ruleset_digest=digest_of)
    return verify_log(store, signer.public, outside, **options)
