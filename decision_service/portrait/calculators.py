"""The indicators that are calculated from records: IND02, 07, 09, 10, 28, 29, 31 and 32."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from decision_service.portrait.calendar import YEAR, add_months, first_day, month_number
from decision_service.portrait.counterparties import TradeYear, is_recent, top_share, trade_year
from decision_service.portrait.feeds import Freshness
from decision_service.portrait.formulas import tax_continuity, variation
from decision_service.portrait.lists import Lists
from decision_service.portrait.records import EnterpriseRecords
from decision_service.portrait.registry import IndicatorSpec
from decision_service.portrait.relations import contagion_index, control_changes
from decision_service.portrait.seasons import EXCUSED_AT_MOST
from decision_service.portrait.series import WINDOW, Slots

MONTHS_FOR_VOLATILITY = 9
DAYS_OF_A_YEAR = Decimal("365.25")
HUNDRED = Decimal(100)

OK, NOT_APPLICABLE, STALE, MISSING, IMPUTED = "ok", "not_applicable", "stale", "missing", "imputed"


class Indicator(NamedTuple):
    """One indicator of one enterprise, in the registry's unit. ``value`` is known only with status ``ok``.

    Flags: calculated, seasonal, excused, short_history, invalid (outside its bounds), future (observed after the
    date), absence (no record, and the feed is fresh), absence_good (the same, and good news).
    """

    value: Decimal | None
    status: str
    flags: tuple[str, ...] = ()


@dataclass(slots=True)
class Sight:
    """What calculators see of one enterprise on one date. ``factors`` are the season's, January first.

    What several of them read is worked out once: ``sales`` of the window's months (``None`` where not reported), the
    days since the end of the newest month with reported sales (``None`` if none is in the window), a year's trade.
    """

    records: EnterpriseRecords
    window: Slots
    as_of: date
    factors: tuple[float, ...]
    peak_months: frozenset[int] | None
    freshness: Freshness
    lists: Lists
    sales: Sequence[int | None] = field(init=False)
    sales_age_days: int | None = field(init=False)
    trade: TradeYear = field(init=False)

    def __post_init__(self) -> None:
        self.sales = [None if month is None else month.sales for month in self.window]
        self.sales_age_days = _sales_age_days(self.sales, self.as_of)
        self.trade = trade_year(self.records.counterparties, self.as_of)


STALE_INDICATOR = Indicator(None, STALE)
MISSING_INDICATOR = Indicator(None, MISSING)
Calculator = Callable[[Sight, IndicatorSpec], Indicator]


def _known(value: Decimal, *flags: str) -> Indicator:
    return Indicator(value, OK, ("calculated", *flags))


def _sales_age_days(sales: Sequence[int | None], as_of: date) -> int | None:
    for back, amount in enumerate(reversed(sales)):
        if amount is not None:
            return (as_of - first_day(month_number(as_of) - back)).days
    return None


def _sales_problem(sight: Sight, spec: IndicatorSpec) -> Indicator | None:
    age = sight.sales_age_days
    if age is None:
        return MISSING_INDICATOR
    return STALE_INDICATOR if age > spec.max_age_days else None


def cashflow_volatility(sight: Sight, spec: IndicatorSpec) -> Indicator:
    """IND02 over 12 months, of which 9 must be reported; sales divided by the factor of their month's season."""
    problem = _sales_problem(sight, spec)
    if problem is not None:
        return problem
    inflows = [
        month.sales / sight.factors[month.month.month - 1]
        for month in sight.window[-YEAR:]
        if month is not None and month.sales is not None
    ]
    value = variation(inflows) if len(inflows) >= MONTHS_FOR_VOLATILITY else None
    if value is None:
        return MISSING_INDICATOR
    return _known(Decimal(value), *(("seasonal",) if sight.peak_months else ()))


def filing_continuity(sight: Sight, spec: IndicatorSpec) -> Indicator:
    """IND07 over the 24 months, or the months since establishment, all of which must be reported."""
    due = WINDOW
    established = sight.records.registration.established_on
    if established is not None:
        due = min(WINDOW, month_number(sight.as_of) - month_number(established))
    filings = [month.tax_filing for month in reversed(sight.window[WINDOW - max(due, 0) :]) if month is not None]
    known = [filing for filing in filings if filing is not None]
    if due <= 0 or len(known) < due:
        return MISSING_INDICATOR
    exact = tax_continuity(known)
    value = Decimal(exact.numerator) / Decimal(exact.denominator)
    return _known(value, *(("short_history",) if due < YEAR else ()))


