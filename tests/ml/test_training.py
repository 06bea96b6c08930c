"""Fitting, calibrating, measuring and registering, on small tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.metrics import roc_auc_score

from decision_service.errors import InputError
from decision_service.scoring.models import build
from decision_service.scoring.spec import Calibration, to_json
from ml.calibration import LEAST_SLOPE, platt
from ml.metrics import auc, brier, ece, evaluate, ks
from ml.training import (
    FittedModel,
    calibrate,
    data_hash,
    fit_lstm,
    fit_xgboost,
    lstm_margins,
    probabilities,
    promote,
    register,
    tracking_uri,
    xgboost_margins,
)

RANDOM = np.random.default_rng(3)
COUNT = 400
RISK = RANDOM.normal(size=COUNT)
LABELS = (RANDOM.random(COUNT) < 1 / (1 + np.exp(1 - 2 * RISK))).astype(int)
MATRIX = np.column_stack([RISK + RANDOM.normal(size=COUNT), RANDOM.normal(size=COUNT)])
MATRIX[::7, 1] = np.nan
FALL = -0.05 * RISK[:, None, None] * np.arange(12)[None, :, None]
SERIES = np.exp(8 + FALL + 0.1 * RANDOM.normal(size=(COUNT, 12, 2)))
MASK = np.ones((COUNT, 12), dtype=bool)
HOLDOUT = np.arange(COUNT) % 4 == 0
NAMES = ("risk", "noise")


def trees(**changes: Any) -> FittedModel:
    given: dict[str, Any] = {"feature_names": NAMES, "seed": 1, "rounds": 60, "holdout": HOLDOUT, **changes}
    return fit_xgboost(MATRIX, LABELS, **given)


def network(**changes: Any) -> FittedModel:
    given: dict[str, Any] = {"series_names": NAMES, "seed": 1, "epochs": 4, "hidden": 4, **changes}
    return fit_lstm(SERIES, MASK, LABELS, **given)


def test_trees_learn_and_the_same_seed_gives_the_same_bytes() -> None:
    fitted = trees()
    assert auc(LABELS[HOLDOUT], xgboost_margins(fitted, MATRIX)[HOLDOUT]) > 0.7
    assert trees().weights == fitted.weights
    assert trees(seed=2).weights != fitted.weights


def test_early_stopping_keeps_the_best_round() -> None:
    assert trees(rounds=2000, patience=5).params["rounds"] < 2000


@pytest.mark.parametrize(("direction", "steps"), [(1, (0.0, np.inf)), (-1, (-np.inf, 0.0))])
def test_a_declared_direction_is_never_broken(direction: int, steps: tuple[float, float]) -> None:
    fitted = trees(monotone={"risk": direction})
    grid = np.column_stack([np.linspace(-4, 4, 200), np.zeros(200)])
    changes = np.diff(xgboost_margins(fitted, grid))
    assert steps[0] <= changes.min() and changes.max() <= steps[1]


def test_the_network_learns_from_the_series_and_the_same_seed_gives_the_same_bytes() -> None:
    fitted = network(epochs=15, holdout=HOLDOUT)
    assert auc(LABELS[HOLDOUT], lstm_margins(fitted, SERIES, MASK)[HOLDOUT]) > 0.65
    assert network().weights == network().weights
    assert network(seed=2).weights != network().weights


def test_scaling_comes_from_the_fitted_firms_only() -> None:
    spoilt = SERIES.copy()
    spoilt[HOLDOUT] *= 1e6
    first = fit_lstm(SERIES, MASK, LABELS, series_names=NAMES, seed=1, epochs=1, hidden=2, holdout=HOLDOUT)
    second = fit_lstm(spoilt, MASK, LABELS, series_names=NAMES, seed=1, epochs=1, hidden=2, holdout=HOLDOUT)
    assert first.spec.level_mean == second.spec.level_mean and first.spec.spread == second.spec.spread


def test_a_firm_with_too_few_months_has_no_margin() -> None:
    mask = MASK.copy()
    mask[0, :7] = False
    mask[1, :6] = False
    margins = lstm_margins(network(min_months=6), SERIES, mask)
    assert np.isnan(margins[0]) and not np.isnan(margins[1])


BAD_LABELS = LABELS.copy()
BAD_LABELS[0] = 2


@pytest.mark.parametrize(
    "fit",
    [
        pytest.param(lambda: fit_xgboost(MATRIX, BAD_LABELS, feature_names=NAMES, seed=1), id="a label is 2"),
        pytest.param(lambda: fit_xgboost(MATRIX, LABELS * 0, feature_names=NAMES, seed=1), id="no firm defaulted"),
        pytest.param(lambda: fit_xgboost(MATRIX, LABELS[1:], feature_names=NAMES, seed=1), id="a label is missing"),
        pytest.param(lambda: fit_xgboost(MATRIX, LABELS, feature_names=("risk",), seed=1), id="a name is missing"),
        pytest.param(lambda: fit_lstm(SERIES, MASK[:, 1:], LABELS, series_names=NAMES, seed=1), id="mask too short"),
        pytest.param(lambda: fit_lstm(SERIES * np.inf, MASK, LABELS, series_names=NAMES, seed=1), id="infinite"),
    ],
)
def test_a_fit_is_refused_when(fit: Any) -> None:
    with pytest.raises(InputError):
        fit()


@pytest.mark.parametrize("base_rate", [0.01, 0.03, 0.06, 0.5])
def test_calibration_gives_the_base_rate_that_was_stated(base_rate: float) -> None:
    fitted = trees()
    margins = xgboost_margins(fitted, MATRIX)
    shifted = calibrate(fitted, margins[HOLDOUT], LABELS[HOLDOUT], base_rate=base_rate)
    chances = probabilities(shifted, margins)[HOLDOUT]
    rate = LABELS[HOLDOUT].mean()
    # Each class counts as it would at the stated base rate.
    weights = np.where(LABELS[HOLDOUT] == 1, base_rate / rate, (1 - base_rate) / (1 - rate))
    assert np.average(chances, weights=weights) == pytest.approx(base_rate, rel=0.25)
    assert shifted.spec.calibration.base_rate == base_rate


def test_platt_finds_the_slope_and_offset_that_made_the_labels() -> None:
    random = np.random.default_rng(5)
    margins = random.normal(size=40_000)
    labels = (random.random(40_000) < 1 / (1 + np.exp(-(0.7 * margins - 1.5)))).astype(int)
    slope, offset = platt(margins, labels)
    assert slope == pytest.approx(0.7, abs=0.05) and offset == pytest.approx(-1.5, abs=0.05)


def test_platt_flattens_a_score_that_runs_backwards_but_never_turns_it() -> None:
    slope, _ = platt(-RISK, LABELS)
    assert slope == LEAST_SLOPE


def test_platt_stays_finite_when_the_score_separates_perfectly() -> None:
    slope, offset = platt(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0, 0, 1, 1]))
    assert np.isfinite([slope, offset]).all() and slope > 0


@pytest.mark.parametrize("base_rate", [0.0, 1.0, -0.1, 3.0])
def test_a_base_rate_that_is_none_is_refused(base_rate: float) -> None:
    with pytest.raises(InputError, match="base rate"):
        calibrate(trees(), RISK, LABELS, base_rate=base_rate)


@pytest.mark.parametrize(
    ("labels", "scores", "area", "distance"),
    [
        pytest.param([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], 1.0, 1.0, id="perfect"),
        pytest.param([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4], 0.0, 1.0, id="perfectly wrong"),
        pytest.param([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5], 0.5, 0.0, id="all tied"),
        pytest.param([0, 1, 0, 1], [0.1, 0.1, 0.2, 0.3], 0.625, 0.5, id="some tied"),
    ],
)
def test_auc_and_ks(labels: list[int], scores: list[float], area: float, distance: float) -> None:
    assert auc(np.array(labels), np.array(scores)) == pytest.approx(area)
    assert ks(np.array(labels), np.array(scores)) == pytest.approx(distance)


def test_auc_is_what_scikit_learn_computes() -> None:
    rough = np.round(RISK, 1)
    assert auc(LABELS, rough) == pytest.approx(roc_auc_score(LABELS, rough))


def test_brier_and_calibration_error() -> None:
    labels, sure = np.array([0, 1]), np.array([0.0, 1.0])
    assert brier(labels, sure) == 0.0 and brier(labels, 1 - sure) == 1.0
    assert ece(np.array([0, 1] * 50), np.full(100, 0.5)) == pytest.approx(0.0)
    assert ece(np.array([0] * 100), np.full(100, 0.2)) == pytest.approx(0.2)


def test_intervals_hold_the_estimate_and_narrow_with_more_firms() -> None:
    chances = 1 / (1 + np.exp(-RISK))
    few = evaluate(LABELS[:80], chances[:80], seed=1)["auc"]
    many = evaluate(LABELS, chances, seed=1)["auc"]
    assert few.low <= few.value <= few.high and many.low <= many.value <= many.high
    assert many.high - many.low < few.high - few.low


def test_the_data_hash_knows_every_value_and_shape() -> None:
    table = np.arange(6.0)
    assert data_hash([table]) == data_hash([table.copy()])
    assert data_hash([table]) != data_hash([table.reshape(2, 3)])
    assert data_hash([table]) != data_hash([table + np.eye(1, 6, 5)[0] * 1e-12])


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlruns') / 'mlflow.db'}"


@pytest.mark.parametrize(("name", "kind"), [("pd-xgboost-invoice", "xgboost"), ("pd-lstm-invoice", "lstm")])
def test_a_registered_model_is_complete_and_loads_without_pickle(uri: str, name: str, kind: str) -> None:
    fitted = trees() if kind == "xgboost" else network()
    fitted = fitted.with_calibration(Calibration(0.9, -1.0, 0.05))
    found = evaluate(LABELS, 1 / (1 + np.exp(-RISK)), seed=1, repeats=20)
    done = register(fitted, name=name, metrics=found, data_hash="sha256:7", alias="champion", uri=uri)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    version = client.get_model_version_by_alias(name, "champion")
    run = client.get_run(done.run_id)
    assert (str(version.version), version.tags["kind"]) == (done.version, kind)
    assert run.data.metrics["auc"] == found["auc"].value and "auc_low" in run.data.metrics
    assert run.data.params["seed"] == "1" and run.data.params["data_hash"] == "sha256:7"
    folder = Path(unquote(urlparse(client.get_model_version_download_uri(name, done.version)).path))
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert set(files) == {tag.removeprefix("sha256/") for tag in version.tags if tag.startswith("sha256/")}
    assert not [path for path in files if path.endswith((".pkl", ".pickle", ".pt"))]
    assert build({Path(path).name: content for path, content in files.items()}).spec == fitted.spec


def test_mlflow_serves_both_models(uri: str) -> None:
    fitted, sequence = trees(), network()
    register(fitted, name="served-trees", metrics={}, data_hash="d", alias="champion", uri=uri)
    register(sequence, name="served-network", metrics={}, data_hash="d", alias="champion", uri=uri)
    mlflow.set_tracking_uri(uri)
    table = pd.DataFrame(MATRIX[:5], columns=list(NAMES))
    chances = mlflow.pyfunc.load_model("models:/served-trees@champion").predict(table)
    np.testing.assert_allclose(chances, 1 / (1 + np.exp(-xgboost_margins(fitted, MATRIX[:5]))), rtol=1e-5)
    rows = pd.DataFrame({"series": SERIES[:3].tolist(), "mask": MASK[:3].tolist()})
    found = mlflow.pyfunc.load_model("models:/served-network@champion").predict(rows)
    np.testing.assert_allclose(found, probabilities(sequence, lstm_margins(sequence, SERIES[:3], MASK[:3])), atol=1e-6)


def test_an_alias_moves_forth_and_back(uri: str) -> None:
    first = register(trees(), name="moved", metrics={}, data_hash="d", alias="champion", uri=uri).version
    second = register(trees(seed=2), name="moved", metrics={}, data_hash="d", uri=uri).version
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    assert str(client.get_model_version_by_alias("moved", "champion").version) == first
    for version in (second, first):
        promote("moved", version, uri=uri)
        assert str(client.get_model_version_by_alias("moved", "champion").version) == version


def test_canaries_follow_the_calibration_and_hold_no_real_firm() -> None:
    fitted = trees()
    moved = fitted.with_calibration(replace(fitted.spec.calibration, offset=2.0))
    assert moved.spec.canaries[0][1] != fitted.spec.canaries[0][1]
    rows = [[features[name] for name in NAMES] for features, _ in moved.spec.canaries]
    assert not any(np.isclose(MATRIX, row).all(axis=1).any() for row in np.array(rows))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, "sqlite:///mlruns/mlflow.db", id="nothing set: below mlruns"),
        pytest.param({"MLFLOW_TRACKING_URI": ""}, "sqlite:///mlruns/mlflow.db", id="empty is nothing"),
        pytest.param({"MLFLOW_TRACKING_URI": "http://x"}, "http://x", id="as set"),
    ],
)
def test_where_models_go(environ: dict[str, str], expected: str) -> None:
    assert tracking_uri(environ) == expected


def test_the_spec_is_readable_json() -> None:
    assert json.loads(to_json(trees().spec))["features"] == list(NAMES)
