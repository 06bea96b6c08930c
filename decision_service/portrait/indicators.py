"""The 32 indicators of one enterprise: calculated or delivered, checked against their bounds, or why not known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from decision_service.portrait.calculators import (
    CALCULATED,
    FALLBACK,
    IMPUTED,
    MISSING,
    MISSING_INDICATOR,
    NOT_APPLICABLE,
    OK,
    STALE,
    STALE_INDICATOR,
    Indicator,
    Sight,
)
from decision_service.portrait.records import IndicatorValue
from decision_service.portrait.registry import IndicatorSpec, Registry
from decision_service.portrait.repairs import distrusted, without_them

FEED = "indicators"
INVALID = Indicator(None, MISSING, ("invalid",))
FUTURE = Indicator(None, MISSING, ("future",))
ABSENT_ZERO = Indicator(Decimal(0), OK, ("absence",))
ABSENT_GOOD = Indicator(None, NOT_APPLICABLE, ("absence_good",))
ABSENT_NOT_APPLICABLE = Indicator(None, NOT_APPLICABLE, ("absence",))
IMPUTED_INDICATOR = Indicator(None, IMPUTED, ("imputed",))
RANK = (OK, NOT_APPLICABLE, STALE, MISSING)


def indicator_values(sight: Sight, registry: Registry) -> dict[str, Indicator]:
    """Every indicator of the registry by id. An unknown value always says why by its status and flags."""
    until = distrusted(sight.records, sight.as_of)
    delivered = {row.indicator: row for row in sight.records.indicators}
    if not until:
        return {spec.id: _indicator(spec, delivered.get(spec.id), sight) for spec in registry.specs}
    doubtful = {name for name, row in delivered.items() if name in until and _contains(row, until[name])}
    return {
        spec.id: _corrected(spec, sight)
        if spec.id in doubtful
        else _indicator(spec, delivered.get(spec.id), sight)
        for spec in registry.specs
    }


def _corrected(spec: IndicatorSpec, sight: Sight) -> Indicator:
    """An indicator whose value that arrived does not count."""
    again = without_them(spec.id, sight) if spec.id not in CALCULATED else CALCULATED[spec.id](sight, spec)
    return checked(again, spec)


def _contains(row: IndicatorValue, until: date) -> bool:
    """Whether a value may have been computed from a record that does not count."""
    return row.status != NOT_APPLICABLE and row.observed_on <= until


def _indicator(spec: IndicatorSpec, row: IndicatorValue | None, sight: Sight) -> Indicator:
    calculator = CALCULATED.get(spec.id)
    if calculator is not None:
        calculated = checked(calculator(sight, spec), spec)
        found = calculated if calculated.status == OK else _better(calculated, arriving(row, spec, sight))
    else:
        found = arriving(row, spec, sight)
        if spec.id in FALLBACK and found.status not in (OK, NOT_APPLICABLE):
            found = _better(found, checked(FALLBACK[spec.id](sight, spec), spec))
    return found if found.status != MISSING or found.flags else _missing(spec, sight)


def _better(first: Indicator, second: Indicator) -> Indicator:
    return second if RANK.index(second.status) < RANK.index(first.status) else first


def arriving(row: IndicatorValue | None, spec: IndicatorSpec, sight: Sight) -> Indicator:
    """An indicator as delivered: stale when older than its greatest age, invalid when outside its bounds."""
    if row is None:
        return MISSING_INDICATOR
    age = (sight.as_of - row.observed_on).days
    if age < 0:
        return FUTURE
    if age > spec.max_age_days:
        return STALE_INDICATOR
    if row.status == NOT_APPLICABLE:
        good = spec.missing_policy == "ABSENCE_IS_NA_GOOD"
        return ABSENT_GOOD if good else Indicator(None, NOT_APPLICABLE)
    if row.value is None:
        return MISSING_INDICATOR
    return Indicator(row.value, OK) if admits(spec, row.value) else INVALID


def checked(indicator: Indicator, spec: IndicatorSpec) -> Indicator:
    """The same, or invalid when the registry does not admit its value."""
    return indicator if indicator.value is None or admits(spec, indicator.value) else INVALID


def admits(spec: IndicatorSpec, value: Decimal) -> bool:
    """Whether a value can be: outside valid_min..valid_max or not whole is a data error, never clipped."""
    if not value.is_finite() or not spec.valid_min <= value <= spec.valid_max:
        return False
    return not spec.whole or value == value.to_integral_value()


def _missing(spec: IndicatorSpec, sight: Sight) -> Indicator:
    """What no record means, by the indicator's missing policy; it means nothing while the feed is not fresh."""
    if spec.missing_policy == "BLOCK_AUTO":
        return MISSING_INDICATOR
    if spec.missing_policy == "IMPUTE_MEDIAN_MINUS10":
        return IMPUTED_INDICATOR
    if spec.id in CALCULATED or not sight.freshness.fresh(FEED, spec.max_age):
        return MISSING_INDICATOR
    return _ABSENT[spec.missing_policy]


_ABSENT: Mapping[str, Indicator] = {
    "NOT_APPLICABLE": ABSENT_NOT_APPLICABLE,
    "ABSENCE_IS_ZERO_IF_FRESH": ABSENT_ZERO,
    "ABSENCE_IS_NA_GOOD": ABSENT_GOOD,
}
