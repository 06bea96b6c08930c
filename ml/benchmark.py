"""Models trained as ``python -m ml train`` trains them on real data, and measured with intervals."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from decision_service.errors import InputError
from decision_service.rulebook.files import load as load_rules
from ml.calibration import at_base_rate
from ml.comparison import Comparison, compare
from ml.console import prepare_mlflow
from ml.cumcm import load as load_invoices
from ml.cumcm_feeds import write_rules
from ml.cumcm_inputs import parameters, read_inputs
from ml.cumcm_models import cross_validate
from ml.fitted import Array, margins_of, probabilities
from ml.metrics import Estimate, Labels, class_mass, evaluate
from ml.table_models import members
from ml.table_sample import Request, Told
from ml.table_training import Trained, train
from ml.tables.read import read_tables
from ml.tables.roles import Roles
from ml.versions import load_version

PANEL, LOANS, INVOICES = "american-panel", "sba", "cumcm"
PLACES: Mapping[str, str] = {PANEL: "american_panel", LOANS: "sba", INVOICES: "cumcm2020c"}
PANEL_FILES = ("train.csv", "validation.csv")
PANEL_ROLES = Roles("bankrupt_next", "firm", "fyear", None, 4)
PANEL_KINDS = ("xgboost", "lstm", "blend", "scorecard")
LOAN_ROLES = Roles("MIS_Status", "LoanNr_ChkDgt", "ApprovalDate")
LOAN_KINDS = ("xgboost", "scorecard")
SPLIT_KIND = "blend"
TAUGHT_TO, BETWEEN = 2008, 2011  # of the split by time: who is observed to the one teaches, to the other judges first
LATER_RATE = 0.03  # about the share of bads among all listed firms of a year, before the panel's authors drew from them


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the data are, minutes for each training (none: without search), seed, and the rules the invoices need."""

    folder: Path
    budget: float | None
    seed: int
    rules: Path


@dataclass(frozen=True, slots=True)
class Row:
    """One model on one split. ``figures`` are of PDs stated for the rate of the judged units; ``as_trained``: the ECE
    of those the model gives by itself."""

    dataset: str
    model: str
    split: str
    units: int
    bads: int
    figures: Mapping[str, Estimate]
    as_trained: Estimate
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Rate:
    """A model's PDs at a known base rate, by way of stating it: ``train --base-rate`` or ``score --base-rate``.

    ``weighed``: the units are counted so that their share of bads is the rate, which it is not among them.
    """

    split: str
    model: str
    base_rate: float
    weighed: bool
    trained: Mapping[str, Estimate]
    scored: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured on one dataset: rows, the blend beside others, ways to state a base rate, remarks."""

    rows: tuple[Row, ...]
    differences: tuple[tuple[str, Comparison], ...] = ()
    rates: tuple[Rate, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Everything that could be measured, and why the rest could not."""

    found: Mapping[str, Found]
    missing: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


def benchmark(plan: Plan, only: Sequence[str], told: Told) -> Benchmark:
    """Every dataset that the folder holds, or those named; a broken one is told and left out, the others run.

    Raises ``InputError`` if there is nothing to run.
    """
    chosen = [name for name in PLACES if not only or name in only]
    if not plan.folder.is_dir():
        raise InputError("is no folder", where=str(plan.folder), remedy=f"give one that holds {_places(chosen)}")
    missing = {name: why for name in chosen if (why := _lacks(plan.folder / PLACES[name], name))}
    if len(missing) == len(chosen):
        raise InputError("; ".join(missing.values()), where=str(plan.folder), remedy=f"it may hold {_places(chosen)}")
    found, failed = {}, {}
    for name in chosen:
        if name not in missing:
            try:
                found[name] = MEASURES[name](plan, told)
            except InputError as error:
                failed[name] = str(error)
    return Benchmark(found, missing, failed)


def _places(names: Sequence[str]) -> str:
    return ", ".join(f"{PLACES[name]}/" for name in names)


def _lacks(folder: Path, name: str) -> str | None:
    """Why a dataset cannot be run, if so."""
    needed = {PANEL: PANEL_FILES, INVOICES: ("enterprises.csv", "input_invoices.parquet", "output_invoices.parquet")}
    lacking = [file for file in needed.get(name, ()) if not (folder / file).is_file()]
    if name == LOANS and not sorted(folder.glob("*.csv")):
        lacking = ["*.csv"]
    return f"there is no {PLACES[name]}/{lacking[0]}" if lacking else None


