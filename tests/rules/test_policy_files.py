"""What the shipped rule files must hold, whatever their figures."""

from __future__ import annotations

import csv
import io
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from decision_service.rulebook.conditions import AllOf, Comparison, Condition, facts_named
from decision_service.rulebook.files import load
from decision_service.rulebook.rules import Rule
from decision_service.rulebook.ruleset import RESERVED_REASONS
from decision_service.vocabulary import Outcome

FOLDER = Path(__file__).resolve().parents[2] / "rules"
RULESET = load(FOLDER)
IN_FORCE = RULESET.in_force(date(2024, 6, 3))
MINUTES = date(2023, 10, 15)
MINIMUM_CODES = """
    RED_COURT RED_SAMR RED_TAX RED_WAGE RED_DPD YEL_ABN YEL_EXEC YEL_TAXC YEL_PEN YEL_REL AMT_OVER_5M AMT_GROUP
    AMT_OVER_LIMIT IND_EXCLUDED IND_UNKNOWN IND_LEV IND_CV IND_TAX IND_YEARS PD_REFER PD_DECLINE MODEL_GAP MODEL_DOWN
    DATA_STALE DATA_MISSING DATA_DISPUTE MULTI_LENDER CTRL_CHANGE KILL_SWITCH WL_FAST AUTO_OK
""".split()
CHINESE = re.compile("[\u4e00-\u9fff]")


def rows(file: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((FOLDER / file).read_text(encoding="utf-8"))))


def required(condition: Condition) -> set[str]:
    """Texts of the comparisons without which the condition cannot be true."""
    if isinstance(condition, Comparison):
        return {condition.text}
    if isinstance(condition, AllOf):
        return {text for part in condition.parts for text in required(part)}
    return set()


def industries() -> list[dict[str, str]]:
    return rows("industries.csv")


def test_there_are_78_industries_and_19_excluded_ones_and_together_they_are_all_divisions() -> None:
    covered, excluded = {row["code"] for row in industries()}, {row["code"] for row in rows("industries_excluded.csv")}
    assert (len(covered), len(excluded)) == (78, 19)
    assert covered | excluded == {f"{division:02d}" for division in range(1, 98)}


def test_every_covered_industry_is_in_force_from_the_day_of_the_minutes() -> None:
    rules, before = RULESET.in_force(MINUTES), RULESET.in_force(date(2023, 10, 14))
    assert {rules.industry_status(row["code"]) for row in industries()} == {"covered"}
    assert {before.industry_status(row["code"]) for row in industries()} == {"unknown"}


@pytest.mark.parametrize("code, status", [("70", "excluded"), ("98", "unknown"), ("", "unknown"), ("035", "unknown")])
def test_no_code_falls_back_to_a_default_row(code: str, status: str) -> None:
    assert IN_FORCE.industry_status(code) == status
    assert not [name for name in IN_FORCE.parameters("working_capital", code) if name.startswith("industry.")]


@pytest.mark.parametrize("row", industries(), ids=lambda row: row["code"])
def test_an_industry_row_is_consistent(row: dict[str, str]) -> None:
    exact = IN_FORCE.parameters("working_capital", row["code"])
    assert exact["industry.weight_xgb"] + exact["industry.weight_lstm"] == 1_000_000
    assert 0 < exact["industry.pd_cutoff_auto"] < exact["industry.pd_cutoff_review"] < 1_000_000
    assert 0 < exact["industry.max_leverage"] < 1_000_000
    assert 0 < exact["industry.auto_limit_cap_cny"] <= 500_000_000
    assert exact["industry.auto_limit_cap_cny"] <= exact["industry.max_limit_cny"]


def test_32_indicators_in_6_categories_weigh_100() -> None:
    indicators = rows("indicators.csv")
    assert [row["id"] for row in indicators] == [f"IND{number:02d}" for number in range(1, 33)]
    assert len({row["category"] for row in indicators}) == 6
    assert sum(int(row["weight"]) for row in indicators) == 100


@pytest.mark.parametrize("row", rows("indicators.csv"), ids=lambda row: row["id"])
def test_an_indicator_is_declared_as_a_fact_and_only_a_band_has_bounds(row: dict[str, str]) -> None:
    catalogue = IN_FORCE.catalogue
    assert row["name"] in catalogue and f"{row['name']}_status" in catalogue
    assert bool(row["good_low"] and row["good_high"]) == (row["direction"] == "band")
    if row["direction"] == "band":
        assert float(row["good_low"]) < float(row["good_high"])


def test_every_reason_code_of_the_domain_and_the_platform_has_texts() -> None:
    assert not {*MINIMUM_CODES, *RESERVED_REASONS} - set(RULESET.reasons)


