"""From files and roles to a sample: labelled units, what must not be torn apart, leaks found, columns that remain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from decision_service.errors import InputError
from ml.tables.inputs import Inputs
from ml.tables.kinds import Column, column_of, days
from ml.tables.leaks import Leaks, Question, examine, proxies_of_time
from ml.tables.parts import Rows, both_occur, folds, group_codes
from ml.tables.read import below, read_tables
from ml.tables.recipe import Recipe, fit_recipe
from ml.tables.roles import Meaning, Roles, Units, check_roles, meaning_of, refines, time_column, units_of
from ml.tables.sameness import copies, joined, owner_column
from ml.trees import DEFAULTS

READ = ("number", "category", "flag", "date")
QUICK_UNITS = 20_000
QUICK_ROUNDS = 120
QUICK = {**DEFAULTS, "learning_rate": 0.1, "colsample_bytree": 0.5, "min_child_weight": 1.0}
WHY_LEFT_OUT: Mapping[str, str] = {
    "constant": "one value only",
    "identifier": "identifies rows: nothing to learn for others",
    "text": "free text",
}
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
    """Labelled rows of a table as units, and the columns that a model may read. ``groups`` are never torn apart."""

    frame: pd.DataFrame
    units: Units
    groups: Rows
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

    def rows(self, chosen: Rows) -> Sample:
        """The chosen units only."""
        groups = np.unique(self.groups[chosen], return_inverse=True)[1]
        return replace(self, units=self.units.rows(chosen), groups=groups)

    @property
    def labels(self) -> Rows:
        """Each unit's label."""
        newest = self.frame[self.roles.target].iloc[self.units.places[:, -1]]
        return self.meaning.labels(newest).astype(np.int_)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The sample without leaks; the validation files' labelled rows; what was found. ``naive`` is the ROC-AUC of a
    quick model with the leaking columns, ``plain`` that of the same without."""

    sample: Sample
    tuning: pd.DataFrame | None
    leaks: Leaks
    left_out: Mapping[str, str]
    notes: Sequence[str]
    naive: float | None
    plain: float | None


def prepare(request: Request, told: Told) -> Prepared:
    """Raises ``InputError`` for files, roles or labels that cannot be used."""
    told("read")
    sample, notes = _sample(request)
    sample, tuning = _apart_from_validation(request, sample, notes)
    left_out = {one.name: WHY_LEFT_OUT[one.kind] for one in sample.columns if one.kind not in READ}
    identifiers = [one for one in sample.columns if one.kind == "identifier"]
    kept = tuple(one for one in sample.columns if one.kind in READ and one.name not in request.drop)
    left_out |= dict.fromkeys(request.drop, "as told by --drop")
    sample = replace(sample, columns=kept)
    told("leaks")
    question = _question(sample, identifiers)
    leaks = examine(question, lambda columns: together(replace(sample, columns=tuple(columns))), seed=request.seed)
    if sample.roles.window is None:
        proxies = [name for name in proxies_of_time(question) if name not in request.keep]
        left_out |= dict.fromkeys(proxies, "moves with the time column: later tables hold other values")
    leaking = [name for name in leaks.columns if name not in request.keep]
    columns = tuple(one for one in sample.columns if one.name not in {*leaking, *left_out})
    if not columns:
        raise InputError("no column is left to learn from", remedy="give more columns, or --keep COLUMN")
    naive = plain = None
    clean = replace(sample, columns=columns)
    if leaking:
        told("leaks: with and without")
        naive, plain = together(sample), together(clean)
    return Prepared(clean, tuning, leaks, left_out, [*notes, *leaks.remarks], naive, plain)


def together(sample: Sample) -> float:
    """The ROC-AUC of a quick booster on the sample's columns, out of fold."""
    if len(sample.units) > QUICK_UNITS:
        rows = np.random.default_rng(0).choice(len(sample.units), QUICK_UNITS, replace=False)
        sample = sample.rows(np.sort(rows))
    inputs = sample.recipe(seed=0)[1]
    matrix, labels = inputs.matrix.astype(np.float32), sample.labels
    scores = np.full(len(labels), np.nan)
    for fold in folds(labels, sample.groups, inputs.times, count=3, seed=0):
        booster = xgboost.train(QUICK, xgboost.DMatrix(matrix[fold.teach], labels[fold.teach]), QUICK_ROUNDS)
        scores[fold.judge] = booster.predict(xgboost.DMatrix(matrix[fold.judge]), output_margin=True)
    known = ~np.isnan(scores)
    return float(roc_auc_score(labels[known], scores[known]))


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
    frame = table.frame if known.all() else table.frame[known].reset_index(drop=True)
    roles = _with_owner(frame, roles, notes)
    units = units_of(frame, roles, time_column(frame, roles))
    if units.left_out:
        notes.append(f"{units.left_out} units have fewer than {roles.window} rows and are left out")
    columns = tuple(column_of(frame[name], name) for name in frame.columns if name not in roles.named)
    units = _finer(frame, roles, units, columns, notes)
    sample = Sample(frame, units, np.arange(len(units)), roles, meaning, columns)
    if not both_occur(sample.labels):
        count = int(sample.labels.sum())
        raise InputError(f"{len(units)} units with {count} bad ones are too few", remedy="give at least five of each")
    return replace(sample, groups=_groups(sample, notes)), notes