def american_panel(plan: Plan, told: Told) -> Found:
    """Each kind on the validation firms, the blend beside the others, and a split by time that no fit was tuned on."""
    folder = plan.folder / PLACES[PANEL]
    files = [folder / name for name in PANEL_FILES]
    rows, chances, labels = [], {}, np.empty(0, dtype=int)
    for kind in PANEL_KINDS:
        done = _trained(plan, told, kind, files[:1], PANEL_ROLES, validation=files[1:])
        labels, chances[kind] = done.held_out.labels, done.held_out.probabilities
        seconds = done.report["seconds"]
        rows.append(_row(plan, PANEL, kind, "validation files (tuned on)", labels, chances[kind], seconds))
    differences = tuple(
        (f"blend − {kind}", compare(labels, chances[kind], chances["blend"], seed=plan.seed))
        for kind in PANEL_KINDS
        if "blend" in chances and kind != "blend"
    )
    split, rates, remarks = _by_time(plan, files, told)
    return Found((*rows, *split), differences, rates, remarks)


def _by_time(plan: Plan, files: Sequence[Path], told: Told) -> tuple[list[Row], tuple[Rate, ...], tuple[str, ...]]:
    """Fitted on firms observed to ``TAUGHT_TO`` alone; judged on those observed longer, which nothing was tuned on."""
    frame = read_tables(files).frame
    last = pd.to_numeric(frame[PANEL_ROLES.time], errors="coerce").groupby(frame[PANEL_ROLES.id]).transform("max")
    parts = {
        f"observed to {TAUGHT_TO + 1}–{BETWEEN}": frame[(last > TAUGHT_TO) & (last <= BETWEEN)],
        f"observed to {BETWEEN + 1} or later": frame[last > BETWEEN],
    }
    rows: list[Row] = []
    rates: list[Rate] = []
    with TemporaryDirectory(prefix="benchmark-") as place:
        uri = f"sqlite:///{place}/mlflow.db"
        early = Path(place) / "early.csv"
        frame[last <= TAUGHT_TO].to_csv(early, index=False)
        try:
            done = _trained(plan, told, SPLIT_KIND, [early], PANEL_ROLES, uri=uri)
        except InputError as error:
            return [], (), (f"The split by time was left out: {error}",)
        version = load_version(f"benchmark/{done.registered.version}", uri=uri)
    own = float(done.report["base_rate"])
    for name, part in parts.items():
        inputs = version.inputs(part.reset_index(drop=True))
        several = () if version.blend is None else version.blend.members
        kinds = members(SPLIT_KIND, PANEL_ROLES.window)
        given = {kind: probabilities(one, margins_of(one, inputs)) for kind, one in zip(kinds, several)}
        given[SPLIT_KIND] = version.probabilities(inputs)
        split = f"{name}, fitted on firms to {TAUGHT_TO}"
        for kind, chances in given.items():
            rows.append(_row(plan, PANEL, kind, split, inputs.outcomes, chances, done.report["seconds"]))
            true = float(inputs.outcomes.mean())
            rates += [_rate(plan, split, kind, inputs.outcomes, chances, own=own, rate=rate) for rate in (true, None)]
    return rows, tuple(rates), ()


def _rate(
    plan: Plan, split: str, kind: str, labels: Labels, chances: Array, *, own: float, rate: float | None
) -> Rate:
    """At the judged units' own rate, or (none) in a population with ``LATER_RATE`` in which bads and goods look alike.

    What ``train --base-rate`` does is adding one number to the log-odds, the same for all tables: here the distance of
    both rates, from which the trained one differs by little.
    """
    stated = rate or LATER_RATE
    mass = class_mass(labels, None if rate else LATER_RATE)
    trained = expit(logit(chances) + logit(stated) - logit(own))
    scored = at_base_rate(chances, stated, mass=mass)
    figures = [
        evaluate(labels, one, seed=plan.seed, base_rate=None if rate else LATER_RATE) for one in (trained, scored)
    ]
    return Rate(split, kind, stated, rate is None, *figures)


