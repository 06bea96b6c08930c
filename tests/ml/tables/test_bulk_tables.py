"""Large tables in chunks: what `score` says of the whole file, however it is laid out and cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.dataset
import pytest
from click.testing import CliRunner, Result
from loans_for_tests import loans, panel, written

from ml.__main__ import main


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        for name, frame, roles in (
            ("loans", loans(300), ("--target", "status", "--id", "loan", "--time", "approved")),
            ("rows", loans(300), ("--target", "status", "--time", "approved", "--drop", "loan")),
            ("panel", panel(), ("--target", "failed", "--id", "firm", "--time", "year", "--window", 3)),
        ):
            data = written(frame, folder, f"{name}.csv")
            assert run("train", "--data", data, "--name", name, "--kind", "scorecard", *roles).exit_code == 0
        yield


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments], catch_exceptions=False)


def whole(model: str, out: Path, *data: Path) -> pd.DataFrame:
    """What `score` says."""
    files = [part for path in data for part in ("--data", path)]
    result = run("score", "--model", model, *files, "--out", out)
    assert result.exit_code == 0, result.output
    return pd.read_csv(out, dtype={0: str})


def in_chunks(model: str, out: Path, *data: Path, chunk: int) -> pd.DataFrame:
    files = [part for path in data for part in ("--data", path)]
    result = run("score-portfolio", "--model", model, *files, "--out", out, "--chunk", chunk, "--workers", 1, "--json")
    assert result.exit_code == 0, result.output
    found: pd.DataFrame = pyarrow.dataset.dataset(out).to_table().to_pandas()
    assert json.loads(result.stdout)["units"] == len(found)
    assert not (out / "_staged").exists()
    return found


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    assert list(one.columns) == list(other.columns)
    assert list(one.iloc[:, 0]) == list(other.iloc[:, 0])
    pd.testing.assert_series_equal(one["probability"], other["probability"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("form", ["csv", "parquet", "parquet of small groups"])
@pytest.mark.parametrize("model", ["loans", "rows"])
def test_rows_keep_their_order_their_ids_and_their_scores(tmp_path: Path, model: str, form: str) -> None:
    frame = loans(300, seed=4).drop(columns="status")
    frame.loc[[5, 150], "loan"] = None
    if form == "csv":
        files = [written(frame[:170], tmp_path, "a.csv"), written(frame[170:], tmp_path, "b.csv")]
    else:
        files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
        group = 25 if form.endswith("groups") else None
        frame[:170].to_parquet(files[0], row_group_size=group)
        frame[170:].reset_index(drop=True).to_parquet(files[1], row_group_size=group)
    same(whole(model, tmp_path / "scores.csv", *files), in_chunks(model, tmp_path / "out", *files, chunk=60))


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_rows_of_a_firm_stay_together_wherever_they_stand(tmp_path: Path, form: str) -> None:
    frame = panel(120, seed=4).sample(frac=1, random_state=1).reset_index(drop=True)
    short = frame[~frame["firm"].isin(frame["firm"].unique()[:3]) | ~frame.duplicated("firm")]
    path = tmp_path / f"panel.{form}"
    if form == "csv":
        path = written(short, tmp_path, path.name)
    else:
        short.to_parquet(path)
    alone = whole("panel", tmp_path / "scores.csv", path).sort_values("firm", ignore_index=True)
    cut = in_chunks("panel", tmp_path / "out", path, chunk=20).sort_values("firm", ignore_index=True)
    assert len(alone) == 117
    same(alone, cut)


def test_what_cannot_be_scored_is_told(tmp_path: Path) -> None:
    one = panel(30, seed=4).drop_duplicates("firm")
    for frame, told in ((one, "no unit has"), (one.drop(columns="firm"), "the table lacks 'firm'")):
        out = tmp_path / told.replace(" ", "-")
        result = run("score-portfolio", "--model", "panel", "--data", written(frame, tmp_path), "--out", out)
        assert (result.exit_code, told in result.stderr) == (2, True), result.output
