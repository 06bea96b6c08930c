"""Values that arrive and may contain a record that does not count: worked out again from the others, or not known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal

from decision_service.portrait.calculators import NOT_APPLICABLE, OK, STALE_INDICATOR, Indicator, Sight
from decision_service.portrait.calendar import YEAR, add_months
from decision_service.portrait.disputes import (
    DISPUTED,
    INDICATORS,
    LISTS,
    OVERDUES,
    TAX_RATINGS,
    digest_of,
    disputed_keys,
    is_repaired,
    key_of,
    repairs,
)
from decision_service.portrait.formulas import PENALTY_POINTS, penalty_lookback
from decision_service.portrait.lists import Lists, disputed
from decision_service.portrait.records import EnterpriseRecords, ListEntry, Mark, Overdue
from decision_service.portrait.tax_ratings import grade

PENALTIES, ABNORMAL, SAMR = "list_admin_penalty", "list_abnormal_operation", "list_samr_illegal"
_COURT = ("IND13", "IND15", "IND16", "IND23")
CONTAINS: Mapping[str, tuple[str, ...]] = {
    PENALTIES: ("IND14", "IND23"),
    ABNORMAL: ("IND17", "IND23"),
    SAMR: ("IND17", "IND23"),
    "list_court_dishonest": _COURT,
    "list_executee": _COURT,
    "list_consumption_limit": _COURT,
    "list_equity_freeze": _COURT,
    OVERDUES: ("IND22",),
    TAX_RATINGS: ("IND19", "IND23"),
}
"""Which values may have been computed from a record: of a list, or of a kind."""
OF_OTHER_LISTS = ("IND23",)
RATING_POINTS: Mapping[str, int] = {"A": 100, "B": 85, "M": 65, "C": 40, "D": 0}
DAYS_OF_A_MONTH = 365.25 / YEAR
LOOKBACK_MONTHS = 24


def distrusted(records: EnterpriseRecords, as_of: date) -> Mapping[str, date]:
    """Indicators whose values, observed up to a date (included), may contain a record that does not count."""
    until: dict[str, date] = {}
    for mark in (*records.marks, *repairs(records, as_of), *_disputed_entries(records, as_of)):
        if mark.kind == INDICATORS:
            if mark.effect == DISPUTED or _still_said(mark, records):
                until[mark.key] = date.max
            continue
        for indicator in CONTAINS.get(mark.about or mark.kind, OF_OTHER_LISTS):
            # Its source does not know of a dispute here: until the ruling it counts the record every day.
            day = date.max if mark.effect == DISPUTED else mark.since
            until[indicator] = max(until.get(indicator, day), day)
    return until


def _still_said(mark: Mark, records: EnterpriseRecords) -> bool:
    """Whether a value is still the one that was struck: absence would mean something, so it stays and is not known."""
    return any(digest_of(row) == mark.digest for row in records.indicators if row.indicator == mark.key)


def _disputed_entries(records: EnterpriseRecords, as_of: date) -> Iterator[Mark]:
    for entry in records.lists:
        if disputed(entry, as_of):
            yield Mark(LISTS, entry.record_id, DISPUTED, as_of, entry.list_name)


def without_them(indicator: str, sight: Sight) -> Indicator:
    """An indicator worked out again from the records that count; not known where they do not tell."""
    fresh, records, as_of = sight.freshness.fresh, sight.records, sight.as_of
    if indicator == "IND14" and fresh(LISTS):
        return _known(Decimal(_penalty_points(records.lists, as_of)))
    if indicator == "IND17" and fresh(LISTS):
        return _known(Decimal(_abnormal_status(records.lists, sight.lists, as_of)))
    if indicator == "IND19" and fresh(TAX_RATINGS):
        return _rating(records, as_of)
    if indicator == "IND22" and fresh(OVERDUES):
        left_out = disputed_keys(records, OVERDUES)
        return _known(Decimal(_worst_days((one for one in records.overdues if key_of(one) not in left_out), as_of)))
    return STALE_INDICATOR


def _known(value: Decimal) -> Indicator:
    return Indicator(value, OK, ("calculated", "corrected"))


def _speaks(entry: ListEntry, as_of: date) -> bool:
    return entry.listed_on <= as_of and not is_repaired(entry, as_of) and not disputed(entry, as_of)


def _penalty_points(entries: Iterable[ListEntry], as_of: date) -> float:
    """IND14; a penalty without a severity counts as a general one."""
    counted = (one for one in entries if one.list_name == PENALTIES and _speaks(one, as_of))
    return penalty_lookback(
        (one.severity if one.severity in PENALTY_POINTS else "general", (as_of - one.listed_on).days / DAYS_OF_A_MONTH)
        for one in counted
    )


def _abnormal_status(entries: Iterable[ListEntry], lists: Lists, as_of: date) -> int:
    """IND17: 3 on the serious list, 2 on that of abnormal operation, 1 removed within 12 months, else 0."""
    worst = 0
    for entry in entries:
        level, definition = {SAMR: 3, ABNORMAL: 2}.get(entry.list_name, 0), lists.get(entry.list_name)
        if not level or definition is None or not _speaks(entry, as_of):
            continue
        if definition.counts(entry, as_of):
            worst = max(worst, level)
        elif (end := definition.ends_on(entry)) is not None and as_of < add_months(end, YEAR):
            worst = max(worst, 1)
    return worst


def _rating(records: EnterpriseRecords, as_of: date) -> Indicator:
    """IND19 by the latest published rating."""
    left_out = disputed_keys(records, TAX_RATINGS)
    published = [one for one in records.tax_ratings if one.published_on <= as_of and key_of(one) not in left_out]
    if not published:
        return Indicator(None, NOT_APPLICABLE, ("corrected",))
    points = RATING_POINTS.get(grade(max(published, key=lambda one: one.year), as_of))
    return STALE_INDICATOR if points is None else _known(Decimal(points))


def _worst_days(overdues: Iterable[Overdue], as_of: date) -> int:
    """IND22: the most days past due within 24 months."""
    since = add_months(as_of, -LOOKBACK_MONTHS)
    counted = [one for one in overdues if one.started_on <= as_of and (one.cured_on or as_of) >= since]
    return max([max(one.max_days, 0 if one.cured_on else (as_of - one.started_on).days) for one in counted], default=0)
