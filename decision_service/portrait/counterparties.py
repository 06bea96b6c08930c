"""Twelve months of trade with each counterparty: concentration of customers, money that goes round."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from decision_service.portrait.records import Counterparty

TOP = 5
ROUND_TRIP_SHARE = Fraction(1, 5)
"""Trade both ways is noticed from a fifth of sales and a fifth of purchases on (a default to calibrate)."""
ROUND_TRIP_MATCH = Fraction(9, 10)
"""… when the smaller of both amounts is at least nine tenths of the larger."""


Amount = tuple[str, int]


class TradeYear(NamedTuple):
    """The newest twelve months of trade: (counterparty, fen) of amounts above zero, as customers and as suppliers.

    ``end`` is the exclusive end of the twelve months; ``None`` when nothing was delivered, or nothing that had ended.
    """

    end: date | None
    sales: list[Amount]
    purchases: list[Amount]

    def amounts(self, direction: str) -> list[int]:
        """The amounts of one direction, fen."""
        return [amount for _, amount in (self.sales if direction == "sales" else self.purchases)]


def trade_year(rows: Sequence[Counterparty], as_of: date) -> TradeYear:
    """The newest twelve months that had ended on ``as_of``."""
    sales: list[Amount] = []
    purchases: list[Amount] = []
    end = max((one for one in {row.period_end for row in rows} if one <= as_of), default=None)
    for direction, name, period_end, amount, _ in rows:
        if amount > 0 and period_end == end:
            if direction == "sales":
                sales.append((name, amount))
            elif direction == "purchases":
                purchases.append((name, amount))
    return TradeYear(end, sales, purchases)


def is_recent(trade: TradeYear, as_of: date, *, max_age_days: int) -> bool:
    """Whether there is a year of trade that ended at most ``max_age_days`` ago."""
    return trade.end is not None and (as_of - trade.end).days <= max_age_days


def top_share(amounts: list[int]) -> Fraction | None:
    """Share of the five largest counterparties in the positive net amounts; ``None`` without any."""
    return Fraction(sum(sorted(amounts, reverse=True)[:TOP]), sum(amounts)) if amounts else None


def goes_round(trade: TradeYear) -> bool:
    """Whether invoices seem to circle between the enterprise and one counterparty.

    True when one counterparty is both customer and supplier with like amounts that are a notable share of each side.
    Circles over several firms cannot be seen from one firm's records.
    """
    sales, purchases = dict(trade.sales), dict(trade.purchases)
    both = sales.keys() & purchases.keys()
    if not both:
        return False
    sold, bought = sum(sales.values()), sum(purchases.values())
    return any(
        sales[one] >= ROUND_TRIP_SHARE * sold
        and purchases[one] >= ROUND_TRIP_SHARE * bought
        and min(sales[one], purchases[one]) >= ROUND_TRIP_MATCH * max(sales[one], purchases[one])
        for one in both
    )
