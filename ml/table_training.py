"""Trains a model on any labelled table: read, leave out leaks, split, search, fit, calibrate, measure, register."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from decision_service.errors import InputError
from ml.calibration import calibrate
from ml.fitted import Array, FittedModel, margins_of, probabilities
from ml.metrics import Estimate, evaluate
from ml.registration import Registered, register
from ml.search import LARGE, Question, Searched, search
from ml.table_models import AVERAGED, Settings, fit
from ml.tables.inputs import Inputs
from ml.tables.kinds import Column, column_of
from ml.tables.parts import Fold, Rows, both_occur, folds, group_codes, latest
from ml.tables.read import read_tables
from ml.tables.recipe import RECIPE_FILE, Recipe, fit_recipe
from ml.tables.roles import Meaning, Roles, Units, check_roles, meaning_of, time_column, units_of
from ml.training import data_hash

READ = ("number", "category", "flag", "date")
FOLDS = 5
CONFIGURATIONS = 2  # of a search, averaged
SHARE_OF_BUDGET = 0.6  # for the search; the rest fits, judges and registers
Told = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Request:
    """What to train. ``drop`` and ``keep`` name columns that are left out, or kept whatever the leak report says."""

    data: Sequence[Path]
    roles: Roles
    kind: str
    name: str
    validation: Sequence[Path] = ()
    bad: Sequence[str] = ()
    good: Sequence[str] = ()
    drop: Sequence[str] = ()
    keep: Sequence[str] = ()
    monotone: Mapping[str, int] = field(default_factory=dict)
    base_rate: float | None = None
    budget: float | None = None
    seed: int = 7
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """Labelled rows of a table as units, and the columns that a model may read."""

    frame: pd.DataFrame
    units: Units
    roles: Roles
    meaning: Meaning
    columns: tuple[Column, ...]

    def recipe(self, chosen: Rows | None = None, *, seed: int) -> tuple[Recipe, Inputs]:
        """Recipe and inputs of all units, or of the chosen places alone."""
        units = self.units if chosen is None else self.units.rows(chosen)
        return fit_recipe(self.frame, self.roles, self.meaning, self.columns, units=units, seed=seed)

    def inputs(self, recipe: Recipe, chosen: Rows) -> Inputs:
        """Inputs of the chosen units by a recipe learnt from others."""
        return recipe.of_units(self.frame, self.units.rows(chosen))


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
    told("read")
    sample, notes = _sample(request)
    left_out = {column.name: column.kind for column in sample.columns if column.kind not in READ}
    sample = replace(sample, columns=_read_columns(request, sample))
    sample, tuning_frame = _apart_from_validation(request, sample, notes)
    told("recipe")
    recipe, inputs = sample.recipe(seed=request.seed)
    tuning = None if tuning_frame is None else _known(recipe.inputs(tuning_frame))
    directions = _directions(request.monotone, inputs.names)
    deadline = None if request.budget is None else began + SHARE_OF_BUDGET * 60 * request.budget
    judge = latest_or_none(sample, inputs, tuning)
    searched = _searched(request, sample, inputs, tuning, judge, deadline, told)
    settings = Settings(_configurations(searched), directions, request.seed)
    told("judge")
    judged = _judged(request, sample, inputs, tuning, judge, settings, told)
    told("fit")
    fitted = fit(request.kind, inputs, settings)
    base_rate = request.base_rate or float(np.mean(inputs.outcomes))
    if tuning is not None:
        judged = _with_tuning(fitted, judged, inputs, tuning, seed=request.seed)
    known = ~np.isnan(judged.margins)
    fitted = calibrate(fitted, judged.margins[known], judged.labels[known].astype(int), base_rate=base_rate)
    report = _report(request, sample, inputs, tuning, left_out, notes, searched, judged, base_rate)
    told("register")
    registered = register(
        fitted,
        name=request.name,
        metrics=judged.metrics,
        data_hash=data_hash([inputs.matrix, inputs.outcomes]),
        files={RECIPE_FILE: recipe.to_json()},
        alias=request.alias,
        tags={"data": ", ".join(path.name for path in request.data)[:200], "seed": str(request.seed)},
        uri=uri,
    )
    return Trained(registered, judged.metrics, {**report, "seconds": round(time.monotonic() - began, 1)})


def _sample(request: Request) -> tuple[Sample, list[str]]:
    table = read_tables(request.data)
    notes = list(table.notes)
    roles = request.roles
    check_roles(table.frame, roles, more=[*request.drop, *request.keep])
    target = table.frame[roles.target]
    meaning = meaning_of(target, roles.target, bad=request.bad, good=request.good)
    known = ~np.isnan(meaning.labels(target))
    if not known.all():
        notes.append(f"{int((~known).sum())} rows without a known target are left out")
    frame = table.frame[known].reset_index(drop=True)
    units = units_of(frame, roles, time_column(frame, roles))
    if units.left_out:
        notes.append(f"{units.left_out} units have fewer than {roles.window} rows and are left out")
    columns = tuple(column_of(frame[name], name) for name in frame.columns if name not in roles.named)
    return Sample(frame, units, roles, meaning, columns), notes


def _read_columns(request: Request, sample: Sample) -> tuple[Column, ...]:
    found = tuple(
        column for column in sample.columns if column.kind in READ and column.name not in request.drop
    )
    if not found:
        raise InputError("no column is left to learn from", remedy="give more columns, or --keep some")
    return found


def _apart_from_validation(
    request: Request, sample: Sample, notes: list[str]
) -> tuple[Sample, pd.DataFrame | None]:
    """The sample without units (or groups) that the validation files hold too."""
    if not request.validation:
        return sample, None
    table = read_tables(request.validation)
    notes.extend(table.notes)
    check_roles(table.frame, request.roles)
    known = ~np.isnan(sample.meaning.labels(table.frame[request.roles.target]))
    frame = table.frame[known].reset_index(drop=True)
    name = request.roles.group or request.roles.id
    if name is None:
        return sample, frame
    other = set(units_of(frame, replace(request.roles, id=name, window=None), None).ids)
    own = sample.units.groups or sample.units.ids
    shared = np.array([one in other for one in own])
    if shared.any():
        notes.append(f"{int(shared.sum())} training units share {name!r} with the validation files and are left out")
        sample = replace(sample, units=sample.units.rows(np.flatnonzero(~shared)))
    return sample, frame


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
    return latest(inputs.outcomes, group_codes(inputs.groups, len(inputs)), inputs.times)


def _folds(request: Request, inputs: Inputs, *, seed: int) -> list[Fold]:
    found = folds(inputs.outcomes, group_codes(inputs.groups, len(inputs)), inputs.times, count=FOLDS, seed=seed)
    return found[-1:] if inputs.matrix.size > LARGE else found


def _searched(
    request: Request,
    sample: Sample,
    inputs: Inputs,
    tuning: Inputs | None,
    judge: Fold | None,
    deadline: float | None,
    told: Told,
) -> Searched:
    """On units that teach only: what is judged later is never searched on."""
    if request.kind not in ("xgboost", "blend"):
        return Searched()
    if judge is not None:
        inputs = inputs.rows(judge.teach)
    given = _folds(request, inputs, seed=request.seed + 1)
    question = Question(inputs, given, _directions(request.monotone, inputs.names), tuning, request.seed)
    return search(question, deadline=deadline, told=told)


def _configurations(searched: Searched) -> list[tuple[Mapping[str, Any], int]]:
    return [(one.params, one.rounds) for one in searched.tried[:CONFIGURATIONS]]


def _judged(
    request: Request,
    sample: Sample,
    inputs: Inputs,
    tuning: Inputs | None,
    judge: Fold | None,
    settings: Settings,
    told: Told,
) -> Judged:
    """Margins out of fold, by recipes and models of each fold's own teaching units."""
    margins = np.full(len(inputs), np.nan)
    if judge is not None:
        inner = _folds(request, inputs.rows(judge.teach), seed=request.seed)
        given = [Fold(judge.teach[fold.teach], judge.teach[fold.judge]) for fold in inner] + [judge]
    else:
        given = _folds(request, inputs, seed=request.seed)
    for number, fold in enumerate(given, start=1):
        told(f"judge {number} of {len(given)}")
        recipe, teaching = sample.recipe(fold.teach, seed=request.seed)
        model = fit(request.kind, teaching, settings, averages=1 if fold is not judge else AVERAGED)
        margins[fold.judge] = margins_of(model, sample.inputs(recipe, fold.judge))
    labels = inputs.outcomes.astype(float)
    if tuning is not None:
        return Judged(margins, labels, {}, "")
    rows = judge.judge if judge is not None else np.flatnonzero(~np.isnan(margins))
    chances = _cross_calibrated(model, margins, labels, rows, given, within=judge is None)
    metrics = evaluate(inputs.outcomes[rows], chances[rows], seed=request.seed)
    return Judged(margins, labels, metrics, _method(inputs, judge, rows, len(given)))


