"""The benchmark on made-up folders: what is there is measured, what is missing or broken is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from loans_for_tests import loans, panel, written
from sklearn.metrics import average_precision_score, roc_auc_score

from ml import benchmark
from ml.__main__ import main
from ml.held_out import HeldOut


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["benchmark", *(str(one) for one in arguments)], catch_exceptions=False)


def folder(path: Path, name: str) -> Path:
    (path / name).mkdir(parents=True)
    return path / name


def loan_file(path: Path) -> Path:
    frame = loans(400).rename(columns={"loan": "LoanNr_ChkDgt", "approved": "ApprovalDate", "status": "MIS_Status"})
    bad = frame["MIS_Status"] == "DEFAULTED"
    return written(frame.assign(written_off=np.where(bad, frame["amount"], "")), folder(path, "sba"))


def statements() -> pd.DataFrame:
    """Firms observed to 2008 and to 2012."""
    names = {"year": "fyear", "failed": "bankrupt_next"}
    early, late = panel(200, seed=1), panel(200, seed=2)
    late = late.assign(firm="L" + late["firm"], year=late["year"] + 4)
    frame = pd.concat([early, late]).rename(columns=names)
    return frame[frame.groupby("firm")["fyear"].transform("size") >= 4]


def test_loans_are_judged_out_of_time_beside_the_naive_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "LOAN_KINDS", ("scorecard",))
    loan_file(tmp_path)
    done = run("--data", tmp_path, "--budget", 0.001, "--out", tmp_path / "page.md", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [row["model"] for row in found["rows"]] == ["scorecard"]
    assert all(row["split"] == "out of time" and 60 <= row["units"] <= 120 for row in found["rows"])
    assert set(found["missing"]) == {"american-panel", "cumcm"}
    text = (tmp_path / "page.md").read_text()
    assert "`written_off`, missing with the outcome" in text and "The naive figure is higher because" in text
    assert "**cumcm** was not run: there is no cumcm2020c/enterprises.csv" in text
    assert str(tmp_path) not in text


def test_a_panel_is_judged_on_validation_and_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "PANEL_KINDS", ("scorecard",))
    monkeypatch.setattr(benchmark, "SPLIT_KIND", "scorecard")
    frame, place = statements(), folder(tmp_path, "american_panel")
    other = frame["firm"].isin(frame["firm"].unique()[::3])
    written(frame[~other], place, "train.csv")
    written(frame[other], place, "validation.csv")
    done = run("--data", tmp_path, "--only", "american-panel", "--budget", 0.001, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    last = frame.groupby("firm")["fyear"].max()
    expected = [other.groupby(frame["firm"]).first().sum(), ((last > 2008) & (last <= 2011)).sum(), (last > 2011).sum()]
    assert [row["units"] for row in found["rows"]] == expected
    own, later = found["base_rates"][:2]
    assert own["base_rate"] == pytest.approx(found["rows"][1]["bads"] / expected[1]) and later["base_rate"] == 0.03
    assert own["score"]["ece"] == pytest.approx(found["rows"][1]["ece"])


def told_apart(folder_: Path, made: dict[str, np.ndarray], labels: np.ndarray) -> Callable[..., Any]:
    """A training that gives known probabilities."""

    def train(request: Any, **_: Any) -> Any:
        ids = tuple(map(str, range(len(labels))))
        return SimpleNamespace(held_out=HeldOut(ids, labels, made[request.kind]), report={"seconds": 1.0})

    return train


def test_figures_are_those_of_the_trained_probabilities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    labels = (random.random(300) < 0.2).astype(int)
    made = {kind: np.clip(0.1 + 0.05 * place * labels + 0.1 * random.random(300), 0, 1) for place, kind in
            enumerate(benchmark.PANEL_KINDS)}  # fmt: skip
    monkeypatch.setattr(benchmark, "train", told_apart(tmp_path, made, labels))
    monkeypatch.setattr(benchmark, "_by_time", lambda *_: ([], (), ()))
    found = benchmark.american_panel(benchmark.Plan(tmp_path, None, 1, tmp_path), lambda step: None)
    for row in found.rows:
        assert row.figures["auc"].value == pytest.approx(roc_auc_score(labels, made[row.model]))
        assert row.figures["pr_auc"].value == pytest.approx(average_precision_score(labels, made[row.model]))
    assert [name for name, _ in found.differences] == ["blend − xgboost", "blend − lstm", "blend − scorecard"]
    for name, pair in found.differences:
        expected = roc_auc_score(labels, made["blend"]) - roc_auc_score(labels, made[name.split()[-1]])
        assert pair.figures["auc"].difference.value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("made", "more", "said"),
    [
        ((), (), "there is no american_panel/train.csv; there is no sba/*.csv"),
        (("sba",), ("--only", "sba"), "there is no sba/*.csv"),
        ((), ("--out", "nowhere/page.md"), "the page's folder does not exist"),
    ],
)
def test_a_folder_without_data_is_refused(
    tmp_path: Path, made: tuple[str, ...], more: tuple[str, ...], said: str
) -> None:
    for name in made:
        folder(tmp_path, name)
    done = run("--data", tmp_path, *more)
    assert done.exit_code == 2 and said in done.stderr and "Traceback" not in done.output


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = run("--data", tmp_path / "none")
    assert done.exit_code == 2 and "is no folder" in done.stderr


def test_a_broken_dataset_is_told_and_the_others_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = folder(tmp_path, "american_panel")
    for name in ("train.csv", "validation.csv"):
        (place / name).write_text("a,b\n1,2\n3,4\n")
    folder(tmp_path, "sba").joinpath("loans.csv").write_text("a,b\n1,2\n")
    measured = benchmark.Found(())
    monkeypatch.setattr(benchmark, "MEASURES", {**benchmark.MEASURES, "sba": lambda plan, told: measured})
    done = run("--data", tmp_path, "--json")
    assert done.exit_code == 1
    failed = json.loads(done.stdout)["failed"]
    assert set(failed) == {"american-panel"} and "bankrupt_next" in failed["american-panel"]
