"""The commands ``python -m ml cumcm prepare`` and ``report``: real firms through the real decision path."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from decision_service.errors import DecisionServiceError, InputError
from decision_service.rulebook.files import load as load_rules
from decision_service.rulebook.ruleset import Ruleset
from ml.cumcm import Dataset, load
from ml.cumcm_feeds import ASSUMPTIONS, write_applications, write_assumptions, write_feeds, write_rules
from ml.cumcm_folds import OUTER_FOLDS, OUTER_SEED
from ml.cumcm_inputs import Inputs, parameters, read_inputs
from ml.cumcm_models import Fold, cross_validate
from ml.cumcm_report import as_json, build_report, lines, plot, read_decisions
from ml.metrics import Labels, evaluate
from ml.training import data_hash, register

FOUND_SOMETHING, COULD_NOT_RUN = 1, 2
DATA = click.option("--data", required=True, type=click.Path(path_type=Path), help="The folder cumcm2020c.")
OUT = click.option("--out", required=True, type=click.Path(path_type=Path), help="Where the prepared files stand.")
JSON = click.option("--json", "as_data", is_flag=True, help="Print JSON.")


@click.group()
def cumcm() -> None:
    """123 real firms known by their VAT invoices, scored by models that never saw them.

    \b
    Example:
      python -m ml cumcm prepare --data cumcm2020c --out var/cumcm
    """


@cumcm.command()
@DATA
@OUT
@click.option("--rules", default=Path("rules"), type=click.Path(path_type=Path), show_default=True)
@JSON
def prepare(data: Path, out: Path, rules: Path, as_data: bool) -> None:
    """Write feeds, applications, fold models and fold rules; score every firm out of fold.

    \b
    Example:
      python -m ml cumcm prepare --data cumcm2020c --out var/cumcm
    """
    try:
        summary = _prepare(data, out, rules)
    except DecisionServiceError as error:
        raise _refusal(error) from error
    click.echo(json.dumps(summary, ensure_ascii=False) if as_data else "\n".join(_summary_lines(summary)))


def _prepare(data: Path, out: Path, rules: Path) -> dict[str, Any]:
    torch.set_num_threads(1)
    if out.exists() and any(out.iterdir()) and not (out / "assumptions.json").is_file():
        raise InputError("the folder holds other files", where=str(out), remedy="name a new folder")
    shutil.rmtree(out, ignore_errors=True)
    dataset = load(data)
    write_feeds(dataset, out / "feeds")
    write_assumptions(out / "assumptions.json")
    write_rules(rules, out / "rules-2016", {})
    ruleset = load_rules(out / "rules-2016")
    inputs = read_inputs(dataset, ruleset)
    folds = []
    for fold in tqdm(_folds(inputs, ruleset), total=OUTER_FOLDS, desc="folds", disable=not sys.stderr.isatty()):
        _publish(fold, dataset, inputs, rules=rules, out=out)
        folds.append(fold)
    scores = _scores(dataset, folds)
    scores.to_csv(out / "oof_scores.csv", index=False)
    return _summary(dataset, folds, scores)


def _folds(inputs: Inputs, ruleset: Ruleset) -> Iterator[Fold]:
    in_force = parameters(ruleset)
    weights = float(in_force["product.weight_xgb"]), float(in_force["product.weight_lstm"])
    return cross_validate(inputs, weights=weights, base_rate=float(in_force["product.base_rate"]))


def _publish(fold: Fold, dataset: Dataset, inputs: Inputs, *, rules: Path, out: Path) -> None:
    """Register the fold's models under the alias ``fold-<k>`` and write its rules and applications."""
    folder = out / f"fold-{fold.number}"
    folder.mkdir()
    training = np.setdiff1d(np.arange(len(inputs.labels)), fold.rows)
    digest = data_hash([inputs.matrix[training], inputs.series[training], inputs.labels[training]])
    for name, fitted in (("pd-xgboost-invoice", fold.xgboost), ("pd-lstm-invoice", fold.lstm)):
        register(
            fitted,
            name=name,
            alias=f"fold-{fold.number}",
            metrics={"inner_auc": fold.inner_auc["xgboost" if "xgboost" in name else "lstm"]},
            data_hash=digest,
            tags={"data": "cumcm2020c", "fold": str(fold.number), "feature_set": fold.feature_set},
        )
    limits = {"pd_cutoff_auto": fold.cutoffs.auto, "pd_cutoff_review": fold.cutoffs.review}
    write_rules(rules, folder / "rules", {name: Decimal(f"{value:.6f}") for name, value in limits.items()})
    write_applications([dataset.firms[row] for row in fold.rows], folder / "applications.jsonl")


