"""What the filed statements say: assets, liabilities and the working-capital loan need."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_FLOOR, Decimal

from decision_service.portrait.records import Financials

MAX_AGE_DAYS = 200  # filed quarterly, as the indicators that come from them

FactValue = Decimal | None


def financial_facts(financials: Financials | None, as_of: date) -> dict[str, FactValue]:
    """``total_assets``, ``total_liabilities``, ``working_capital_need`` in CNY; unknown when older than 200 days."""
    if financials is None or not 0 <= (as_of - financials.period_end).days <= MAX_AGE_DAYS:
        return {"total_assets": None, "total_liabilities": None, "working_capital_need": None}
    need = loan_need(financials)
    return {
        "total_assets": Decimal(financials.total_assets).scaleb(-2),
        "total_liabilities": Decimal(financials.total_liabilities).scaleb(-2),
        "working_capital_need": None if need is None else Decimal(need).scaleb(-2),
    }


def loan_need(financials: Financials) -> int | None:
    """New working-capital loan in fen: need − own funds − existing loans − other sources; ``None`` if not computable.

    The statements must give margin, growth, all five turnover days and all three sources, and the cash cycle must be
    positive: a source that is left out would raise the need, and with it the limit.
    """
    own, loans, others = financials.own_funds, financials.working_capital_loans, financials.other_sources
    days = (
        financials.inventory_days,
        financials.receivable_days,
        financials.payable_days,
        financials.prepaid_days,
        financials.advance_receipt_days,
    )
    margin, growth = financials.operating_margin, financials.growth
    if margin is None or growth is None or own is None or loans is None or others is None:
        return None
    turns = turnover(*days)
    if turns is None:
        return None
    need = working_capital_need(financials.revenue_last_year, margin=margin, growth=growth, turnovers=turns)
    return int(need.to_integral_value(ROUND_FLOOR)) - own - loans - others


def turnover(
    inventory: Decimal | None,
    receivable: Decimal | None,
    payable: Decimal | None,
    prepaid: Decimal | None,
    advance_receipt: Decimal | None,
) -> Decimal | None:
    """Working capital turnovers a year from days: 360 / (inventory + receivable − payable + prepaid − advances)."""
    if inventory is None or receivable is None or payable is None or prepaid is None or advance_receipt is None:
        return None
    cycle = inventory + receivable - payable + prepaid - advance_receipt
    return 360 / cycle if cycle > 0 else None


def working_capital_need(
    revenue: int | Decimal, *, margin: Decimal, growth: Decimal, turnovers: Decimal
) -> Decimal:
    """The regulator's reference formula: revenue · (1 − margin) · (1 + growth) / turnovers, in the unit of revenue."""
    return revenue * (1 - margin) * (1 + growth) / turnovers
