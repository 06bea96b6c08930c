"""One enterprise at one moment: every fact its records speak about, what the models read, its portrait."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from decision_service.portrait.calculators import HUNDRED, OK, Indicator, Sight
from decision_service.portrait.calendar import YEAR
from decision_service.portrait.counterparties import goes_round, is_recent
from decision_service.portrait.disputes import OVERDUES, disputed_keys, is_disputed, ratings_of
from decision_service.portrait.feeds import FEED_MAX_AGE, Freshness
from decision_service.portrait.financials import financial_facts
from decision_service.portrait.indicators import indicator_values
from decision_service.portrait.industry import classification, industry_code
from decision_service.portrait.invoices import FEATURES, InvoiceView, invoice_facts, invoice_features
from decision_service.portrait.lists import Lists
from decision_service.portrait.overdues import overdue_facts
from decision_service.portrait.records import EnterpriseRecords
from decision_service.portrait.registry import IndicatorSpec, Registry
from decision_service.portrait.relations import Cards, control_changes, relation_facts
from decision_service.portrait.score import Portrait, portrait
from decision_service.portrait.series import Rows, series, slots
from decision_service.portrait.tax_ratings import tax_rating_facts

SHANGHAI = ZoneInfo("Asia/Shanghai")
CONTROL_CHANGE_DAYS = 90
MILLIONTH = Decimal("0.000001")
INVOICE_LOAN = "invoice_loan"
NO_CARDS: Cards = {}

FactValue = Decimal | int | bool | str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of an enterprise: facts by name, and the models' inputs.

    ``features`` are the 32 indicators' raw values in the registry's unit (nan unless ok) and ``industry_code``;
    ``invoice_features`` the declared ones of the invoice loan. ``series`` is 24 rows of ``SERIES``, oldest first;
    ``mask`` says which months were reported.
    """

    facts: Mapping[str, FactValue]
    features: Mapping[str, float | str]
    invoice_features: Mapping[str, float]
    series: Rows
    mask: tuple[bool, ...]
    indicators: Mapping[str, Indicator]
    portrait: Portrait
    as_of: date

    def features_for(self, product: str) -> Mapping[str, float | str]:
        """What the product's tree model reads."""
        return self.invoice_features if product == INVOICE_LOAN else self.features


def feature_names(product: str, registry: Registry) -> tuple[str, ...]:
    """The names of what ``Snapshot.features_for`` gives the product's tree model."""
    if product == INVOICE_LOAN:
        return tuple(feature.name for feature in FEATURES)
    return (*registry.by_name, "industry_code")


def snapshot(
    records: EnterpriseRecords,
    *,
    registry: Registry,
    lists: Lists,
    industry: Mapping[str, Any],
    product: str,
    now: datetime,
    cards: Cards = NO_CARDS,
) -> Snapshot:
    """Everything the portrait knows at ``now`` (aware). ``industry`` holds the parameters in force by fact name.

    ``cards`` says of the firms above whether rules give them a red card; of one that is missing it is unknown.
    """
    as_of = now.astimezone(SHANGHAI).date()
    code = industry_code(records.registration)
    sight = Sight(
        records=records,
        window=slots(records.months, as_of),
        as_of=as_of,
        factors=registry.seasons.factors(code, as_of),
        peak_months=registry.seasons.peak_months(code, as_of),
        freshness=Freshness(records, now),
        lists=lists,
    )
    values = indicator_values(sight, registry)
    scores = portrait(values, registry, industry)
    rows, mask = series(sight.window)
    view = InvoiceView(records, as_of, window=sight.window, trade=sight.trade)
    inputs: Mapping[str, float] = invoice_features(view) if product == INVOICE_LOAN else {}
    return Snapshot(
        facts=_facts(sight, view, values, scores, registry=registry, cards=cards),
        features=_features(values, registry, code),
        invoice_features=inputs,
        series=rows,
        mask=mask,
        indicators=values,
        portrait=scores,
        as_of=as_of,
    )


