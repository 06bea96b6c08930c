"""Trains a model on any labelled table: read, leave out leaks, split, search, fit, calibrate, measure, register."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from decision_service.errors import InputError
from ml.calibration import calibrate
from ml.fitted import Array, FittedModel, margins_of, probabilities
from ml.metrics import Estimate, evaluate
from ml.registration import Registered, register
from ml.search import LARGE, Question, Searched, search
from ml.stability import PROFILE_FILE, profile
from ml.table_models import AVERAGED, Settings, fit
from ml.table_sample import Prepared, Request, Sample, Told, prepare
from ml.tables.inputs import Inputs
from ml.tables.leaks import as_data
from ml.tables.parts import Fold, Rows, both_occur, folds, latest
from ml.tables.recipe import RECIPE_FILE
from ml.training import data_hash

FOLDS = 5
CONFIGURATIONS = 2  # of a search, averaged
SHARE_OF_BUDGET = 0.6  # for the search; the rest fits, judges and registers


@dataclass(frozen=True, slots=True)
class Task:
    """A request with its sample, inputs, tuning inputs if any, and the newest units as judges if there are."""

    request: Request
    sample: Sample
    inputs: Inputs
    tuning: Inputs | None
    judge: Fold | None


@dataclass(frozen=True, slots=True)
class Judged:
    """Margins of units by models that never saw them (nan: not judged), and how that was done."""

    margins: Array
    labels: Array
    metrics: Mapping[str, Estimate]
    method: str


@dataclass(frozen=True, slots=True)
class Trained:
    """A registered version, what it reached, and all that was found on the way (``report``: plain data)."""

    registered: Registered
    metrics: Mapping[str, Estimate]
    report: Mapping[str, Any]


def train(request: Request, *, uri: str, told: Told) -> Trained:
    """Everything, in order; raises ``InputError`` or ``ModelError``."""
    began = time.monotonic()
    prepared = prepare(request, told)
    sample = prepared.sample
    told("recipe")
    recipe, inputs = sample.recipe(seed=request.seed)
    tuning = None if prepared.tuning is None else _known(recipe.inputs(prepared.tuning))
    directions = _directions(request.monotone, inputs.names)
    task = Task(request, sample, inputs, tuning, latest_or_none(sample, inputs, tuning))
    deadline = None if request.budget is None else began + SHARE_OF_BUDGET * 60 * request.budget
    searched = _searched(task, directions, deadline, told)
    settings = Settings(_configurations(searched), directions, request.seed)
    judged = _judged(task, settings, told)
    told("fit")
    fitted = fit(request.kind, inputs, settings)
    base_rate = request.base_rate or float(inputs.outcomes.mean())
    if tuning is not None:
        judged = _with_tuning(fitted, judged, tuning, seed=request.seed)
    known = ~np.isnan(judged.margins)
    fitted = calibrate(fitted, judged.margins[known], judged.labels[known].astype(int), base_rate=base_rate)
    report = _report(task, prepared, searched, judged, base_rate)
    told("register")
    looked = profile(inputs.matrix, inputs.names, probabilities(fitted, judged.margins[known]))
    registered = register(
        fitted,
        name=request.name,
        metrics=judged.metrics,
        data_hash=data_hash([inputs.matrix, inputs.outcomes]),
        files={RECIPE_FILE: recipe.to_json(), PROFILE_FILE: looked.to_json()},
        alias=request.alias,
        tags={"data": ", ".join(path.name for path in request.data)[:200], "seed": str(request.seed)},
        uri=uri,
    )
    return Trained(registered, judged.metrics, {**report, "seconds": round(time.monotonic() - began, 1)})


def _known(inputs: Inputs) -> Inputs:
    if not both_occur(inputs.outcomes):
        raise InputError("the validation files lack bads or goods", remedy="give files with both")
    return inputs


def _directions(declared: Mapping[str, int], names: Sequence[str]) -> dict[str, int]:
    for name in declared:
        if name not in names:
            near = ", ".join(names[:8])
            raise InputError(f"--monotone names {name!r}, which is no input", remedy=f"inputs are {near}, …")
    return dict(declared)


def latest_or_none(sample: Sample, inputs: Inputs, tuning: Inputs | None) -> Fold | None:
    """The newest units as judges, where there is a time and no other tuning data."""
    if tuning is not None or inputs.times is None:
        return None
    return latest(inputs.outcomes, sample.groups, inputs.times)


def _folds(task: Task, chosen: Rows | None = None, *, seed: int) -> list[Fold]:
    """Folds of all units, or of the chosen places alone (as places of all)."""
    inputs = task.inputs
    places = np.arange(len(inputs)) if chosen is None else chosen
    groups = np.unique(task.sample.groups[places], return_inverse=True)[1]
    times = None if inputs.times is None else inputs.times[places]
    found = folds(inputs.outcomes[places], groups, times, count=FOLDS, seed=seed)
    found = [Fold(places[fold.teach], places[fold.judge]) for fold in found]
    return found[-1:] if inputs.matrix.size > LARGE else found


def _searched(task: Task, directions: Mapping[str, int], deadline: float | None, told: Told) -> Searched:
    """On units that teach only: what is judged later is never searched on."""
    if task.request.kind not in ("xgboost", "blend"):
        return Searched()
    given = _folds(task, None if task.judge is None else task.judge.teach, seed=task.request.seed + 1)
    question = Question(task.inputs, given, directions, task.tuning, task.request.seed)
    return search(question, deadline=deadline, told=told)


def _configurations(searched: Searched) -> list[tuple[Mapping[str, Any], int]]:
    return [(one.params, one.rounds) for one in searched.tried[:CONFIGURATIONS]]


def _judged(task: Task, settings: Settings, told: Told) -> Judged:
    """Margins out of fold, by recipes and models of each fold's own teaching units."""
    inputs, sample, judge = task.inputs, task.sample, task.judge
    margins = np.full(len(inputs), np.nan)
    given = _folds(task, None if judge is None else judge.teach, seed=task.request.seed)
    given += [] if judge is None else [judge]
    for number, fold in enumerate(given, start=1):
        told(f"judge {number} of {len(given)}")
        recipe, teaching = sample.recipe(fold.teach, seed=task.request.seed)
        model = fit(task.request.kind, teaching, settings, averages=AVERAGED if fold is judge else 1)
        margins[fold.judge] = margins_of(model, sample.inputs(recipe, fold.judge))
    labels = inputs.outcomes.astype(float)
    if task.tuning is not None:
        return Judged(margins, labels, {}, "")
    rows = judge.judge if judge is not None else np.flatnonzero(~np.isnan(margins))
    chances = _cross_calibrated(model, margins, labels, given, within=judge is None)
    metrics = evaluate(inputs.outcomes[rows], chances[rows], seed=task.request.seed)
    return Judged(margins, labels, metrics, _method(task, rows, len(given)))


