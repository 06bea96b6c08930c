"""Limit formulas: the initial limit by product, leverage headroom, the quarterly limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Protocol

Exact = int | str
Exacts = Mapping[str, Exact | None]
BoundOf = Callable[[Exacts], "int | None"]

MILLION = 1_000_000
GRADE_PERCENT: Mapping[str, int] = {"P1": 120, "P2": 100, "P3": 80, "P4": 50, "P5": 0}
"""The grade's factor on the revenue multiple, in percent; a grade that is not here gives no limit."""

FEN_10K = 1_000_000
"""Limits are floored to ten thousand CNY, in fen."""


class Caps(Protocol):
    """The combined effects of the limit stage: factor in millionths, cap in fen or none."""

    @property
    def limit_factor(self) -> int: ...
    @property
    def limit_cap(self) -> int | None: ...


def limit_max(facts: Exacts, effects: Caps) -> int | None:
    """The initial limit in fen: floor to 10,000 CNY of (the product's own bound, at most the cap) times the factor.

    ``facts`` are exact (money in fen, ratios in millionths). ``None`` is unknown: a fact that matters is unknown, or
    the product has no formula. The cap and the factor come from the rules.
    """
    full = before_rounding(least([bound(facts) for bound in bounds_of(facts)]), effects)
    return None if full is None else floor_10k(full)


def least(values: Sequence[int | None]) -> int | None:
    """The product's own bound: the least of its bounds; ``None`` when there is none or one is unknown.

    Were an unknown bound left out, hiding it could raise the limit and so turn a referral into an approval.
    """
    known = [value for value in values if value is not None]
    return min(known) if known and len(known) == len(values) else None


def before_rounding(bound: int | None, effects: Caps) -> int | None:
    """At most the cap, times the factor; ``None`` when the bound is unknown."""
    if bound is None:
        return None
    capped = bound if effects.limit_cap is None else min(bound, effects.limit_cap)
    return capped * effects.limit_factor // MILLION


def bounds_of(facts: Exacts) -> tuple[BoundOf, ...]:
    """What bounds the product of ``facts``; nothing does for a product without formula, whose limit is unknown."""
    return _BOUNDS.get(str(facts["product"]), ())


def revenue_multiple(facts: Exacts) -> int | None:
    """Multiple of the industry · revenue of 12 months · factor of the portrait grade."""
    revenue = scaled(facts["revenue_12m"], facts["industry.limit_multiple_of_revenue"])
    percent = GRADE_PERCENT.get(str(facts["grade"]))
    return None if revenue is None or percent is None else revenue * percent // 100


def headroom(facts: Exacts) -> int | None:
    """``leverage_headroom``; ``None`` when a fact is unknown or the ceiling is no share of the assets."""
    assets, liabilities = facts["total_assets"], facts["total_liabilities"]
    ceiling = facts["industry.max_leverage"]
    if not isinstance(assets, int) or not isinstance(liabilities, int) or not isinstance(ceiling, int):
        return None
    if not 0 < ceiling < MILLION:
        return None
    max_leverage = Decimal(ceiling) / MILLION
    return leverage_headroom(total_assets=assets, total_liabilities=liabilities, max_leverage=max_leverage)


def loan_need(facts: Exacts) -> int | None:
    """The working-capital loan need as computed."""
    need = facts["working_capital_need"]
    return need if isinstance(need, int) else None


def sales_multiple(facts: Exacts) -> int | None:
    """The product's multiple of a year's net invoiced sales; an invoice loan needs no grade."""
    return scaled(facts["inv_sales_12m"], facts["product.limit_multiple_of_revenue"])


_BOUNDS: Mapping[str, tuple[BoundOf, ...]] = {
    "working_capital": (revenue_multiple, headroom, loan_need),
    "invoice_loan": (sales_multiple,),
}


def scaled(fen: Exact | None, millionths: Exact | None) -> int | None:
    """An amount times a ratio, floored to the fen; ``None`` when either is unknown."""
    if not isinstance(fen, int) or not isinstance(millionths, int):
        return None
    return fen * millionths // MILLION


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
