"""The commands ``python -m ml evaluate`` and ``compare``: how good a score is, and whether another one is better."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import pandas as pd
from mlflow import MlflowClient

from decision_service.errors import InputError
from ml.comparison import Comparison, compare
from ml.console import AS_JSON, FOUND_SOMETHING, Steps, prepare_mlflow, reported
from ml.evaluation import assess, document, plain
from ml.metrics import PRECISIONS, REPEATS, Labels
from ml.registration import tracking_uri
from ml.report import (
    Words,
    base_rate_notes,
    comparison_lines,
    comparison_page,
    evaluation_lines,
    evaluation_page,
    few_notes,
    verdict_of,
)
from ml.report_plots import Line
from ml.scored import Scored, labels_at, meaning, moved, scored, segments_at
from ml.tables.kinds import texts
from ml.tables.read import read_tables

FILE = click.Path(path_type=Path)
RATE = click.FloatRange(0, 1, min_open=True, max_open=True)
DATA = click.option("--data", required=True, multiple=True, type=FILE, help="CSV, Parquet or ARFF; repeatable.")
BY = click.option("--by", multiple=True, help="A column to tell segments by: vintage, industry, size; repeatable.")
ID = click.option("--id", "id_column", help="The table's column of ids, for files of scores.")
GROUP = click.option("--group", help="Column whose rows are drawn together. Default: the model's, or repeated ids.")
BAD = click.option("--bad", multiple=True, help="Label of the bad ones. Default: as the model was trained.")
BASE_RATE = click.option("--base-rate", type=RATE, help="Of the portfolio, if the rows have another share of bads.")
PRECISION = click.option(
    "--precision", multiple=True, type=RATE, default=PRECISIONS, show_default=True, help="Where recall is read."
)
RESAMPLES = click.option("--repeats", type=click.IntRange(100, 100_000), default=REPEATS, show_default=True)
SEED = click.option("--seed", default=7, type=click.IntRange(0), show_default=True, help="Same seed, same intervals.")
OUT = click.option("--out", type=FILE, help="Write the report here (HTML, opens offline).")
LOG = click.option("--log/--no-log", default=True, show_default=True, help="Log the report to the model's run.")
LANG = click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True)


@click.command("evaluate")
@click.option("--model", required=True, help="NAME, NAME@alias, NAME/VERSION, or a file with an id and probability.")
@DATA
@click.option("--target", required=True, help="The column of labels.")
@BY
@click.option("--training", multiple=True, type=FILE, help="Training files, for PSI of a model without a profile.")
@BASE_RATE
@PRECISION
@GROUP
@ID
@BAD
@RESAMPLES
@SEED
@OUT
@LOG
@LANG
@AS_JSON
@reported
def evaluate_command(**given: Any) -> None:
    """Measure a model on labelled rows it never saw: figures with intervals, calibration, segments, PSI.

    \b
    Example:
      python -m ml evaluate --model loans@champion --data later.csv --target status --by state --out report.html
    """
    uri = tracking_uri(os.environ)
    prepare_mlflow(uri)
    with Steps(quiet=given["as_json"]) as told:
        told("read")
        frame = read_tables(given["data"]).frame
        training = read_tables(given["training"]).frame if given["training"] else None
        told("score")
        (one,) = found = [scored(given["model"], frame, id_column=given["id_column"], uri=uri)]
        told("figures and intervals")
        one, labels = _labelled(found, frame, given)[0]
        known = np.flatnonzero(~np.isnan(one.probabilities))
        unscored, shifts = len(labels) - len(known), moved(one, training)
        one, labels = one.rows(known), labels[known]
        segments = segments_at(one, frame, given["by"])
        evaluation = assess(
            one.title, labels, one.probabilities, groups=_groups(one, frame, given["group"]), segments=segments,
            shifts=shifts, unscored=unscored, **_options(given),
        )  # fmt: skip
        notes = few_notes(evaluation.bads, evaluation.rows - evaluation.bads)
        notes += base_rate_notes(evaluation.sample_rate, given["base_rate"], _base_rates([one]))
        told("report")
        line = Line(one.title, labels, one.probabilities, evaluation.bins)
        page = evaluation_page(evaluation, line, notes, facts=[("数据 Data", _names(given["data"]))])
        figures = {name: estimate.value for name, estimate in evaluation.figures.items()}
        _deliver(page, [one], "evaluation", figures, given, uri=uri)
    if given["as_json"]:
        click.echo(json.dumps({**document(evaluation), "notes": notes}, ensure_ascii=False))
    else:
        click.echo("\n".join(evaluation_lines(evaluation, notes, given["lang"])))


@click.command("compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@DATA
@click.option("--target", help="The column of labels. Default: the models'.")
@BY
@BASE_RATE
@PRECISION
@GROUP
@ID
@BAD
@RESAMPLES
@SEED
@OUT
@LOG
@LANG
@AS_JSON
@reported
def compare_command(**given: Any) -> None:
    """Is B better than A? Both on the same rows: paired bootstrap of every figure, and DeLong's test.

    A and B are models (NAME, NAME@alias, NAME/VERSION) or files with an id and probability. A difference whose
    interval holds 0 is called no difference. Exit 1 if B is worse in ROC-AUC, PR-AUC or Brier.

    \b
    Example:
      python -m ml compare loans@champion loans@challenger --data later.csv --by state --out comparison.html
    """
    uri = tracking_uri(os.environ)
    prepare_mlflow(uri)
    with Steps(quiet=given["as_json"]) as told:
        told("read")
        frame = read_tables(given["data"]).frame
        told("score")
        found = [scored(given[one], frame, id_column=given["id_column"], uri=uri) for one in ("first", "second")]
        (first, labels), (second, _) = _labelled(_on_the_same_units(found), frame, given)
        both = np.flatnonzero(~np.isnan(first.probabilities) & ~np.isnan(second.probabilities))
        left_out = max(len(one.ids) for one in found) - len(both)
        first, second, labels = first.rows(both), second.rows(both), labels[both]
        told("figures and intervals")
        comparison = compare(
            labels, first.probabilities, second.probabilities, groups=_groups(first, frame, given["group"]),
            segments=segments_at(first, frame, given["by"]), **_options(given),
        )  # fmt: skip
        titles = first.title, second.title
        notes = few_notes(comparison.bads, comparison.rows - comparison.bads)
        notes += base_rate_notes(comparison.bads / comparison.rows, given["base_rate"], _base_rates([first, second]))
        if left_out:
            notes.append(_left_out(left_out))
        told("report")
        page = _comparison_page(comparison, labels, (first, second), notes, given)
        figures = {f"auc_minus_{_slug(titles[0])}": comparison.figures["auc"].difference.value}
        _deliver(page, [second], "comparison", figures, given, uri=uri)
    if given["as_json"]:
        click.echo(json.dumps(_comparison_document(comparison, titles, notes), ensure_ascii=False))
    else:
        click.echo("\n".join(comparison_lines(comparison, titles, notes, given["lang"])))
    if comparison.worse:
        sys.exit(FOUND_SOMETHING)


def _labelled(found: Sequence[Scored], frame: pd.DataFrame, given: Mapping[str, Any]) -> list[tuple[Scored, Labels]]:
    """The units whose label is known, with it; all of ``found`` have the same units."""
    targets = [one.model.recipe.roles.target for one in found if one.model is not None]
    target = given["target"] or (targets[0] if targets else None)
    if target is None:
        raise InputError("no column of labels is named", remedy="give --target COLUMN")
    said = meaning(found, frame, target, bad=given["bad"])
    labels = labels_at(found[0].places, frame, target, said)
    known = np.flatnonzero(~np.isnan(labels))
    return [(one.rows(known), labels[known].astype(int)) for one in found]


def _on_the_same_units(found: Sequence[Scored]) -> list[Scored]:
    """Both with the units that both have, in one order: by id where ids are unique, else by place in the table."""
    unique = all(len(set(one.ids)) == len(one.ids) for one in found)
    keys: list[Sequence[Any]] = [one.ids if unique else one.places.tolist() for one in found]
    where = [{key: row for row, key in enumerate(of_one)} for of_one in keys]
    common = [key for key in keys[0] if key in where[1]]
    if not common:
        raise InputError("A and B have no unit in common", remedy="score the same table with both")
    return [one.rows(np.array([at[key] for key in common])) for one, at in zip(found, where, strict=True)]


def _groups(one: Scored, frame: pd.DataFrame, column: str | None) -> tuple[str, ...]:
    if column is None:
        return one.groups if len(set(one.groups)) < len(one.groups) else ()
    if column not in frame.columns:
        raise InputError(f"there is no column {column!r}", remedy=f"there are {', '.join(frame.columns[:8])}")
    return tuple(texts(frame[column].iloc[one.places]).fillna("").tolist())


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {name: given[name] for name in ("seed", "repeats", "base_rate")}
    return {**chosen, "precisions": sorted(set(given["precision"]))}


def _base_rates(found: Sequence[Scored]) -> list[float]:
    return [one.model.fitted.spec.calibration.base_rate for one in found if one.model is not None]


def _left_out(count: int) -> Words:
    return {
        "en": f"{count:,} units without a label, or without a score by both, are left out.",
        "zh": f"{count:,} 个单位没有标签，或未同时由 A 与 B 评分，未计入。",
    }


def _comparison_page(
    found: Comparison, labels: Labels, pair: Sequence[Scored], notes: Sequence[Words], given: Mapping[str, Any]
) -> str:
    lines = []
    for letter, one in zip("AB", pair, strict=True):
        bins = assess(one.title, labels, one.probabilities, **{**_options(given), "repeats": 1}).bins
        lines.append(Line(f"{letter}: {one.title}", labels, one.probabilities, bins))
    facts = [("A", pair[0].title), ("B", pair[1].title), ("数据 Data", _names(given["data"]))]
    return comparison_page(found, lines, notes, base_rate=given["base_rate"], facts=facts)


def _comparison_document(found: Comparison, titles: tuple[str, str], notes: Sequence[Words]) -> dict[str, Any]:
    def pair(one: Any) -> dict[str, Any]:
        return {"a": one.first, "b": one.second, "difference": plain(one.difference), "verdict": one.verdict}

    return {
        "a": titles[0],
        "b": titles[1],
        "rows": found.rows,
        "bads": found.bads,
        "figures": {name: pair(one) for name, one in found.figures.items()},
        "delong": {"difference": plain(found.delong.difference), "p_value": found.delong.p_value},
        "segments": [
            {
                "column": one.column,
                "value": one.value,
                "rows": len(one.rows),
                "bads": one.bads,
                "auc": None if figures is None else pair(figures),
            }
            for one, figures in found.segments
        ],
        "better": list(found.better),
        "worse": list(found.worse),
        "verdict": verdict_of(found),
        "notes": list(notes),
    }


def _deliver(
    page: str, found: Sequence[Scored], kind: str, figures: Mapping[str, float], given: Mapping[str, Any], *, uri: str
) -> None:
    """The page where it is asked for, and with the run of each model that it is about."""
    if given["out"] is not None:
        given["out"].write_text(page, encoding="utf-8")
    for one in found if given["log"] else ():
        if one.model is None:
            continue
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        with TemporaryDirectory(prefix="report-") as folder:
            path = Path(folder) / f"{kind}-{hashlib.sha256(page.encode()).hexdigest()[:12]}.html"
            path.write_text(page, encoding="utf-8")
            client.log_artifact(one.model.run_id, str(path), artifact_path="reports")
        for name, value in figures.items():
            if np.isfinite(value):
                client.log_metric(one.model.run_id, f"{kind}/{name}", value)


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths)


def _slug(title: str) -> str:
    return "".join(one if one.isascii() and one.isalnum() else "_" for one in title)
