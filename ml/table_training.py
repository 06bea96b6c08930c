"""Trains a model on any labelled table: read, leave out leaks, split, search, fit, calibrate, measure, register."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decision_service.errors import InputError
from decision_service.scoring.stability import PROFILE_FILE, profile
from ml.blend import Blend, mixed, probabilities_of, weights_for
from ml.calibration import calibrate
from ml.deadline import AVERAGES, Deadline, Pace
from ml.fitted import Array, FittedModel, margins_of, probabilities
from ml.held_out import HeldOut
from ml.metrics import Estimate, evaluate
from ml.registration import Registered, reached, register
from ml.search import AFTERWARDS, LARGE, Question, Searched, search
from ml.table_models import STOPS, Settings, epochs_for, fit, members
from ml.table_sample import Prepared, Request, Sample, Told, prepare
from ml.tables.inputs import Inputs
from ml.tables.leaks import as_data
from ml.tables.parts import Fold, Rows, both_occur, folds, latest
from ml.tables.recipe import RECIPE_FILE
from ml.training import data_hash

FOLDS = 5
CONFIGURATIONS = 2  # of a search, averaged
NETWORKS = 1.25  # times as long as finding their epochs is judging and fitting networks
FINDING = 0.35  # of the time left at most to find their epochs
FITS = FOLDS + AVERAGES[0]  # of a member: so many on all units at most
REGISTERING = 6.0  # seconds of the processor; how long that takes here, the run has told by then


@dataclass(frozen=True, slots=True)
class Task:
    """A request with its sample, inputs, tuning inputs if any, and the newest units as judges if there are."""

    request: Request
    sample: Sample
    inputs: Inputs
    tuning: Inputs | None
    judge: Fold | None


@dataclass(frozen=True, slots=True)
class Member:
    """A kind of model with its settings, and margins of all units by models that never saw them (nan: not judged);
    ``tuning`` are the finished model's margins of the tuning units; ``shortened``: what there was no time for."""

    kind: str
    settings: Settings
    margins: Array
    fitted: FittedModel
    tuning: Array | None
    shortened: str = ""

    def calibrated(self, labels: Array, chosen: NDArray[np.bool_], base_rate: float) -> FittedModel:
        """Calibrated on the chosen units that have a margin."""
        used = chosen & ~np.isnan(self.margins)
        return calibrate(self.fitted, self.margins[used], labels[used].astype(int), base_rate=base_rate)


@dataclass(frozen=True, slots=True)
class Trained:
    """A registered version, what it reached on units that did not teach it, all that was found (as plain data)."""

    registered: Registered
    metrics: Mapping[str, Estimate]
    report: Mapping[str, Any]
    held_out: HeldOut


def train(request: Request, *, uri: str, told: Told, began: float | None = None) -> Trained:
    """All in order; a budget runs from ``began`` (``time.monotonic``). Raises ``InputError``, ``ModelError``."""
    began = time.monotonic() if began is None else began
    deadline = Deadline(request.budget, began=began)
    prepared = prepare(request, told)
    told("registry")
    reached(uri)
    sample = prepared.sample
    told("recipe")
    recipe, inputs = sample.recipe(seed=request.seed)
    tuning = None if prepared.tuning is None else _known(recipe.inputs(prepared.tuning))
    directions = _directions(request.monotone, inputs.names)
    task = Task(request, sample, inputs, tuning, latest_or_none(sample, inputs, tuning))
    searched, found = _fitted(task, directions, deadline, told)
    base_rate = request.base_rate or float(inputs.outcomes.mean())
    weights = _weights(task, found)
    chances, held = _held_out(task, found, weights, base_rate=None)
    metrics = evaluate(held.outcomes, chances, seed=request.seed)
    model = _finished(task, found, weights, base_rate)
    shares = {member.kind: weight for member, weight in zip(found, weights, strict=True)}
    report = {**_report(task, prepared, searched, held, metrics, base_rate, shares), "columns": len(recipe.columns)}
    report["notes"] += [member.shortened for member in found if member.shortened]
    told("register")
    seen = sample.inputs(recipe, np.arange(len(inputs)))  # as rows are when they are scored: log-odds not cross-fitted
    looks = profile(seen.matrix, inputs.names, probabilities_of(model, seen))
    stated, _ = _held_out(task, found, weights, base_rate=base_rate)
    kept = HeldOut(held.ids, held.outcomes, stated, held.segments, held.groups)
    registered = register(
        model,
        name=request.name,
        metrics=metrics,
        data_hash=data_hash([inputs.matrix, inputs.outcomes]),
        files={RECIPE_FILE: recipe.to_json(), PROFILE_FILE: looks.to_json()},
        facts=report,
        held_out=kept,
        alias=request.alias,
        tags={"data": ", ".join(path.name for path in request.data)[:200], "seed": str(request.seed)},
        uri=uri,
    )
    return Trained(registered, metrics, {**report, "seconds": round(time.monotonic() - began, 1)}, kept)


