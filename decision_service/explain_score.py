"""What the score of trees or a scorecard is made of: each feature's share of its margin, and the way to a PD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from decision_service.audit.record import values_of
from decision_service.audit.replay import Recorded
from decision_service.decide import Platform
from decision_service.explain_view import View
from decision_service.scoring.contributions import BASE, INDUSTRY, Explained
from decision_service.store import StoredDecision

LABELS: Mapping[str, Mapping[str, str]] = {
    BASE: {"zh": "基准（模型截距）", "en": "base (the model's intercept)"},
    INDUSTRY: {"zh": "行业", "en": "industry"},
    "industry_code": {"zh": "行业", "en": "industry"},
    "inv_sales_24m": {"zh": "近24个月净销项", "en": "net sales of 24 months"},
    "inv_volatility_24m": {"zh": "近24个月销项波动系数", "en": "volatility of monthly sales, 24 months"},
    "inv_longest_gap": {"zh": "最长连续无销项月数", "en": "longest run of months without net sales"},
    "inv_active_24m": {"zh": "近24个月有销项的月数", "en": "months with net sales in the last 24"},
}
FORMULA = "{score} = 1 / (1 + exp(-(slope * margin + offset{bend})))"
BEND = " + bend(margin)"


def taken_apart(platform: Platform, recorded: Recorded, stored: StoredDecision) -> Explained | None:
    """The recorded tree model's score of the recorded features; ``None`` when there is none or it cannot be loaded.

    Contributions that were recorded with the decision are taken as they are.
    """
    for version in reversed(recorded.scores.models):  # a fallback, whose score then counts, is the last
        found = platform.scorer.explained(version, recorded.features)
        if found is not None:
            shares = values_of(stored.private)["contributions"] if stored.private else {}
            kept = {name: float(value) for name, value in shares.items() if value is not None}
            return replace(found, shares=kept) if kept else found
    return None


def contributions(explained: Explained | None, view: View) -> list[dict[str, Any]]:
    """Shares of the margin (log-odds of default), the heaviest first; above zero speaks against."""
    shares = {} if explained is None else explained.shares
    seen = [(name, share) for name, share in shares.items() if view.may_see(name)]
    return [
        {"feature": name, "label": label(name, view), "log_odds": f"{share:.6f}", **_points(name, explained)}
        for name, share in sorted(seen, key=lambda pair: (-abs(pair[1]), pair[0]))
        if share
    ]


def score(explained: Explained | None, view: View, recorded: Recorded) -> dict[str, Any] | None:
    """Which model, and the way from its contributions to ``pd_xgb``; ``None`` when there is no score to explain.

    A reader who may not see every contribution gets no sum: it would give away what is withheld.
    """
    if explained is None:
        return None
    model, calibration = explained.model, explained.calibration
    part: dict[str, Any] = {"model": {"name": model.name, "version": model.version, "digest": model.digest}}
    if not all(map(view.may_see, explained.shares)):
        return {**part, "withheld": True}
    margin, base = sum(explained.shares.values()), explained.shares.get(BASE, 0.0)
    return {
        **part,
        "base": f"{base:.6f}",
        "features": f"{margin - base:.6f}",
        "margin": f"{margin:.6f}",
        "calibration": {
            "slope": f"{calibration.slope:.9f}",
            "offset": f"{calibration.offset:.9f}",
            "base_rate": f"{calibration.base_rate:.6f}",
            **({"knots": [[f"{one:.9f}" for one in knot] for knot in calibration.knots]} if calibration.knots else {}),
        },
        **_formula(explained, recorded),
    }


def _formula(explained: Explained, recorded: Recorded) -> dict[str, Any]:
    """A scorecard stands in for the blend, trees give ``pd_xgb``."""
    name, value = ("pd_xgb", recorded.scores.pd_xgb)
    if explained.points_lost is not None:
        name, value = ("pd_12m", recorded.scores.pd_12m)
    formula = FORMULA.format(score=name, bend=BEND if explained.calibration.knots else "")
    return {"formula": formula, name: None if value is None else f"{value:.6f}"}


def _points(name: str, explained: Explained | None) -> dict[str, str]:
    lost = (explained.points_lost or {}) if explained is not None else {}
    return {"points_lost": f"{lost[name]:.1f}"} if name in lost else {}


def label(name: str, view: View) -> str:
    """What people call a feature, in the reader's language."""
    if name in view.catalogue:
        return view.label(name)
    return LABELS.get(name, {}).get(view.lang, name)
