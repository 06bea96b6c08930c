"""What scores many rows at once: the models of a product as the service runs them, or one trained on a table.

The many-row form of ``scoring.scorer``: what has no score there is null here, with the same status.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from decision_service.errors import InputError, ModelError
from decision_service.rulebook.files import load as load_rules
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.scoring.blend import rounded
from decision_service.scoring.models import LstmModel, ScorecardModel, XgboostModel, build
from decision_service.scoring.registry import ModelRegistry
from decision_service.scoring.rows import GREATEST, channels
from decision_service.vocabulary import ModelVersion
from ml.blend import mixed
from ml.fitted import Array, as_probabilities, design, log_odds
from ml.tables.kinds import days, texts
from ml.tables.read import frame_of
from ml.versions import TableModel

KEY, INDUSTRY_CODE, SERIES, MASK = "uscc", "industry_code", "series", "mask"
PD = pa.decimal128(7, 6)
BATCH = 4096
Weights = tuple[Decimal, Decimal] | None
Score = Callable[[pa.Table, int], pa.Table]
"""Scores of a chunk, whose first row has that number in the whole."""


class Scoring(Protocol):
    """Plain data that other processes can be given; ``opened`` makes it ready to score."""

    @property
    def told(self) -> Mapping[str, Any]:
        """What the scores rest on, as JSON."""

    @property
    def unit(self) -> str | None:
        """The column whose rows must stay together, if any."""

    def opened(self) -> Score:
        """Raises ``ModelError``."""


@dataclass(frozen=True, slots=True)
class ProductModels:
    """The verified models of a product, with its blend weights by industry code (``""``: any other)."""

    product: str
    versions: tuple[ModelVersion, ...]
    files: tuple[Mapping[str, bytes], ...]
    weights: Mapping[str, Weights]
    single: str | None

    @property
    def told(self) -> Mapping[str, Any]:
        named = {code: weights and [str(one) for one in weights] for code, weights in self.weights.items()}
        digest = hashlib.sha256(json.dumps([named, self.single], sort_keys=True).encode()).hexdigest()
        models = [{"name": one.name, "version": one.version, "digest": one.digest} for one in self.versions]
        return {"product": self.product, "models": models, "weights": f"sha256:{digest}"}

    @property
    def unit(self) -> None:
        return None

    def opened(self) -> Score:
        models = [build(files) for files in self.files]
        for model, kind, version in zip(models, (XgboostModel, LstmModel, ScorecardModel), self.versions, strict=False):
            if not isinstance(model, kind):
                raise ModelError("the model is of the other kind", where=version.name, remedy="correct the product")
        scorer = _ProductScorer(models, self.weights, self.single)
        return lambda table, start: scorer.scores(table)


def product_models(name: str, rules: Path, *, uri: str, alias: str, on: date) -> ProductModels:
    """A product's models behind an alias, together in force, and its weights on a day; raises what they raise."""
    in_force = load_rules(rules).in_force(on)
    if name not in in_force.products:
        raise InputError(f"there is no product {name!r}", where="--product", remedy=", ".join(in_force.products))
    product, registry = in_force.products[name], ModelRegistry(uri)
    wanted: dict[str, str | None] = {}
    for together in registry.in_force(product.models, alias):
        wanted |= together.wanted
    versions, files = [], []
    for model in product.models:
        version = wanted.get(model)
        if version is None:
            what = f"there is no version {alias!r} of {model}"
            raise ModelError(what, remedy="python -m ml promote, or python -m ml train-city")
        found, digest = registry.files(model, version)
        versions.append(ModelVersion(model, version, digest))
        files.append(found)
    codes = ("", *in_force.industry_codes())
    weights = {code: _weights(in_force, name, code) for code in codes}
    return ProductModels(name, tuple(versions), tuple(files), weights, product.single_model_blend)


def _weights(rules: RulesInForce, product: str, code: str) -> Weights:
    """The product's own if it has any, else the industry's, as in a decision."""
    parameters, decode = rules.parameters(product, code), rules.catalogue.decode
    for scope in ("product", "industry"):
        names = (f"{scope}.weight_xgb", f"{scope}.weight_lstm")
        if all(parameters.get(one) is not None for one in names):
            first, second = (decode(one, parameters[one]) for one in names)
            return (first, second) if min(first, second) >= 0 and first + second == 1 else None
    return None


