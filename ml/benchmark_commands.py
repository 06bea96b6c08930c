"""The command ``python -m ml benchmark`` and the page it writes."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from jinja2 import Environment, FileSystemLoader

from decision_service.errors import InputError
from ml.benchmark import INVOICES, LOANS, PANEL, PLACES, Benchmark, Plan, Row, benchmark
from ml.comparison import Comparison
from ml.console import AS_JSON, FOUND_SOMETHING, Steps, reported
from ml.evaluation import plain
from ml.metrics import Estimate
from ml.report import TEMPLATES

SHOWN = ("auc", "pr_auc", "ks", "brier_skill", "ece")
COMPARED = ("auc", "pr_auc", "brier")
LIBRARIES = ("numpy", "scikit-learn", "xgboost-cpu", "torch", "optbinning", "mlflow")


@dataclass(frozen=True, slots=True)
class Published:
    """What others report, where, and why it is not the same measurement."""

    dataset: str
    what: str
    auc: str
    pr_auc: str
    ks: str
    source: str
    caution: str


PUBLISHED = (
    Published(
        PANEL,
        "multi-head LSTM, 4-year windows",
        "0.856",
        "0.243",
        "0.563",
        "Pellegrino, Lombardo, Adosoglou, Cagnoni, Pardalos, Poggi: A Multi-Head LSTM Architecture for Bankruptcy"
        " Prediction with Time Series Accounting Data. Future Internet 2024, 16(3), 79;"
        " figures of the weights they released, not of the paper's tables",
        "On the years after 2014, of which about 3 % are bad, not on these files: PR-AUC in particular is higher where"
        " more are bad. Only scores of the same later firms can be set against it.",
    ),
    Published(
        LOANS,
        "XGBoost",
        "≈ 0.89",
        "–",
        "–",
        "github.com/leonhart1917/Machine-learning, read me (SBA national data)",
        "All approvals, about 800,000, other years, with the loan's term among the inputs; that the split is by time is"
        " not said. Nearer to the naive figure above than to one out of time.",
    ),
)
UNPUBLISHED = {
    INVOICES: "No published ROC-AUC of these firms by models that never saw them was found."
}


@click.command("benchmark")
@click.option("--data", "folder", required=True, type=click.Path(path_type=Path), help="Has american_panel/, sba/, …")
@click.option("--only", multiple=True, type=click.Choice(list(PLACES)), help="Of the datasets; repeatable.")
@click.option("--budget", type=click.FloatRange(0, min_open=True), help="Minutes for each training, with search.")
@click.option("--seed", default=7, type=click.IntRange(0), show_default=True, help="Same data and seed, same figures.")
@click.option("--rules", default=Path("rules"), type=click.Path(path_type=Path), show_default=True, help="For cumcm.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the page here (Markdown).")
@AS_JSON
@reported
def benchmark_command(
    folder: Path,
    only: tuple[str, ...],
    budget: float | None,
    seed: int,
    rules: Path,
    out: Path | None,
    as_json: bool,
) -> None:
    """Train on real data, measure with intervals, and set the figures beside published ones.

    The folder holds american_panel/{train,validation}.csv, sba/*.csv and cumcm2020c/{enterprises.csv,
    input_invoices.parquet, output_invoices.parquet}; what it lacks is told and left out. Models are trained as
    python -m ml train trains them and thrown away. Exit 1 when a dataset could not be used.

    \b
    Example:
      python -m ml benchmark --data data --budget 3 --out docs/benchmarks.md
    """
    if out is not None and not out.resolve().parent.is_dir():
        raise InputError("the page's folder does not exist", where=str(out), remedy="create it first")
    began, busy = time.monotonic(), os.getloadavg()[0]
    with Steps(quiet=as_json) as told:
        found = benchmark(Plan(folder, budget, seed, rules), only, told)
    facts = {
        "command": _command(only, budget, seed),
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, load {busy:.1f} at the start",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
        "seed": seed,
        "budget": budget,
        "seconds": round(time.monotonic() - began),
        "files": _hashes(folder, found),
    }
    if out is not None:
        out.write_text(page(found, facts), encoding="utf-8")
    if as_json:
        click.echo(json.dumps({**facts, **document(found)}, ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(found, out)))
    if found.failed:
        sys.exit(FOUND_SOMETHING)


def _command(only: tuple[str, ...], budget: float | None, seed: int) -> str:
    parts = [f"--only {name}" for name in only]
    parts += [f"--budget {budget:g}"] if budget is not None else []
    return " ".join(["python -m ml benchmark --data DATA", *parts, f"--seed {seed} --out docs/benchmarks.md"])


def _hashes(folder: Path, found: Benchmark) -> dict[str, str]:
    """What was measured on: SHA-256 of each file, the first twelve digits."""
    files = [path for name in found.found for path in sorted((folder / PLACES[name]).iterdir()) if path.is_file()]
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()[:12] for path in files}


def page(found: Benchmark, facts: Mapping[str, Any]) -> str:
    """The Markdown page."""
    # Markdown for a repository, not HTML for a browser.
    environment = Environment(loader=FileSystemLoader(TEMPLATES), trim_blocks=True, lstrip_blocks=True)  # noqa: S701
    environment.filters |= {"estimate": estimate, "signed": signed}
    given = {"found": found.found, "missing": found.missing, "failed": found.failed, "facts": facts}
    named = {"PANEL": PANEL, "LOANS": LOANS, "INVOICES": INVOICES, "SHOWN": SHOWN, "COMPARED": COMPARED}
    text = environment.get_template("benchmarks.md.j2").render(
        **given, **named, published=PUBLISHED, unpublished=UNPUBLISHED
    )
    return text.rstrip() + "\n"


def estimate(one: Estimate) -> str:
    """``0.901 (0.880–0.921)``."""
    return f"{one.value:.3f} ({one.low:.3f}–{one.high:.3f})"


def signed(one: Estimate) -> str:
    """``+0.012 (−0.003 to +0.027)``."""
    value, low, high = (f"{part:+.3f}".replace("-", "−") for part in (one.value, one.low, one.high))
    return f"{value} ({low} to {high})"


def document(found: Benchmark) -> dict[str, Any]:
    """What was measured, as plain data."""
    return {
        "rows": [_row(row) for one in found.found.values() for row in one.rows],
        "differences": [
            {"dataset": name, "pair": pair, **_compared(comparison)}
            for name, one in found.found.items()
            for pair, comparison in one.differences
        ],
        "base_rates": [
            {
                "dataset": name,
                "split": rate.split,
                "model": rate.model,
                "base_rate": rate.base_rate,
                "train": {figure: plain(rate.trained[figure]) for figure in ("ece", "brier_skill")},
                "score": {figure: plain(rate.scored[figure]) for figure in ("ece", "brier_skill")},
            }
            for name, one in found.found.items()
            for rate in one.rates
        ],
        "remarks": {name: list(one.remarks) for name, one in found.found.items() if one.remarks},
        "missing": dict(found.missing),
        "failed": dict(found.failed),
    }


def _row(row: Row) -> dict[str, Any]:
    named = {name: getattr(row, name) for name in ("dataset", "model", "split", "units", "bads", "seconds")}
    figures = {name: plain(row.figures[name]) for name in SHOWN}
    return {**named, **figures, "ece_as_trained": plain(row.as_trained)}


def _compared(one: Comparison) -> dict[str, Any]:
    figures = {name: plain(one.figures[name].difference) for name in COMPARED}
    return {**figures, "auc_delong": plain(one.delong.difference), "p_value": one.delong.p_value}


def _lines(found: Benchmark, out: Path | None) -> list[str]:
    rows = [
        f"{row.dataset} {row.model}, {row.split}: {row.units} units, {row.bads} bad;"
        f" ROC-AUC {row.figures['auc']}, PR-AUC {row.figures['pr_auc']}, KS {row.figures['ks']},"
        f" Brier skill {row.figures['brier_skill']}, ECE {row.figures['ece']}"
        for one in found.found.values()
        for row in one.rows
    ]
    rows += [f"left out: {name}: {why}" for name, why in {**found.missing, **found.failed}.items()]
    return rows if out is None else [*rows, f"written: {out}"]
