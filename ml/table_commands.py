"""The commands ``python -m ml train`` and ``score``: any labelled table in, a registered model or scores out."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import click
import numpy as np

from decision_service.errors import InputError
from ml.calibration import at_base_rate
from ml.console import AS_JSON, BEGAN, Steps, prepare_mlflow, reported
from ml.registration import tracking_uri
from ml.table_models import KINDS
from ml.table_sample import Request
from ml.table_training import Trained, train
from ml.tables.read import read_tables
from ml.tables.roles import Roles
from ml.versions import load_version

FILES = click.Path(path_type=Path)
SHOWN = ("auc", "ks", "pr_auc", "brier", "ece")


class _Directions(click.ParamType):
    """``COLUMN=+1`` or ``COLUMN=-1``."""

    name = "COL=±1"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, int]:
        column, _, direction = str(value).rpartition("=")
        if direction not in ("+1", "1", "-1") or not column:
            self.fail(f"{value!r} is not COLUMN=+1 or COLUMN=-1", param, ctx)
        return column, int(direction)


@click.command("train")
@click.option("--data", "data", required=True, multiple=True, type=FILES, help="CSV, Parquet or ARFF; repeatable.")
@click.option("--target", required=True, help="The column of labels.")
@click.option("--id", "id_", help="The column that names a unit.")
@click.option("--time", help="A column of dates or years: later rows never teach what judges earlier ones.")
@click.option("--group", help="A column whose values never stand on two sides, such as the firm.")
@click.option("--kind", type=click.Choice(KINDS), default="xgboost", show_default=True)
@click.option("--name", required=True, help="Name to register under.")
@click.option("--validation", multiple=True, type=FILES, help="Files to tune on; never fitted.")
@click.option("--window", type=click.IntRange(2), help="Last rows by --time that make one unit of a panel.")
@click.option("--bad", multiple=True, help="Label of the bad ones; by default told from the labels.")
@click.option("--good", multiple=True, help="With --bad: label of the good ones; rows with others are left out.")
@click.option("--base-rate", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="The portfolio's.")
@click.option("--budget", type=click.FloatRange(0, min_open=True), help="Minutes for the whole command, with search.")
@click.option("--seed", default=7, type=click.IntRange(0), show_default=True, help="Same data and seed, same model.")
@click.option("--monotone", multiple=True, type=_Directions(), help="The PD may only rise (+1) or fall (-1) with it.")
@click.option("--drop", multiple=True, help="A column to leave out.")
@click.option("--keep", multiple=True, help="A column to keep, whatever the leak report says.")
@click.option("--alias", help="An alias to give to the new version.")
@AS_JSON
@reported
def train_command(**given: Any) -> None:
    """Train a model on any labelled table, report leaks, calibrate, measure and register it.

    \b
    Example:
      python -m ml train --data loans.csv --target status --id loan --time approved --name loans --budget 3
    """
    named = {role: None if given[role] is None else _name(given[role]) for role in ("target", "id_", "time", "group")}
    request = Request(
        data=given["data"],
        roles=Roles(str(named["target"]), named["id_"], named["time"], named["group"], given["window"]),
        kind=given["kind"],
        name=given["name"],
        validation=given["validation"],
        bad=given["bad"],
        good=given["good"],
        drop=tuple(map(_name, given["drop"])),
        keep=tuple(map(_name, given["keep"])),
        monotone={_name(column): direction for column, direction in given["monotone"]},
        base_rate=given["base_rate"],
        budget=given["budget"],
        seed=given["seed"],
        alias=given["alias"],
    )
    uri = tracking_uri(os.environ)
    prepare_mlflow(uri)
    with Steps(quiet=given["as_json"]) as told:
        trained = train(request, uri=uri, told=told, began=click.get_current_context().meta.get(BEGAN))
    registered = {"name": trained.registered.name, "version": trained.registered.version}
    if given["as_json"]:
        registered["run_id"] = trained.registered.run_id
        click.echo(json.dumps({**registered, **trained.report}, ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(trained)))


def _name(given: str) -> str:
    """A column's name as tables are read: without space around it."""
    return " ".join(given.split())


