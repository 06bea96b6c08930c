"""Twelve months of trade with each counterparty: concentration of customers, money that goes round."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from fractions import Fraction

from decision_service.portrait.records import Counterparty

TOP = 5
ROUND_TRIP_SHARE = Fraction(1, 5)
"""Trade both ways is noticed from a fifth of sales and a fifth of purchases on (a default to calibrate)."""
ROUND_TRIP_MATCH = Fraction(9, 10)
"""… when the smaller of both amounts is at least nine tenths of the larger."""


def newest_year(rows: Iterable[Counterparty], as_of: date, *, max_age_days: int) -> list[Counterparty]:
    """The rows of the newest twelve months that had ended on ``as_of``, if that was at most ``max_age_days`` ago."""
    ended = [row for row in rows if row.period_end <= as_of]
    newest = max((row.period_end for row in ended), default=None)
    if newest is None or (as_of - newest).days > max_age_days:
        return []
    return [row for row in ended if row.period_end == newest]


def top_share(rows: Iterable[Counterparty], direction: str) -> Fraction | None:
    """Share of the five largest counterparties in the positive net amounts; ``None`` without any."""
    amounts = sorted((row.amount for row in rows if row.direction == direction and row.amount > 0), reverse=True)
    return Fraction(sum(amounts[:TOP]), sum(amounts)) if amounts else None


def goes_round(rows: Iterable[Counterparty]) -> bool:
    """Whether invoices seem to circle between the enterprise and one counterparty.

    True when one counterparty is both customer and supplier with like amounts that are a notable share of each side.
    Circles over several firms cannot be seen from one firm's records.
    """
    rows = list(rows)
    sales = _amounts(rows, "sales")
    purchases = _amounts(rows, "purchases")
    sold, bought = sum(sales.values()), sum(purchases.values())
    return any(
        sales[one] >= ROUND_TRIP_SHARE * sold
        and purchases[one] >= ROUND_TRIP_SHARE * bought
        and min(sales[one], purchases[one]) >= ROUND_TRIP_MATCH * max(sales[one], purchases[one])
        for one in sales.keys() & purchases.keys()
    )


def _amounts(rows: list[Counterparty], direction: str) -> dict[str, int]:
    return {row.counterparty: row.amount for row in rows if row.direction == direction and row.amount > 0}
