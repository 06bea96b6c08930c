"""Segments, calibration by bin, and the commands evaluate and compare over a registered model and files of scores."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient
from scores_for_tests import expit, noisy, outcomes

from decision_service.scoring.stability import Shift
from ml.__main__ import main
from ml.evaluation import assess
from ml.report import base_rate_notes, few_notes
from ml.report_plots import movement
from ml.segments import MISSING, OTHERS, segment_values, segments_of

ROWS = 900
QUICK = ["--repeats", "200"]
Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        pytest.param("approved", ["28-Feb-97", "1-Mar-97", "5-Jan-04"], ["1997", "1997", "2004"], id="its year"),
        pytest.param("region", ["N", " S", "", "N"], ["N", "S", MISSING, "N"], id="few values: themselves"),
        pytest.param("staff", ["3", "3.0", "12"], ["3", "3", "12"], id="few numbers: themselves"),
        pytest.param("year", [2012, 2013, 2012], ["2012", "2013", "2012"], id="years"),
    ],
)
def test_what_a_segment_is_called(name: str, values: list[object], expected: list[str]) -> None:
    assert list(segment_values(pd.Series(values), name)) == expected


def test_many_numbers_are_told_by_quarters_in_their_order() -> None:
    values = pd.Series([*map(str, range(0, 80_000, 1000)), ""])
    bands = segment_values(values, "total_assets")
    assert bands[:2] == ("1: 0 – 19,750",) * 2 and bands[-2:] == ("4: 59,250 – 79,000", MISSING)
    found = [one.value[:2] for one in segments_of(np.zeros(81, dtype=int), {"total_assets": bands})]
    assert found == ["1:", "2:", "3:", "4:", MISSING[:2]]


def test_industry_codes_are_told_by_their_division_and_rare_words_together() -> None:
    codes = pd.Series([f"{11 + row % 5}{row:04}" for row in range(100)])
    assert set(segment_values(codes, "NAICS")) == {"11", "12", "13", "14", "15"}
    words = pd.Series([f"word {chr(97 + row)}" for row in range(26)] * 3)
    told = segment_values(words, "purpose")
    assert len(set(told)) == 21 and told.count(OTHERS) == 18


def test_bins_and_segments_are_calibrated_at_the_stated_base_rate() -> None:
    labels, chances = outcomes(60_000, seed=1, log_odds=-3.5)
    kept = (labels == 1) | (np.arange(len(labels)) % 10 == 0)
    half = ["a" if row % 2 else "b" for row in range(int(kept.sum()))]
    found = assess("m", labels[kept], chances[kept], seed=1, repeats=100, base_rate=float(labels.mean()),
                   segments={"half": half})  # fmt: skip
    assert all(one.observed.low <= one.forecast <= one.observed.high for one in found.bins)
    assert sum(one.rows for one in found.bins) == kept.sum() and sum(one.bads for one in found.bins) == labels.sum()
    for one in found.segments:
        assert one.auc is not None and one.calibrated.observed.value == pytest.approx(labels.mean(), rel=0.1)


def test_a_gap_between_base_rates_is_told() -> None:
    assert base_rate_notes(0.13, None, [0.13]) == []
    (stated,) = base_rate_notes(0.13, 0.03, [0.03])
    assert "3.00%" in stated["en"] and "Saerens" in stated["zh"]
    (unstated,) = base_rate_notes(0.13, None, [0.03])
    assert "--base-rate" in unstated["en"] and "--base-rate" in unstated["zh"]


def test_chinese_names_are_drawn_as_text_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = movement([Shift("年营业收入", 0.02, 0.01, (0.5, 0.5), (0.4, 0.6))])
    assert "年营业收入" in drawn


def test_too_few_bads_are_told() -> None:
    assert few_notes(10, 500) == [] and "too few" in few_notes(9, 500)[0]["en"] and "过少" in few_notes(500, 2)[0]["zh"]


def table(seed: int) -> pd.DataFrame:
    labels, chances = outcomes(ROWS, seed=seed, log_odds=-1.5)
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "loan": [f"L{seed}-{row:04}" for row in range(ROWS)],
            "leverage": np.round(np.log(chances / (1 - chances)) + random.normal(size=ROWS), 3),
            "cash": np.round(np.log(chances / (1 - chances)) + 2 * random.normal(size=ROWS), 3),
            "size": np.where(np.arange(ROWS) < 30, "large <&$x_1$", "small"),
            "year": 2001 + np.arange(ROWS) % 4,
            "status": np.where(labels == 1, "CHGOFF", "P I F"),
            "true": chances,
        }
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a registered model ``loans``, later rows, and files of scores better and worse than it."""
    folder = tmp_path_factory.mktemp("evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        table(1).drop(columns="true").to_csv(folder / "train.csv", index=False)
        later = table(2)
        later.drop(columns="true").to_csv(folder / "later.csv", index=False)
        chances = later["true"].to_numpy()
        blurred = noisy(chances, seed=3, noise=3.0)
        for name, scores in (("good", chances), ("same", expit(np.log(chances / (1 - chances)))), ("bad", blurred)):
            frame = pd.DataFrame({"loan": later["loan"], "probability": scores})
            frame.sample(frac=1, random_state=1).to_csv(folder / f"{name}.csv", index=False)
        given = ["--data", str(folder / "train.csv"), "--target", "status", "--id", "loan", "--name", "loans"]
        done = CliRunner().invoke(main, ["train", *given], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place / 'mlflow.db'}")
    monkeypatch.chdir(place)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments), catch_exceptions=False)

    return invoke


