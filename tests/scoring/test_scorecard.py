"""A served scorecard: looked up by hand, explained in points lost, and refused unless it is whole."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from models_for_tests import scorecard

from decision_service.errors import ModelError
from decision_service.scoring.models import ScorecardModel, build
from decision_service.scoring.scorecard import from_json
from decision_service.scoring.spec import Calibration, PointScale, ScorecardSpec, to_json

GOLDEN = {
    "format": 1,
    "intercept": -3.0,
    "features": [
        {
            "name": "leverage",
            "weight": -1.0,
            "value": 0.5,
            "splits": [0.5, 0.8],
            "groups": None,
            "bins": [
                {"woe": 1.0, "goods": 60, "bads": 2},
                {"woe": 0.0, "goods": 30, "bads": 3},
                {"woe": -1.5, "goods": 10, "bads": 5},
            ],
            "special": [-999.0],
            "special_bin": {"woe": -0.25, "goods": 7, "bads": 1},
            "missing": {"woe": -0.5, "goods": 5, "bads": 1},
        },
        {
            "name": "trade",
            "weight": -0.5,
            "value": 0.1,
            "splits": None,
            "groups": [["A", "B"], ["C"]],
            "bins": [{"woe": 0.4, "goods": 80, "bads": 4}, {"woe": -0.8, "goods": 20, "bads": 6}],
            "special": [],
            "special_bin": {"woe": 0.0, "goods": 0, "bads": 0},
            "missing": {"woe": 0.0, "goods": 0, "bads": 0},
        },
    ],
}
PLAIN = Calibration(1.0, 0.0, 0.05)
BEST = {"leverage": 0.1, "trade": "A"}


def spec(calibration: Calibration = PLAIN) -> ScorecardSpec:
    """With a canary that is worked out by hand: -3 - 1.0 - 0.2."""
    canary = 1 / (1 + math.exp(-(calibration.slope * -4.2 + calibration.offset)))
    return ScorecardSpec(("leverage", "trade"), PointScale(), calibration, ((BEST, canary),))


def golden(calibration: Calibration = PLAIN) -> ScorecardModel:
    return ScorecardModel(json.dumps(GOLDEN).encode(), spec(calibration))


@pytest.mark.parametrize(
    ("leverage", "trade", "margin"),
    [
        pytest.param(0.1, "A", -3 - 1.0 - 0.2, id="best everywhere"),
        pytest.param(0.4999, "B", -3 - 1.0 - 0.2, id="just below an edge"),
        pytest.param(0.5, "B", -3 - 0.0 - 0.2, id="an edge belongs to the bin above"),
        pytest.param(0.8, "C", -3 + 1.5 + 0.4, id="worst everywhere"),
        pytest.param(1e300, "C", -3 + 1.5 + 0.4, id="far above"),
        pytest.param(-1e300, "A", -3 - 1.0 - 0.2, id="far below"),
        pytest.param(-999, "A", -3 + 0.25 - 0.2, id="a special value"),
        pytest.param(float("nan"), "A", -3 + 0.5 - 0.2, id="not a number: missing"),
        pytest.param(None, "A", -3 + 0.5 - 0.2, id="missing"),
        pytest.param(0.1, None, -3 - 1.0, id="category missing"),
        pytest.param(0.1, "Z", -3 - 1.0, id="a category never seen counts as missing"),
        pytest.param(0.1, "", -3 - 1.0, id="an empty category too"),
    ],
)
def test_the_margin_is_what_the_table_says(leverage: Any, trade: Any, margin: float) -> None:
    features = {"leverage": leverage, "trade": trade, "another": 1.0}
    assert golden().margin(features) == pytest.approx(margin, abs=1e-12)


def test_points_are_600_at_50_to_one_on_the_calibrated_odds() -> None:
    model = golden(Calibration(1.0, 4.2 - math.log(50), 0.05))
    assert model.points(BEST) == pytest.approx(600, abs=1e-9)
    assert model.probability(BEST) == pytest.approx(1 / 51)
    doubled = golden(Calibration(1.0, 4.2 - math.log(100), 0.05))
    assert doubled.points(BEST) == pytest.approx(620, abs=1e-9)


@given(
    leverage=st.one_of(st.none(), st.floats(allow_infinity=False)),
    trade=st.sampled_from([None, "A", "B", "C", "Z"]),
    slope=st.floats(0.05, 5),
    offset=st.floats(-5, 5),
)
def test_shares_add_up_and_points_stand_for_the_odds(
    leverage: float | None, trade: str | None, slope: float, offset: float
) -> None:
    features: dict[str, Any] = {"leverage": leverage, "trade": trade}
    if trade is None and (leverage is None or math.isnan(leverage)):
        return
    model = golden(Calibration(slope, offset, 0.05))
    shares = model.contributions(features)
    assert sum(shares.values()) == pytest.approx(model.margin(features), abs=1e-12)
    assert min(share for name, share in shares.items() if name != "base") >= 0
    log_odds = slope * model.margin(features) + offset
    assert model.points(features) == pytest.approx(487.1228762045055060 - 28.85390081777927 * log_odds, abs=1e-9)
    best = model.points(BEST)
    assert best - model.points(features) == pytest.approx(sum(model.points_lost(features).values()), abs=1e-9)


def test_the_reasons_are_points_lost_against_the_best_bin_the_dearest_first() -> None:
    lost = golden().points_lost({"leverage": None, "trade": "C"})
    assert list(lost) == ["leverage", "trade"]
    assert lost["leverage"] == pytest.approx(28.85390081777927 * 1.5) and lost["trade"] == pytest.approx(
        28.85390081777927 * 0.6
    )


@pytest.mark.parametrize(
    ("features", "why"),
    [
        pytest.param({"leverage": 0.1}, "'trade' was not delivered", id="a feature is absent"),
        pytest.param({"leverage": None, "trade": None}, "not one feature", id="nothing is known"),
        pytest.param({"leverage": math.inf, "trade": "A"}, "not a finite number", id="infinite"),
        pytest.param({"leverage": "0.1", "trade": "A"}, "not a finite number", id="a number as text"),
        pytest.param({"leverage": [1], "trade": "A"}, "not a finite number", id="a list"),
        pytest.param({"leverage": 10**400, "trade": "A"}, "not a finite number", id="larger than any float"),
        pytest.param({"leverage": 0.1, "trade": 7}, "not a category", id="a category as number"),
    ],
)
def test_features_that_cannot_be_read_are_refused(features: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelError, match=why):
        golden().probability(features)


def files(card: Any = None, written: ScorecardSpec | None = None) -> dict[str, bytes]:
    content = json.dumps(GOLDEN if card is None else card).encode() if not isinstance(card, bytes) else card
    return {"spec.json": to_json(written or spec()), "scorecard.json": content}


def test_a_whole_scorecard_is_built_and_a_fitted_one_too() -> None:
    assert isinstance(build(files()), ScorecardModel)
    fitted = scorecard()
    model = build({"spec.json": to_json(fitted.spec), "scorecard.json": fitted.weights})
    assert isinstance(model, ScorecardModel) and {"leverage", "growth", "industry_code"} <= set(fitted.spec.features)


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(GOLDEN))
    change(data)
    return data


def first(**fields: Any) -> dict[str, Any]:
    return changed(lambda data: data["features"][0].update(fields))


def second(**fields: Any) -> dict[str, Any]:
    return changed(lambda data: data["features"][1].update(fields))


def first_bin(**fields: Any) -> dict[str, Any]:
    return changed(lambda data: data["features"][0]["bins"][0].update(fields))


CORRUPT: dict[str, Any] = {
    "it is empty": b"",
    "it is cut": json.dumps(GOLDEN).encode()[:-9],
    "it is a list": [],
    "it nests without end": b"[" * 100_000,
    "its format is another": changed(lambda data: data.update(format=2)),
    "it has no intercept": changed(lambda data: data.pop("intercept")),
    "its intercept is no number": changed(lambda data: data.update(intercept=float("nan"))),
    "it has a field more": changed(lambda data: data.update(loader="os")),
    "it has no features": changed(lambda data: data.update(features=[])),
    "a feature stands twice": changed(lambda data: data["features"].append(data["features"][0])),
    "a feature has a field more": first(x=1),
    "a weight has the wrong sign": first(weight=0.1),
    "a weight is zero": first(weight=0.0),
    "a weight is infinite": first(weight=float("-inf")),
    "splits fall": first(splits=[0.8, 0.5]),
    "a split is not finite": first(splits=[0.5, float("inf")]),
    "a split is missing": first(splits=[0.5]),
    "there are neither splits nor groups": first(splits=None),
    "there are splits and groups": first(groups=[["A"], ["B"], ["C"]]),
    "a woe is not a number": first_bin(woe="x"),
    "a woe is infinite": first_bin(woe=float("inf")),
    "a count is negative": first_bin(goods=-1),
    "a count is a truth value": first_bin(bads=True),
    "a bin has a field more": first_bin(points=3),
    "a category stands in two groups": second(groups=[["A", "B"], ["B"]]),
    "a category is a number": second(groups=[["A", 1], ["C"]]),
    "a group has no bin": second(groups=[["A"], ["B"], ["C"]]),
    "a category has special values": second(special=[1.0]),
    "its features are others than the spec's": first(name="growth"),
}


@pytest.mark.parametrize("card", [pytest.param(card, id=name) for name, card in CORRUPT.items()])
def test_a_scorecard_is_refused_when(card: Any) -> None:
    with pytest.raises(ModelError, match="scorecard.json"):
        build(files(card))


@pytest.mark.parametrize(
    "card",
    [
        pytest.param(changed(lambda data: data.update(intercept=-2.99)), id="another intercept"),
        pytest.param(first(weight=-1.01), id="another weight"),
        pytest.param(first(splits=[0.05, 0.8]), id="another split"),
        pytest.param(first_bin(woe=0.9), id="another woe"),
    ],
)
def test_a_scorecard_whose_canary_comes_out_otherwise_is_refused(card: Any) -> None:
    with pytest.raises(ModelError, match="canary prediction"):
        build(files(card))


def test_another_calibration_is_refused_by_the_canary() -> None:
    moved = replace(spec(), calibration=Calibration(1.0, 0.01, 0.05))
    with pytest.raises(ModelError, match="canary prediction"):
        build(files(written=moved))


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(ModelError, match="scorecard.json is missing"):
        build({"spec.json": to_json(spec())})


@given(st.binary(max_size=200))
def test_any_bytes_are_a_scorecard_or_an_error(content: bytes) -> None:
    with pytest.raises(ModelError):
        from_json(content)


def test_serving_a_scorecard_imports_no_library_of_its_training() -> None:
    program = (
        "import sys; import decision_service.scoring.models; "
        "print([name for name in ('optbinning', 'ortools', 'sklearn', 'torch', 'xgboost') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