def _fitted(
    task: Task, directions: Mapping[str, int], deadline: Deadline, told: Told
) -> tuple[Searched, list[Member]]:
    """What the search found, and a member of each kind. A deadline ends the search first; then members judge on fewer
    folds and average fewer fits, by what fits have taken in this run."""
    kinds = members(task.request.kind, task.request.roles.window)
    epochs, network = _epochs(task, deadline, told) if "lstm" in kinds else (0, 0.0)
    last = deadline.after(REGISTERING * deadline.waiting())
    searched = _searched(task, directions, last.after(NETWORKS * STOPS * network), told)
    settings = Settings(searched.tried[:CONFIGURATIONS], directions, epochs, task.request.seed)
    slowest = max((one.seconds for one in searched.tried), default=0.0)
    expected = {"xgboost": AFTERWARDS * slowest, "lstm": NETWORKS * STOPS * network}
    last = deadline.after(REGISTERING * deadline.waiting())
    found = []
    for place, kind in enumerate(kinds):
        others = sum(expected.get(other, 0.0) for other in kinds[place + 1 :])
        own = expected.get(kind, 0.0)
        until = last.part(own / (own + others)) if others else last
        pace = Pace(until, expected=own / FITS)
        found.append(_member(task, kind, settings, pace, told))
    return searched, found


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


def _searched(task: Task, directions: Mapping[str, int], deadline: Deadline, told: Told) -> Searched:
    """On units that teach only: what is judged later is never searched on."""
    if task.request.kind not in ("xgboost", "blend"):
        return Searched()
    given = _folds(task, None if task.judge is None else task.judge.teach, seed=task.request.seed + 1)
    question = Question(task.inputs, given, directions, task.tuning, task.request.seed)
    return search(question, deadline=deadline, told=told)


def _epochs(task: Task, deadline: Deadline, told: Told) -> tuple[int, float]:
    """On units that teach only, as the search; and the seconds that a network took."""
    told("lstm: epochs")
    began = time.monotonic()
    inputs = task.inputs if task.judge is None else task.inputs.rows(task.judge.teach)
    epochs, networks = epochs_for(inputs, deadline.part(FINDING), seed=task.request.seed)
    return epochs, (time.monotonic() - began) / networks


def _member(task: Task, kind: str, settings: Settings, pace: Pace, told: Told) -> Member:
    """Margins out of fold, by recipes and models of each fold's own teaching units; then a model of all units."""
    inputs, sample, judge = task.inputs, task.sample, task.judge
    margins = np.full(len(inputs), np.nan)
    given = _given(task)
    done = 0
    for fold in reversed(given):  # the newest units first: there may be no time for all
        if done and not pace.allows(1 + len(fold.teach) / len(inputs)):
            break
        done += 1
        told(f"{kind}: judge {done} of {len(given)}")
        averages = pace.averages(times=2) if fold is judge else 1
        with pace.measured(averages * len(fold.teach) / len(inputs)):
            recipe, teaching = sample.recipe(fold.teach, seed=task.request.seed)
            model = fit(kind, teaching, settings, averages=averages)
            margins[fold.judge] = margins_of(model, sample.inputs(recipe, fold.judge))
    told(f"{kind}: fit")
    averages = pace.averages()
    fitted = fit(kind, inputs, settings, averages=averages)
    tuning = None if task.tuning is None else margins_of(fitted, task.tuning)
    return Member(kind, settings, margins, fitted, tuning, _shortened(kind, averages, done, len(given)))


def _shortened(kind: str, averages: int, done: int, folds_: int) -> str:
    if averages == AVERAGES[0] and done == folds_:
        return ""
    return (
        f"the budget left time for {averages} of {AVERAGES[0]} seeds of {kind} and {done} of {folds_} folds that judge"
        " it: a longer one, or a machine that does less beside it, gives steadier probabilities"
    )