def test_evaluate_prints_writes_and_logs(run: Run, place: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    given = ("--model", "loans", "--data", "later.csv", "--target", "status", "--by", "size", "--by", "year")
    done = run("evaluate", *given, "--out", str(page), *QUICK)
    assert done.exit_code == 0, done.output
    assert "loans version 1: 900 rows" in done.output and "ROC-AUC" in done.output and "PSI" in done.output
    assert re.search(r"size = large <&\$x_1\$ +30 .*too few", done.output)
    text = page.read_text(encoding="utf-8")
    assert "large &lt;&amp;$x_1$" in text and "<script" not in text and not re.search(r"(src|href)=.http", text)
    assert text.count("<svg") >= 7 and "样本过少" in text
    client = MlflowClient(f"sqlite:///{place / 'mlflow.db'}")
    run_id = client.get_model_version("loans", "1").run_id
    assert [one.path for one in client.list_artifacts(run_id, "reports")][0].startswith("reports/evaluation-")
    assert 0.5 < client.get_run(run_id).data.metrics["evaluation/auc"] < 1


def test_evaluate_as_json_and_in_chinese(run: Run) -> None:
    given = ("evaluate", "--model", "loans", "--data", "later.csv", "--target", "status", "--no-log", *QUICK)
    found = json.loads(run(*given, "--base-rate", "0.05", "--training", "train.csv", "--json").output)
    kept = {one["name"]: one["psi"] for one in json.loads(run(*given, "--json").output)["psi"]}
    assert {one["name"]: one["psi"] for one in found["psi"] if one["name"] != "score"}.items() <= kept.items()
    assert max(kept.values()) < 0.1 and len(kept) >= 3
    assert found["rows"] == ROWS and found["base_rate"] == 0.05 and found["figures"]["auc"][0] > 0.6
    assert {one["value"] for one in found["segments"]} >= {"small"}
    assert any("0.05" in note["en"] or "5.00%" in note["en"] for note in found["notes"])
    assert "坏样本" in run(*given, "--lang", "zh").output


@pytest.mark.parametrize(
    ("first", "second", "code", "said"),
    [
        pytest.param("bad.csv", "good.csv", 0, "B is better than A", id="better"),
        pytest.param("good.csv", "bad.csv", 1, "B is worse than A", id="worse: exit 1"),
        pytest.param("good.csv", "same.csv", 0, "No difference between A and B", id="the same"),
        pytest.param("loans", "bad.csv", 1, "B is worse than A", id="a model and a file"),
        pytest.param("loans/1", "loans", 0, "No difference", id="a model with itself"),
    ],
)
def test_compare(run: Run, first: str, second: str, code: int, said: str) -> None:
    done = run("compare", first, second, "--data", "later.csv", "--target", "status", "--no-log", *QUICK)
    assert (done.exit_code, said in done.output) == (code, True), done.output


def test_compare_speaks_chinese_and_writes_a_page(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "comparison.html"
    given = ("compare", "bad.csv", "good.csv", "--data", "later.csv", "--target", "status", "--by", "size")
    given += ("--out", str(page), *QUICK)
    done = run(*given, "--lang", "zh")
    assert done.exit_code == 0 and "B 更好" in done.output
    text = page.read_text(encoding="utf-8")
    assert "B is better" in text and "DeLong" in text and "<script" not in text
    found = json.loads(run(*given, "--json").output)
    assert found["better"] and found["worse"] == [] and found["segments"][0]["auc"] is None
    assert found["figures"]["auc"]["verdict"] == "better" and found["delong"]["p_value"] < 0.05


def test_units_that_only_one_scored_are_left_out_and_told(run: Run, tmp_path: Path) -> None:
    few = tmp_path / "few.csv"
    pd.read_csv("good.csv").head(600).to_csv(few, index=False)
    done = run("compare", str(few), "same.csv", "--data", "later.csv", "--target", "status", *QUICK)
    assert done.exit_code == 0 and "600 rows" in done.output and "300 units" in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate", "--model", "none", "--data", "later.csv", "--target", "status"], "none"),
        (["evaluate", "--model", "loans", "--data", "later.csv", "--target", "nothing"], "no column 'nothing'"),
        (["evaluate", "--model", "loans", "--data", "none.csv", "--target", "status"], "none.csv"),
        (["evaluate", "--model", "loans", "--data", "later.csv", "--target", "status", "--by", "x"], "no column 'x'"),
        (["evaluate", "--model", "loans", "--data", "later.csv", "--target", "size"], "not both bad"),
        (["compare", "good.csv", "bad.csv", "--data", "later.csv"], "--target"),
        (["compare", "good.csv", "later.csv", "--data", "later.csv", "--target", "status"], "probability"),
        (["compare", "good.csv", "bad.csv", "--data", "train.csv", "--target", "status"], "no id"),
        (["compare", "good.csv", "bad.csv", "--data", "later.csv", "--target", "status", "--id", "x"], "no column 'x'"),
    ],
)  # fmt: skip
def test_what_cannot_run_ends_with_a_line_and_exit_2(run: Run, arguments: list[str], said: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2 and said in done.output and "Traceback" not in done.output