def _scores(dataset: Dataset, folds: Iterable[Fold]) -> pd.DataFrame:
    rows = [
        {
            "enterprise_id": dataset.firms[row].firm_id,
            "uscc": dataset.firms[row].uscc,
            "fold": fold.number,
            "defaulted": int(dataset.firms[row].defaulted),
            "pd_xgb": round(float(fold.pd_xgb[at]), 6),
            "pd_lstm": round(float(fold.pd_lstm[at]), 6),
            "pd_12m": round(float(fold.pd_12m[at]), 6),
            "cutoff_auto": fold.cutoffs.auto,
            "cutoff_review": fold.cutoffs.review,
        }
        for fold in folds
        for at, row in enumerate(fold.rows)
    ]
    order = {firm.firm_id: number for number, firm in enumerate(dataset.firms)}
    return pd.DataFrame(rows).sort_values("enterprise_id", key=lambda ids: ids.map(order), ignore_index=True)


def _summary(dataset: Dataset, folds: list[Fold], scores: pd.DataFrame) -> dict[str, Any]:
    labels: Labels = scores["defaulted"].to_numpy(dtype=int)
    metrics = {
        name: evaluate(labels, scores[name].to_numpy(), seed=1)["auc"] for name in ("pd_xgb", "pd_lstm", "pd_12m")
    }
    return {
        "firms": len(dataset.firms),
        "defaulted": int(labels.sum()),
        "invoices": dataset.read,
        "delivered_twice": dataset.duplicates,
        "folds": [
            {
                "fold": fold.number,
                "firms": len(fold.rows),
                "feature_set": fold.feature_set,
                "inner_auc": dict(fold.inner_auc),
                "pd_cutoff_auto": fold.cutoffs.auto,
                "pd_cutoff_review": fold.cutoffs.review,
            }
            for fold in folds
        ],
        "auc": {name: [estimate.value, estimate.low, estimate.high] for name, estimate in metrics.items()},
        "assumptions": list(ASSUMPTIONS),
    }


def _summary_lines(summary: dict[str, Any]) -> list[str]:
    rows = [
        "{firms} firms, {defaulted} defaulted; {invoices} invoices, {delivered_twice} of them delivered twice and"
        " counted once".format(**summary),
        f"{OUTER_FOLDS} outer folds, seed {OUTER_SEED}; choices made inside the training firms only:",
    ]
    rows += [
        f"  fold {fold['fold']}: {fold['firms']} firms held out, features {fold['feature_set']!r},"
        f" inner AUC {fold['inner_auc']['xgboost']:.3f} / {fold['inner_auc']['lstm']:.3f},"
        f" cut-offs {fold['pd_cutoff_auto']:.6f} / {fold['pd_cutoff_review']:.6f}"
        for fold in summary["folds"]
    ]
    rows.append("assumptions / 假设:")
    rows += [f"  - {assumption['en']}\n    {assumption['zh']}" for assumption in summary["assumptions"]]
    return rows


@cumcm.command()
@DATA
@OUT
@click.option(
    "--decisions", required=True, multiple=True, type=click.Path(path_type=Path), help="Output of decide --json."
)
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True)
@JSON
def report(data: Path, out: Path, decisions: tuple[Path, ...], lang: str, as_data: bool) -> None:
    """Outcome against default, approval shares, AUC and KS with intervals; saves OUT/report.png.

    Exit 1 when a firm has no decision, or was scored by other models than its fold's.

    \b
    Example:
      python -m ml cumcm report --data cumcm2020c --out var/cumcm --decisions var/cumcm/fold-1/decisions.jsonl
    """
    try:
        scores = _read_scores(out / "oof_scores.csv")
        found = build_report(load(data), scores, read_decisions(decisions))
    except DecisionServiceError as error:
        raise _refusal(error) from error
    plot(found, scores, out / "report.png")
    click.echo(json.dumps(as_json(found), ensure_ascii=False) if as_data else "\n".join(lines(found, lang)))
    if found.undecided or found.differing:
        sys.exit(FOUND_SOMETHING)


def _read_scores(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", where=str(path), remedy="run prepare first") from error


class _Refusal(click.ClickException):
    """Input that cannot be used: one line, no traceback."""

    exit_code = COULD_NOT_RUN


def _refusal(error: DecisionServiceError) -> click.ClickException:
    return _Refusal(error.text())
