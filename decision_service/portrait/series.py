"""Twenty-four months of an enterprise, as calculators and the sequence model read them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date

from decision_service.portrait.calendar import YEAR, month_number
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
    first = month_number(as_of) - WINDOW + 1
    for month in months:
        day = month.month
        place = day.year * YEAR + day.month - first
        if 0 <= place < WINDOW:
            found[place] = month
    return tuple(found)


def series(window: Slots) -> tuple[Rows, tuple[bool, ...]]:
    """24 rows of ``SERIES`` as floats, and which of the months were reported at all."""
    rows = tuple([UNREPORTED if month is None else _row(month) for month in window])
    return rows, tuple([row != UNREPORTED for row in rows])


def _row(month: Month) -> tuple[float, ...]:
    _, sales, purchases, valid, void, negative, _, customers, suppliers, filing, electricity, insured = month
    return (
        NAN if sales is None else sales / FEN,
        NAN if purchases is None else purchases / FEN,
        NAN if valid is None else float(valid),
        NAN if void is None else float(void),
        NAN if negative is None else float(negative),
        NAN if customers is None else float(customers),
        NAN if suppliers is None else float(suppliers),
        FILING_POINTS.get(filing, NAN),
        NAN if electricity is None else float(electricity),
        NAN if insured is None else float(insured),
    )
