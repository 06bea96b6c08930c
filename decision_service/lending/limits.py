"""Limit formulas: leverage headroom, working-capital need, the initial and the quarterly limit."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

FEN_10K = 1_000_000
"""Limits are floored to ten thousand CNY, in fen."""


def floor_10k(fen: int) -> int:
    """An amount in fen floored to whole ten thousand CNY; never below zero."""
    return max(0, fen // FEN_10K * FEN_10K)


def leverage_headroom(*, total_assets: int, total_liabilities: int, max_leverage: Decimal) -> int:
    """How much debt (fen) may be added before liabilities / assets passes ``max_leverage``: (m·A − D)/(1 − m).

    A loan raises assets and debt alike. Raises ``ValueError`` unless 0 < m < 1.
    """
    if not 0 < max_leverage < 1:
        raise ValueError(f"max_leverage must lie between 0 and 1, not {max_leverage}")
    room = (max_leverage * total_assets - total_liabilities) / (1 - max_leverage)
    return int(room.to_integral_value(ROUND_FLOOR))


def turnover(
    *,
    inventory_days: Decimal,
    receivable_days: Decimal,
    payable_days: Decimal,
    prepaid_days: Decimal,
    advance_receipt_days: Decimal,
) -> Decimal:
    """Working-capital turnovers a year: 360 / (inventory + receivable − payable + prepaid − advance receipts)."""
    days = inventory_days + receivable_days - payable_days + prepaid_days - advance_receipt_days
    if days <= 0:
        raise ValueError(f"the cash cycle must be positive, not {days} days")
    return Decimal(360) / days


def working_capital_need(*, revenue: Decimal, margin: Decimal, growth: Decimal, turnovers: Decimal) -> Decimal:
    """The regulator's reference formula: revenue · (1 − margin) · (1 + growth) / turnovers, in revenue's unit."""
    return revenue * (1 - margin) * (1 + growth) / turnovers


def quarterly_limit(
    old: int, *, score_change: Decimal, utilisation: Decimal, overdue_days: int, card: str, cap: int
) -> int:
    """The limit of the next quarter in fen: old · f_score · f_util · f_behaviour · f_card, bounded −50 %..+30 %.

    A red card or more than 30 days overdue forces zero; a yellow card never lets the limit rise.
    """
    if card == "red" or overdue_days > 30:
        return 0
    f_score = min(Decimal("1.2"), max(Decimal("0.8"), 1 + Decimal("0.02") * score_change))
    f_util = Decimal("1.1") if utilisation >= Decimal("0.8") else Decimal("1.0")
    if utilisation < Decimal("0.3"):
        f_util = Decimal("0.9")
    f_behaviour = Decimal("0.7") if overdue_days > 0 else Decimal(1)
    f_card = Decimal("0.5") if card == "yellow" else Decimal(1)
    highest = Decimal(1) if card == "yellow" else Decimal("1.3")
    factor = min(highest, max(Decimal("0.5"), f_score * f_util * f_behaviour * f_card))
    return floor_10k(min(cap, int((old * factor).to_integral_value(ROUND_FLOOR))))
