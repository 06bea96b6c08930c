"""Twenty-four months of an enterprise, as calculators and the sequence model read them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date

from decision_service.portrait.calendar import month_number
from decision_service.portrait.records import Month

WINDOW = 24
SERIES = (
    "sales",
    "purchases",
    "sales_invoices",
    "void_invoices",
    "negative_invoices",
    "customers",
    "suppliers",
    "tax_filing",
    "electricity_kwh",
    "insured_headcount",
)
"""The columns of the series. Money in CNY; tax_filing as its points 1, 0.7, 0.5, 0; nan where not reported."""
FILING_POINTS: Mapping[str | None, float] = {"on_time": 1.0, "zero_return": 0.7, "late_30": 0.5, "not_filed": 0.0}
FEN = 100.0
NAN = math.nan
UNREPORTED = (NAN,) * len(SERIES)
"""Equal to a row of nothing but the object ``NAN``, which every value that is not reported is."""

Slots = tuple[Month | None, ...]
Rows = tuple[tuple[float, ...], ...]


def slots(months: Iterable[Month], as_of: date) -> Slots:
    """The 24 whole months before the month of ``as_of``, oldest first; ``None`` where nothing was delivered."""
    found: list[Month | None] = [None] * WINDOW
    first = month_number(as_of) - WINDOW
    for month in months:
        place = month_number(month.month) - first
        if 0 <= place < WINDOW:
            found[place] = month
    return tuple(found)


def series(window: Slots) -> tuple[Rows, tuple[bool, ...]]:
    """24 rows of ``SERIES`` as floats, and which of the months were reported at all."""
    rows = tuple([UNREPORTED if month is None else _row(month) for month in window])
    return rows, tuple([row != UNREPORTED for row in rows])


def _row(month: Month) -> tuple[float, ...]:
    return (
        NAN if month.sales is None else month.sales / FEN,
        NAN if month.purchases is None else month.purchases / FEN,
        NAN if month.sales_invoices is None else float(month.sales_invoices),
        NAN if month.void_invoices is None else float(month.void_invoices),
        NAN if month.negative_invoices is None else float(month.negative_invoices),
        NAN if month.customers is None else float(month.customers),
        NAN if month.suppliers is None else float(month.suppliers),
        FILING_POINTS.get(month.tax_filing, NAN),
        NAN if month.electricity_kwh is None else float(month.electricity_kwh),
        NAN if month.insured_headcount is None else float(month.insured_headcount),
    )