def revenue_growth(sight: Sight, spec: IndicatorSpec) -> Indicator:
    """IND09, percent; not applicable when the enterprise has fewer than 24 months of history."""
    problem = _sales_problem(sight, spec)
    if problem is not None:
        return problem
    sales = sight.sales
    known = [amount for amount in sales if amount is not None]
    if len(known) < WINDOW:
        young = all(amount is None for amount in sales[: WINDOW - len(known)])
        return Indicator(None, NOT_APPLICABLE, ("short_history",)) if young else MISSING_INDICATOR
    before, last = sum(known[:YEAR]), sum(known[YEAR:])
    return _known((Decimal(last) / before - 1) * HUNDRED) if before > 0 else MISSING_INDICATOR


def active_months(sight: Sight, spec: IndicatorSpec) -> Indicator:
    """IND10 of the last 12 months; reported off-season months without sales are excused in seasonal industries."""
    problem = _sales_problem(sight, spec)
    if problem is not None:
        return problem
    active = sum([amount > 0 for amount in sight.sales[-YEAR:] if amount is not None])
    excused = 0
    if sight.peak_months is not None and active:
        year = [month for month in sight.window[-YEAR:] if month is not None]
        idle = [month.month.month for month in year if month.sales is not None and month.sales <= 0]
        excused = min(EXCUSED_AT_MOST, sum(month not in sight.peak_months for month in idle))
    return _known(Decimal(active + excused), *(("excused",) if excused else ()))


def years_in_operation(sight: Sight, spec: IndicatorSpec) -> Indicator:
    """IND28 from the date of establishment."""
    established = sight.records.registration.established_on
    if established is None:
        return MISSING_INDICATOR
    return _known((sight.as_of - established).days / DAYS_OF_A_YEAR)


def related_contagion(sight: Sight, spec: IndicatorSpec) -> Indicator:
    """IND29 from relations and the list entries of related parties; both feeds must be fresh."""
    freshness = sight.freshness
    if freshness.fresh("relations") and freshness.fresh("lists"):
        return _known(Decimal(contagion_index(sight.records, sight.lists, sight.as_of)))
    delivered = "relations" in sight.records.feeds and "lists" in sight.records.feeds
    return STALE_INDICATOR if delivered else MISSING_INDICATOR


def customer_concentration(sight: Sight, spec: IndicatorSpec) -> Indicator:
    """IND31, percent, of the newest twelve months of counterparties."""
    if not is_recent(sight.trade, sight.as_of, max_age_days=spec.max_age_days):
        return STALE_INDICATOR if sight.records.counterparties else MISSING_INDICATOR
    share = top_share(sight.trade.amounts("sales"))
    return MISSING_INDICATOR if share is None else _known(HUNDRED * share.numerator / share.denominator)


def control_change_count(sight: Sight, spec: IndicatorSpec) -> Indicator:
    """IND32: days with a change of control in 24 months; none on record is zero while the feed is fresh."""
    if not sight.freshness.fresh("control_changes"):
        return STALE_INDICATOR if "control_changes" in sight.records.feeds else MISSING_INDICATOR
    days = (change.changed_on for change in sight.records.control_changes)
    return _known(Decimal(control_changes(days, since=add_months(sight.as_of, -WINDOW), until=sight.as_of)))


CALCULATED: Mapping[str, Calculator] = {
    "IND02": cashflow_volatility,
    "IND09": revenue_growth,
    "IND10": active_months,
    "IND28": years_in_operation,
    "IND29": related_contagion,
    "IND31": customer_concentration,
    "IND32": control_change_count,
}
"""These win over a value that arrives, if the calculation can be made."""
FALLBACK: Mapping[str, Calculator] = {"IND07": filing_continuity}
"""These are used when no value arrives: the tax office knows who files quarterly or is exempt, the months do not."""
