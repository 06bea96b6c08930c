"""What was learnt from the training rows of a table and turns any table of its schema into model inputs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from decision_service.errors import InputError, ModelError
from ml.tables.categories import Encoding, cross_fitted, encoding_of
from ml.tables.categories import from_data as encoding_from_data
from ml.tables.categories import to_data as encoding_to_data
from ml.tables.inputs import Inputs
from ml.tables.kinds import GREATEST, Column, as_written, days, numbers, texts
from ml.tables.parts import fold_numbers, group_codes
from ml.tables.ratios import ratios, recognised, signed_log
from ml.tables.roles import Meaning, Roles, Units, time_column, units_of

Array = NDArray[np.float64]
RECIPE_FILE = "recipe.json"
FORMAT = 1
KNOTS = 101
MOST_SEGMENT_LEVELS = 20
CROSS_FITS = 5


@dataclass(frozen=True)
class Recipe:
    """Roles, the target's meaning, the columns that are read, and how each becomes numbers. Plain data."""

    roles: Roles
    meaning: Meaning
    time: Column | None
    columns: tuple[Column, ...]
    encodings: Mapping[str, Encoding]
    items: Mapping[str, str]
    knots: Mapping[str, tuple[float, ...]]

    def inputs(self, frame: pd.DataFrame) -> Inputs:
        """Model inputs of every unit of a table; labels where the target is there and known.

        New categories, more columns, missing values, other decimal marks and forms of dates are fine.
        Raises ``InputError`` for a column that is missing.
        """
        self._check(frame)
        time = self.time if self.time is not None and self.time.name in frame.columns else None
        time = None if time is None else as_written(frame[time.name], time)
        group = self.roles.group if self.roles.group in frame.columns else None
        written = replace(self, columns=tuple(as_written(frame[one.name], one) for one in self.columns))
        return written._inputs(frame, units_of(frame, replace(self.roles, group=group), time), {})

    def of_units(self, frame: pd.DataFrame, units: Units) -> Inputs:
        """Model inputs of units already told apart."""
        return self._inputs(frame, units, {})

    def labels(self, frame: pd.DataFrame) -> Array | None:
        """Each row's label (nan: unknown), if the table has the target."""
        return self.meaning.labels(frame[self.roles.target]) if self.roles.target in frame.columns else None

    def _check(self, frame: pd.DataFrame) -> None:
        role = [name for name in (self.roles.id, self.roles.time if self.roles.window else None) if name]
        needed = [*role, *(column.name for column in self.columns)]
        missing = [name for name in needed if name not in frame.columns]
        if missing:
            shown = ", ".join(repr(name) for name in missing[:5])
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise InputError(f"the table lacks {shown}{more}", remedy="give the columns the model was trained on")

    def _inputs(self, frame: pd.DataFrame, units: Units, instead: Mapping[str, Array]) -> Inputs:
        window = units.places.shape[1]
        moving, still = self._values(frame, units, instead)
        columns = {**_over_time(moving, window), **still} if window > 1 else {**moving, **still}
        matrix = np.column_stack(list(columns.values()))
        matrix[~(np.abs(matrix) < GREATEST)] = np.nan
        labels = self.labels(frame)
        known = None if labels is None else labels[units.places[:, -1]]
        return Inputs(
            ids=units.ids,
            matrix=matrix,
            names=_booster_names(list(columns)),
            series=self._series(moving, units) if window > 1 else None,
            mask=np.ones(units.places.shape, dtype=bool) if window > 1 else None,
            series_names=tuple(moving) if window > 1 else (),
            labels=None if known is None or np.isnan(known).any() else known.astype(np.int_),
            groups=units.groups,
            times=units.times,
            segments=self._segments(frame, units),
        )

    def _values(
        self, frame: pd.DataFrame, units: Units, instead: Mapping[str, Array]
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """What moves over a window (numbers and ratios, n x w or n), and what is read from the newest row only (n)."""
        rows = units.places.ravel()
        shape = units.places.shape if units.places.shape[1] > 1 else (len(units),)
        part = frame.iloc[rows] if len(rows) != len(frame) or np.any(np.diff(rows) != 1) else frame
        moving: dict[str, Array] = {}
        for column in self.columns:
            if column.kind == "number":
                moving[column.name] = numbers(part[column.name], column)
        for name, ratio in ratios({item: moving[name] for item, name in self.items.items()}).items():
            moving.setdefault(name, ratio)
        newest = frame.iloc[units.places[:, -1]] if units.places.shape[1] > 1 else part
        still: dict[str, Array] = {}
        for column in self.columns:
            if column.kind == "date":
                still[column.name] = self._date(newest, column, units)
            elif column.kind != "number":
                encoding = self.encodings[column.name]
                fitted = [instead[column.name]] if column.name in instead else None
                made = fitted or encoding.columns(texts(newest[column.name]))
                still |= dict(zip(encoding.names(column.name), made, strict=True))
        return {name: values.reshape(shape) for name, values in moving.items()}, still

    def _date(self, frame: pd.DataFrame, column: Column, units: Units) -> Array:
        """Days before the row's own moment, if that is a date too."""
        moments = days(frame[column.name], column)
        if self.time is None or self.time.kind != "date":
            return moments
        return np.full(len(units), np.nan) if units.times is None else units.times - moments

    def _series(self, moving: Mapping[str, Array], units: Units) -> Array:
        """n x w x F: each value as the normal quantile of its rank among the training rows."""
        if not self.knots:
            return np.empty((*units.places.shape, 0))
        return np.stack([_normal(values, self.knots[name]) for name, values in moving.items()], axis=2)

    def _segments(self, frame: pd.DataFrame, units: Units) -> dict[str, tuple[str, ...]]:
        newest = frame.iloc[units.places[:, -1]] if units.places.shape[1] > 1 else frame
        found: dict[str, tuple[str, ...]] = {}
        for column in self.columns:
            few = column.kind in ("category", "flag") and len(self.encodings[column.name].flags) > 0
            if few and len(found) < MOST_SEGMENT_LEVELS:
                found[column.name] = tuple(texts(newest[column.name]).fillna("").tolist())
        return found

    def to_json(self) -> bytes:
        """As UTF-8 JSON, keys sorted."""
        data = {
            "format": FORMAT,
            "roles": {name: getattr(self.roles, name) for name in Roles.__slots__},
            "meaning": {"bad": self.meaning.bad, "good": self.meaning.good, "why": self.meaning.why},
            "time": None if self.time is None else _column_data(self.time),
            "columns": [_column_data(column) for column in self.columns],
            "encodings": {name: encoding_to_data(encoding) for name, encoding in self.encodings.items()},
            "items": dict(self.items),
            "knots": dict(self.knots),
        }
        return json.dumps(data, ensure_ascii=False, sort_keys=True, allow_nan=False, indent=1).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Recipe:
        """Read and check; raises ``ModelError`` for anything but a whole recipe."""
        try:
            data = json.loads(content)
            if data["format"] != FORMAT:
                raise ModelError(f"{RECIPE_FILE} has an unknown format", remedy=f"this code reads format {FORMAT}")
            return _built(data)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            what = f"{RECIPE_FILE} cannot be used ({error!r})"
            raise ModelError(what, remedy="register the model again") from error


def fit_recipe(
    frame: pd.DataFrame, roles: Roles, meaning: Meaning, columns: Sequence[Column], *, units: Units, seed: int
) -> tuple[Recipe, Inputs]:
    """The recipe of the given units, and their own inputs: log-odds of categories cross-fitted, so that no unit's
    inputs hold its own label. The target must be known for each."""
    newest = frame.iloc[units.places[:, -1]]
    labels = meaning.labels(newest[roles.target]).astype(np.int_)
    encodings, instead = {}, {}
    numbered = fold_numbers(labels, group_codes(units.groups, len(units)), count=CROSS_FITS, seed=seed)
    for column in columns:
        if column.kind in ("category", "flag"):
            values = texts(newest[column.name])
            encodings[column.name] = encoding_of(values, labels)
            if encodings[column.name].rates is not None:
                instead[column.name] = cross_fitted(values, labels, numbered)
    items = recognised([column.name for column in columns if column.kind == "number"])
    recipe = Recipe(roles, meaning, time_column(frame, roles), tuple(columns), encodings, items, {})
    if units.places.shape[1] > 1:
        moving, _ = recipe._values(frame, units, instead)
        recipe = Recipe(**{**recipe.__dict__, "knots": {name: _knots(values) for name, values in moving.items()}})
    return recipe, recipe._inputs(frame, units, instead)


def _over_time(moving: Mapping[str, Array], window: int) -> dict[str, Array]:
    """Of n x w values: the newest, changes, mean, extremes, spread and slope. nan where too few are known."""
    steps = np.arange(window) - (window - 1) / 2
    columns: dict[str, Array] = {}
    for name, values in moving.items():
        known = ~np.isnan(values)
        count = known.sum(axis=1)
        some = count > 0
        mean = np.where(some, np.where(known, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)
        away = np.where(known, values - mean[:, np.newaxis], 0.0)
        columns[name] = values[:, -1]
        columns[f"{name}, change over 1"] = values[:, -1] - values[:, -2]
        if window > 2:
            columns[f"{name}, change over {window - 1}"] = values[:, -1] - values[:, 0]
            columns[f"{name}, slope"] = np.where(count == window, away @ steps / (steps @ steps), np.nan)
        columns[f"{name}, mean"] = mean
        columns[f"{name}, least"] = np.where(some, np.where(known, values, np.inf).min(axis=1), np.nan)
        columns[f"{name}, most"] = np.where(some, np.where(known, values, -np.inf).max(axis=1), np.nan)
        columns[f"{name}, spread"] = np.where(count > 1, np.sqrt((away**2).sum(axis=1) / np.maximum(count, 1)), np.nan)
    return columns


def _booster_names(names: Sequence[str]) -> tuple[str, ...]:
    """XGBoost forbids three signs in names."""
    clean = [name.replace("[", "(").replace("]", ")").replace("<", "less than ") for name in names]
    return tuple(f"{name} ({place})" if clean.index(name) != place else name for place, name in enumerate(clean))


def _knots(values: Array) -> tuple[float, ...]:
    known = values[np.isfinite(values)]
    if not known.size:
        return ()
    return tuple(float(value) for value in np.quantile(known, np.linspace(0, 1, KNOTS)))


def _normal(values: Array, knots: Sequence[float]) -> Array:
    """Ties share the middle of their ranks; beyond the training range a value is as far as the last half step."""
    if not knots:
        return np.full(values.shape, np.nan)
    edges = np.asarray(knots)
    first, last = np.searchsorted(edges, values, "left"), np.searchsorted(edges, values, "right")
    distinct, index = np.unique(edges, return_index=True)
    ends = np.append(index[1:], len(edges))
    rank = np.interp(values, distinct, (index + ends - 1) / 2) / (len(edges) - 1)
    rank = np.where(last - first > 1, (first + last - 1) / 2 / (len(edges) - 1), rank)
    half = 0.5 / (len(edges) - 1)
    return np.where(np.isnan(values), np.nan, ndtri(np.clip(rank, half, 1 - half)))


def _column_data(column: Column) -> dict[str, Any]:
    return {"name": column.name, "kind": column.kind, "codes": list(column.codes), "form": column.form}


def _column(data: Mapping[str, Any]) -> Column:
    return Column(str(data["name"]), str(data["kind"]), tuple(map(float, data["codes"])), str(data["form"]))


def _built(data: Mapping[str, Any]) -> Recipe:
    meaning = data["meaning"]
    recipe = Recipe(
        roles=Roles(**data["roles"]),
        meaning=Meaning(tuple(meaning["bad"]), tuple(meaning["good"]), str(meaning["why"])),
        time=None if data["time"] is None else _column(data["time"]),
        columns=tuple(map(_column, data["columns"])),
        encodings={str(name): encoding_from_data(encoding) for name, encoding in data["encodings"].items()},
        items={str(item): str(name) for item, name in data["items"].items()},
        knots={str(name): tuple(map(float, knots)) for name, knots in data["knots"].items()},
    )
    coded = {column.name for column in recipe.columns if column.kind in ("category", "flag")}
    if not recipe.columns or coded != set(recipe.encodings):
        raise ValueError("columns and encodings do not fit")
    if not all(math.isfinite(knot) for knots in recipe.knots.values() for knot in knots):
        raise ValueError("a knot is not finite")
    read = {column.name for column in recipe.columns if column.kind == "number"}
    if not set(recipe.items.values()) <= read or any(column.kind not in _KINDS for column in recipe.columns):
        raise ValueError("an item or a kind is unknown")
    return recipe


_KINDS = frozenset(("number", "category", "flag", "date"))
__all__ = ["RECIPE_FILE", "Recipe", "fit_recipe", "signed_log"]