def test_no_reason_code_is_dead() -> None:
    used = {rule.reason for rule in RULESET.rules if rule.reason}
    assert set(RULESET.reasons) == used | set(RESERVED_REASONS)


@pytest.mark.parametrize("code", sorted(RULESET.reasons))
def test_texts_are_in_both_languages_and_the_officer_reads_more_than_the_customer(code: str) -> None:
    reason = RULESET.reasons[code]
    assert reason.customer != reason.officer
    for texts in (reason.customer, reason.officer):
        assert CHINESE.search(texts["zh"]) and not CHINESE.search(texts["en"])


def test_customers_never_read_thresholds_or_probabilities_of_default() -> None:
    revealing = re.compile(r"违约概率|probability of default|policy\.\w|industry\.\w|pd_", re.IGNORECASE)
    assert not [code for code, one in RULESET.reasons.items() if any(map(revealing.search, one.customer.values()))]


def test_the_text_about_the_automatic_cap_is_true_whatever_the_cap_is() -> None:
    """A lowered cap refers what is below 5,000,000, so that figure may only be called the highest possible cap."""
    customer = RULESET.reasons["AMT_OVER_5M"].customer
    assert "超过现行的自动审批上限（最高500万元）" in customer["zh"]
    assert "exceeds the cap for automatic approval now in force (5,000,000 CNY at most)" in customer["en"]


@pytest.mark.parametrize(
    "rule", [rule for rule in RULESET.rules if rule.outcome is Outcome.APPROVE], ids=lambda rule: rule.id
)
def test_a_rule_that_approves_carries_the_line_the_card_and_a_cut_off_itself(rule: Rule) -> None:
    texts = required(rule.when)
    assert "exposure_total <= 5_000_000.00" in texts and "card == none" in texts
    assert any(text.startswith("pd_12m <= ") for text in texts)


def test_every_decision_rule_has_a_reason() -> None:
    assert not [rule.id for rule in RULESET.rules if rule.outcome is not None and not rule.reason]


def test_every_row_of_the_never_automatic_list_stands_in_a_reference() -> None:
    seen: set[int] = set()
    for rule in RULESET.rules:
        for listed in re.findall(r"不自动审批清单第([0-9、]+)行", rule.reference):
            seen |= {int(number) for number in listed.split("、")}
        seen |= {int(number) for number in re.findall(r"（第([0-9]+)行）", rule.reference)}
    assert seen == set(range(1, 19))


def test_rules_on_indicators_are_limited_to_the_product_that_has_them() -> None:
    names = {row["name"] for row in rows("indicators.csv")}
    for rule in RULESET.rules:
        if facts_named(rule.when) & names:
            assert "product == working_capital" in required(rule.when), rule.id


def test_rules_on_invoice_features_are_limited_to_the_invoice_loan() -> None:
    for rule in RULESET.rules:
        if any(name.startswith("inv_") for name in facts_named(rule.when)):
            assert "product == invoice_loan" in required(rule.when), rule.id


def test_every_list_has_a_fact_a_card_rule_and_periods_without_gaps() -> None:
    lists = yaml.safe_load((FOLDER / "lists.yaml").read_text(encoding="utf-8"))["lists"]
    declared = {name for name in IN_FORCE.catalogue if name.startswith("list_")}
    assert {one["name"] for one in lists} == declared
    colours = {name: colour for rule in RULESET.rules for name, colour in _colour_of_lists(rule)}
    for one in lists:
        assert colours[one["name"]] == one["card"]
        for severity in {period["severity"] for period in one["periods"]}:
            _assert_seamless([period for period in one["periods"] if period["severity"] == severity])


def _colour_of_lists(rule: Rule) -> list[tuple[str, Any]]:
    """Lists of which one active entry alone gives this rule's card."""
    named = facts_named(rule.when)
    return [(name, rule.sets[0][1]) for name in named if name.startswith("list_") and rule.sets and len(named) == 1]


def _assert_seamless(periods: list[dict[str, Any]]) -> None:
    periods = sorted(periods, key=lambda period: period["effective_from"])
    for earlier, later in zip(periods, periods[1:]):
        assert earlier["effective_to"] == later["effective_from"]
    assert "effective_to" not in periods[-1]
    assert all(one["min_months"] <= one.get("max_months", one["min_months"]) for one in periods)


def test_every_number_among_the_parameters_declares_its_range() -> None:
    declared = yaml.safe_load((FOLDER / "facts.yaml").read_text(encoding="utf-8"))["facts"]
    numbers = [one for one in declared if one["source"] == "parameter" and one["type"] in ("money", "ratio", "count")]
    assert numbers and [one["name"] for one in numbers if "range" not in one] == []
