"""What weighs most against an enterprise in its score, told in one language, and how all inputs make up ``pd_12m``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from decision_service.audit.decided import reasons_of
from decision_service.audit.record import values_of
from decision_service.audit.replay import Recorded
from decision_service.decide import Platform, blend_weights
from decision_service.explain_score import label
from decision_service.explain_view import View
from decision_service.policy import Policy
from decision_service.portrait.invoices import FEATURES
from decision_service.recorded import in_force
from decision_service.scoring.reasons import HISTORY, LEVEL, RECENCY
from decision_service.store import StoredDecision
from decision_service.vocabulary import ScoreReason, ScoreReasons, SeenValue

SERIES: Mapping[str, tuple[str, str, str]] = {
    "sales": ("CNY", "每月净销项", "monthly net sales"),
    "purchases": ("CNY", "每月净进项", "monthly net purchases"),
    "sales_invoices": ("count", "每月有效销项发票数", "valid sales invoices a month"),
    "void_invoices": ("count", "每月作废发票数", "void invoices a month"),
    "negative_invoices": ("count", "每月负数发票数", "negative invoices a month"),
    "customers": ("count", "每月客户数", "customers a month"),
    "suppliers": ("count", "每月供应商数", "suppliers a month"),
    "tax_filing": ("points", "每月纳税申报得分", "points for filing tax each month"),
    "electricity_kwh": ("kWh", "每月用电量", "electricity a month"),
    "insured_headcount": ("persons", "每月参保人数", "insured staff a month"),
    HISTORY: ("months", "有数据的月数", "months with data"),
}
"""Of each monthly series its unit and its labels in zh and en."""
UNITS_ZH = {"CNY": "元", "%": "%", "months": "个月", "days": "天", "years": "年", "kWh": "千瓦时", "persons": "人"}
BARE = frozenset({"", "1", "0-1", "0-100", "ratio", "ordinal", "count", "points"})
PARTS = (LEVEL, *(name for name, _ in RECENCY))
SEQUENCE = "pd_lstm"


def taken_apart(platform: Platform, recorded: Recorded, stored: StoredDecision) -> ScoreReasons | None:
    """What the recorded versions make of the recorded inputs; reasons stated with the decision are taken as they are.

    ``None`` without a score, and where neither reasons were recorded nor the versions can be used.
    """
    if recorded.scores.pd_12m is None:
        return None
    catalogue = in_force(platform, recorded).rules.catalogue
    found = platform.scorer.reasons(
        recorded.features,
        recorded.series,
        recorded.mask,
        versions=recorded.scores.models,
        weights=blend_weights(catalogue, recorded.facts),
    )
    kept = reasons_of(values_of(stored.private)) if stored.private else None
    if kept is None:
        return found
    return ScoreReasons(0.0, {}, kept) if found is None else replace(found, stated=kept)


def stated(found: ScoreReasons | None, view: View, policy: Policy) -> list[dict[str, Any]]:
    """The stated reasons, the heaviest first; one that the reader may not see is counted, not told."""
    return [
        _reason(one, view, policy) if view.may_see(one.name) else {"withheld": True}
        for one in (() if found is None else found.stated)
    ]


def blend(found: ScoreReasons | None, view: View, recorded: Recorded) -> dict[str, Any] | None:
    """How base and shares make up the log-odds of ``pd_12m``; nothing of it where a share is above the reader."""
    if found is None or not found.shares or recorded.scores.pd_12m is None:
        return None
    inputs = _by_input(found.shares)
    if not all(view.may_see(name) for _, name in inputs):
        return {"withheld": True}
    sums = {key: math.fsum(parts.values()) for key, parts in inputs.items()}
    return {
        "base": _odds(found.base),
        "shares": [
            {
                "score": score,
                "feature": name,
                "label": _label(score, name, view),
                "log_odds": _odds(sums[score, name]),
                **_parts(inputs[score, name]),
            }
            for score, name in sorted(sums, key=lambda key: (-abs(sums[key]), key))
            if sums[score, name]
        ],
        "log_odds": _odds(math.fsum([found.base, *sums.values()])),
        "pd_12m": f"{recorded.scores.pd_12m:.6f}",
    }


def _by_input(shares: Mapping[str, float]) -> dict[tuple[str, str], dict[str, float]]:
    """Shares by score and input, each with its parts; what has none has one without a name."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for key, share in shares.items():
        score, _, name = key.partition(".")
        series, _, part = name.rpartition(".")
        place = (series, part) if score == SEQUENCE and part in PARTS else (name, "")
        found.setdefault((score, place[0]), {})[place[1]] = share
    return found


