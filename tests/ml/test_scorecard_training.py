"""A scorecard is fitted as optbinning fits it, drops what does not belong, and is served to the same points."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from decision_service.errors import InputError, ModelError
from decision_service.scoring import scorecard as served
from decision_service.scoring.models import ScorecardModel, build
from decision_service.scoring.registry import ModelRegistry
from decision_service.scoring.spec import ScorecardSpec, to_json
from ml import scorecard as training
from ml.calibration import calibrate
from ml.fitted import FittedModel, probabilities, scorecard_margins
from ml.metrics import auc
from ml.registration import register
from ml.scorecard import fit_scorecard, pd_by_points, points_files, points_table

COUNT = 3000
RANDOM = np.random.default_rng(6)
RISK = RANDOM.normal(size=COUNT)
LABELS = (RANDOM.random(COUNT) < 1 / (1 + np.exp(1.5 - 1.2 * RISK))).astype(int)
NAMES = ("debt", "cash", "copy", "noise", "still", "never")
MATRIX = np.column_stack(
    [
        RISK + RANDOM.normal(size=COUNT),
        -RISK + RANDOM.normal(size=COUNT),
        np.zeros(COUNT),
        RANDOM.normal(size=COUNT),
        np.ones(COUNT),
        np.full(COUNT, np.nan),
    ]
)
MATRIX[:, 2] = MATRIX[:, 0] + 0.01 * RANDOM.normal(size=COUNT)
MATRIX[::9, 1] = np.nan
MATRIX[1::9, 0] = -999.0
TRADES = [("build" if risk > 0.8 else "shop" if risk < -0.8 else "farm") for risk in RISK + RANDOM.normal(size=COUNT)]
TRADES = [None if place % 13 == 0 else trade for place, trade in enumerate(TRADES)]


def card(**changes: Any) -> FittedModel:
    given: dict[str, Any] = {
        "feature_names": NAMES,
        "monotone": {"debt": 1, "cash": -1},
        "categories": {"trade": TRADES},
        "special": {"debt": [-999.0], "copy": [-999.0]},
        **changes,
    }
    return fit_scorecard(MATRIX, LABELS, **given)


@pytest.fixture(scope="module")
def fitted() -> FittedModel:
    return card()


def margins(fitted: FittedModel) -> np.ndarray:
    return scorecard_margins(fitted, MATRIX, NAMES, {"trade": TRADES})


def features(place: int) -> dict[str, Any]:
    return {**dict(zip(NAMES, MATRIX[place].tolist(), strict=True)), "trade": TRADES[place]}


def test_it_learns_and_the_same_data_give_the_same_bytes(fitted: FittedModel) -> None:
    assert auc(LABELS, margins(fitted)) > 0.72
    assert card().weights == fitted.weights


def test_what_does_not_belong_is_dropped_and_told(fitted: FittedModel) -> None:
    assert set(fitted.spec.features) <= {"debt", "copy", "cash", "trade"}  # type: ignore[union-attr]
    assert len({"debt", "copy"} & set(fitted.spec.features)) == 1  # type: ignore[union-attr]
    told = fitted.params["dropped"]
    for why in ("noise says nothing", "still has one value", "never is never known", "(correlation 0.9"):
        assert why in told


def test_a_feature_that_is_only_good_beside_itself_has_the_wrong_sign_and_goes() -> None:
    """Noise shared by two features: the one that is mostly noise corrects the other, against its own direction."""
    random = np.random.default_rng(1)
    noise = random.normal(size=6000)
    risk = random.normal(size=6000)
    labels = (random.random(6000) < 1 / (1 + np.exp(1.5 - 2 * risk))).astype(int)
    own = random.normal(size=6000)
    matrix = np.column_stack([risk + 0.5 * noise, noise + 0.2 * risk + 0.3 * own])
    found = fit_scorecard(matrix, labels, feature_names=("signal", "correction"))
    assert found.spec.features == ("signal",)  # type: ignore[union-attr]
    assert "correction has the wrong sign" in found.params["dropped"]


@pytest.mark.parametrize("direction", [1, -1])
def test_bins_are_monotone_in_the_declared_direction(direction: int) -> None:
    sign = np.where(MATRIX[:, 0] == -999.0, np.nan, MATRIX[:, 0]) * direction
    found = fit_scorecard(sign[:, None], LABELS, feature_names=("debt",), monotone={"debt": direction})
    (one,) = served.from_json(found.weights).features
    steps = np.diff([bin_.woe for bin_ in one.bins]) * direction
    assert len(steps) >= 2 and (steps < 0).all()


def test_a_declared_direction_that_the_data_deny_leaves_nothing() -> None:
    with pytest.raises(InputError, match="says anything"):
        fit_scorecard(RISK[:, None], LABELS, feature_names=("debt",), monotone={"debt": -1})


def test_points_are_those_of_optbinnings_own_scorecard() -> None:
    """On firms that it never saw, with a special value, missing values and a category without precedent."""
    from optbinning import BinningProcess, Scorecard
    from sklearn.linear_model import LogisticRegression

    names = ["cash", "trade"]
    frame = pd.DataFrame({"cash": MATRIX[:, 1], "trade": pd.Series(TRADES, dtype=object)})
    process = BinningProcess(
        names,
        **training.BINS,
        categorical_variables=["trade"],
        binning_fit_params={
            "cash": {"monotonic_trend": "descending"},
            "trade": {"cat_cutoff": training.BINS["min_bin_size"]},
        },
    )
    theirs = Scorecard(
        process,
        LogisticRegression(max_iter=1000),
        scaling_method="pdo_odds",
        scaling_method_params={"pdo": 20, "odds": 50, "scorecard_points": 600},
    ).fit(frame, LABELS, metric_special="empirical", metric_missing="empirical")
    fitted = fit_scorecard(
        MATRIX[:, [1]], LABELS, feature_names=["cash"], monotone={"cash": -1}, categories={"trade": TRADES}
    )
    model = ScorecardModel(fitted.weights, fitted.spec)  # type: ignore[arg-type]
    others = frame.sample(500, random_state=1).assign(cash=lambda rows: rows["cash"] * 1.7)
    others.iloc[0, 1] = "mine"
    known = others[others.notna().any(axis=1)]
    rows = known.astype(object).where(known.notna(), None).to_dict("records")
    np.testing.assert_allclose([model.points(row) for row in rows], theirs.score(known), rtol=0, atol=1e-9)
    seen = known.iloc[1:]
    np.testing.assert_allclose(
        [model.margin(row) for row in rows[1:]], theirs.decision_function(seen), rtol=0, atol=1e-9
    )


def test_a_scorecard_that_differs_from_optbinnings_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = training._counted
    monkeypatch.setattr(training, "_counted", lambda found, woe: whole(found, (woe or found.woe) + 1e-6))
    with pytest.raises(ModelError, match="differ from optbinning's"):
        card()


def test_few_missing_firms_count_as_average() -> None:
    matrix = np.where(MATRIX[:, [1]] != MATRIX[:, [1]], 0.3, MATRIX[:, [1]])
    matrix[np.flatnonzero(LABELS == 1)[:3]] = np.nan
    found = fit_scorecard(matrix, LABELS, feature_names=("cash",))
    missing = served.from_json(found.weights).features[0].missing
    assert (missing.woe, missing.goods, missing.bads) == (0.0, 0, 3)


def test_one_firm_and_many_score_the_same(fitted: FittedModel) -> None:
    model = ScorecardModel(fitted.weights, fitted.spec)  # type: ignore[arg-type]
    many = margins(fitted)
    np.testing.assert_allclose([model.margin(features(place)) for place in range(200)], many[:200], atol=1e-12)


def test_a_firm_without_any_value_or_with_an_infinite_one_has_no_margin(fitted: FittedModel) -> None:
    empty = np.full((2, len(NAMES)), np.nan)
    empty[1, :3] = np.inf
    assert np.isnan(scorecard_margins(fitted, empty, NAMES, {"trade": [None, "farm"]})).all()


def test_after_calibration_600_points_are_odds_of_50_at_the_base_rate(fitted: FittedModel) -> None:
    done = calibrate(fitted, margins(fitted), LABELS, base_rate=0.03)
    assert done.weights == fitted.weights and not done.spec.calibration.knots
    model = ScorecardModel(done.weights, done.spec)  # type: ignore[arg-type]
    for place in range(50):
        points, chance = model.points(features(place)), model.probability(features(place))
        assert (1 - chance) / chance == pytest.approx(50 * 2 ** ((points - 600) / 20), rel=1e-9)
    table = pd_by_points(done.spec)  # type: ignore[arg-type]
    assert table.set_index("points")["pd_12m"][600] == pytest.approx(1 / 51)


def test_a_person_can_add_up_the_table(fitted: FittedModel) -> None:
    done = calibrate(fitted, margins(fitted), LABELS, base_rate=0.03)
    table = points_table(done)
    assert table.groupby("feature")["firms"].sum().eq(COUNT).all()
    best = table[table["firms"] > 0].groupby("feature")["points"].max().sum()
    model = ScorecardModel(done.weights, done.spec)  # type: ignore[arg-type]
    lost = model.points_lost(features(5))
    assert best - sum(lost.values()) == pytest.approx(model.points(features(5)), abs=1e-9)
    debt = table[table["feature"].isin(["debt", "copy"])]
    assert list(debt["bin"])[-2:] == ["special: -999", "missing"] and list(debt["bin"])[0].startswith("below ")
    trade = table[table["feature"] == "trade"]
    assert list(trade["bin"])[-1] == "missing or unknown" and "build" in " ".join(trade["bin"])


def test_the_files_for_people_read_back_and_escape_names() -> None:
    name = "<script>alert(1)</script>"
    found = fit_scorecard(RISK[:, None], LABELS, feature_names=(name,))
    files = points_files(found)
    assert set(pd.read_csv(io.BytesIO(files["points.csv"]))["feature"]) == {name}
    page = files["points.html"].decode()
    assert "<script>" not in page and "600 points: 50 firms without default" in page and "http" not in page


@pytest.mark.parametrize(
    ("fit", "why"),
    [
        pytest.param(lambda: fit_scorecard(MATRIX, LABELS * 0, feature_names=NAMES), "labels", id="no firm defaulted"),
        pytest.param(lambda: fit_scorecard(MATRIX, LABELS, feature_names=NAMES[1:]), "shape", id="a name is missing"),
        pytest.param(lambda: fit_scorecard(MATRIX * np.inf, LABELS, feature_names=NAMES), "infinite", id="infinite"),
        pytest.param(lambda: card(categories={"debt": TRADES}), "twice", id="a name stands twice"),
        pytest.param(lambda: card(categories={"trade": TRADES[1:]}), "2999 values", id="a category is too short"),
        pytest.param(
            lambda: fit_scorecard(MATRIX[:, 4:], LABELS, feature_names=NAMES[4:]), "values that differ", id="nothing"
        ),
        pytest.param(
            lambda: fit_scorecard(MATRIX[:, [3]], LABELS, feature_names=["noise"]), "says anything", id="noise only"
        ),
    ],
)
def test_a_fit_is_refused_when(fit: Any, why: str) -> None:
    with pytest.raises(InputError, match=why):
        fit()


def test_a_registered_scorecard_is_complete_served_and_loads_without_optbinning(
    fitted: FittedModel, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    done = calibrate(fitted, margins(fitted), LABELS, base_rate=0.03)
    version = register(done, name="pd-scorecard", metrics={}, data_hash="d", alias="champion", uri=uri).version
    loaded = ModelRegistry(uri).load("pd-scorecard", version).model
    assert isinstance(loaded, ScorecardModel) and loaded.spec == done.spec
    expected = probabilities(done, margins(done))[:20]
    found = [loaded.probability(features(place)) for place in range(20)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    mlflow.set_tracking_uri(uri)
    model = mlflow.pyfunc.load_model("models:/pd-scorecard@champion")
    table = pd.DataFrame([features(place) for place in range(20)])[list(done.spec.features)]  # type: ignore[union-attr]
    np.testing.assert_allclose(model.predict(table), expected, atol=1e-12)


def test_a_changed_scorecard_is_never_loaded(fitted: FittedModel, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    version = register(fitted, name="spoilt", metrics={}, data_hash="d", uri=uri).version
    path = next(tmp_path.rglob("scorecard.json"))
    path.write_bytes(path.read_bytes().replace(b'"intercept": ', b'"intercept":  '))
    with pytest.raises(ModelError, match="scorecard.json was changed"):
        ModelRegistry(uri).load("spoilt", version)


def test_built_from_its_files_it_proves_itself(fitted: FittedModel) -> None:
    assert isinstance(fitted.spec, ScorecardSpec)
    assert isinstance(build({"spec.json": to_json(fitted.spec), "scorecard.json": fitted.weights}), ScorecardModel)
