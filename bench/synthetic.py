"""A synthetic portfolio as a table of facts: plausible spreads around the rules' boundaries, unknowns included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow

from decision_service.rulebook.columnar import INDUSTRY_CODE, column_type, is_parameter
from decision_service.rulebook.encoding import Fact, FactType
from decision_service.rulebook.ruleset import RulesInForce

KEY = "key"
UNKNOWN = 0.004
"""The share of unknown values of each fact."""
ODD = 0.006
"""The share of values that are not the usual one, for facts with a usual one."""
Numbers = Any
Draw = Callable[[np.random.Generator, int], Numbers]


def lognormal(median: float, spread: float) -> Draw:
    """Amounts and the like: half of them below the median."""
    return lambda random, rows: median * np.exp(spread * random.standard_normal(rows))


def normal(mean: float, spread: float) -> Draw:
    """Ratios on both sides of a mean."""
    return lambda random, rows: mean + spread * random.standard_normal(rows)


def poisson(mean: float) -> Draw:
    """Small counts."""
    return lambda random, rows: random.poisson(mean, rows)


def choices(**shares: float) -> Draw:
    """Choices by their shares."""
    return lambda random, rows: random.choice(list(shares), rows, p=list(shares.values()))


SPREADS: Mapping[str, Draw] = {
    "product": choices(working_capital=0.8, invoice_loan=0.2),
    "amount": lognormal(1_200_000, 1.0),
    "term_months": lambda random, rows: random.choice([3, 6, 12, 12, 12, 24, 36, 37], rows),
    "industry_classification": choices(gbt_2017=0.99, gbt_2011=0.006, unstated=0.004),
    "tax_rating": choices(A=0.15, B=0.5, M=0.2, C=0.1, D=0.03, unrated=0.02),
    "tax_rating_basis": choices(score=0.97, direct=0.01, unrated=0.02),
    "tax_rating_a_years": poisson(0.8),
    "overdue_days_serious": lambda random, rows: random.choice([0, 1, 30, 31, 90, 91], rows, p=[0.94, *[0.012] * 5]),
    "overdue_days_recent": lambda random, rows: random.choice([0, 1, 30, 31, 90, 91], rows, p=[0.94, *[0.012] * 5]),
    "control_changes_90d": poisson(0.01),
    "debt_to_asset_ratio": normal(0.5, 0.12),
    "cashflow_volatility_coef": lognormal(0.35, 0.6),
    "tax_continuity_index": lambda random, rows: 1 - np.abs(0.12 * random.standard_normal(rows)),
    "invoiced_revenue_yoy": normal(0.1, 0.7),
    "invoiced_revenue_yoy_status": choices(ok=0.95, not_applicable=0.03, stale=0.01, missing=0.01),
    "years_in_operation": lognormal(6, 0.7),
    "portrait_coverage": lambda random, rows: 1 - np.abs(0.12 * random.standard_normal(rows)),
    "grade": choices(P1=0.15, P2=0.35, P3=0.3, P4=0.15, P5=0.04, insufficient_data=0.01),
    "required_indicators_missing": poisson(0.02),
    "required_indicators_stale": poisson(0.02),
    "stale_feeds": poisson(0.01),
    "revenue_12m": lognormal(18_000_000, 1.2),
    "total_assets": lognormal(15_000_000, 1.2),
    "working_capital_need": lognormal(6_000_000, 1.0),
    "inv_months": lambda random, rows: random.integers(6, 60, rows),
    "inv_active_months": lambda random, rows: 12 - random.poisson(1.5, rows),
    "inv_sales_12m": lognormal(9_000_000, 1.2),
    "inv_growth": normal(0.1, 0.8),
    "inv_void_ratio": lambda random, rows: np.abs(0.1 * random.standard_normal(rows)),
    "inv_negative_ratio": lambda random, rows: np.abs(0.08 * random.standard_normal(rows)),
    "exposure_existing": lambda random, rows: random.choice([0, 0, 1], rows) * lognormal(900_000, 1.0)(random, rows),
    "exposure_pending": lambda random, rows: (random.random(rows) < 0.02) * lognormal(900_000, 0.8)(random, rows),
    "group_exposure_others": lambda random, rows: (random.random(rows) < 0.1) * lognormal(2e6, 1.0)(random, rows),
    "lenders_30d": poisson(0.7),
    "pd_xgb": lognormal(0.014, 0.7),
}
"""In natural units (CNY, ratios, days). Other facts have a usual value and, rarely, another one."""
USUAL = ("none", "ok", "active", "company", "gbt_2017", "enabled", "working_capital", "covered")


def portfolio(rules: RulesInForce, rows: int, *, seed: int = 1) -> pyarrow.Table:
    """``rows`` enterprises with key, industry and a column per given fact, exact; a seed gives one table only."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {KEY: pyarrow.array(np.arange(rows)), INDUSTRY_CODE: _industries(rules, random, rows)}
    drawn = {name: draw(random, rows) for name, draw in SPREADS.items()}
    drawn["total_liabilities"] = drawn["total_assets"] * np.clip(drawn["debt_to_asset_ratio"], 0, 2)
    drawn["pd_lstm"] = drawn["pd_xgb"] * lognormal(1, 0.3)(random, rows)
    drawn["pd_12m"] = (drawn["pd_xgb"] + drawn["pd_lstm"]) / 2
    for name, fact in rules.catalogue.items():
        if fact.derived is None and fact.combine is None and not is_parameter(name) and fact.source != "lending":
            values = drawn[name] if name in drawn else _usual(fact, random, rows)
            columns[name] = _column(fact, values, random.random(rows) < UNKNOWN)
    return pyarrow.table(columns)


def _industries(rules: RulesInForce, random: np.random.Generator, rows: int) -> pyarrow.Array:
    codes = [*rules.industry_codes(), "00"]
    covered = np.array([rules.industry_status(code) == "covered" for code in codes])
    shares = np.where(covered, 0.98 / covered.sum(), 0.02 / (~covered).sum())
    return pyarrow.array(random.choice(codes, rows, p=shares), mask=random.random(rows) < UNKNOWN)


def _usual(fact: Fact, random: np.random.Generator, rows: int) -> Numbers:
    """A usual value, and rarely any other: of choices another choice, of flags true, of numbers one close by."""
    odd = random.random(rows) < ODD
    if fact.type is FactType.CHOICE:
        usual = next((choice for choice in USUAL if choice in fact.choices), fact.choices[0])
        return np.where(odd, random.choice(list(fact.choices), rows), usual)
    return np.where(odd, random.integers(1, 2 if fact.type is FactType.FLAG else 4, rows), 0)


def _column(fact: Fact, values: Numbers, unknown: Any) -> pyarrow.Array:
    if column_type(fact) == "string":
        return pyarrow.array(values.astype(str), pyarrow.string(), mask=unknown)
    low, high = (0, 1) if fact.type is FactType.FLAG else (max(fact.minimum, -(10**15)), min(fact.maximum, 10**15))
    exact = np.clip(np.rint(values * fact.type.scale), low, high).astype(np.int64)
    return pyarrow.array(exact, mask=unknown)