class _ProductScorer:
    def __init__(self, models: Sequence[Any], weights: Mapping[str, Weights], single: str | None) -> None:
        self._trees: XgboostModel = models[0]
        self._network: LstmModel = models[1]
        self._card: ScorecardModel | None = models[2] if len(models) > 2 else None
        self._weights = weights
        self._single = single

    def scores(self, table: pa.Table) -> pa.Table:
        card = () if self._card is None else self._card.spec.features
        features = tuple(dict.fromkeys((*self._trees.spec.features, *card)))
        _check(table, (KEY, *features, INDUSTRY_CODE, SERIES, MASK))
        codes = table[INDUSTRY_CODE].cast(pa.string()).to_pylist()
        by_features, by_series = self._by_features(table, codes), self._by_series(table)
        blend, status = self._blend(by_features, by_series, codes)
        self._fall_back(table, blend, status, known=~np.isnan(by_features) & ~np.isnan(by_series))
        columns = {"pd_xgb": by_features, "pd_lstm": by_series, "pd_12m": blend}
        return pa.table(
            {
                KEY: table[KEY].cast(pa.string()),
                **{name: _decimals(values) for name, values in columns.items()},
                "models_status": pa.array(status.tolist(), pa.string()),
            }
        )

    def _by_features(self, table: pa.Table, codes: Sequence[str | None]) -> Array:
        spec = self._trees.spec
        matrix = np.column_stack([_numbers(table, name) for name in spec.features])
        known = ~np.isnan(matrix)
        usable = known.any(axis=1) & ~(np.abs(matrix) > GREATEST).any(axis=1)
        matrix[~usable] = np.nan
        margins = _in_batches(self._trees.margins, design(matrix, codes, spec))
        return _probabilities(np.where(usable, margins, np.nan), spec)

    def _by_series(self, table: pa.Table) -> Array:
        spec = self._network.spec
        series, mask, usable = _windows(table, spec.months, len(spec.series))
        usable &= ~np.isinf(series).any(axis=(1, 2)) & (mask.sum(axis=1) >= spec.min_months)
        series[~usable] = np.nan
        margins = np.empty(len(series))
        for part in _parts(len(series)):
            margins[part] = self._network.margins(channels(series[part], mask[part], spec))
        return _probabilities(np.where(usable, margins, np.nan), spec)

    def _blend(self, first: Array, second: Array, codes: Sequence[str | None]) -> tuple[Array, NDArray[Any]]:
        blend, status = np.full(len(first), np.nan), np.full(len(first), "unavailable", dtype=object)
        both = ~np.isnan(first) & ~np.isnan(second)
        places = np.array([code if code in self._weights else "" for code in codes], dtype=object)
        for code in set(places.tolist()):
            weights, rows = self._weights[code], both & (places == code)
            if weights is not None:
                blend[rows] = mixed([first[rows], second[rows]], [float(one) for one in weights])
                status[rows] = "ok"
        alone = {"xgboost": first, "lstm": second}.get(self._single or "")
        if alone is not None:
            rows = ~both & ~np.isnan(alone)
            blend[rows], status[rows] = alone[rows], "single"
        return blend, status

    def _fall_back(self, table: pa.Table, blend: Array, status: NDArray[Any], *, known: NDArray[np.bool_]) -> None:
        """A scorecard stands in where a model has no score and no other rule gives one."""
        if self._card is None:
            return
        rows = np.flatnonzero(np.isnan(blend) & ~known)
        names = self._card.spec.features
        for place, features in zip(rows, table.select(names).take(rows).to_pylist(), strict=True):
            try:
                blend[place], status[place] = self._card.probability(features), "fallback"
            except ModelError:
                continue  # unknown stays unknown


def _check(table: pa.Table, names: Sequence[str]) -> None:
    missing = [name for name in dict.fromkeys(names) if name not in table.column_names]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        what = f"the table lacks {', '.join(map(repr, missing[:5]))}{more}"
        raise InputError(what, remedy="write it with decision-service portrait features --out FILE.parquet")


def _numbers(table: pa.Table, name: str) -> Array:
    try:
        return np.array(table[name].cast(pa.float64()).to_numpy(), dtype=float)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        what = f"column {name!r} holds no numbers ({str(error).splitlines()[0][:100]})"
        raise InputError(what, remedy="give numbers, null where missing") from error