def _given(task: Task) -> list[Fold]:
    """The folds that judge; the newest units, if they judge, come last."""
    given = _folds(task, None if task.judge is None else task.judge.teach, seed=task.request.seed)
    return given if task.judge is None else [*given, task.judge]


def _weights(task: Task, found: Sequence[Member]) -> tuple[float, ...]:
    """Chosen on units out of fold, the newest ones apart."""
    if len(found) == 1:
        return (1.0,)
    labels = task.inputs.outcomes.astype(float)
    chosen = ~np.isnan(np.sum([member.margins for member in found], axis=0))
    if task.judge is not None:
        chosen[task.judge.judge] = False
    rate = float(labels[chosen].mean())
    first, second = (
        probabilities(member.calibrated(labels, chosen, rate), member.margins[chosen]) for member in found
    )
    return weights_for(first, second, labels[chosen].astype(int))


def _held_out(
    task: Task, found: Sequence[Member], weights: Sequence[float], *, base_rate: float | None
) -> tuple[Array, Inputs]:
    """Probabilities of units that neither fit nor calibration saw, and those units. ``base_rate``: theirs, if none."""
    labels = task.inputs.outcomes.astype(float)
    scored = ~np.isnan(np.sum([member.margins for member in found], axis=0))
    if task.tuning is not None:
        rate = base_rate or float(task.tuning.outcomes.mean())
        models = [member.calibrated(labels, scored, rate) for member in found]
        tuned = [member.tuning for member in found if member.tuning is not None]
        parts = [probabilities(model, margins) for model, margins in zip(models, tuned, strict=True)]
        return mixed(parts, weights), task.tuning
    chances = np.full(len(labels), np.nan)
    for fold in _given(task)[-1:] if task.judge is not None else _given(task):
        others = scored.copy()
        others[fold.judge] = False
        others = others if both_occur(labels[others].astype(int)) else scored
        rate = base_rate or float(labels[others].mean())
        parts = [
            probabilities(member.calibrated(labels, others, rate), member.margins[fold.judge]) for member in found
        ]
        chances[fold.judge] = mixed(parts, weights)
    known = np.flatnonzero(~np.isnan(chances))
    return chances[known], task.inputs.rows(known)


def _finished(
    task: Task, found: Sequence[Member], weights: Sequence[float], base_rate: float
) -> FittedModel | Blend:
    """Models of all units, calibrated on all margins out of fold and on the tuning units."""
    labels = task.inputs.outcomes.astype(float)
    models = []
    for member in found:
        margins, outcomes = member.margins, labels
        if member.tuning is not None and task.tuning is not None:
            margins = np.concatenate([margins, member.tuning])
            outcomes = np.concatenate([labels, task.tuning.outcomes])
        known = ~np.isnan(margins)
        models.append(
            calibrate(member.fitted, margins[known], outcomes[known].astype(int), base_rate=base_rate)
        )
    return models[0] if len(models) == 1 else Blend(tuple(models), tuple(weights))


def _method(task: Task, held: Inputs) -> str:
    units = f"{len(held)} units ({int(held.outcomes.sum())} bad)"
    if task.tuning is not None:
        return f"on the validation files: {units}, never fitted, used for tuning"
    if task.judge is not None:
        return f"out of time: the latest {units}, not used to search or fit what judged them"
    grouped = int(task.sample.groups.max()) + 1 < len(task.sample.groups)
    how = "forward in time" if task.inputs.times is not None else "by group" if grouped else "by row"
    return f"out of fold, {len(_given(task))} folds {how}: {units} by models that never saw them"


def _report(
    task: Task,
    prepared: Prepared,
    searched: Searched,
    held: Inputs,
    metrics: Mapping[str, Estimate],
    base_rate: float,
    weights: Mapping[str, float],
) -> dict[str, Any]:
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
        "weights": dict(weights),
        "judged": _method(task, held),
        "search": [
            {
                "auc": one.auc,
                "pr_auc": one.pr_auc,
                "rounds": one.rounds,
                "half_life": one.half_life,
                "folds": one.folds,
                "params": dict(one.params),
            }
            for one in searched.tried[:3]
        ],
        "tried": len(searched.tried),
        "metrics": {name: [one.value, one.low, one.high] for name, one in metrics.items()},
    }