def _method(inputs: Inputs, judge: Fold | None, rows: Rows, count: int) -> str:
    bads = int(inputs.outcomes[rows].sum())
    if judge is not None:
        return f"out of time: the latest {len(rows)} units ({bads} bad), not used to search or fit what judged them"
    how = "forward in time" if inputs.times is not None else "by group" if inputs.groups else "by row"
    return f"out of fold, {count} folds {how}: {len(rows)} units ({bads} bad) by models that never saw them"


def _cross_calibrated(
    model: FittedModel, margins: Array, labels: Array, rows: Rows, given: Sequence[Fold], *, within: bool
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


def _with_tuning(fitted: FittedModel, judged: Judged, inputs: Inputs, tuning: Inputs, *, seed: int) -> Judged:
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


def _report(
    request: Request,
    sample: Sample,
    inputs: Inputs,
    tuning: Inputs | None,
    left_out: Mapping[str, str],
    notes: Sequence[str],
    searched: Searched,
    judged: Judged,
    base_rate: float,
) -> dict[str, Any]:
    return {
        "kind": request.kind,
        "units": len(inputs),
        "bads": int(inputs.outcomes.sum()),
        "inputs": len(inputs.names),
        "bad": list(sample.meaning.bad),
        "good": list(sample.meaning.good),
        "why_bad": sample.meaning.why,
        "base_rate": base_rate,
        "left_out": {**left_out, **dict.fromkeys(request.drop, "as told by --drop")},
        "notes": list(notes),
        "judged": judged.method,
        "search": [
            {"auc": one.auc, "pr_auc": one.pr_auc, "rounds": one.rounds, "params": dict(one.params)}
            for one in searched.tried[:3]
        ],
        "tried": len(searched.tried),
        "metrics": {name: [one.value, one.low, one.high] for name, one in judged.metrics.items()},
    }
