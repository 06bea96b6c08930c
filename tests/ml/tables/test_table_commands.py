"""Training on a table and scoring another, from the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from loans_for_tests import loans, panel, written
from mlflow import MlflowClient

from decision_service.scoring.registry import HASH_TAG
from decision_service.scoring.stability import PROFILE_FILE, profile_from_json, shifts
from ml.__main__ import main
from ml.held_out import HeldOut
from ml.metrics import auc
from ml.registration import Registered
from ml.table_commands import _lines
from ml.table_training import Trained
from ml.tables.read import read_tables
from ml.versions import load_version


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/models/mlflow.db")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments], catch_exceptions=False)


def trained(path: Path, *more: object) -> dict[str, Any]:
    result = run("train", "--data", path, "--name", "made-up", "--json", *more)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_model_trained_on_one_table_scores_another_of_the_same_schema(tmp_path: Path) -> None:
    path = written(loans(), tmp_path)
    report = trained(path, "--target", "status", "--id", "loan", "--time", "approved")
    assert report["bad"] == ["DEFAULTED"] and report["version"] == "1"
    assert report["left_out"]["currency"] == "one value only"
    version = load_version("made-up")
    expected, seen = profile_from_json(version.files[PROFILE_FILE]), version.inputs(read_tables([path]).frame)
    _, *inputs = shifts(expected, seen.matrix, seen.names, version.probabilities(seen))
    assert len(inputs) == report["inputs"] and max(one.psi for one in inputs) < 1e-9  # the rows that taught
    later = loans(400, seed=9)
    unseen = later.assign(sector="banking", more=1).drop(columns="status")
    for name, frame in (("later", later), ("unseen", unseen)):
        out = tmp_path / f"{name}.out.csv"
        result = run("score", "--model", "made-up", "--data", written(frame, tmp_path, f"{name}.csv"), "--out", out)
        assert result.exit_code == 0, result.output
        scores = pd.read_csv(out)
        assert list(scores.columns) == ["loan", "probability"] and list(scores["loan"]) == list(later["loan"])
        assert scores["probability"].between(0, 1).all()
        assert auc((later["status"] == "DEFAULTED").to_numpy(dtype=int), scores["probability"].to_numpy()) > 0.7


@pytest.mark.parametrize("kind", ["scorecard", "blend"])
def test_the_profile_holds_scores_that_the_registered_model_gives(kind: str, tmp_path: Path) -> None:
    columns = ["loan", " leverage", "sector", "status"]
    path = written(loans()[columns], tmp_path)
    trained(path, "--target", "status", "--id", "loan", "--kind", kind)
    version = load_version("made-up")
    profile = profile_from_json(version.files[PROFILE_FILE])
    fresh = written(loans(1_500, seed=9)[columns], tmp_path, "fresh.csv")
    for file, most in ((path, 1e-9), (fresh, 0.06)):
        seen = version.inputs(read_tables([file]).frame)
        score, *_ = shifts(profile, seen.matrix, seen.names, version.probabilities(seen))
        assert score.psi <= most


def test_a_panel_is_scored_once_a_firm_by_its_last_rows(tmp_path: Path) -> None:
    roles = ("--target", "failed", "--id", "firm", "--time", "year", "--window", 3, "--base-rate", 0.03)
    report = trained(written(panel(), tmp_path), *roles)
    assert report["base_rate"] == 0.03 and report["units"] == 300
    later = panel(200, seed=8)
    out = tmp_path / "out.csv"
    result = run("score", "--model", "made-up/1", "--data", written(later, tmp_path, "b.csv"), "--out", out)
    assert result.exit_code == 0
    scores = pd.read_csv(out).set_index("firm")["probability"]
    failed = later.groupby("firm")["failed"].max()[scores.index]
    assert len(scores) == 200 and scores.mean() < 0.1
    assert auc(failed.to_numpy(dtype=int), scores.to_numpy()) > 0.75


def test_the_same_data_and_seed_give_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(loans(300), tmp_path)
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        trained(path, "--target", "status", "--id", "loan", "--seed", 3)
    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    one, other = (client.get_model_version("made-up", version).tags for version in ("1", "2"))
    files = [name for name in one if name.startswith(HASH_TAG) and name.endswith((".ubj", "spec.json", "recipe.json"))]
    assert len(files) == 3 and all(one[name] == other[name] for name in files)


def test_a_table_that_lacks_a_column_is_refused_by_name(tmp_path: Path) -> None:
    trained(written(loans(200), tmp_path), "--target", "status", "--id", "loan")
    short = written(loans(50).drop(columns="sector"), tmp_path, "short.csv")
    result = run("score", "--model", "made-up", "--data", short, "--out", tmp_path / "out.csv")
    assert result.exit_code == 2 and "'sector'" in result.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--target", "stat"), "no column 'stat'"),
        (("--target", "sector"), "--bad"),
        (("--target", "status", "--window", 3), "--id"),
        (("--target", "status", "--monotone", "profit=+1"), "profit"),
    ],
)
def test_a_request_that_cannot_be_met_says_why(tmp_path: Path, more: tuple[object, ...], said: str) -> None:
    result = run("train", "--data", written(loans(100), tmp_path), "--name", "made-up", *more)
    assert result.exit_code == 2 and said in result.stderr


def test_help_imports_no_model_library(tmp_path: Path) -> None:
    result = run("--help")
    assert result.exit_code == 0 and "score" in result.output
    assert np.all([name in result.output for name in ("train", "city", "cumcm")])


@pytest.mark.parametrize(("kind", "frame", "roles"), [
    ("lstm", panel(200), ("--target", "failed", "--id", "firm", "--time", "year", "--window", 3)),
    ("scorecard", loans(500), ("--target", "status", "--id", "loan")),
    ("blend", panel(200), ("--target", "failed", "--id", "firm", "--time", "year", "--window", 3)),
])
def test_every_kind_trains_and_scores(
    kind: str, frame: pd.DataFrame, roles: tuple[object, ...], tmp_path: Path
) -> None:
    path = written(frame, tmp_path)
    report = trained(path, "--kind", kind, *roles)
    assert report["metrics"]["auc"][0] > 0.6
    assert len(report["weights"]) == (2 if kind == "blend" else 1)
    out = tmp_path / "out.csv"
    assert run("score", "--model", "made-up", "--data", path, "--out", out).exit_code == 0
    assert pd.read_csv(out)["probability"].between(0, 1).all()


def test_probabilities_are_stated_for_a_known_base_rate(tmp_path: Path) -> None:
    path = written(loans(300), tmp_path)
    trained(path, "--target", "status", "--id", "loan")
    found = {}
    for rate in (None, 0.03, 0.9):
        out = tmp_path / "out.csv"
        more = ("--base-rate", rate) if rate else ()
        result = run("score", "--model", "made-up", "--data", path, "--out", out, *more)
        assert result.exit_code == 0, result.output
        found[rate] = pd.read_csv(out)["probability"].to_numpy()
        assert rate is None or found[rate].mean() == pytest.approx(rate, abs=1e-8)
        assert rate is None or f"base rate of {rate:g}" in result.output
        np.testing.assert_array_equal(np.argsort(found[rate], kind="stable"), np.argsort(found[None], kind="stable"))
    odds = [np.log(found[rate] / (1 - found[rate])) for rate in (None, 0.03)]
    assert np.ptp(odds[1] - odds[0]) < 1e-4
    for rate in (0, 1, -0.1, "nan"):
        result = run("score", "--model", "made-up", "--data", path, "--out", tmp_path / "no.csv", "--base-rate", rate)
        assert result.exit_code == 2 and "between 0 and 1" in result.stderr
    assert not (tmp_path / "no.csv").exists()


def test_what_was_trained_is_told_with_its_run_and_what_its_inputs_are_made_of() -> None:
    nothing: dict[str, Any] = {"notes": [], "left_out": {}, "leaks": [], "auc_with_leaks": None, "weights": {}}
    counts = {"units": 600, "bads": 90, "inputs": 5, "columns": 3, "seconds": 1.0}
    words = {"kind": "xgboost", "bad": ["1"], "why_bad": "rarer", "judged": "out of fold"}
    held = HeldOut((), np.empty(0, dtype=int), np.empty(0))
    trained = Trained(Registered("loans", "1", "4f1c0d" * 5), {}, {**nothing, **counts, **words}, held)
    told = "\n".join(_lines(trained))
    assert "run " + "4f1c0d" * 5 in told and "ml register 4f1c0d4f --name NAME" in told
    assert "5 inputs made of 3 columns" in told


def test_a_budget_that_is_gone_shortens_the_work_and_says_so(tmp_path: Path) -> None:
    report = trained(written(loans(300), tmp_path), "--target", "status", "--id", "loan", "--budget", 0.001)
    assert report["tried"] == 1
    assert any("1 of 4 seeds of xgboost and 1 of 5 folds" in note for note in report["notes"])


def test_a_registry_that_cannot_be_reached_is_told_before_anything_is_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    monkeypatch.setattr("ml.table_training._fitted", lambda *_: pytest.fail("was fitted"))
    monkeypatch.setattr("ml.table_commands.prepare_mlflow", lambda uri: None)
    result = run("train", "--data", written(loans(100), tmp_path), "--name", "made-up", "--target", "status")
    assert result.exit_code == 2 and "the registry" in result.stderr
