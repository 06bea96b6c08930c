"""Sums raw invoices exactly into the monthly series and the twelve months of counterparties of each enterprise.

Void invoices count only as void. Red-letter invoices have negative amounts and are netted. From an enterprise's first
invoice to the delivery's ``as_of`` a month without invoices is a month of zeros, because the delivery covers it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from decision_service.portrait.records import Counterparty, Month

YEAR = 12


@dataclass(frozen=True, slots=True)
class Invoice:
    """One raw invoice (feed kind ``invoices``). ``amount`` is fen without tax, negative for a red-letter invoice."""

    direction: str  # sales | purchases
    invoice_number: str
    issued_on: date
    counterparty: str
    amount: int
    status: str  # valid | void


@dataclass(slots=True)
class _Side:
    """One direction of one month."""

    net: int = 0
    valid: int = 0
    void: int = 0
    negative: int = 0
    partners: set[str] = field(default_factory=set)


class InvoiceTotals:
    """Running sums over a delivery of invoices; ``as_of`` closes the period."""

    def __init__(self, as_of: date) -> None:
        self._end = month_index(as_of)
        self._sides: dict[str, dict[tuple[int, str], _Side]] = defaultdict(dict)
        self._year: dict[tuple[str, str, str], int] = defaultdict(int)

    def add(self, uscc: str, invoice: Invoice) -> None:
        """Count one invoice."""
        index = month_index(invoice.issued_on)
        sides = self._sides[uscc]
        side = sides.get((index, invoice.direction))
        if side is None:
            side = sides[index, invoice.direction] = _Side()
        if invoice.status == "void":
            side.void += 1
            return
        side.valid += 1
        side.net += invoice.amount
        side.negative += invoice.amount < 0
        side.partners.add(invoice.counterparty)
        if self._end - YEAR <= index < self._end:
            self._year[uscc, invoice.direction, invoice.counterparty] += invoice.amount

    def months(self) -> Iterator[tuple[str, str, Month]]:
        """(uscc, key, record) for every month from each enterprise's first invoice on."""
        for uscc, sides in self._sides.items():
            indices = [index for index, _ in sides]
            for index in range(min(indices), max(self._end, max(indices) + 1)):
                month = _month(index, sides.get((index, "sales"), _Side()), sides.get((index, "purchases"), _Side()))
                yield uscc, month.month.isoformat(), month

    def counterparties(self) -> Iterator[tuple[str, str, Counterparty]]:
        """(uscc, key, record) of the twelve whole months before ``as_of``."""
        end = month_start(self._end)
        for (uscc, direction, name), amount in self._year.items():
            yield uscc, f"{direction}|{name}", Counterparty(direction, name, end, amount)


def _month(index: int, sales: _Side, purchases: _Side) -> Month:
    return Month(
        month_start(index),
        sales=sales.net,
        purchases=purchases.net,
        sales_invoices=sales.valid,
        void_invoices=sales.void,
        negative_invoices=sales.negative,
        purchase_invoices=purchases.valid,
        customers=len(sales.partners),
        suppliers=len(purchases.partners),
    )


def month_index(day: date) -> int:
    """Months since year 0."""
    return day.year * YEAR + day.month - 1


def month_start(index: int) -> date:
    """The first day of a month given by its index."""
    return date(index // YEAR, index % YEAR + 1, 1)
