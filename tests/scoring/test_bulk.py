"""A portfolio in chunks: the scores that each firm has alone, whatever stops the run, on either engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from models_for_tests import MODELS, MONTHS, SCORECARD, world

from decision_service.errors import EngineError, InputError, ModelError
from decision_service.scoring.registry import ModelRegistry
from decision_service.scoring.scorer import Scorer
from decision_service.workbench import bulk as engines
from ml import bulk
from ml.__main__ import main
from ml.bulk import MANIFEST, score_portfolio
from ml.bulk_models import ProductModels

RULES = Path(__file__).parents[2] / "rules"
HALVES = (Decimal("0.5"), Decimal("0.5"))
WEIGHTS = {"": HALVES, "01": (Decimal("0.7"), Decimal("0.3")), "13": None}
ROWS = 240


def models(uri: str, *, fallback: bool = False, single: str | None = None) -> ProductModels:
    registry = ModelRegistry(uri)
    names = (*MODELS, SCORECARD) if fallback else MODELS
    found = [registry.load(name, str(registry.state(name, "champion").version)) for name in names]
    files = tuple(registry.files(one.identity.name, one.identity.version)[0] for one in found)
    return ProductModels("working_capital", tuple(one.identity for one in found), files, WEIGHTS, single)


def firms() -> list[dict[str, Any]]:
    """Sound ones, and every kind of firm that a model has no score for."""
    made, random = world(ROWS, seed=5), np.random.default_rng(3)
    rows = []
    for place in range(ROWS):
        values = [None if value != value else value for value in made.matrix[place].tolist()]
        series = [[None if random.random() < 0.1 else one for one in month] for month in made.series[place].tolist()]
        firm = {"uscc": f"firm-{place:04}", **dict(zip(("leverage", "growth", "idle"), values, strict=True))}
        rows.append({**firm, "industry_code": made.codes[place], "series": series, "mask": made.mask[place].tolist()})
    nothing = {"leverage": None, "growth": None, "idle": None}
    rows[1] |= nothing
    rows[2] |= {"leverage": float("inf")}
    rows[3] |= {"growth": 1e39}
    rows[4] |= {"industry_code": None}
    rows[5] |= {"industry_code": "unheard of"}
    rows[6] |= {"mask": [month < 5 for month in range(MONTHS)]}
    rows[7] |= {"series": rows[7]["series"][:-1]}
    rows[8] |= {"series": [month[:1] for month in rows[8]["series"]]}
    rows[9] |= {"series": [[float("inf"), 1.0], *rows[9]["series"][1:]]}
    rows[10] |= {**nothing, "mask": [False] * MONTHS}
    rows[11] |= {"mask": rows[11]["mask"][:-1]}
    return rows


def written(folder: Path, rows: list[dict[str, Any]] | None = None, *, group: int = 50) -> Path:
    path = folder / "portfolio.parquet"
    pq.write_table(pa.Table.from_pylist(rows or firms()), path, row_group_size=group)
    return path


def scores(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pyarrow.dataset.dataset(out).to_table().sort_by("uscc").to_pylist()
    return found


@pytest.mark.parametrize("single", [None, "xgboost", "lstm"])
@pytest.mark.parametrize("fallback", [False, True])
def test_each_firm_has_the_scores_and_the_status_that_it_has_alone(
    uri: str, tmp_path: Path, single: str | None, fallback: bool
) -> None:
    scoring = models(uri, fallback=fallback, single=single)
    done = score_portfolio(scoring, [written(tmp_path)], tmp_path / "out", chunk_rows=100)
    scorer, found = Scorer(uri), scores(tmp_path / "out")
    assert (done.rows, done.units, done.chunks) == (ROWS, ROWS, 3)
    assert done.unscored == sum(row["pd_12m"] is None for row in found)
    names = tuple(one.name for one in scoring.versions)
    seen = set()
    for firm, row in zip(firms(), found, strict=True):
        alone = scorer.score(
            firm,
            firm["series"],
            firm["mask"],
            models=(names[0], names[1]),
            weights=WEIGHTS.get(firm["industry_code"], HALVES),
            single_model_blend=single,
            fallback=SCORECARD if fallback else None,
        )
        assert (firm["uscc"], alone.status) == (row["uscc"], row["models_status"])
        for name in ("pd_xgb", "pd_lstm", "pd_12m"):
            one, other = getattr(alone, name), row[name]
            assert (one is None) == (other is None), (firm["uscc"], name)
            assert one is None or abs(one - other) <= Decimal("0.000001")
        seen.add(alone.status)
    expected = {"ok", "unavailable"} | ({"single"} if single else set()) | ({"fallback"} if fallback else set())
    assert seen == expected


class Stopped(Exception):
    """What ends a run between two chunks."""


def stopped_after(scoring: ProductModels, data: Path, out: Path, *, chunks: int) -> None:
    told: list[int] = []

    def stop(rows: int) -> None:
        told.append(rows)
        if len(told) > chunks:  # the first tells what was there before
            raise Stopped

    with pytest.raises(Stopped):
        score_portfolio(scoring, [data], out, chunk_rows=50, progress=stop)


def test_a_run_goes_on_where_it_was_and_ends_as_if_it_had_not_been_stopped(uri: str, tmp_path: Path) -> None:
    scoring, data, out = models(uri), written(tmp_path), tmp_path / "out"
    score_portfolio(scoring, [data], tmp_path / "whole", chunk_rows=50)
    stopped_after(scoring, data, out, chunks=2)
    (out / ".part-00003.parquet.77").write_bytes(b"half")
    before = (out / "part-00000.parquet").stat().st_mtime_ns
    assert score_portfolio(scoring, [data], out, chunk_rows=50).found == 2
    assert (out / "part-00000.parquet").stat().st_mtime_ns == before
    assert not list(out.glob(".part-*"))
    for path in sorted((tmp_path / "whole").glob("part-*.parquet")):
        assert (out / path.name).read_bytes() == path.read_bytes()
    assert json.loads((out / MANIFEST).read_text()) == json.loads((tmp_path / "whole" / MANIFEST).read_text())


@pytest.mark.parametrize("damage", ["cut", "flipped", "of something else", "gone"])
def test_a_damaged_file_of_scores_is_made_again(uri: str, tmp_path: Path, damage: str) -> None:
    scoring, data, out = models(uri), written(tmp_path), tmp_path / "out"
    score_portfolio(scoring, [data], out, chunk_rows=50)
    part = out / "part-00002.parquet"
    content = part.read_bytes()
    if damage == "cut":
        part.write_bytes(content[:-20])
    elif damage == "flipped":
        changed = bytearray(content)
        changed[200] ^= 1
        part.write_bytes(changed)
    elif damage == "of something else":
        pq.write_table(pq.read_table(part).replace_schema_metadata(None), part)
    else:
        part.unlink()
    assert score_portfolio(scoring, [data], out, chunk_rows=50).found == 4
    assert part.read_bytes() == content


def test_scores_by_other_models_of_other_data_or_in_other_chunks_are_never_mixed(uri: str, tmp_path: Path) -> None:
    scoring, data, out = models(uri), written(tmp_path), tmp_path / "out"
    stopped_after(scoring, data, out, chunks=1)
    other = replace(scoring, weights={"": HALVES})
    for told, again, rows in (("weights", other, 50), ("chunk_rows", scoring, 60)):
        with pytest.raises(InputError, match=f"by other {told}"):
            score_portfolio(again, [data], out, chunk_rows=rows)
    with pytest.raises(InputError, match="by other data"):
        score_portfolio(scoring, [written(tmp_path, firms()[:200])], out, chunk_rows=50)
    (out / MANIFEST).unlink()
    with pytest.raises(InputError, match="the folder holds other scores"):
        score_portfolio(scoring, [data], out, chunk_rows=50)
    (out / MANIFEST).write_text("[]")
    with pytest.raises(InputError, match="this is no manifest"):
        score_portfolio(scoring, [data], out, chunk_rows=50)


def test_two_runs_never_write_one_folder(uri: str, tmp_path: Path) -> None:
    scoring, data, out = models(uri), written(tmp_path), tmp_path / "out"

    def second(rows: int) -> None:
        with pytest.raises(InputError, match="another run is writing here"):
            score_portfolio(scoring, [data], out, chunk_rows=50)

    score_portfolio(scoring, [data], out, chunk_rows=50, progress=second)


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda table: table.drop(["idle", "mask"]), "the table lacks 'idle', 'mask'"),
        (lambda table: table.set_column(1, "leverage", pa.array(["much"] * len(table))), "'leverage' holds no numbers"),
        (lambda table: table.drop("mask").append_column("mask", pa.array(["x"] * len(table))), "not lists of months"),
        (lambda table: table.slice(0, 0), "there are no rows"),
    ],
)
def test_data_that_cannot_be_scored_are_told(uri: str, tmp_path: Path, change: Any, told: str) -> None:
    path = tmp_path / "odd.parquet"
    pq.write_table(change(pa.Table.from_pylist(firms())), path)
    with pytest.raises(InputError, match=told):
        score_portfolio(models(uri), [path], tmp_path / "out")


def test_a_model_that_is_no_longer_sound_scores_nothing(uri: str, tmp_path: Path) -> None:
    scoring = models(uri)
    swapped = replace(scoring, files=scoring.files[::-1])
    with pytest.raises(ModelError, match="of the other kind"):
        score_portfolio(swapped, [written(tmp_path)], tmp_path / "out")
    broken = replace(scoring, files=({**scoring.files[0], "model.onnx": b"none"}, scoring.files[1]))
    with pytest.raises(ModelError, match="cannot be read"):
        score_portfolio(broken, [written(tmp_path)], tmp_path / "out")


def arguments(data: Path, out: Path, *more: str) -> list[str]:
    shared = ["score-portfolio", "--product", "working_capital", "--rules", str(RULES), "--chunk", "10", *more]
    return [*shared, "--data", str(data), "--out", str(out)]


def test_the_command_survives_being_killed_and_two_processes_say_what_one_says(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = written(tmp_path, group=10), tmp_path / "out"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    command = [sys.executable, "-m", "ml", *arguments(data, out, "--workers", "2")]
    running = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
    until = time.monotonic() + 120
    while not list(out.glob("part-*.parquet")) and running.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    parts = len(list(out.glob("part-*.parquet")))
    assert parts > 0
    again = CliRunner().invoke(main, arguments(data, out, "--workers", "1", "--json"), catch_exceptions=False)
    assert again.exit_code == 0, again.output
    told = json.loads(again.stdout)
    assert (told["units"], told["found"]) == (ROWS, parts)
    CliRunner().invoke(main, arguments(data, tmp_path / "alone", "--workers", "1"), catch_exceptions=False)
    assert scores(out) == scores(tmp_path / "alone")


@pytest.mark.parametrize(
    "more, told",
    [
        (["--product", "unheard"], "there is no product 'unheard'"),
        (["--alias", "unheard"], "there is no version 'unheard' of pd-xgboost"),
        (["--model", "also"], "what scores is not told"),
        (["--data", "/nowhere.parquet"], "/nowhere.parquet"),
    ],
)
def test_the_command_says_what_is_wrong(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], told: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    given = arguments(written(tmp_path), tmp_path / "out", *more)
    result = CliRunner().invoke(main, given, catch_exceptions=False)
    assert (result.exit_code, told in result.stderr) == (2, True), result.output


@pytest.mark.slow
def test_spark_says_what_this_machine_says(uri: str, tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    scoring, data = models(uri, fallback=True), written(tmp_path)
    score_portfolio(scoring, [data], tmp_path / "here", chunk_rows=50)
    stopped_after(scoring, data, tmp_path / "spark", chunks=1)
    done = score_portfolio(scoring, [data], tmp_path / "spark", chunk_rows=50, engine="spark", workers=2)
    assert done.found == 1 and scores(tmp_path / "spark") == scores(tmp_path / "here")
    odd = tmp_path / "odd.parquet"
    pq.write_table(pa.Table.from_pylist(firms()).drop("idle"), odd)
    with pytest.raises(InputError, match="the table lacks 'idle'; write it with"):
        score_portfolio(scoring, [odd], tmp_path / "odd", engine="spark", workers=1)


def test_without_spark_its_engine_is_refused(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "SPARK", False)
    with pytest.raises(InputError, match="PySpark is not installed"):
        score_portfolio(models(uri), [written(tmp_path)], tmp_path / "out", engine="spark")


def test_a_worker_that_is_killed_is_told(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "_scored", _die)
    with pytest.raises(EngineError, match="a worker was killed"):
        score_portfolio(models(uri), [written(tmp_path)], tmp_path / "out", chunk_rows=50, workers=2)


def _die(*given: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
