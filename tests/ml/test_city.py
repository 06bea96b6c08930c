"""The synthetic city: the same by seed, whole in kinds, true to its stated default process."""

from __future__ import annotations

from collections import Counter
from datetime import date

import numpy as np
import pytest
from city_for_tests import RULES, firms, place

from decision_service.portrait.industry import classification
from decision_service.radar.uscc import uscc_problem
from ml.city import draw_firms, draw_population
from ml.city_months import LENGTH, calendar
from ml.city_traits import Industry, read_industries, synthetic_uscc, true_pd
from ml.features import read_portraits, read_table
from ml.metrics import auc


def test_the_same_seed_gives_the_same_city() -> None:
    again = draw_firms(place(), draw_population(place(), range(1, 201)))
    assert tuple(again) == firms()


def test_another_seed_gives_another_city() -> None:
    other = draw_population(place(seed=8), range(1, 201))
    assert [one.health for one in other] != [one.health for one in draw_population(place(), range(1, 201))]


def test_a_firm_is_the_same_in_a_city_of_any_size() -> None:
    alone = draw_population(place(), [150])[0]
    assert alone == draw_population(place(), range(1, 201))[149]


def test_every_uscc_is_valid_and_its_own() -> None:
    codes = [firm.records.registration.uscc for firm in firms()] + [synthetic_uscc(n) for n in range(1000, 3000)]
    assert [problem for code in codes if (problem := uscc_problem(code))] == []
    assert len(set(codes)) == len(codes)


def test_the_true_default_rate_is_about_three_percent() -> None:
    population = draw_population(place(), range(1, 12_001))
    assert 0.025 < np.mean([traits.pd for traits in population]) < 0.035
    assert 0.025 < np.mean([traits.defaulted for traits in population]) < 0.035


def test_all_78_industries_the_excluded_and_unknown_codes_live_here() -> None:
    industries, excluded = read_industries(RULES)
    found = Counter(traits.industry.code for traits in draw_population(place(), range(1, 5001)))
    assert len(industries) == 78 and len(excluded) == 19
    assert {industry.code for industry in industries} <= set(found)
    assert set(found) & {industry.code for industry in excluded}
    assert set(found) & {"00", "98", "99"}


NEUTRAL = Industry("33", "金属制品业", "C", "neutral", (1.0,) * 12, False)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        pytest.param((1.0, 0.0), (0.0, 0.0), id="health lowers the probability of default"),
        pytest.param((0.0, 1.0), (0.0, 0.0), id="momentum lowers the probability of default"),
    ],
)
def test_latent_health_and(better: tuple[float, float], worse: tuple[float, float]) -> None:
    assert true_pd(*better, NEUTRAL) < true_pd(*worse, NEUTRAL)


@pytest.mark.parametrize(
    ("as_of", "newest"),
    [
        pytest.param(date(2026, 6, 14), date(2026, 5, 1), id="in mid-month the month before is the newest whole one"),
        pytest.param(date(2026, 6, 29), date(2026, 5, 1), id="a day before its end the month is not whole"),
        pytest.param(date(2026, 6, 30), date(2026, 6, 1), id="on its last day the month is whole"),
        pytest.param(date(2028, 2, 29), date(2028, 2, 1), id="a leap day ends February"),
        pytest.param(date(2026, 1, 1), date(2025, 12, 1), id="on new year's day December is the newest"),
    ],
)
def test_the_newest_month(as_of: date, newest: date) -> None:
    months = calendar(as_of)
    assert months.firsts[-1] == newest and len(months.firsts) == LENGTH
    assert list(months.firsts) == sorted(set(months.firsts))


@pytest.mark.parametrize("as_of", [date(2024, 2, 29), date(2025, 1, 1), date(2026, 4, 24), date(2026, 12, 31)])
def test_nothing_on_record_lies_after_the_city_s_date(as_of: date) -> None:
    here = place(as_of)
    for firm in draw_firms(here, draw_population(here, range(1, 61))):
        records = firm.records
        days = [one.observed_on for one in records.indicators] + [one.listed_on for one in records.lists]
        days += [one.published_on for one in records.tax_ratings] + [one.started_on for one in records.overdues]
        days += [one.changed_on for one in records.control_changes] + [one.month for one in records.months]
        days += [one.period_end for one in records.counterparties]
        assert max(days) <= as_of


def test_events_of_many_kinds_occur() -> None:
    population = draw_population(place(), range(1, 1501))
    records = [firm.records for firm in draw_firms(place(), population)]
    lists = Counter(entry.list_name for one in records for entry in one.lists)
    assert len(lists) == 11
    assert any(entry.disputed_on for one in records for entry in one.lists)
    assert any(entry.ended_on for one in records for entry in one.lists)
    assert {rating.rating for one in records for rating in one.tax_ratings} == set("ABMCD")
    assert any(rating.changed_to for one in records for rating in one.tax_ratings)
    assert {line.bank for one in records for line in one.credit_lines} == {f"BANK-{n:02d}" for n in range(1, 13)}
    assert {link.link for one in records for link in one.relations} >= {"parent", "guarantee", "controller_person"}
    assert {classification(one.registration) for one in records} == {"gbt_2017", "gbt_2011", "unstated"}
    assert any(one.related_lists for one in records) and any(one.control_changes for one in records)
    assert any(one.overdues for one in records) and any(len(one.months) < 24 for one in records)


def test_the_portrait_reads_the_city_and_its_data_tell_of_default_risk() -> None:
    portraits = read_portraits(RULES)
    population = draw_population(place(), range(1, 401))
    table = read_table(
        [firm.records for firm in draw_firms(place(), population)], portraits, now=place().delivered
    )
    assert table.indicators.shape == (400, 32) and table.series.shape[1:] == (24, 10)
    assert table.mask.mean() > 0.9
    missing = np.isnan(table.indicators).mean(axis=0)
    assert (missing < 0.95).all(), f"never known: {np.array(portraits.names)[missing >= 0.95]}"
    risky = np.array([traits.pd for traits in population]) > 0.03
    leverage = np.nan_to_num(table.indicators[:, portraits.names.index("debt_to_asset_ratio")], nan=50.0)
    volatility = np.nan_to_num(table.indicators[:, portraits.names.index("cashflow_volatility_coef")], nan=0.2)
    assert auc(risky.astype(int), leverage) > 0.6
    assert auc(risky.astype(int), volatility) > 0.6


def test_directions_become_monotone_constraints() -> None:
    monotone = read_portraits(RULES).monotone
    assert monotone["debt_to_asset_ratio"] == 1
    assert monotone["tax_continuity_index"] == -1
    assert monotone["current_ratio"] == 0
    assert len(monotone) == 32
