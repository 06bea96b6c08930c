"""Indicators that arrive as values: each from latent health with noise of its own, some missing or not applicable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from decision_service.portrait.records import Financials, IndicatorValue, Month, Overdue, TaxRating
from decision_service.scoring.blend import expit
from ml.city_traits import Traits

NOT_APPLICABLE = "not_applicable"
MISSING_RATE = 0.015  # of each delivered value
STALE_RATE = 0.01
STALE_DAYS = 600
FILING_SCORE = {"on_time": 1.0, "zero_return": 0.7, "late_30": 0.5, "not_filed": 0.0}
RATING_SCORE = {"A": 100, "B": 85, "M": 65, "C": 40, "D": 0}
DAILY = ("IND14", "IND15", "IND16", "IND17", "IND18", "IND22", "IND13")
QUARTERLY = ("IND01", "IND03", "IND04", "IND05", "IND06", "IND30")

Value = float | str | None


@dataclass(frozen=True, slots=True)
class Past:
    """What other records of the firm say, so that indicators and records agree."""

    months: Sequence[Month]
    overdues: Sequence[Overdue]
    rating: TaxRating | None
    abnormal: int  # 0 none, 1 removed within 12 months, 2 listed abnormal, 3 seriously illegal
    penalties: float  # points of IND14
    executed: bool


@dataclass(frozen=True, slots=True)
class Statements:
    """The filed statements and two ratios taken from them, percent."""

    financials: Financials
    leverage: float
    margin: float


def draw_statements(traits: Traits, random: np.random.Generator, as_of: date) -> Statements:
    """The latest statements; without the turnover days that a few do not give, the working-capital need is unknown."""
    leverage = min(160.0, max(4.0, 52.0 - 9.0 * traits.health + 8.0 * random.normal()))
    margin = min(60.0, max(-80.0, 6.0 + 3.5 * traits.health + 4.0 * random.normal()))
    assets = round(100 * traits.annual_sales * math.exp(-0.1 + 0.25 * random.normal()))
    liabilities = round(assets * leverage / 100)
    days: dict[str, Any] = _turnover_days(random) if random.random() < 0.97 else {}
    financials = Financials(
        period_end=quarter_end(as_of),
        total_assets=assets,
        total_liabilities=liabilities,
        revenue_last_year=round(traits.annual_sales * 100),
        operating_margin=_decimal(margin / 100),
        growth=_decimal(max(-0.6, 0.04 + 0.09 * traits.momentum)),
        own_funds=max(0, (assets - liabilities) // 10),
        working_capital_loans=liabilities // 4 if traits.borrower else 0,
        other_sources=0,
        **days,
    )
    return Statements(financials, leverage, margin)


def _turnover_days(random: np.random.Generator) -> dict[str, Decimal]:
    means = {"inventory_days": 60, "receivable_days": 75, "payable_days": 45, "prepaid_days": 15}
    days = {name: _decimal(mean * math.exp(0.3 * random.normal())) for name, mean in means.items()}
    return {**days, "advance_receipt_days": _decimal(8 * math.exp(0.3 * random.normal()))}


def draw_indicators(
    traits: Traits,
    random: np.random.Generator,
    as_of: date,
    *,
    statements: Statements,
    past: Past,
    complete: bool = False,
) -> tuple[IndicatorValue, ...]:
    """The delivered indicator values, in the registry's units; an indicator that is absent has no row.

    ``complete``: nothing that applies is left out or stale.
    """
    values: dict[str, Value] = {
        **_financial(traits, random, statements),
        **_activity(past.months),
        **_risk(traits, random, past),
        **_performance(traits, random, past),
        **_innovation(traits, random, past.months),
        "IND30": min(100.0, max(0.0, 12.0 + 10.0 * random.normal() - 3.0 * traits.health)),
    }
    fates = random.random(len(values)) if not complete else np.full(len(values), 0.5)
    rows = []
    for (indicator, value), fate in zip(sorted(values.items()), fates, strict=True):
        if value is None or fate < MISSING_RATE:
            continue
        observed = _observed(indicator, as_of, stale=fate > 1 - STALE_RATE)
        number = None if isinstance(value, str) else _decimal(value)
        rows.append(IndicatorValue(indicator, number, observed, NOT_APPLICABLE if isinstance(value, str) else "ok"))
    return tuple(rows)


def _financial(traits: Traits, random: np.random.Generator, statements: Statements) -> dict[str, Value]:
    debt_free = random.random() < 0.08
    coverage = min(200.0, max(-50.0, 4.5 + 2.4 * traits.health + 2 * random.normal()))
    return {
        "IND01": statements.leverage,
        "IND03": math.exp(0.45 + 0.18 * traits.health + 0.25 * random.normal()),
        "IND04": NOT_APPLICABLE if debt_free else coverage,
        "IND05": statements.margin,
        "IND06": math.exp(4.2 - 0.18 * traits.health + 0.35 * random.normal()),
    }


def _activity(months: Sequence[Month]) -> dict[str, Value]:
    """IND07, 11 and 12 as their sources would compute them from the same months."""
    newest_first = [FILING_SCORE[month.tax_filing or "not_filed"] for month in reversed(months[-24:])]
    weights = [25 - place for place in range(1, len(newest_first) + 1)]
    continuity = sum(weight * score for weight, score in zip(weights, newest_first, strict=True)) / max(1, sum(weights))
    return {
        "IND07": continuity if newest_first else None,
        "IND11": _growth([month.electricity_kwh for month in months]),
        "IND12": _headcount_growth([month.insured_headcount for month in months]),
    }


def _growth(values: Sequence[int | None]) -> Value:
    last, before = values[-12:], values[-24:-12]
    known = [value for value in (*last, *before) if value is not None]
    if len(known) < 24:
        return NOT_APPLICABLE
    total = sum(value for value in before if value is not None)
    return (sum(value for value in last if value is not None) / total - 1) * 100 if total else NOT_APPLICABLE


def _headcount_growth(values: Sequence[int | None]) -> Value:
    if len(values) < 13 or values[-1] is None or values[-13] is None:
        return None
    return (values[-1] - values[-13]) / max(1, values[-13]) * 100


def _risk(traits: Traits, random: np.random.Generator, past: Past) -> dict[str, Value]:
    cases = int(random.poisson(math.exp(-1.7 - 0.6 * traits.health)))
    opinion = random.random() < expit(-2.4 - 0.6 * traits.health)
    return {
        "IND13": math.exp(-0.2 - 0.25 * traits.health + 0.4 * random.normal()) if cases or past.executed else None,
        "IND14": past.penalties if past.penalties else None,
        "IND15": min(300.0, math.exp(2.2 + 0.9 * random.normal())) if past.executed else None,
        "IND16": float(cases) if cases else None,
        "IND17": float(past.abnormal),
        "IND18": min(90.0, math.exp(2.3 - 0.3 * traits.health + 0.7 * random.normal())) if opinion else None,
    }


def _performance(traits: Traits, random: np.random.Generator, past: Past) -> dict[str, Value]:
    overdue = max((episode.max_days for episode in past.overdues), default=0)
    known = traits.borrower or bool(past.overdues)
    composite = traits.health + 0.5 * random.normal()
    return {
        "IND19": float(RATING_SCORE[past.rating.changed_to or past.rating.rating]) if past.rating else NOT_APPLICABLE,
        "IND20": min(1.0, 0.985 + 0.01 * traits.health - abs(0.03 * random.normal())),
        "IND21": min(1.0, 0.985 + 0.01 * traits.health - abs(0.03 * random.normal())),
        "IND22": float(overdue) if known else NOT_APPLICABLE,
        "IND23": 100.0 if composite > 0.9 else 80.0 if composite > -0.7 else 60.0 if composite > -1.8 else 20.0,
    }


def _innovation(traits: Traits, random: np.random.Generator, months: Sequence[Month]) -> dict[str, Value]:
    inventive = random.random() < (0.5 if traits.industry.sci_tech else 0.12)
    staff = next((month.insured_headcount for month in reversed(months) if month.insured_headcount), 1)
    patents = int(random.poisson(math.exp(0.7 + 0.3 * traits.health))) if inventive else 0
    growth = min(200.0, max(-60.0, 7.0 + 6.0 * traits.momentum + 6.0 * random.normal()))
    return {
        "IND08": max(0.0, 0.4 + 0.5 * random.normal()) if patents else NOT_APPLICABLE,
        "IND24": max(0.1, 4.0 + 1.0 * traits.health + 2.0 * random.normal()) if inventive else NOT_APPLICABLE,
        "IND25": patents / max(1, staff) * 100 if patents else None,
        "IND26": float(min(4, int(random.geometric(0.6)))) if inventive and traits.health > -1 else None,
        "IND27": growth if traits.age_years > 5 else NOT_APPLICABLE,
    }


def _observed(indicator: str, as_of: date, *, stale: bool) -> date:
    if stale:
        return as_of - timedelta(days=STALE_DAYS)
    if indicator in DAILY:
        return as_of
    return quarter_end(as_of) if indicator in QUARTERLY and indicator != "IND30" else month_end(as_of)


def month_end(as_of: date) -> date:
    """The last day of the newest month that is complete on ``as_of``."""
    return (as_of + timedelta(days=1)).replace(day=1) - timedelta(days=1)


def quarter_end(as_of: date) -> date:
    """The last day of the newest quarter that is complete on ``as_of``."""
    start = (as_of + timedelta(days=1)).replace(day=1)
    return start.replace(month=(start.month - 1) // 3 * 3 + 1) - timedelta(days=1)


def _decimal(value: float) -> Decimal:
    return Decimal(f"{value:.6f}")
