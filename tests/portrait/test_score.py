"""Scores: every direction on both sides of its points, weights, coverage, grade."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sample_firm import INDUSTRY, REGISTRY

from decision_service.portrait.calculators import Indicator
from decision_service.portrait.score import grade, indicator_score, overall, portrait

BEST = {
    spec.id: Indicator(
        spec.good_low if spec.direction == "band" else spec.score100.at(INDUSTRY) if spec.score100 else None, "ok"
    )
    for spec in REGISTRY.values()
}


@pytest.mark.parametrize(
    ("name", "indicator", "value", "score"),
    [
        ("lower: at the best point", "IND01", "40", "100"),
        ("lower: better than the best point", "IND01", "10", "100"),
        ("lower: half way to the industry's worst", "IND01", "60", "50"),
        ("lower: at the worst point", "IND01", "80", "0"),
        ("lower: far beyond, clipped first", "IND01", "500", "0"),
        ("higher: at the worst point", "IND04", "0", "0"),
        ("higher: below it", "IND04", "-1000", "0"),
        ("higher: a quarter", "IND04", "2", "25"),
        ("higher: at the best point", "IND04", "8", "100"),
        ("higher: beyond", "IND04", "10000", "100"),
        ("band: lower edge", "IND03", "1.2", "100"),
        ("band: upper edge", "IND03", "3.0", "100"),
        ("band: half way below", "IND03", "0.85", "50"),
        ("band: half way above", "IND03", "4", "50"),
        ("band: bottom", "IND03", "0.5", "0"),
        ("band: clipped at the top", "IND03", "100", "0"),
        ("band from zero: zero is good", "IND08", "0", "100"),
        ("band from zero: half way above", "IND08", "1.25", "50"),
    ],
)
def test_score_of_a_value(name, indicator, value, score):
    found = indicator_score(Indicator(Decimal(value), "ok"), REGISTRY[indicator], INDUSTRY)
    assert found == Decimal(score), name


@pytest.mark.parametrize(
    ("name", "indicator", "known", "score"),
    [
        ("imputed: the median less ten", "IND03", Indicator(None, "imputed", ("imputed",)), 50),
        ("stale where imputation is allowed", "IND03", Indicator(None, "stale"), 50),
        ("an invalid value is not imputed", "IND03", Indicator(None, "missing", ("invalid",)), None),
        ("stale where it is not", "IND01", Indicator(None, "stale"), None),
        ("no case is good news", "IND13", Indicator(None, "not_applicable", ("absence_good",)), 100),
        ("not applicable is left out", "IND19", Indicator(None, "not_applicable"), None),
    ],
)
def test_score_without_a_value(name, indicator, known, score):
    assert indicator_score(known, REGISTRY[indicator], INDUSTRY) == score, name


def test_an_unknown_industry_has_no_score_that_depends_on_it():
    assert indicator_score(Indicator(Decimal(50), "ok"), REGISTRY["IND01"], {}) is None


@pytest.mark.parametrize(
    ("score", "expected"),
    [("100", "P1"), ("80", "P1"), ("79.999999", "P2"), ("70", "P2"), ("69.999999", "P3"), ("60", "P3"),
     ("59.999999", "P4"), ("45", "P4"), ("44.999999", "P5"), ("0", "P5")],
)  # fmt: skip
def test_grade_boundaries(score, expected):
    assert grade(Decimal(score)) == expected


def test_all_at_their_best_is_100():
    found = portrait(BEST, REGISTRY, INDUSTRY)
    assert (found.score, found.grade, found.coverage) == (100, "P1", 1)
    assert len(found.categories) == 6 and set(found.categories.values()) == {100}


def test_categories_weigh_as_declared():
    worst = {
        spec.id: Indicator(spec.score0.at(INDUSTRY), "ok")
        for spec in REGISTRY.values()
        if spec.category == "risk_warning" and spec.score0 is not None
    }
    assert portrait({**BEST, **worst}, REGISTRY, INDUSTRY).score == 75


def without(*indicators: str, status: str = "missing"):
    return portrait({**BEST, **dict.fromkeys(indicators, Indicator(None, status))}, REGISTRY, INDUSTRY)


def test_what_does_not_apply_is_dropped_and_the_rest_weighs_more():
    found = without("IND24", "IND26", "IND27", status="not_applicable")
    assert found.score == 100 and found.coverage == Decimal("0.94")


def test_a_category_without_any_indicator_is_left_out():
    found = without("IND24", "IND25", "IND26", "IND27", "IND28", status="not_applicable")
    assert "innovation_growth" not in found.categories and overall(found.categories, REGISTRY) == 100


@pytest.mark.parametrize(
    ("name", "status", "missing", "stale"),
    [("missing", "missing", 1, 0), ("stale", "stale", 0, 1), ("not applicable", "not_applicable", 1, 0)],
)
def test_without_a_required_indicator_there_is_no_grade(name, status, missing, stale):
    found = without("IND17", status=status)
    assert (found.grade, found.score) == ("insufficient_data", None), name
    assert (found.required_missing, found.required_stale) == (missing, stale), name


SEVENTY = ("IND22", "IND19", "IND14", "IND15", "IND13", "IND20", "IND32")  # weights 6 + 5 + 5 + 5 + 4 + 4 + 1


def test_coverage_of_70_percent_suffices_and_69_does_not():
    assert without(*SEVENTY).coverage == Decimal("0.70") and without(*SEVENTY).grade == "P1"
    assert without(*SEVENTY, "IND31").coverage == Decimal("0.69")
    assert without(*SEVENTY, "IND31").grade == "insufficient_data"


def test_imputed_indicators_score_but_do_not_cover():
    found = without("IND03", status="imputed")
    assert found.indicators["IND03"] == 50 and found.coverage == Decimal("0.98")


def test_nothing_known_has_no_score():
    found = without(*REGISTRY)
    assert (found.coverage, found.score, found.required_missing) == (0, None, 7)
