"""A shadow's report as one JSON document: amounts as decimal text in CNY, shares with six decimals."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from decision_service.workbench.shadow_report import Agreement, Flip, Report, RuleAgreement


def document(found: Report) -> dict[str, Any]:
    """The whole report, every flip in it."""
    return {
        "version": found.version,
        "digest": found.digest,
        "active": [{"version": version, "digest": digest} for version, digest in found.active],
        "first": _moment(found.first),
        "last": _moment(found.last),
        "compared": found.agreement.compared,
        "agreement": _agreement(found.agreement),
        "left_out": dict(found.left_out),
        "matrix": [
            {"active": one.active.name, "shadow": one.shadow.name, "count": one.count, "amount": yuan(one.amount)}
            for one in found.matrix
        ],
        "limits": dict(found.limits),
        "rules": [_rule(one) for one in found.rules],
        "flips": [_flip(one) for one in found.flips],
        "notes": [dict(note) for note in found.notes],
    }


def yuan(fen: int) -> str:
    """Fen as CNY with two decimals."""
    return f"{Decimal(fen).scaleb(-2):f}"


def _agreement(one: Agreement) -> dict[str, Any]:
    shares = {name: getattr(one, name) for name in ("share", "low", "high")}
    return {"same": one.same, **{name: None if value is None else f"{value:.6f}" for name, value in shares.items()}}


def _rule(one: RuleAgreement) -> dict[str, Any]:
    return {**asdict(one), "title": dict(one.title), "differing": one.differing}


def _flip(one: Flip) -> dict[str, Any]:
    return {
        "decision_id": one.decision_id,
        "client_id": one.client_id,
        "product": one.product,
        "amount": None if one.amount is None else yuan(one.amount),
        "decided_at": _moment(one.decided_at),
        "active": one.active.name,
        "shadow": one.shadow.name,
        "rules": [{**asdict(rule), "title": dict(rule.title)} for rule in one.rules],
    }


def _moment(one: datetime | None) -> str | None:
    return None if one is None else one.isoformat()
