"""The units of a labelled table with the probabilities that a registered model, or a file of scores, gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from decision_service.errors import InputError
from decision_service.scoring.stability import PROFILE_FILE, Profile, Shift, profile, profile_from_json, shifts
from ml.fitted import Array
from ml.segments import segment_values
from ml.tables.inputs import Inputs
from ml.tables.kinds import Column, numbers, texts
from ml.tables.read import read_table
from ml.tables.roles import Meaning, Roles, check_roles, meaning_of, units_of
from ml.versions import TableModel, load_version

PROBABILITY = "probability"
MOST_SEGMENTS = 6


@dataclass(frozen=True, slots=True)
class Scored:
    """Probabilities (nan: no score) of n units; ``places`` are the units' newest rows in the table.

    ``model`` and ``inputs`` are there unless the scores came from a file.
    """

    title: str
    ids: tuple[str, ...]
    places: NDArray[np.int_]
    probabilities: Array
    groups: tuple[str, ...] = ()
    model: TableModel | None = None
    inputs: Inputs | None = None

    def rows(self, chosen: NDArray[np.int_]) -> Scored:
        """The chosen units."""
        return Scored(
            self.title,
            tuple(self.ids[row] for row in chosen),
            self.places[chosen],
            self.probabilities[chosen],
            tuple(self.groups[row] for row in chosen) if self.groups else (),
            self.model,
            None if self.inputs is None else self.inputs.rows(chosen),
        )


def scored(reference: str, frame: pd.DataFrame, *, id_column: str | None = None, uri: str) -> Scored:
    """What ``NAME``, ``NAME@alias``, ``NAME/VERSION`` or a file with an id and ``probability`` says of the table.

    Raises ``InputError`` or ``ModelError``.
    """
    if Path(reference).is_file():
        return _from_file(Path(reference), frame, id_column)
    model = load_version(reference, uri=uri)
    inputs = model.inputs(frame)
    places = units_of(frame, model.recipe.roles, model.recipe.time).places[:, -1]
    repeated = inputs.ids if len(set(inputs.ids)) < len(inputs.ids) else ()
    title = f"{model.name} version {model.version}"
    return Scored(title, inputs.ids, places, model.probabilities(inputs), inputs.groups or repeated, model, inputs)


def _from_file(path: Path, frame: pd.DataFrame, id_column: str | None) -> Scored:
    """Scores by id, or line by line where they have as many lines as the table and the same ids in the same order."""
    table = read_table(path).frame
    others = [name for name in table.columns if name != PROBABILITY]
    if PROBABILITY not in table.columns or not others:
        what = f"there is no column {PROBABILITY!r} beside an id"
        raise InputError(what, where=str(path), remedy="write it with python -m ml score")
    chances = numbers(table[PROBABILITY], Column(PROBABILITY, "number", form="."))
    named = id_column or others[0]
    ids = texts(table[others[0]]).fillna("").tolist()
    if named == "row" and "row" not in frame.columns:
        return Scored(path.name, tuple(ids), _numbered(ids, len(frame), path), chances)
    if named not in frame.columns:
        raise InputError(f"the table has no column {named!r}", where=str(path), remedy="name its ids by --id COLUMN")
    rows = texts(frame[named]).fillna("").tolist()
    if rows == ids:
        groups = tuple(ids) if len(set(ids)) < len(ids) else ()
        return Scored(path.name, tuple(ids), np.arange(len(ids)), chances, groups)
    if len(set(ids)) < len(ids):
        raise InputError("ids repeat, but not as in the table", where=str(path), remedy="score the same table")
    newest = {name: place for place, name in enumerate(rows)}
    known = np.array([row for row, name in enumerate(ids) if name in newest], dtype=int)
    if not known.size:
        raise InputError(f"no id is in the table's column {named!r}", where=str(path), remedy="score the same table")
    kept = tuple(ids[row] for row in known)
    return Scored(path.name, kept, np.array([newest[name] for name in kept]), chances[known])


def _numbered(ids: Sequence[str], rows: int, path: Path) -> NDArray[np.int_]:
    if not all(name.isdigit() and 1 <= int(name) <= rows for name in ids):
        raise InputError("row numbers are not those of the table", where=str(path), remedy="score the same table")
    return np.array([int(name) - 1 for name in ids])


def meaning(found: Sequence[Scored], frame: pd.DataFrame, target: str, *, bad: Sequence[str]) -> Meaning:
    """Which labels are bad: as told, as the model was trained, or as the column says."""
    check_roles(frame, Roles(target))
    trained = [one.model.recipe.meaning for one in found if one.model is not None]
    return trained[0] if trained and not bad else meaning_of(frame[target], target, bad=bad)


def labels_at(places: NDArray[np.int_], frame: pd.DataFrame, target: str, found: Meaning) -> Array:
    """The label of each place: 1 bad, 0 good, nan unknown. Raises ``InputError`` if not both occur."""
    labels = found.labels(frame[target])[places]
    if not {0.0, 1.0} <= set(labels[~np.isnan(labels)].tolist()):
        raise InputError(
            f"the scored rows are not both bad ({', '.join(found.bad)}) and good",
            where=f"column {target!r}",
            remedy="give a table with both, or name the bad ones by --bad VALUE",
        )
    return labels


def segments_at(one: Scored, frame: pd.DataFrame, by: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """By the named columns; else by the model's time column and the columns with few values that it reads."""
    for name in by:
        if name not in frame.columns:
            raise InputError(f"there is no column {name!r}", remedy=f"there are {', '.join(frame.columns[:8])}")
    if by or one.model is None or one.inputs is None:
        return {name: tuple(np.array(segment_values(frame[name], name))[one.places].tolist()) for name in by}
    roles, found = one.model.recipe.roles, dict(one.inputs.segments)
    columns = {name: found[name] for name in list(found)[: MOST_SEGMENTS - 1]}
    if roles.time is not None and roles.time in frame.columns:
        values = np.array(segment_values(frame[roles.time], roles.time))[one.places]
        columns = {roles.time: tuple(values.tolist()), **columns}
    return columns


def moved(one: Scored, training: pd.DataFrame | None) -> tuple[Shift, ...]:
    """PSI of score and inputs against the training rows: those given, else those the model was registered with."""
    if one.model is None or one.inputs is None:
        return ()
    expected: Profile | None = None
    if training is not None:
        before = one.model.inputs(training)
        expected = profile(before.matrix, before.names, one.model.probabilities(before))
    elif PROFILE_FILE in one.model.files:
        expected = profile_from_json(one.model.files[PROFILE_FILE])
    return () if expected is None else shifts(expected, one.inputs.matrix, one.inputs.names, one.probabilities)