def loans(plan: Plan, told: Told) -> Found:
    """Out of time: the latest fifth by approval, neither searched nor fitted on."""
    files = sorted((plan.folder / PLACES[LOANS]).glob("*.csv"))
    rows, remarks = [], []
    for kind in LOAN_KINDS:
        done = _trained(plan, told, kind, files, LOAN_ROLES)
        held = done.held_out
        split = str(done.report["judged"]).split(":")[0]
        rows.append(
            _row(plan, LOANS, kind, split, held.labels, held.probabilities, done.report["seconds"], groups=held.groups)
        )
        remarks = _leaks(done)
    return Found(tuple(rows), remarks=tuple(remarks))


def _leaks(done: Trained) -> list[str]:
    """The naive figure beside the honest one, and what made it naive."""
    report = done.report
    found = [f"Left out: `{one['column']}`, {one['reason']}: {one['evidence']}." for one in report["leaks"]]
    if report["auc_with_leaks"] is not None:
        found.insert(
            0,
            f"A quick booster, judged forward in time, reaches ROC-AUC {report['auc_with_leaks']:.4f} with the columns"
            f" that leak and {report['auc_without_leaks']:.4f} without them. The naive figure is higher because these"
            " columns were written after the approval, most of them when the loan had ended; no application has them.",
        )
    return found


def invoices(plan: Plan, told: Told) -> Found:
    """Out of fold, as ``python -m ml cumcm`` scores the firms: five models, none of which saw the firm."""
    told("invoices")
    began = time.monotonic()
    dataset = load_invoices(plan.folder / PLACES[INVOICES])
    with TemporaryDirectory(prefix="benchmark-") as place:
        write_rules(plan.rules, Path(place) / "rules", {})
        ruleset = load_rules(Path(place) / "rules")
    inputs = read_inputs(dataset, ruleset)
    known = parameters(ruleset)
    weights = float(known["product.weight_xgb"]), float(known["product.weight_lstm"])
    chances = {kind: np.full(len(inputs.labels), np.nan) for kind in ("xgboost", "lstm", "blend")}
    for fold in cross_validate(inputs, weights=weights, base_rate=float(known["product.base_rate"])):
        told(f"fold {fold.number}")
        for kind, found in zip(chances, (fold.pd_xgb, fold.pd_lstm, fold.pd_12m), strict=True):
            chances[kind][fold.rows] = found
    seconds = round(time.monotonic() - began, 1)
    split = "out of fold, 5 folds"
    rows = [_row(plan, INVOICES, kind, split, inputs.labels, one, seconds) for kind, one in chances.items()]
    differences = tuple(
        (f"blend − {kind}", compare(inputs.labels, chances[kind], chances["blend"], seed=plan.seed))
        for kind in ("xgboost", "lstm")
    )
    return Found(tuple(rows), differences)


MEASURES: Mapping[str, Callable[[Plan, Told], Found]] = {PANEL: american_panel, LOANS: loans, INVOICES: invoices}


def _trained(
    plan: Plan,
    told: Told,
    kind: str,
    data: Sequence[Path],
    roles: Roles,
    *,
    validation: Sequence[Path] = (),
    uri: str | None = None,
) -> Trained:
    """As the command trains; without ``uri`` what is registered is thrown away."""
    request = Request(
        data, roles, kind, "benchmark", validation=validation, budget=plan.budget, seed=plan.seed
    )
    with TemporaryDirectory(prefix="benchmark-") as place:
        uri = uri or f"sqlite:///{place}/mlflow.db"
        prepare_mlflow(uri)
        return train(request, uri=uri, told=lambda step: told(f"{kind}: {step}"))


def _row(
    plan: Plan,
    dataset: str,
    model: str,
    split: str,
    labels: Labels,
    chances: Array,
    seconds: float | None,
    *,
    groups: Sequence[str] = (),
) -> Row:
    stated = at_base_rate(chances, float(labels.mean()))
    figures = evaluate(labels, stated, seed=plan.seed, groups=groups)
    as_trained = evaluate(labels, chances, seed=plan.seed, groups=groups)["ece"]
    return Row(dataset, model, split, len(labels), int(labels.sum()), figures, as_trained, seconds)
