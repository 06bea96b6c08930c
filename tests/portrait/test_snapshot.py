"""The snapshot as a whole: every declared fact, in its declared range; what the models read; any records at all."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sample_firm import (
    AS_OF,
    FEEDS,
    INDUSTRY,
    LISTS,
    NOW,
    REGISTRY,
    RULES,
    SOUND,
    indicator,
    month,
    months,
    records,
    registration,
    seen,
)

from decision_service.errors import Problem
from decision_service.portrait.records import EnterpriseRecords, ListEntry, Overdue, Relation, TaxRating
from decision_service.portrait.series import SERIES
from decision_service.portrait.snapshot import snapshot
from decision_service.rulebook.fact_file import read_facts
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.reading import Sheet

SOURCES = {"registrations", "lists", "tax_ratings", "overdues", "relations", "control_changes", "indicators",
           "portrait", "invoices"}  # fmt: skip
ELSEWHERE = {"industry_status"}  # needs the parameters in force, so the decision path adds it


def catalogue() -> FactCatalogue:
    problems: list[Problem] = []
    found = read_facts((RULES / "facts.yaml").read_text("utf-8"), Sheet("facts.yaml", problems))
    assert not problems
    return found


CATALOGUE = catalogue()
DECLARED = {fact.name for fact in CATALOGUE.values() if fact.source in SOURCES} - ELSEWHERE


def test_every_declared_fact_is_delivered_and_no_other():
    assert set(seen().facts) == DECLARED


def test_every_fact_of_a_sound_firm_is_known_but_the_need():
    unknown = {name for name, value in seen().facts.items() if value is None}
    assert unknown == {"working_capital_need"}


def test_every_fact_fits_its_declaration():
    for name, value in seen().facts.items():
        if value is not None:
            CATALOGUE.encode(name, value)


def test_a_sound_firm_has_a_grade_and_full_coverage():
    facts = seen().facts
    assert facts["grade"] == "P1" and facts["portrait_coverage"] == 1
    assert facts["portrait_score"] == seen().portrait.score.quantize(Decimal("0.000001"))


def test_nothing_delivered_is_unknown_not_good():
    facts = seen(**{"months": (), "counterparties": (), "indicators": (), "financials": None, "tax_ratings": (),
                    "feeds": {}}).facts  # fmt: skip
    known = {name for name, value in facts.items() if value is not None and not name.endswith("_status")}
    assert known == {"entity_type", "industry_classification", "portrait_coverage", "grade", "stale_feeds",
                     "required_indicators_missing", "required_indicators_stale", "years_in_operation",
                     "predecessor_red"}  # fmt: skip
    assert facts["grade"] == "insufficient_data"


@pytest.mark.parametrize(
    ("name", "value", "fact"),
    [
        ("IND01", Decimal("62.5"), Decimal("0.625000")),  # a percentage becomes a ratio
        ("IND03", Decimal("1.0000005"), Decimal("1.000000")),  # half to even
        ("IND03", Decimal("1.0000015"), Decimal("1.000002")),
        ("IND16", Decimal("3.0"), 3),
    ],
)
def test_a_value_becomes_a_fact_of_its_precision(name, value, fact):
    rows = tuple(indicator(one, value if one == name else SOUND[one]) for one in SOUND | {name: value})
    assert seen(indicators=rows).facts[REGISTRY[name].name] == fact


def test_models_read_raw_values_and_nan_for_what_is_not_known():
    found = seen(indicators=(indicator("IND01", "62.5"), indicator("IND05", "150"))).features
    assert set(found) == {spec.name for spec in REGISTRY.values()} | {"industry_code"}
    assert found["debt_to_asset_ratio"] == 62.5 and found["industry_code"] == "35"
    assert math.isnan(found["operating_margin"]) and math.isnan(found["current_ratio"])


def test_an_imputed_indicator_never_enters_the_models():
    found = seen(indicators=())
    assert found.indicators["IND03"].status == "imputed" and math.isnan(found.features["current_ratio"])


def test_series_are_24_months_oldest_first_in_cny():
    filed = month(0, sales=12_345, tax_filing="zero_return", customers=3)._replace(purchases=None)
    found = seen(months=(month(30, sales=1), month(23, sales=100), filed))
    assert (len(found.series), len(found.mask)) == (24, 24)
    assert found.mask == (True, *[False] * 22, True)
    oldest, newest = found.series[0], dict(zip(SERIES, found.series[-1]))
    assert oldest[0] == 1.0 and newest["sales"] == 123.45
    assert newest["tax_filing"] == 0.7 and newest["customers"] == 3.0 and math.isnan(newest["purchases"])
    assert all(math.isnan(value) for value in found.series[1])


def test_the_month_of_the_decision_is_not_read():
    assert seen(months=(month(-1, sales=100),)).mask == (False,) * 24


def test_the_business_date_begins_at_midnight_in_shanghai():
    end = ListEntry("r", "list_court_dishonest", date(2024, 7, 1), ends_on=AS_OF)
    feeds = dict.fromkeys(FEEDS, datetime(2026, 11, 23, tzinfo=timezone.utc))
    before = datetime(2026, 11, 23, 15, 59, 59, tzinfo=timezone.utc)
    assert seen(before, lists=(end,), feeds=feeds).facts["list_court_dishonest"] == "active"
    after = before + timedelta(seconds=1)
    assert seen(after, lists=(end,), feeds=feeds).facts["list_court_dishonest"] == "none"


def test_the_invoice_loan_has_its_own_features():
    firm = records()
    found = snapshot(firm, registry=REGISTRY, lists=LISTS, industry={}, product="invoice_loan", now=NOW)
    assert found.features_for("invoice_loan") == found.invoice_features != {}
    assert found.features_for("working_capital") == found.features


DAYS = some.dates(date(2020, 1, 1), date(2027, 12, 31))
VALUES = some.decimals("-20000", "20000", places=3) | some.sampled_from([Decimal("NaN"), Decimal("Infinity"), None])
LIST_NAMES = some.sampled_from([*LISTS, "list_of_tomorrow"])
ENTRIES = some.lists(
    some.builds(
        ListEntry,
        record_id=some.just("r"),
        list_name=LIST_NAMES,
        listed_on=DAYS,
        severity=some.sampled_from(["", "minor", "general", "serious"]),
        ends_on=some.none() | DAYS,
        ended_on=some.none() | DAYS,
        disputed_on=some.none() | DAYS,
        dispute_ruled_on=some.none() | DAYS,
    ),
    max_size=4,
).map(tuple)
MONEY = some.none() | some.integers(-(10**12), 10**12)
MONTHS = some.lists(some.tuples(some.integers(-2, 40), MONEY), max_size=30, unique_by=lambda pair: pair[0])
FIRMS = some.builds(
    EnterpriseRecords,
    registration=some.builds(
        registration,
        established_on=some.none() | DAYS,
        industry_code=some.sampled_from(["35", "03", "82", "58", "", "zz"]),
        classification_version=some.sampled_from(["2017", "2011", ""]),
        predecessor_uscc=some.sampled_from([None, "91350100MA0000000L"]),
    ),
    months=MONTHS.map(lambda pairs: tuple(month(back, sales=sales) for back, sales in sorted(pairs, reverse=True))),
    indicators=some.lists(
        some.tuples(some.sampled_from(list(REGISTRY)), VALUES, DAYS), max_size=20, unique_by=lambda row: row[0]
    ).map(lambda rows: tuple(indicator(name, value, day) for name, value, day in rows)),
    lists=ENTRIES,
    tax_ratings=some.lists(
        some.builds(TaxRating, some.integers(2019, 2026), some.sampled_from("ABMCD"), DAYS), max_size=4
    ).map(tuple),
    overdues=some.lists(
        some.builds(Overdue, some.just("o"), some.just("B"), DAYS, some.integers(0, 400), some.none() | DAYS),
        max_size=3,
    ).map(tuple),
    relations=some.lists(
        some.builds(
            Relation,
            some.sampled_from(["91350100MA0000000L", "P:1"]),
            some.sampled_from(["parent", "controller_person", "control", "guarantee", "holding"]),
            some.none() | some.decimals(0, 1, places=2),
        ),
        max_size=3,
    ).map(tuple),
    feeds=some.dictionaries(
        some.sampled_from(sorted(FEEDS)), some.integers(-24, 24 * 600).map(lambda hours: NOW - timedelta(hours=hours))
    ),
    related_lists=some.fixed_dictionaries({}, optional={"91350100MA0000000L": ENTRIES, "P:1": ENTRIES}),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(firm=FIRMS)
def test_any_records_give_every_fact_within_its_declaration(firm):
    found = snapshot(firm, registry=REGISTRY, lists=LISTS, industry=INDUSTRY, product="invoice_loan", now=NOW)
    assert set(found.facts) == DECLARED
    for name, value in found.facts.items():
        if value is not None:
            CATALOGUE.encode(name, value)
    assert all(isinstance(value, float) for name, value in found.features.items() if name != "industry_code")
    for spec in REGISTRY.values():
        known = found.indicators[spec.id].status == "ok"
        assert (found.facts[spec.name] is not None) == known == (not math.isnan(found.features[spec.name]))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(firm=FIRMS, data=some.data())
def test_the_order_of_records_never_matters(firm, data):
    shuffled = {
        name: tuple(data.draw(some.permutations(getattr(firm, name)), label=name))
        for name in ("months", "indicators", "lists", "overdues", "relations")
    }
    one, other = (
        snapshot(each, registry=REGISTRY, lists=LISTS, industry=INDUSTRY, product="working_capital", now=NOW)
        for each in (firm, replace(firm, **shuffled))
    )
    assert one.facts == other.facts and repr(one.series) == repr(other.series)


def test_a_snapshot_takes_about_a_millisecond_at_most():
    firm = records()
    best = min(_seconds(firm) for _ in range(5))
    assert best < 0.003, f"{best * 1000:.2f} ms"


def _seconds(firm: EnterpriseRecords) -> float:
    start = time.perf_counter()
    for _ in range(20):
        snapshot(firm, registry=REGISTRY, lists=LISTS, industry=INDUSTRY, product="working_capital", now=NOW)
    return (time.perf_counter() - start) / 20


def test_months_before_the_window_are_only_history():
    assert seen(months=months([100] * 36)).facts["inv_months"] == 36