def _parts(parts: Mapping[str, float]) -> dict[str, Any]:
    named = [{"part": name, "log_odds": _odds(share)} for name, share in parts.items() if name]
    return {"parts": named} if named else {}


def _reason(one: ScoreReason, view: View, policy: Policy) -> dict[str, Any]:
    unit, called = _unit(one, policy), _label(one.score, one.name, view)
    seen, healthy = (_value(value, unit, view.lang) for value in (one.seen, one.healthy))
    of_series = one.score == SEQUENCE and one.name != HISTORY
    return {
        "code": _code(one, policy),
        "score": one.score,
        "feature": one.name,
        "label": called,
        "unit": unit,
        "direction": "raises",
        "seen": seen,
        "healthy": healthy,
        **({"change": _change(one.change), "healthy_change": _change(one.healthy_change)} if of_series else {}),
        "log_odds": _odds(one.effect),
        "text": _sentence(one, called, (seen, healthy), view.lang),
    }


def _sentence(one: ScoreReason, called: str, values: tuple[str | None, str | None], lang: str) -> str:
    changes = _change(one.change), _change(one.healthy_change)
    zh = lang == "zh"
    unknown = "未知" if zh else "not known"
    seen, healthy = values[0] or unknown, values[1] or ("通常没有" if zh else "usually none")
    if changes[0] is not None:
        seen += f"（近3个月{changes[0]}）" if zh else f" ({changes[0]} in the last 3 months)"
    if changes[1] is not None:
        healthy += f"（近3个月{changes[1]}）" if zh else f" ({changes[1]})"
    effect = f"{one.effect:.2f}"
    if zh:
        return f"{called}：{seen}；健康参考：{healthy}。推高违约概率（对数几率 +{effect}）。"
    return f"{called}: {seen}; a healthy firm: {healthy}. Raises the probability of default (log-odds +{effect})."


def _code(one: ScoreReason, policy: Policy) -> str:
    """An indicator's id; of everything else a code made from its name."""
    spec = policy.registry.by_name.get(one.name)
    if one.score == SEQUENCE:
        return f"SERIES_{one.name.upper()}"
    if spec is not None:
        return spec.id
    return "INDUSTRY" if one.name == "industry_code" else one.name.upper()


def _unit(one: ScoreReason, policy: Policy) -> str:
    spec = policy.registry.by_name.get(one.name)
    if one.score == SEQUENCE:
        return SERIES[one.name][0] if one.name in SERIES else ""
    if spec is not None:
        return spec.unit
    return next((feature.unit for feature in FEATURES if feature.name == one.name), "")


def _label(score: str, name: str, view: View) -> str:
    if score == SEQUENCE:
        _, zh, en = SERIES.get(name, ("", name, name))
        return zh if view.lang == "zh" else en
    return label(name, view)


def _value(value: SeenValue, unit: str, lang: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    told = f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) < 10 else f"{value:,.2f}".rstrip("0").rstrip(".")
    if unit in BARE:
        return told
    if unit == "%":
        return f"{told}%"
    return f"{told} {UNITS_ZH.get(unit, unit) if lang == 'zh' else unit}"


def _change(change: float | None) -> str | None:
    return None if change is None else f"{100.0 * change:+.1f}%"


def _odds(value: float) -> str:
    return f"{value:.6f}"
