"""What an enterprise's invoices say of it: the ``inv_*`` facts and the declared features of product ``invoice_loan``.

The same code serves training and decisions. It reads ``EnterpriseRecords.months`` (the window is the 24 whole months
before ``as_of``) and ``counterparties`` (12 months). A month without a record is *not reported* and stays out of every
count; a month that was reported with zero sales counts as a month without sales.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import groupby
from statistics import fmean, stdev

from decision_service.portrait.calendar import YEAR, month_number
from decision_service.portrait.counterparties import TOP, TradeYear, trade_year
from decision_service.portrait.records import EnterpriseRecords
from decision_service.portrait.series import Slots, slots

MONTHS_FOR_VOLATILITY = 9
MILLIONTH = Decimal("0.000001")

FactValue = Decimal | int | None
Monthly = Sequence[int | None]


def invoice_facts(view: InvoiceView) -> dict[str, FactValue]:
    """The ``inv_*`` facts of ``rules/facts.yaml``; ``None`` is unknown.

    Money is CNY with two decimals, ratios have six decimals (half-even), counts are int. Every fact is defined in
    ``docs/real-input.md``.
    """
    return {
        "inv_months": view.history_months,
        "inv_active_months": view.active_months,
        "inv_sales_12m": _money(view.sales_12m),
        "inv_volatility": _ratio(view.volatility),
        "inv_growth": _ratio(view.growth),
        "inv_void_ratio": _ratio(view.void_ratio),
        "inv_negative_ratio": _ratio(view.negative_ratio),
        "inv_customers": view.count("sales"),
        "inv_suppliers": view.count("purchases"),
        "inv_top5_share": _ratio(view.top_share("sales")),
    }


@dataclass(frozen=True, slots=True)
class InvoiceFeature:
    """One declared model input: its unit, whether more of it is worse (+1), better (-1) or neither (0), its formula."""

    name: str
    unit: str
    risk: int
    formula: str
    of: Callable[[InvoiceView], float | None]


def invoice_features(view: InvoiceView) -> dict[str, float]:
    """The declared features, in the order of ``FEATURES``; nan is unknown."""
    values = [(feature.name, feature.of(view)) for feature in FEATURES]
    return {name: math.nan if value is None else float(value) for name, value in values}


class InvoiceView:
    """One enterprise's invoices as seen on ``as_of``: 24 monthly slots, oldest first, and a year's counterparties."""

    def __init__(self, records: EnterpriseRecords, as_of: date, *, window: Slots, trade: TradeYear) -> None:
        self._as_of = as_of
        self._months = records.months
        self._trade = trade
        self._traded = trade.end is not None and month_number(as_of) - month_number(trade.end) <= YEAR
        self.sales = [None if month is None else month.sales for month in window]
        """Net sales of the 24 months, fen; ``None`` where not reported."""
        self._year = _reported(self.sales[-YEAR:])
        self._delivered = [month for month in window if month is not None]
        self._valid = _total([month.sales_invoices for month in self._delivered])

    @classmethod
    def of(cls, records: EnterpriseRecords, as_of: date) -> InvoiceView:
        """The view of an enterprise of which nothing else is looked at."""
        trade = trade_year(records.counterparties, as_of)
        return cls(records, as_of, window=slots(records.months, as_of), trade=trade)

    @property
    def sales_12m(self) -> int | None:
        """Net sales of the last 12 months, fen."""
        return _total(self._year)

    @property
    def history_months(self) -> int | None:
        """Months from the first with sales or purchases up to ``as_of``; 0 if all reported ones are empty."""
        end = self._as_of.replace(day=1)
        first = min([month.month for month in self._months if month.sales or month.purchases], default=end)
        if first < end:
            return month_number(end) - month_number(first)
        return 0 if any(month.month < end for month in self._months) else None

    @property
    def active_months(self) -> int | None:
        """How many of the last 12 months had net sales above zero."""
        return _active(self._year)

    @property
    def volatility(self) -> float | None:
        """Coefficient of variation of monthly net sales over 12 months: stdev (ddof 1) / mean."""
        return _variation(self._year)

    @property
    def growth(self) -> float | None:
        """Net sales of the last 12 months / those of the 12 before - 1, not below -1; both years fully reported."""
        if None in self.sales or (base := sum(_reported(self.sales[:YEAR]))) <= 0:
            return None
        return max(sum(self._year) / base - 1, -1.0)

    @property
    def active_24m(self) -> int | None:
        """How many of the 24 months had net sales above zero."""
        return _active(self.sales)

    @property
    def longest_gap(self) -> int | None:
        """The longest run of reported months without net sales above zero, of 24."""
        if not _reported(self.sales):
            return None
        runs = groupby(value is not None and value <= 0 for value in self.sales)
        return max((len(list(run)) for idle, run in runs if idle), default=0)

    @property
    def void_ratio(self) -> float | None:
        """Void / (valid + void) sales invoices over 24 months."""
        valid, void = self._valid, _total([month.void_invoices for month in self._delivered])
        return None if valid is None or void is None else _share(void, valid + void)

    @property
    def negative_ratio(self) -> float | None:
        """Negative (red-letter) / valid sales invoices over 24 months."""
        return _share(_total([month.negative_invoices for month in self._delivered]), self._valid)

    def count(self, direction: str) -> int | None:
        """Distinct counterparties with a net amount above zero in 12 months; ``None`` if none were delivered."""
        return len(self._amounts(direction)) if self._traded else None

    def top_share(self, direction: str) -> float | None:
        """Share of the five largest counterparties in the sum of positive net amounts."""
        amounts = self._amounts(direction)
        return _share(sum(sorted(amounts, reverse=True)[:TOP]), sum(amounts))

    def _amounts(self, direction: str) -> list[int]:
        return self._trade.amounts(direction) if self._traded else []


FEATURES: tuple[InvoiceFeature, ...] = (
    InvoiceFeature("inv_sales_24m", "CNY", -1, "net sales, 24 months", lambda v: _yuan(_total(v.sales))),
    InvoiceFeature(
        "inv_volatility_24m", "1", 1, "stdev / mean of monthly net sales, 24 months", lambda v: _variation(v.sales)
    ),
    InvoiceFeature("inv_longest_gap", "months", 1, "longest run of months without net sales", lambda v: v.longest_gap),
    InvoiceFeature("inv_growth", "1", 0, "net sales of 12 months / of the 12 before - 1", lambda v: v.growth),
    InvoiceFeature("inv_active_24m", "months", -1, "months with net sales above zero, of 24", lambda v: v.active_24m),
    InvoiceFeature("inv_void_ratio", "1", 1, "void / (valid + void) sales invoices, 24 months", lambda v: v.void_ratio),
    # Sound firms correct their invoices too, so a higher share says nothing in one direction only.
    InvoiceFeature("inv_negative_ratio", "1", 0, "negative / valid sales invoices", lambda v: v.negative_ratio),
    InvoiceFeature("inv_customers", "count", -1, "customers, 12 months", lambda v: v.count("sales")),
    InvoiceFeature("inv_suppliers", "count", -1, "suppliers, 12 months", lambda v: v.count("purchases")),
    InvoiceFeature(
        "inv_top5_share", "1", 1, "five largest customers / all customers, 12 months", lambda v: v.top_share("sales")
    ),
)


def _reported(values: Monthly) -> list[int]:
    return [value for value in values if value is not None]


def _total(values: Monthly) -> int | None:
    reported = _reported(values)
    return sum(reported) if reported else None


def _active(values: Monthly) -> int | None:
    reported = _reported(values)
    return sum([value > 0 for value in reported]) if reported else None


def _variation(values: Monthly) -> float | None:
    reported = _reported(values)
    if len(reported) < MONTHS_FOR_VOLATILITY or (mean := fmean(reported)) <= 0:
        return None
    return stdev(reported) / mean


def _share(part: int | None, whole: int | None) -> float | None:
    return None if part is None or whole is None or whole <= 0 else part / whole


def _yuan(fen: int | None) -> float | None:
    return None if fen is None else fen / 100


def _money(fen: int | None) -> Decimal | None:
    return None if fen is None else Decimal(fen).scaleb(-2)


def _ratio(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(value).quantize(MILLIONTH, ROUND_HALF_EVEN)