def _facts(
    sight: Sight,
    view: InvoiceView,
    values: Mapping[str, Indicator],
    scores: Portrait,
    *,
    registry: Registry,
    cards: Cards,
) -> dict[str, FactValue]:
    records, as_of, fresh, lists = sight.records, sight.as_of, sight.freshness.fresh, sight.lists
    lists_fresh = fresh("lists")
    return {
        **_registration_facts(records, fresh=fresh("registrations")),
        **lists.statuses(records.lists, as_of, fresh=lists_fresh),
        **tax_rating_facts(
            ratings_of(records), as_of, fresh=fresh("tax_ratings"), delivered=_business_date(records, "tax_ratings")
        ),
        **overdue_facts(
            records.overdues, as_of, fresh=fresh("overdues"), disputed=disputed_keys(records, OVERDUES)
        ),
        **relation_facts(
            records, lists, as_of, relations_fresh=fresh("relations"), lists_fresh=lists_fresh, cards=cards
        ),
        **_indicator_facts(values, registry),
        **_portrait_facts(scores),
        **financial_facts(records.financials, as_of),
        **invoice_facts(view),
        "control_changes_90d": _recent_control_changes(sight),
        "stale_feeds": len(sight.freshness.stale_feeds()),
        "disputed_data": _disputed(records, lists, as_of, fresh=lists_fresh),
        "circular_invoices": _circular(sight),
        "revenue_12m": _revenue(sight),
    }


def _disputed(records: EnterpriseRecords, lists: Lists, as_of: date, *, fresh: bool) -> bool | None:
    return is_disputed(records) or lists.any_disputed(records.lists, as_of) or (False if fresh else None)


def _business_date(records: EnterpriseRecords, feed: str) -> date | None:
    delivered = records.feeds.get(feed)
    return None if delivered is None else delivered.astimezone(SHANGHAI).date()


def _registration_facts(records: EnterpriseRecords, *, fresh: bool) -> dict[str, FactValue]:
    """The register's entry; the good news in it counts only while the feed is fresh, bad news always."""
    entry = records.registration
    active = entry.registration_status == "active"
    return {
        "entity_type": entry.entity_type,
        "registration_status": entry.registration_status if fresh or not active else None,
        "public_sector": entry.public_sector or (False if fresh else None),
        "bank_related": entry.bank_related or (False if fresh else None),
        "name_code_mismatch": entry.name_code_mismatch or (False if fresh else None),
        "industry_classification": classification(entry),
    }


def _indicator_facts(values: Mapping[str, Indicator], registry: Registry) -> dict[str, FactValue]:
    facts: dict[str, FactValue] = {}
    for spec in registry.specs:
        value, status, _ = values[spec.id]
        facts[spec.name] = None if value is None else fact_value(value, spec)
        facts[spec.status_fact] = status
    return facts


def fact_value(value: Decimal, spec: IndicatorSpec) -> Decimal | int:
    """A raw value as its fact: a percentage becomes a ratio; ratios have six decimals, half-even."""
    if spec.whole:
        return int(value)
    return (value / HUNDRED if spec.percent else value).quantize(MILLIONTH, ROUND_HALF_EVEN)


def _features(values: Mapping[str, Indicator], registry: Registry, code: str | None) -> dict[str, float | str]:
    features: dict[str, float | str] = {}
    for spec in registry.specs:
        value, status, _ = values[spec.id]
        features[spec.name] = float(value or 0) if status == OK else math.nan
    features["industry_code"] = code or ""
    return features


def _portrait_facts(scores: Portrait) -> dict[str, FactValue]:
    return {
        "portrait_score": None if scores.score is None else scores.score.quantize(MILLIONTH, rounding=ROUND_HALF_EVEN),
        "portrait_coverage": scores.coverage.quantize(MILLIONTH, rounding=ROUND_HALF_EVEN),
        "grade": scores.grade,
        "required_indicators_missing": scores.required_missing,
        "required_indicators_stale": scores.required_stale,
    }


def _recent_control_changes(sight: Sight) -> int | None:
    days = (change.changed_on for change in sight.records.control_changes)
    since = sight.as_of - timedelta(days=CONTROL_CHANGE_DAYS)
    return control_changes(days, since=since, until=sight.as_of) or (
        0 if sight.freshness.fresh("control_changes") else None
    )


def _circular(sight: Sight) -> bool | None:
    if is_recent(sight.trade, sight.as_of, max_age_days=FEED_MAX_AGE["counterparties"].days):
        return goes_round(sight.trade)
    return False if sight.freshness.fresh("counterparties") and not sight.records.counterparties else None


def _revenue(sight: Sight) -> Decimal | None:
    """Net invoiced revenue of the last 12 months in CNY, over the months reported; unknown when they are not recent."""
    age = sight.sales_age_days
    if age is None or age > FEED_MAX_AGE["months"].days:
        return None
    return Decimal(sum([amount for amount in sight.sales[-YEAR:] if amount is not None])).scaleb(-2)
