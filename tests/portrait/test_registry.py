"""The registry of indicators: what ships, and every kind of mistake in its file."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from sample_firm import REGISTRY, RULES

from decision_service.errors import RulebookError
from decision_service.portrait.registry import Registry
from decision_service.portrait.seasons import Seasons

TEXT = (RULES / "indicators.csv").read_text("utf-8")


def test_six_categories_weigh_20_20_25_20_8_7():
    assert list(REGISTRY.weights.values()) == [20, 20, 25, 20, 8, 7]
    assert (len(REGISTRY), REGISTRY.total_weight) == (32, 100)


def test_ids_and_names_are_unique_and_labelled_in_both_languages():
    assert list(REGISTRY) == [f"IND{number:02d}" for number in range(1, 33)]
    assert len(REGISTRY.by_name) == 32
    assert all(spec.label["zh"] and spec.label["en"] for spec in REGISTRY.values())


def test_a_scoring_point_may_come_from_the_industry():
    point = REGISTRY["IND01"].score0
    assert point is not None
    assert point.at({"industry.max_leverage": Decimal("0.65")}) == 80
    assert point.at({}) is None


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("a row is missing", TEXT.splitlines()[-1], "", "IND01 to IND32, each once; IND32 is missing"),
        ("unknown direction", ",lower,", ",sideways,", "direction is 'sideways'"),
        ("unknown policy", "BLOCK_AUTO", "GUESS", "missing_policy is 'GUESS'"),
        ("not a number", ",%,0,500,", ",%,zero,500,", "valid_min is 'zero'"),
        ("infinite", ",%,0,500,", ",%,0,Infinity,", "valid_max is 'Infinity'"),
        ("bounds the wrong way round", ",%,0,500,0,150,", ",%,0,500,150,0,", "clip_min < clip_max"),
        ("same scoring points", ",higher,0,8,", ",higher,8,8,", "must differ"),
        ("a seventh category", "IND32,network_governance", "IND32,astrology", "6 categories"),
        ("an indicator twice", "IND32,", "IND31,", "indicators.csv:33: IND31 stands twice, first in line 32"),
        ("an indicator beyond the 32", "IND32,", "IND33,", "id is 'IND33', not one of IND01 to IND32"),
        ("an exponent", ",%,0,500,", ",%,0,1e999999999,", "valid_max is '1e999999999', not a number"),
        ("a point with two dots", "industry.max_leverage*100+15", "industry.max_leverage*1.0.0", "score0_at is"),
        ("half a weight", "yellow trigger,6,", "yellow trigger,6.5,", "weight is '6.5', not a whole number"),
        ("a missing column", ",missing_policy,", ",policy,", "csv:1: the column 'missing_policy' is missing"),
        ("a quote left open", "IND05,", 'IND05,"', "CSV syntax"),
        ("empty weight", "yellow trigger,6,", "yellow trigger,,", "weight is empty"),
    ],
)
def test_a_mistake_is_named_with_its_file(name, old, new, message):
    assert old in TEXT, name
    with pytest.raises(RulebookError) as caught:
        Registry.from_csv(TEXT.replace(old, new, 1))
    assert message in str(caught.value) and "indicators.csv:" in str(caught.value), name


def test_all_mistakes_are_reported_at_once():
    with pytest.raises(RulebookError) as caught:
        Registry.from_csv(TEXT.replace("BLOCK_AUTO", "GUESS"))
    assert len(caught.value.problems) == 7


def test_a_byte_order_mark_is_no_part_of_the_first_column():
    assert list(Registry.from_csv("\ufeff" + TEXT)) == list(REGISTRY)
    text = "\ufeffcode,seasonality,peak_months,effective_from,effective_to\n03,high,6,2023-01-01,\n"
    assert Seasons.from_csv(text).peak_months("03", date(2024, 1, 1)) == {6}


def test_a_row_of_several_lines_is_named_by_its_first():
    text = TEXT.replace(",资产负债率,", ',"资产\n负债率",', 1).replace("BLOCK_AUTO", "GUESS", 2)
    with pytest.raises(RulebookError) as caught:
        Registry.from_csv(text)
    assert [problem.line for problem in caught.value.problems] == [2, 4]


def test_seasonal_factors_have_mean_one_and_peaks_of_half_more():
    factors = REGISTRY.seasons.factors("03", date(2026, 11, 24))  # peaks in December and January
    assert sum(factors) == pytest.approx(12)
    assert factors[11] == factors[0] == pytest.approx(1.5 * factors[5])


@pytest.mark.parametrize(("name", "code"), [("low seasonality", "35"), ("no industry", None), ("excluded", "06")])
def test_no_season_for(name, code):
    assert REGISTRY.seasons.factors(code, date(2026, 11, 24)) == (1.0,) * 12, name
    assert REGISTRY.seasons.peak_months(code, date(2026, 11, 24)) is None, name


def test_a_season_holds_only_while_its_row_is_in_force():
    head = "code,seasonality,peak_months,effective_from,effective_to\n"
    seasons = Seasons.from_csv(head + "03,high,12;1,2023-01-01,2025-01-01\n03,high,6,2025-01-01,\n")
    assert seasons.peak_months("03", date(2022, 12, 31)) is None
    assert seasons.peak_months("03", date(2024, 12, 31)) == {12, 1}
    assert seasons.peak_months("03", date(2025, 1, 1)) == {6}


@pytest.mark.parametrize("peaks", ["13", "0", "x", "6;;7", "１", "1_0"])
def test_peak_months_that_are_no_months_are_refused(peaks):
    text = f"code,seasonality,peak_months,effective_from,effective_to\n03,high,{peaks},2023-01-01,\n"
    with pytest.raises(RulebookError, match="industries.csv:2: .*peak_months"):
        Seasons.from_csv(text)
