"""Explanations that can be checked by hand: the limit, the score, and what would have to change."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from decision_service.api.explanation_schema import ExplanationSchema
from decision_service.audit.decided import reasons_of
from decision_service.audit.record import values_of
from decision_service.decide import PD_REASONS
from decision_service.explain_changes import in_the_way
from decision_service.rulebook.conditions import AllOf, AnyOf, Comparison, Condition, Not
from decision_service.scoring.contributions import Explained
from decision_service.vocabulary import ModelVersion, Scores
from tests.api.real import CALIBRATION, REASONS, SHARES, VERSION
from tests.api.test_real_platform import City, explanation


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    found = City(tmp_path_factory.mktemp("explained"))
    yield found
    found.platform.store.close()


def number(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


def explained(city: City, show: str, lang: str = "en", kind: str = "bank", **changes: Any) -> tuple[dict, dict]:
    answer = city.post(show, kind=kind, application_id=f"E-{show}-{lang}-{len(changes)}", **changes)
    assert answer.status_code == 201, answer.text
    found = explanation(city, answer, kind, lang)
    assert ExplanationSchema().validate(found) == {}
    return answer.get_json(), found


def test_every_limit_follows_from_the_steps_that_are_shown(city: City) -> None:
    known = 0
    for show in city.shows:
        decision, found = explained(city, show)
        limit = found["limit"]
        assert limit["limit"] == decision["limit"]
        amounts = [one["amount"] for one in limit["bounds"]]
        if None in amounts:
            assert limit["bound"] is limit["limit"] is None
            continue
        known += 1
        caps = [number(one["amount"]) for one in limit["caps"]]
        factor = min([Decimal(1), *(number(one["factor"]) for one in limit["factors"])])
        raw = min(*map(number, amounts), *caps) * factor if caps else min(map(number, amounts)) * factor
        assert abs(number(limit["before_rounding"]) - raw) <= Decimal("0.01")
        step = number(limit["rounded_down_to"])
        assert max(Decimal(0), number(limit["before_rounding"]) // step * step) == number(limit["limit"])
    assert known >= 5


def test_a_bound_follows_from_its_inputs(city: City) -> None:
    _, found = explained(city, "approve")
    bound = {one["bound"]: one for one in found["limit"]["bounds"]}["revenue_multiple"]
    inputs = {one["fact"]: one["value"] for one in bound["inputs"]}
    expected = number(inputs["revenue_12m"]) * number(inputs["industry.limit_multiple_of_revenue"])
    assert abs(number(bound["amount"]) - expected * number(bound["grade_factor"])) <= Decimal("0.02")


def test_a_yellow_card_s_factor_and_the_caps_name_their_rules(city: City) -> None:
    _, found = explained(city, "yellow", "zh")
    assert [(one["rule"], one["factor"]) for one in found["limit"]["factors"]] == [("LIM-03", "0.500000")]
    caps = {one["rule"]: one["from"] for one in found["limit"]["caps"]}
    assert caps["LIM-05"]["fact"] == "product.max_amount" and caps["LIM-05"]["label"] == "产品金额上限"


def test_the_score_follows_from_the_contributions(city: City) -> None:
    decision, found = explained(city, "approve", amount="20000.00")
    score, shares = found["score"], {one["feature"]: one for one in found["contributions"]}
    assert score["model"] == decision["models"][0]
    assert shares["base"]["label"] == "base (the model's intercept)"
    assert sum(float(one["log_odds"]) for one in shares.values()) == pytest.approx(float(score["margin"]), abs=1e-5)
    assert float(score["base"]) + float(score["features"]) == pytest.approx(float(score["margin"]), abs=1e-5)
    slope, offset = (float(score["calibration"][name]) for name in ("slope", "offset"))
    probability = 1 / (1 + math.exp(-(slope * float(score["margin"]) + offset)))
    assert probability == pytest.approx(float(decision["scores"]["pd_xgb"]), abs=1e-6)
    assert score["pd_xgb"] == decision["scores"]["pd_xgb"]


def test_a_reader_who_may_not_see_a_contribution_gets_no_sum_of_them(city: City) -> None:
    _, found = explained(city, "approve", kind="fintech", amount="20000.00")
    assert set(found["score"]) == {"model", "withheld"}
    assert "max_overdue_days_24m" not in {one["feature"] for one in found["contributions"]}


def test_the_reasons_of_the_score_say_what_was_seen_and_what_is_healthy(city: City) -> None:
    _, found = explained(city, "approve", "zh", amount="20000.00")
    told = {one["code"]: one for one in found["score_reasons"]}
    assert list(told) == ["IND22", "SERIES_SALES", "IND01", "INDUSTRY"]
    assert told["IND22"]["text"] == "信贷最大逾期天数：40 天；健康参考：0 天。推高违约概率（对数几率 +1.50）。"
    sales = told["SERIES_SALES"]
    assert (sales["seen"], sales["healthy"], sales["unit"]) == ("120,000 元", "250,000.5 元", "CNY")
    assert (sales["change"], sales["healthy_change"], sales["direction"]) == ("-50.0%", "+3.1%", "raises")
    assert "每月净销项：120,000 元（近3个月-50.0%）；健康参考：250,000.5 元（近3个月+3.1%）" in sales["text"]
    assert told["IND01"]["seen"] is None and "资产负债率：未知；健康参考：51.71%" in told["IND01"]["text"]
    _, found = explained(city, "approve", "en", amount="20000.00")
    assert found["score_reasons"][3]["text"] == (
        "industry: F; a healthy firm: C. Raises the probability of default (log-odds +0.25)."
    )


def test_the_log_odds_of_the_blend_are_the_sum_of_what_is_shown(city: City) -> None:
    _, found = explained(city, "approve", amount="20000.00")
    blend = found["blend"]
    shares = {(one["score"], one["feature"]): one for one in blend["shares"]}
    assert shares["pd_lstm", "sales"]["parts"] == [
        {"part": "level", "log_odds": "0.500000"},
        {"part": "months_1_3", "log_odds": "1.250000"},
    ]
    total = float(blend["base"]) + sum(float(one["log_odds"]) for one in shares.values())
    assert total == pytest.approx(float(blend["log_odds"]), abs=1e-5) and float(blend["log_odds"]) == 0.375
    assert list(shares)[0] == ("pd_lstm", "sales")


def test_a_reason_that_may_not_be_shown_is_counted_and_the_sum_is_withheld(city: City) -> None:
    _, found = explained(city, "approve", kind="fintech", amount="20000.00")
    assert found["score_reasons"][0] == {"withheld": True} and found["blend"] == {"withheld": True}
    assert [one["code"] for one in found["score_reasons"][1:]] == ["SERIES_SALES", "IND01", "INDUSTRY"]
    assert "overdue" not in str(found["score_reasons"])


def test_reasons_are_recorded_where_the_score_is_one_and_told_from_the_record(city: City) -> None:
    city.scorer.pd = Decimal("0.400000")
    try:
        declined, before = explained(city, "approve", amount="20000.00", term_months=5)
    finally:
        city.scorer.pd = Decimal("0.003000")
    assert "PD_DECLINE" in {one["code"] for one in declined["reasons"]}
    stored = city.platform.store.decision(declined["decision_id"])
    assert reasons_of(values_of(stored.private)) == REASONS.stated
    assert before["score_reasons"][0]["code"] == "IND22"
    sound, _ = explained(city, "approve", amount="20000.00")
    assert not PD_REASONS.intersection(one["code"] for one in sound["reasons"])
    stored = city.platform.store.decision(sound["decision_id"])
    assert "score_reasons" not in values_of(stored.private)


def test_without_models_there_is_no_score_to_explain(city: City) -> None:
    city.scorer.pd = None
    try:
        _, found = explained(city, "approve", amount="10000.00", term_months=7)
        assert found["score"] is None and found["contributions"] == []
    finally:
        city.scorer.pd = Decimal("0.003000")


def test_a_scorecard_that_stood_in_refers_and_is_explained_by_its_points(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, pd_12m = ModelVersion("pd-scorecard", "3", "sha256:01"), Decimal("0.003000")
    lost = {"debt_to_asset_ratio": 34.71, "max_overdue_days_24m": 0.0}
    scores = Scores(pd_12m, None, pd_12m, "fallback", (VERSION, card))
    monkeypatch.setattr(city.scorer, "score", lambda features, *rest, **more: replace(scores, features=dict(features)))
    monkeypatch.setattr(
        city.scorer,
        "explained",
        lambda version, features: Explained(version, SHARES, CALIBRATION, lost if version == card else None),
    )
    decision, found = explained(city, "approve", amount="10000.00", term_months=5)
    assert decision["outcome"] == "REFER" and "MODEL_DOWN" in {one["code"] for one in decision["reasons"]}
    assert decision["models"][-1]["name"] == found["score"]["model"]["name"] == "pd-scorecard"
    assert found["score"]["formula"].startswith("pd_12m = ") and found["score"]["pd_12m"] == "0.003000"
    assert "pd_xgb" not in found["score"]
    points = {one["feature"]: one.get("points_lost") for one in found["contributions"]}
    assert points == {"base": None, "debt_to_asset_ratio": "34.7", "max_overdue_days_24m": "0.0"}


def test_a_bent_calibration_is_shown_with_its_knots(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    bent = replace(CALIBRATION, offset=CALIBRATION.offset - 0.25, knots=((-2.0, 0.0), (-0.5, 0.5)))  # at -1.25: 0.25
    monkeypatch.setattr(city.scorer, "explained", lambda version, features: Explained(version, SHARES, bent))
    _, found = explained(city, "approve", amount="10000.00", term_months=4)
    score = found["score"]
    slope, offset = (float(score["calibration"][name]) for name in ("slope", "offset"))
    margins, bends = zip(*(map(float, knot) for knot in score["calibration"]["knots"]), strict=True)
    margin = float(score["margin"])
    log_odds = slope * margin + offset + float(np.interp(margin, margins, bends))
    assert "bend(margin)" in score["formula"]
    assert 1 / (1 + math.exp(-log_odds)) == pytest.approx(float(score["pd_xgb"]), abs=1e-6)


def test_a_score_above_the_cut_off_is_the_obstacle_and_what_holds_is_none(city: City) -> None:
    city.scorer.pd = Decimal("0.060000")
    try:
        decision, found = explained(city, "approve", amount="10000.00", term_months=6, purpose="payroll")
    finally:
        city.scorer.pd = Decimal("0.003000")
    assert "PD_REFER" in {one["code"] for one in decision["reasons"]}
    changes = {one["rule"]: one["comparisons"] for one in found["changes"]}
    assert [(one["fact"], one["wanted"]) for one in changes["PD-001"]] == [
        ("pd_12m", "not_matched"), ("whitelisted", "matched"),
    ]  # fmt: skip
    assert [(one["fact"], one["wanted"]) for one in changes["AUTO-001"]] == [("pd_12m", "matched")]


def test_no_change_asks_for_another_product_or_for_what_an_approval_needs(city: City) -> None:
    listed = 0
    for show in city.shows:
        for change in explained(city, show, term_months=11, amount="10000.00")[1]["changes"]:
            listed += 1
            assert change["comparisons"]
            for one in change["comparisons"]:
                assert one["result"] != one["wanted"], (show, change["rule"], one["text"])
                assert one["fact"] != "product"
                assert not (one["text"] == "card == none" and one["result"] == "matched")
    assert listed > 10


SELF_EXPLANATORY = re.compile(r"[A-Z][0-9]?")  # a tax rating, a grade


def test_every_choice_of_the_shipped_facts_reads_as_chinese(city: City) -> None:
    catalogue = city.platform.policies.current().ruleset.catalogue
    seen = 0
    for name, fact in catalogue.items():
        for choice in fact.choices:
            seen += 1
            text = catalogue.text(name, choice, "zh")
            assert SELF_EXPLANATORY.fullmatch(choice) or re.search(r"[\u4e00-\u9fff]", text), f"{name}: {choice}"
            assert catalogue.text(name, choice) == choice
        words = [catalogue.text(name, choice, "zh") for choice in fact.choices]
        assert len(set(words)) == len(words), f"{name}: two choices read alike"
    assert seen > 100


def test_a_chinese_explanation_speaks_chinese_throughout(city: City) -> None:
    _, found = explained(city, "yellow", "zh", term_months=10)
    compared = [one for stage in found["stages"] for rule in stage["rules"] for one in rule["comparisons"]]
    shown = [one[side] for one in compared for side in ("seen", "against", "label")]
    shown += [one["label"] for one in found["contributions"]]
    wordy = {text for text in shown if re.search(r"[a-z]{2,}", text)}
    assert wordy == set()
    assert {"无", "黄牌", "流动资金贷款", "基准（模型截距）"} <= set(shown)


A, B = Comparison("a", "==", 1, "a"), Comparison("b", "==", 1, "b")
IN_THE_WAY: dict[str, tuple[Condition, dict[str, int | None], bool, list[tuple[str, bool]]]] = {
    "nothing, when it is as wanted": (AllOf((A, B)), {"a": 1, "b": 1}, True, []),
    "the part that fails": (AllOf((A, B)), {"a": 1, "b": 0}, True, [("b", True)]),
    "the part that is unknown": (AllOf((A, B)), {"a": None, "b": 1}, True, [("a", True)]),
    "each part that holds, to undo a conjunction": (
        AllOf((A, B)), {"a": 1, "b": 1}, False, [("a", False), ("b", False)]
    ),
    "only what holds, to undo a disjunction": (AnyOf((A, B)), {"a": 1, "b": 0}, False, [("a", False)]),
    "under a negation, what would have to hold": (
        AllOf((A, Not(AllOf((B, A))))), {"a": 1, "b": 0}, False, [("a", False), ("b", True)]
    ),
}  # fmt: skip


@pytest.mark.parametrize(("condition", "facts", "wanted", "found"), IN_THE_WAY.values(), ids=IN_THE_WAY.keys())
def test_what_stands_in_the_way(condition: Condition, facts: dict, wanted: bool, found: list) -> None:
    assert [(one.fact, other) for one, other in in_the_way(condition, facts, wanted=wanted)] == found
