"""How a limit was computed, step by step, for those who ask why; a decision needs the result only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from decision_service.lending.limits import (
    BOUNDS,
    GRADE_PERCENT,
    BoundOf,
    Exacts,
    Whole,
    headroom,
    loan_need,
    revenue_multiple,
    sales_multiple,
)


@dataclass(frozen=True, slots=True)
class Bound:
    """One of the amounts of which the least is the product's own bound.

    ``inputs`` are the facts it reads, ``value`` is fen or ``None`` for unknown, ``grade_percent`` is the grade's factor
    where it plays a part. ``title`` and ``formula`` are in zh and en.
    """

    name: str
    inputs: tuple[str, ...]
    value: int | None
    title: Mapping[str, str]
    formula: Mapping[str, str]
    grade_percent: int | None = None


@dataclass(frozen=True, slots=True)
class _Told:
    """How one bound is told to people."""

    name: str
    inputs: tuple[str, ...]
    title: Mapping[str, str]
    formula: Mapping[str, str]


def bounds(facts: Exacts) -> tuple[Bound, ...]:
    """The bounds of the product of ``facts`` (exact), of which ``limits.limit_max`` takes the least."""
    found, numbers = [], Whole(facts)
    for bound in BOUNDS.get(str(facts["product"]), ()):
        told = _TOLD[bound]
        percent = GRADE_PERCENT.get(str(facts["grade"])) if "grade" in told.inputs else None
        found.append(Bound(told.name, told.inputs, bound(numbers), told.title, told.formula, percent))
    return tuple(found)


_TOLD: Mapping[BoundOf, _Told] = {
    revenue_multiple: _Told(
        "revenue_multiple",
        ("revenue_12m", "industry.limit_multiple_of_revenue", "grade"),
        {"zh": "收入倍数额度", "en": "multiple of revenue"},
        {
            "zh": "近12个月净开票收入 × 收入倍数 × 画像等级系数",
            "en": "net invoiced revenue of 12 months × multiple of the industry × factor of the portrait grade",
        },
    ),
    headroom: _Told(
        "leverage_headroom",
        ("total_assets", "total_liabilities", "industry.max_leverage"),
        {"zh": "资产负债率余量", "en": "headroom under the leverage ceiling"},
        {
            "zh": "（资产负债率上限 × 资产总额 − 负债总额）÷（1 − 资产负债率上限）",
            "en": "(leverage ceiling × total assets − total liabilities) ÷ (1 − leverage ceiling)",
        },
    ),
    loan_need: _Told(
        "working_capital_need",
        ("working_capital_need",),
        {"zh": "流动资金贷款需求", "en": "working-capital loan need"},
        {"zh": "测算的流动资金贷款需求", "en": "the working-capital loan need as computed"},
    ),
    sales_multiple: _Told(
        "sales_multiple",
        ("inv_sales_12m", "product.limit_multiple_of_revenue"),
        {"zh": "销项倍数额度", "en": "multiple of invoiced sales"},
        {"zh": "近12个月净销项 × 产品收入倍数", "en": "net sales of 12 months × multiple of the product"},
    ),
}
