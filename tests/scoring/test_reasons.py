"""Shares add up to the log-odds of the blend; the stated reasons are what a healthy value would help most."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from models_for_tests import MODELS, MONTHS, application, network, scorecard, trees, world

from decision_service.scoring.blend import blended, expit, logit
from decision_service.scoring.models import LstmModel, ScorecardModel, XgboostModel
from decision_service.scoring.reasons import Part, Reading, reasons_of, score_reasons, series_part, tree_part
from decision_service.scoring.scorecard import Bin, BinnedFeature
from decision_service.scoring.scorer import Scorer
from decision_service.scoring.spec import Calibration, LstmSpec, XgboostSpec, from_json, to_json
from decision_service.vocabulary import ScoreReasons

BENT = Calibration(0.8, -1.5, 0.03, ((-2.0, 0.0), (0.0, 0.4), (2.0, 0.1)))
FITTED = trees(rounds=40).with_calibration(BENT), network(epochs=4)
TREES, NETWORK = XgboostModel(FITTED[0].weights, FITTED[0].spec), LstmModel(FITTED[1].weights, FITTED[1].spec)
FIRMS = world()
WEIGHTS = (0.6, 0.4)
BLEND = (Decimal("0.6"), Decimal("0.4"))


def firm(number: int) -> tuple[dict[str, Any], list[list[float]], list[bool]]:
    features = dict(zip(("leverage", "growth", "idle"), map(float, FIRMS.matrix[number]), strict=True))
    return {**features, "industry_code": FIRMS.codes[number]}, FIRMS.series[number].tolist(), list(FIRMS.mask[number])


def known_firms(count: int) -> list[int]:
    """The first twenty report twelve months only; some have no value at all and no score."""
    return [number for number in range(count) if not np.isnan(FIRMS.matrix[number]).all()]


def parts(features: dict[str, Any], series: Any, mask: Any) -> list[tuple[Part, float]]:
    return list(zip((tree_part(TREES, features), series_part(NETWORK, series, mask)), WEIGHTS, strict=True))


def score(features: dict[str, Any], series: Any, mask: Any) -> float:
    pds = TREES.probability(features), NETWORK.probability(series, mask)
    return WEIGHTS[0] * logit(pds[0]) + WEIGHTS[1] * logit(pds[1])


@pytest.mark.parametrize("number", known_firms(40))
def test_shares_and_base_add_up_to_the_log_odds_of_the_blend(number: int) -> None:
    found = score_reasons(parts(*firm(number)))
    assert found.base + sum(found.shares.values()) == pytest.approx(score(*firm(number)), abs=1e-6)


@pytest.mark.parametrize("number", known_firms(40))
def test_shares_of_each_model_add_up_to_its_margin(number: int) -> None:
    for part, _ in parts(*firm(number)):
        assert part.base + sum(part.shares.values()) == pytest.approx(part.margin, abs=1e-5)


@pytest.mark.parametrize("number", known_firms(40))
def test_a_stated_effect_is_what_scoring_with_the_healthy_value_gives(number: int) -> None:
    """Through the models' own way of reading features, without the rows that the reasons are computed from."""
    features, series, mask = firm(number)
    spec = TREES.spec
    assert spec.healthy is not None
    before = score(features, series, mask)
    stated = {one.name: one for one in score_reasons(parts(features, series, mask)).stated if one.score == "pd_xgb"}
    for name in (*spec.features, "industry"):
        fact = "industry_code" if name == "industry" else name
        changed = {**features, fact: spec.healthy[fact]}
        if all(math.isnan(changed[one] if changed[one] is not None else math.nan) for one in spec.features):
            continue
        effect = before - score(changed, series, mask)
        if name in stated:
            assert stated[name].effect == pytest.approx(effect, abs=1e-6)
            assert stated[name].seen == (spec.sections[features[fact]] if name == "industry" else features[fact]) or (
                stated[name].seen is None and math.isnan(features[fact])
            )