def _windows(table: pa.Table, months: int, width: int) -> tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]:
    """n x months x width values and n x months flags, and which rows have that shape; others hold nothing."""
    try:
        series = table[SERIES].combine_chunks().cast(pa.list_(pa.list_(pa.float64())))
        flags = table[MASK].combine_chunks().cast(pa.list_(pa.bool_()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        remedy = "write the file with decision-service portrait features --out FILE.parquet"
        raise InputError(f"{SERIES} and {MASK} are not lists of months", remedy=remedy) from error
    fits = pc.and_(_long(series, months), _long(flags, months))
    rows = np.flatnonzero(fits.to_numpy(zero_copy_only=False))
    inner = _long(series.take(pa.array(rows)).flatten(), width).to_numpy(zero_copy_only=False)
    rows = rows[inner.reshape(len(rows), months).all(axis=1)]
    usable = np.zeros(len(table), dtype=bool)
    usable[rows] = True
    values, mask = np.full((len(table), months, width), np.nan), np.zeros((len(table), months), dtype=bool)
    chosen = pa.array(rows)
    values[rows] = series.take(chosen).flatten().flatten().to_numpy(zero_copy_only=False).reshape(-1, months, width)
    shown = pc.fill_null(flags.take(chosen).flatten(), False).to_numpy(zero_copy_only=False)
    mask[rows] = shown.reshape(-1, months)
    return values, mask, usable


def _long(lists: Any, length: int) -> Any:
    return pc.fill_null(pc.equal(pc.list_value_length(lists), length), False)


def _parts(count: int) -> list[slice]:
    return [slice(start, start + BATCH) for start in range(0, count, BATCH)]


def _in_batches(margins: Callable[[Any], Any], rows: NDArray[np.float32]) -> Array:
    parts = [np.asarray(margins(rows[part]), dtype=float) for part in _parts(len(rows))]
    return np.concatenate(parts) if parts else np.empty(0)


def _probabilities(margins: Array, spec: Any) -> Array:
    """nan where there is none, also where the model gave none."""
    return as_probabilities(log_odds(spec.calibration, np.where(np.isfinite(margins), margins, np.nan)))


def _decimals(values: Array) -> pa.Array:
    """As they leave the scorer: six decimals, half-even."""
    return pa.array([None if value != value else rounded(value) for value in values.tolist()], PD)


@dataclass(frozen=True, slots=True)
class TableScoring:
    """A model that was trained on a table."""

    model: TableModel

    @property
    def told(self) -> Mapping[str, Any]:
        content = {name: hashlib.sha256(data).hexdigest() for name, data in self.model.files.items()}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        one = {"name": self.model.name, "version": self.model.version, "digest": f"sha256:{digest}"}
        return {"models": [one]}

    @property
    def unit(self) -> str | None:
        roles = self.model.recipe.roles
        return roles.id if roles.window else None

    def opened(self) -> Score:
        return self._scores

    def _scores(self, table: pa.Table, start: int) -> pa.Table:
        frame, roles = frame_of(table), self.model.recipe.roles
        column = roles.id or "row"
        if column == "probability":
            raise InputError("the id is called probability", remedy="rename the column")
        if roles.window and self._too_few(frame):
            ids, chances = [], np.empty(0)
        else:
            inputs = self.model.inputs(frame)
            ids, chances = self._ids(frame, inputs.ids, start), self.model.probabilities(inputs)
        return pa.table(
            {column: pa.array(ids, pa.string()), "probability": pa.array(chances, pa.float64(), from_pandas=True)}
        )

    def _too_few(self, frame: Any) -> bool:
        """No unit of this chunk has a whole window; those of others may."""
        roles, time = self.model.recipe.roles, self.model.recipe.time
        assert time is not None and roles.window is not None
        if roles.id not in frame.columns or time.name not in frame.columns:
            return False  # which is an error that the recipe tells
        sizes = texts(frame[roles.id])[~np.isnan(days(frame[time.name], time))].value_counts()
        return sizes.empty or int(sizes.max()) < roles.window

    def _ids(self, frame: Any, ids: Sequence[str], start: int) -> list[str]:
        """Rows without an id are told by their number in the whole, not in the chunk."""
        roles = self.model.recipe.roles
        if roles.window:
            return list(ids)
        if roles.id is None:
            return [str(start + place + 1) for place in range(len(ids))]
        gone = texts(frame[roles.id]).isna().tolist()
        return [f"row {start + place + 1}" if gone[place] else name for place, name in enumerate(ids)]
