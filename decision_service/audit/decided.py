"""The decision that a record tells of, as the type from which it was written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from decision_service.vocabulary import (
    CreditApplication,
    Decision,
    ModelVersion,
    Outcome,
    Reason,
    ScoreReason,
    Scores,
)


def decision_of(body: Mapping[str, Any]) -> Decision:
    """The recorded decision; its contributions are no part of the record's body and stay empty.

    Raises ``KeyError``, ``TypeError``, ``ValueError`` or ``ArithmeticError`` when the record lacks or mistypes a part.
    """
    due_at = body["due_at"]
    return Decision(
        decision_id=body["decision_id"],
        application=application_of(body["application"]),
        client_id=body["client_id"],
        outcome=Outcome[body["outcome"]],
        approved_amount=decimal_of(body["approved_amount"]),
        limit=decimal_of(body["limit"]),
        card=body["card"],
        whitelisted=body["whitelisted"],
        decided_at=datetime.fromisoformat(body["decided_at"]),
        due_at=None if due_at is None else datetime.fromisoformat(due_at),
        scores=scores_of(body),
        grade=body["grade"],
        reasons=tuple(Reason(**{**reason, "facts": tuple(reason["facts"])}) for reason in body["reasons"]),
        conditions=tuple(body["conditions"]),
        rate_spread_bp=body["rate_spread_bp"],
        ruleset_version=body["ruleset"]["version"],
        ruleset_digest=body["ruleset"]["digest"],
    )


def application_of(recorded: Mapping[str, Any]) -> CreditApplication:
    """The recorded application; raises as ``decision_of``."""
    return CreditApplication(**{**recorded, "amount": Decimal(recorded["amount"])})


def scores_of(body: Mapping[str, Any]) -> Scores:
    """The recorded scores and model versions; raises as ``decision_of``."""
    scores = body["scores"]
    return Scores(
        pd_xgb=decimal_of(scores["pd_xgb"]),
        pd_lstm=decimal_of(scores["pd_lstm"]),
        pd_12m=decimal_of(scores["pd_12m"]),
        status=scores["status"],
        models=tuple(ModelVersion(**model) for model in body["models"]),
        problems=tuple(scores["problems"]),
    )


def reasons_of(values: Mapping[str, Any]) -> tuple[ScoreReason, ...] | None:
    """The stated reasons of the score among a decision's committed values; ``None`` when none were recorded.

    Raises as ``decision_of``.
    """
    kept = values.get("score_reasons")
    if kept is None:
        return None
    return tuple(ScoreReason(**{name: _reading(name, value) for name, value in one.items()}) for one in kept)


def _reading(field: str, value: Any) -> Any:
    if value is None or field in ("score", "name"):
        return value
    return value["text"] if isinstance(value, dict) else float(value)


def decimal_of(text: str | None) -> Decimal | None:
    """A recorded number; ``None`` was unknown."""
    return None if text is None else Decimal(text)
