"""The command ``python -m ml score-portfolio``: every enterprise or row of large files, in chunks."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
from tqdm import tqdm

from decision_service.errors import InputError
from ml.bulk import CHUNK_ROWS, ENGINES, Done, rows_of, score_portfolio
from ml.bulk_models import Scoring, TableScoring, product_models
from ml.console import AS_JSON, prepare_mlflow, reported
from ml.registration import tracking_uri
from ml.versions import load_version

FILES = click.Path(path_type=Path)


@click.command("score-portfolio")
@click.option("--product", help="Score with both models of a product and its blend, as a decision does.")
@click.option("--model", help="Or with one trained on a table: NAME, NAME@alias or NAME/VERSION.")
@click.option("--data", "data", required=True, multiple=True, type=FILES, help="Parquet, CSV or ARFF; repeatable.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the scores, Parquet.")
@click.option("--alias", default="champion", show_default=True, help="With --product: which versions.")
@click.option("--rules", default=Path("rules"), type=FILES, show_default=True, help="With --product: the rules folder.")
@click.option("--engine", type=click.Choice(ENGINES), default="local", show_default=True, help="Who computes.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes; by default one a core.")
@click.option("--chunk", default=CHUNK_ROWS, type=click.IntRange(1, 1_000_000), show_default=True, help="Rows at once.")
@AS_JSON
@reported
def score_portfolio_command(
    product: str | None,
    model: str | None,
    data: tuple[Path, ...],
    out: Path,
    alias: str,
    rules: Path,
    engine: str,
    workers: int | None,
    chunk: int,
    as_json: bool,
) -> None:
    """Score a whole portfolio; started again after it was stopped, it goes on where it was.

    With --product the data are those of `decision-service portrait features --out FILE.parquet`.

    \b
    Example:
      python -m ml score-portfolio --product working_capital --data portfolio.parquet --out scores
    """
    uri = tracking_uri(os.environ)
    prepare_mlflow(uri)
    scoring = _scoring(product, model, rules, uri=uri, alias=alias)
    quiet = as_json or not sys.stderr.isatty()
    with tqdm(desc="score", unit=" rows", total=rows_of(data), delay=2, leave=False, disable=quiet) as bar:
        done = score_portfolio(
            scoring,
            data,
            out,
            engine=engine,
            workers=workers or os.cpu_count() or 1,
            chunk_rows=chunk,
            progress=bar.update,
        )
    _print(done, out, as_json)


def _scoring(product: str | None, model: str | None, rules: Path, *, uri: str, alias: str) -> Scoring:
    if (product is None) == (model is None):
        raise InputError("what scores is not told", remedy="give either --product or --model")
    if product is not None:
        today = datetime.now(ZoneInfo("Asia/Shanghai")).date()
        return product_models(product, rules, uri=uri, alias=alias, on=today)
    return TableScoring(load_version(str(model), uri=uri))


def _print(done: Done, out: Path, as_json: bool) -> None:
    if as_json:
        told = {name: getattr(done, name) for name in Done.__slots__}
        click.echo(json.dumps({**told, "out": str(out)}))
        return
    earlier = f", {done.found} of {done.chunks} chunks from an earlier run" if done.found else ""
    click.echo(f"{done.units} units scored, {done.unscored} without a score{earlier}: {out}")