def test_a_series_set_to_the_healthy_window_is_stated_by_its_effect() -> None:
    features, series, mask = firm(50)
    spec = NETWORK.spec
    found = {one.name: one for one in score_reasons(parts(features, series, mask)).stated if one.score == "pd_lstm"}
    assert found and spec.healthy is not None
    for place, name in enumerate(spec.series):
        changed = [[*month] for month in series]
        for month, healthy in zip(changed, spec.healthy, strict=True):
            month[place] = healthy[place]
        effect = score(features, series, mask) - score(features, changed, mask)
        assert (found[name].effect if name in found else 0.0) == pytest.approx(max(effect, 0.0), abs=1e-6)


def test_a_series_is_told_by_its_mean_and_its_latest_change() -> None:
    features, _, mask = firm(50)
    series = [[100.0, 70.0]] * (MONTHS - 12) + [[200.0, 70.0]] * 9 + [[100.0, 70.0]] * 3
    part = series_part(NETWORK, series, mask)
    assert part.seen["sales"] == Reading(175.0, -0.5)
    assert part.seen["purchases"] == Reading(70.0, 0.0)


def test_months_without_a_report_are_an_input_of_their_own() -> None:
    series = [[math.nan, math.nan]] * 12 + [[1000.0, 700.0]] * 12
    part = series_part(NETWORK, series, [False] * 12 + [True] * 12)
    assert part.seen["history"] == Reading(12.0) and part.healthy["history"] == Reading(24.0)
    assert part.shares["history"] != 0.0 and part.shares["sales.months_13_on"] == 0.0
    assert "history" not in series_part(NETWORK, [[1000.0, 700.0]] * 24, [True] * 24).without


def test_an_unreported_series_is_a_reason_that_names_no_value() -> None:
    part = series_part(NETWORK, [[1000.0, math.nan]] * 24, [True] * 24)
    assert part.seen["purchases"] == Reading(None) and part.without["purchases"] != part.margin


def test_a_scorecard_states_what_its_bins_cost_against_the_best() -> None:
    fitted = scorecard()
    model = ScorecardModel(fitted.weights, fitted.spec)
    features = {"leverage": 2.5, "growth": math.nan, "idle": 0.0, "industry_code": "13"}
    found = reasons_of([TREES, model], features, [], [], weights=None)
    assert found is not None
    assert found.base + sum(found.shares.values()) == pytest.approx(logit(model.probability(features)), abs=1e-9)
    stated = {one.name: one for one in found.stated}
    best = {one.name: one.best_bin for one in model.scorecard.features}
    assert stated["leverage"].seen == 2.5 and stated["growth"].seen is None and stated["industry_code"].seen == "13"
    for one in model.scorecard.features:
        if one.name in stated:
            healthy = {name: value for name, value in features.items()}
            healthy[one.name] = value_in(one, best[one.name])
            cheaper = logit(model.probability(features)) - logit(model.probability(healthy))
            assert stated[one.name].effect == pytest.approx(cheaper, abs=1e-9)
            assert stated[one.name].healthy == one.text_of(best[one.name])


def value_in(feature: BinnedFeature, wanted: Bin) -> Any:
    if wanted is feature.missing:
        return math.nan
    if feature.groups is not None:
        return feature.groups[feature.bins.index(wanted)][0]
    assert feature.splits is not None
    place = next(place for place, one in enumerate(feature.bins) if one is wanted)
    return feature.splits[place] - 1e-9 if place < len(feature.splits) else feature.splits[-1]


def test_which_models_gave_the_score_decides_how_they_count() -> None:
    features, series, mask = firm(50)
    half = (Decimal("0.5"), Decimal("0.5"))
    alone = reasons_of([TREES], features, series, mask, weights=half)
    assert alone is not None and {key.partition(".")[0] for key in alone.shares} == {"pd_xgb"}
    assert alone.base + sum(alone.shares.values()) == pytest.approx(logit(TREES.probability(features)), abs=1e-6)
    assert reasons_of([NETWORK, TREES], features, series, mask, weights=BLEND) == score_reasons(
        parts(features, series, mask)
    )
    assert reasons_of([TREES, NETWORK], features, series, mask, weights=None) is None
    short = reasons_of([NETWORK, TREES], features, series, mask, weights=BLEND, shares=False)
    assert short == ScoreReasons(0.0, {}, score_reasons(parts(features, series, mask)).stated)
    assert reasons_of([], features, series, mask, weights=half) is None


