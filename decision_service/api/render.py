"""From a decision to the bytes that are answered and stored. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from decision_service.vocabulary import Decision, ModelVersion, Reason, Scores


def decision_bytes(decision: Decision, receipt: Mapping[str, Any]) -> bytes:
    """The body of a 201, rendered once; a retry answers the same bytes."""
    document = {
        "decision_id": decision.decision_id,
        "application_id": decision.application.application_id,
        "outcome": decision.outcome.name,
        "approved_amount": money(decision.approved_amount),
        "limit": money(decision.limit),
        "card": decision.card,
        "whitelisted": decision.whitelisted,
        "decided_at": moment(decision.decided_at),
        "due_at": None if decision.due_at is None else moment(decision.due_at),
        "scores": {**scores(decision.scores), "grade": decision.grade},
        "reasons": reasons(decision.reasons),
        "conditions": list(decision.conditions),
        "rate_spread_bp": decision.rate_spread_bp,
        "ruleset": {"version": decision.ruleset_version, "digest": decision.ruleset_digest},
        "models": models(decision.scores.models),
        "receipt": {name: receipt[name] for name in ("leaf_index", "leaf_hash", "signature")},
    }
    return orjson.dumps(document)


def to_bytes(document: Any) -> bytes:
    """Compact JSON in UTF-8; a float that is not finite raises ``ValueError``."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def money(amount: Decimal | None) -> str | None:
    """CNY with exactly two decimals."""
    return None if amount is None else f"{amount:.2f}"


def fen(amount: int | None) -> str | None:
    """Integer fen as CNY with exactly two decimals."""
    return None if amount is None else f"{Decimal(amount).scaleb(-2):.2f}"


def probability(value: Decimal | None) -> str | None:
    """Exactly six decimals."""
    return None if value is None else f"{value:.6f}"


def moment(value: datetime) -> str:
    """An aware time as ISO 8601 in UTC with microseconds."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def scores(found: Scores) -> dict[str, str | None]:
    """The three probabilities."""
    return {
        "pd_12m": probability(found.pd_12m),
        "pd_xgb": probability(found.pd_xgb),
        "pd_lstm": probability(found.pd_lstm),
    }


def reasons(found: Iterable[Reason]) -> list[dict[str, str]]:
    """Codes with the rule behind each and the customer's text in both languages."""
    return [{"code": one.code, "rule": one.rule, "zh": one.zh, "en": one.en} for one in found]


def models(found: Iterable[ModelVersion]) -> list[dict[str, str]]:
    """The identities of models."""
    return [{"name": one.name, "version": one.version, "digest": one.digest} for one in found]
