"""How a limit was computed, step by step, for those who ask why; a decision needs the result only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from decision_service.lending.limits import GRADE_PERCENT, Exacts, headroom, scaled


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


def bounds(facts: Exacts) -> tuple[Bound, ...]:
    """The bounds of the product of ``facts`` (exact); none for a product without formula, whose limit is unknown.

    The least of them is the bound from which ``limits.limit_max`` begins; an unknown one makes that unknown.
    """
    return _BOUNDS.get(str(facts["product"]), lambda facts: ())(facts)


def least(found: tuple[Bound, ...]) -> int | None:
    """The product's own bound in fen; ``None`` when one is unknown or there is none."""
    values = [one.value for one in found if one.value is not None]
    return min(values) if values and len(values) == len(found) else None


def _working_capital(facts: Exacts) -> tuple[Bound, ...]:
    return (_revenue(facts), _headroom(facts), _need(facts))


def _revenue(facts: Exacts) -> Bound:
    percent = GRADE_PERCENT.get(str(facts["grade"]))
    revenue = scaled(facts["revenue_12m"], facts["industry.limit_multiple_of_revenue"])
    return Bound(
        "revenue_multiple",
        ("revenue_12m", "industry.limit_multiple_of_revenue", "grade"),
        None if revenue is None or percent is None else revenue * percent // 100,
        {"zh": "收入倍数额度", "en": "multiple of revenue"},
        {
            "zh": "近12个月净开票收入 × 收入倍数 × 画像等级系数",
            "en": "net invoiced revenue of 12 months × multiple of the industry × factor of the portrait grade",
        },
        percent,
    )


def _headroom(facts: Exacts) -> Bound:
    names = ("total_assets", "total_liabilities", "industry.max_leverage")
    return Bound(
        "leverage_headroom",
        names,
        headroom(facts[names[0]], facts[names[1]], facts[names[2]]),
        {"zh": "资产负债率余量", "en": "headroom under the leverage ceiling"},
        {
            "zh": "（资产负债率上限 × 资产总额 − 负债总额）÷（1 − 资产负债率上限）",
            "en": "(leverage ceiling × total assets − total liabilities) ÷ (1 − leverage ceiling)",
        },
    )


def _need(facts: Exacts) -> Bound:
    need = facts["working_capital_need"]
    return Bound(
        "working_capital_need",
        ("working_capital_need",),
        need if isinstance(need, int) else None,
        {"zh": "流动资金贷款需求", "en": "working-capital loan need"},
        {"zh": "测算的流动资金贷款需求", "en": "the working-capital loan need as computed"},
    )


def _invoice_loan(facts: Exacts) -> tuple[Bound, ...]:
    names = ("inv_sales_12m", "product.limit_multiple_of_revenue")
    sales = Bound(
        "sales_multiple",
        names,
        scaled(facts[names[0]], facts[names[1]]),
        {"zh": "销项倍数额度", "en": "multiple of invoiced sales"},
        {"zh": "近12个月净销项 × 产品收入倍数", "en": "net sales of 12 months × multiple of the product"},
    )
    return (sales,)


_BOUNDS: Mapping[str, Callable[[Exacts], tuple[Bound, ...]]] = {
    "working_capital": _working_capital,
    "invoice_loan": _invoice_loan,
}