def _finer(
    frame: pd.DataFrame, roles: Roles, units: Units, columns: Sequence[Column], notes: list[str]
) -> Units:
    """Where the time is coarse (a year) and a date says the same more finely, units are ordered by the date."""
    if units.times is None or roles.window is not None:
        return units
    for column in columns:
        if column.kind == "date":
            moments = days(frame[column.name], column)
            if refines(moments, units.times):
                notes.append(f"{column.name!r} says more finely when than {roles.time!r}: it orders the rows")
                return replace(units, times=moments, dated=True)
    return units


def _with_owner(frame: pd.DataFrame, roles: Roles, notes: list[str]) -> Roles:
    """A column that names the owner of several rows is the group, unless one is given."""
    if roles.group is not None or roles.window is not None:
        return roles
    others = [name for name in frame.columns if name not in (roles.target, roles.time)]
    owner = owner_column(frame, [roles.id] if roles.id and frame[roles.id].duplicated().any() else others)
    owner = owner or (roles.id if roles.id and frame[roles.id].duplicated().any() else None)
    if owner is not None:
        notes.append(f"{owner!r} repeats: its rows stay on one side of every split; --group COLUMN says otherwise")
    return replace(roles, group=owner)


def _groups(sample: Sample, notes: list[str]) -> Rows:
    groups = group_codes(sample.units.groups, len(sample.units))
    if sample.units.places.shape[1] > 1:
        return groups
    same = copies(sample.frame, [column for column in sample.columns if column.kind in READ])
    if same is None:
        return groups
    repeated = len(same) - int(same.max()) - 1
    if repeated:
        notes.append(f"{repeated} rows are copies of others (numbers to three digits); copies stay on one side")
        return joined(groups, same)
    return groups


def _question(sample: Sample, identifiers: Sequence[Column]) -> Question:
    newest = sample.frame.iloc[sample.units.places[:, -1]].reset_index(drop=True)
    units = sample.units
    return Question(newest, sample.columns, identifiers, sample.labels, sample.groups, units.times, units.dated)


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
    shared = _shared(sample, frame) | _copied(sample, frame)
    if shared.any():
        notes.append(
            f"{int(shared.sum())} training units are in the validation files too (by name, or as copies of their"
            " rows) and are left out"
        )
        sample = sample.rows(np.flatnonzero(~shared))
    return sample, frame


def _shared(sample: Sample, frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Units that other rows name too, by group or id."""
    name = sample.roles.group or sample.roles.id
    if name is None or name not in frame.columns:
        return np.zeros(len(sample.units), dtype=bool)
    other = set(units_of(frame, replace(sample.roles, id=name, group=None, window=None), None).ids)
    return np.array([one in other for one in sample.units.groups or sample.units.ids])


def _copied(sample: Sample, frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows that agree with other rows in every column, whatever they are called."""
    read = [one for one in sample.columns if one.kind in READ]
    if sample.roles.window is not None or any(one.name not in frame.columns for one in read):
        return np.zeros(len(sample.units), dtype=bool)
    own = sample.frame.iloc[sample.units.places[:, -1]]
    same = copies(below([own, frame]), read)
    return np.isin(same[: len(own)], same[len(own) :]) if same is not None else np.zeros(len(own), dtype=bool)