def test_the_scorer_gives_the_reasons_of_the_versions_that_scored(uri: str) -> None:
    features, series, mask = application()
    scorer = Scorer(uri)
    scores = scorer.score(features, series, mask, models=MODELS, weights=BLEND)
    found = scorer.reasons(features, series, mask, versions=scores.models, weights=BLEND)
    assert found is not None and found.stated and scores.pd_12m is not None
    assert expit(found.base + sum(found.shares.values())) == pytest.approx(float(scores.pd_12m), abs=1e-6)
    other = [replace(scores.models[0], digest="sha256:00"), scores.models[1]]
    assert scorer.reasons(features, series, mask, versions=other, weights=BLEND) is None


def part(without: dict[str, float], calibration: Calibration = Calibration(1.0, 0.0, 0.5), **given: Any) -> Part:
    readings = {name: Reading(0.0) for name in without}
    found = {"score": "pd_xgb", "margin": 1.0, "base": 0.0, "shares": {"a": 1.0}, "seen": readings}
    return Part(**{**found, "calibration": calibration, "without": without, "healthy": readings, **given})


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        pytest.param({"a": 0.9, "b": 0.7, "c": 2.0}, ["b", "a"], id="largest first, what helps is no reason"),
        pytest.param({"b": 0.5, "a": 0.5}, ["a", "b"], id="ties by name"),
        pytest.param({name: 0.1 * place for place, name in enumerate("abcdef")}, list("abcd"), id="four at most"),
        pytest.param({"a": 1.0 - 1e-8}, [], id="nothing that can be shown"),
        pytest.param({}, [], id="no healthy reference"),
    ],
)
def test_what_is_stated(without: dict[str, float], expected: list[str]) -> None:
    assert [one.name for one in score_reasons([(part(without), 1.0)]).stated] == expected


def test_both_models_stand_in_one_list_by_what_they_weigh_in_the_blend() -> None:
    both = [(part({"a": 0.0}), 0.3), (part({"s": 0.5}, score="pd_lstm"), 0.7)]
    assert [(one.name, round(one.effect, 9)) for one in score_reasons(both).stated] == [("s", 0.35), ("a", 0.3)]


def test_a_clipped_score_is_divided_as_it_is_clipped() -> None:
    steep = part({"a": 0.0}, margin=30.0, shares={"a": 20.0, "b": 10.0})
    found = score_reasons([(steep, 1.0)])
    assert found.base + sum(found.shares.values()) == pytest.approx(logit(1.0))
    assert found.shares["pd_xgb.a"] == pytest.approx(2 * found.shares["pd_xgb.b"])


def test_a_margin_at_its_base_has_all_in_the_base() -> None:
    found = score_reasons([(part({}, margin=0.5, base=0.5, shares={"a": 0.0}), 1.0)])
    assert (found.base, dict(found.shares)) == (pytest.approx(0.5), {"pd_xgb.a": 0.0})


def test_a_version_without_a_healthy_reference_has_shares_but_states_nothing() -> None:
    features, series, mask = application()
    bare = [replace(one.spec, healthy=None) for one in FITTED]
    models = XgboostModel(FITTED[0].weights, bare[0]), LstmModel(FITTED[1].weights, bare[1])
    found = score_reasons([(tree_part(models[0], features), 0.6), (series_part(models[1], series, mask), 0.4)])
    assert found.stated == ()
    from_both = blended(models[0].probability(features), models[1].probability(series, mask), BLEND)
    assert found.base + sum(found.shares.values()) == pytest.approx(logit(from_both), abs=1e-6)


def test_the_healthy_reference_is_in_the_middle_of_firms_that_did_not_default() -> None:
    spec, series = FITTED[0].spec, FITTED[1].spec
    assert isinstance(spec, XgboostSpec) and isinstance(series, LstmSpec) and spec.healthy and series.healthy
    sound = FIRMS.matrix[FIRMS.labels == 0]
    assert spec.healthy["leverage"] == pytest.approx(np.nanmedian(sound[:, 0]), abs=1e-6)
    assert spec.sections[spec.healthy["industry_code"]] == "A"
    assert np.array(series.healthy)[20, 0] == pytest.approx(np.median(FIRMS.series[FIRMS.labels == 0][:, 20, 0]))
    assert from_json(to_json(spec)) == spec and from_json(to_json(series)) == series