def _method(task: Task, rows: Rows, count: int) -> str:
    bads = int(task.inputs.outcomes[rows].sum())
    if task.judge is not None:
        return f"out of time: the latest {len(rows)} units ({bads} bad), not used to search or fit what judged them"
    grouped = int(task.sample.groups.max()) + 1 < len(task.sample.groups)
    how = "forward in time" if task.inputs.times is not None else "by group" if grouped else "by row"
    return f"out of fold, {count} folds {how}: {len(rows)} units ({bads} bad) by models that never saw them"


def _cross_calibrated(
    model: FittedModel, margins: Array, labels: Array, given: Sequence[Fold], *, within: bool
) -> Array:
    """Probabilities of judged units, calibrated on units judged elsewhere."""
    chances = np.full(len(margins), np.nan)
    scored = ~np.isnan(margins)
    for fold in given if within else given[-1:]:
        others = scored.copy()
        others[fold.judge] = False
        if not both_occur(labels[others].astype(int)):
            others = scored
        there = calibrate(model, margins[others], labels[others].astype(int), base_rate=float(labels[others].mean()))
        chances[fold.judge] = probabilities(there, margins[fold.judge])
    return chances


def _with_tuning(fitted: FittedModel, judged: Judged, tuning: Inputs, *, seed: int) -> Judged:
    """Validation units join the calibration; they are reported as what they are: tuned on."""
    margins = margins_of(fitted, tuning)
    known = ~np.isnan(judged.margins)
    rate = float(tuning.outcomes.mean())
    there = calibrate(fitted, judged.margins[known], judged.labels[known].astype(int), base_rate=rate)
    metrics = evaluate(tuning.outcomes, probabilities(there, margins), seed=seed)
    method = f"validation files: {len(tuning)} units ({int(tuning.outcomes.sum())} bad), never fitted, used for tuning"
    return Judged(
        np.concatenate([judged.margins, margins]),
        np.concatenate([judged.labels, tuning.outcomes.astype(float)]),
        metrics,
        method,
    )


def _report(task: Task, prepared: Prepared, searched: Searched, judged: Judged, base_rate: float) -> dict[str, Any]:
    meaning = task.sample.meaning
    kept = [name for name in prepared.leaks.columns if name in task.request.keep]
    return {
        "kind": task.request.kind,
        "units": len(task.inputs),
        "bads": int(task.inputs.outcomes.sum()),
        "inputs": len(task.inputs.names),
        "bad": list(meaning.bad),
        "good": list(meaning.good),
        "why_bad": meaning.why,
        "base_rate": base_rate,
        "left_out": dict(prepared.left_out),
        "leaks": as_data(prepared.leaks),
        "kept_as_told": kept,
        "auc_with_leaks": prepared.naive,
        "auc_without_leaks": prepared.plain,
        "notes": list(prepared.notes),
        "judged": judged.method,
        "search": [
            {"auc": one.auc, "pr_auc": one.pr_auc, "rounds": one.rounds, "params": dict(one.params)}
            for one in searched.tried[:3]
        ],
        "tried": len(searched.tried),
        "metrics": {name: [one.value, one.low, one.high] for name, one in judged.metrics.items()},
    }