def _lines(trained: Trained) -> list[str]:
    report = trained.report
    rows = [
        f"{trained.registered.name} version {trained.registered.version}: {report['kind']} on {report['units']} units,"
        f" {report['bads']} bad, {report['seconds']} s",
        f"{report['inputs']} inputs made of {report['columns']} columns: a category may give several, and ratios and"
        " changes are added",
        f"bad is {', '.join(report['bad'])} ({report['why_bad']}); --bad VALUE says otherwise",
    ]
    rows += [f"note: {note}" for note in report["notes"]]
    rows += [f"left out: {name}: {why}" for name, why in report["left_out"].items()]
    for leak in report["leaks"]:
        done = "kept as told" if leak["column"] in report["kept_as_told"] else "left out"
        rows.append(f"leak: {leak['column']} ({leak['reason']}; {done}): {leak['evidence']}")
    if report["auc_with_leaks"] is not None:
        rows.append(
            f"a quick model reaches ROC-AUC {report['auc_with_leaks']:.4f} with the leaks,"
            f" {report['auc_without_leaks']:.4f} without: the difference would not be there on new rows"
        )
    if len(report["weights"]) > 1:
        rows.append("weights: " + ", ".join(f"{kind} {weight:.2f}" for kind, weight in report["weights"].items()))
    rows.append(f"run {trained.registered.run_id}: python -m ml register {trained.registered.run_id[:8]} --name NAME")
    rows.append(f"judged {report['judged']}")
    rows += [f"  {name:8} {trained.metrics[name]}" for name in SHOWN if name in trained.metrics]
    return rows


@click.command("score")
@click.option("--model", required=True, help="NAME, NAME@alias or NAME/VERSION.")
@click.option("--data", "data", required=True, multiple=True, type=FILES, help="CSV, Parquet or ARFF; repeatable.")
@click.option("--out", required=True, type=FILES, help="CSV with the unit's id and its probability.")
@click.option("--base-rate", type=float, help="States the probabilities for a table of which so many are bad: 0.03.")
@AS_JSON
@reported
def score_command(model: str, data: tuple[Path, ...], out: Path, base_rate: float | None, as_json: bool) -> None:
    """Score a table with a registered model: one line a row, or a unit where the model reads windows.

    With --base-rate all log-odds are moved by one number, so that the mean probability of the scored units is that
    rate; ranks stay. Give it if you know the rate of these rows; a single row cannot have one.

    \b
    Example:
      python -m ml score --model loans@champion --data new.csv --base-rate 0.03 --out scores.csv
    """
    if base_rate is not None and not 0.0 < base_rate < 1.0:
        raise InputError(f"base rate {base_rate} is not between 0 and 1", remedy="state the share of bads as 0.03")
    uri = tracking_uri(os.environ)
    prepare_mlflow(uri)
    with Steps(quiet=as_json) as told:
        told("model")
        version = load_version(model, uri=uri)
        told("read")
        table = read_tables(data)
        told("score")
        inputs = version.inputs(table.frame)
        chances = version.probabilities(inputs)
        if base_rate is not None:
            chances = at_base_rate(chances, base_rate)
    column = version.recipe.roles.id or "row"
    if column == "probability":
        raise InputError("the id is called probability", remedy="rename the column")
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column, "probability"])
        shown = ("" if np.isnan(one) else f"{one:.9g}" for one in chances)
        writer.writerows(zip(inputs.ids, shown, strict=True))
    found = {"model": version.name, "version": version.version, "units": len(inputs), "out": str(out)}
    notes = [*table.notes]
    if base_rate is not None:
        found["base_rate"] = base_rate
        notes.append(f"probabilities are stated for a base rate of {base_rate:g}: their mean")
    if as_json:
        click.echo(json.dumps({**found, "notes": notes}, ensure_ascii=False))
    else:
        done = f"{len(inputs)} units scored by {version.name} version {version.version}: {out}"
        click.echo("\n".join([*notes, done]))
