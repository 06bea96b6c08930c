"""Models ready to score one application: built from verified bytes, proven by their own canary predictions."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
import xgboost
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from decision_service.errors import ModelError
from decision_service.scoring.blend import clipped, expit
from decision_service.scoring.contributions import by_indicator
from decision_service.scoring.graph import GRAPH_FILE, Graph
from decision_service.scoring.leaf_paths import LeafPaths, read_leaf_paths
from decision_service.scoring.network import SeriesNetwork
from decision_service.scoring.rows import Floats, feature_row, series_window
from decision_service.scoring.spec import Calibration, LstmSpec, XgboostSpec, from_json, kind_of
from decision_service.scoring.trees import read_trees

TOLERANCE = 1e-6
EXPLAINED_TOLERANCE = 1e-4  # log-odds; the booster adds up in single precision
WEIGHTS_FILE = {"xgboost": "model.ubj", "lstm": "weights.safetensors"}
SPEC_FILE = "spec.json"


def calibrated(margin: float, calibration: Calibration) -> float:
    """The 12-month probability of default of a margin, unrounded, clipped to [1e-6, 1 - 1e-6]."""
    return clipped(expit(calibration.slope * margin + calibration.offset))


class XgboostModel:
    """A booster with its spec. One thread, one row at a time; safe under threads.

    With a ``graph`` (ONNX) the score comes from that, and the booster only explains it.
    """

    def __init__(self, weights: bytes, spec: XgboostSpec, graph: bytes | None = None) -> None:
        self.spec = spec
        self._graph = None if graph is None else Graph(graph, shape=(len(spec.columns),))
        self._booster = xgboost.Booster({"nthread": 1})
        self._lock = threading.Lock()  # predict with contributions is not declared thread-safe, inplace_predict is
        try:
            self._booster.load_model(bytearray(weights))
            self._booster.set_param({"nthread": 1})
        except xgboost.core.XGBoostError as error:
            raise ModelError(f"the booster cannot be read ({str(error)[:200]})") from error
        if self._booster.num_features() != len(spec.columns):
            raise ModelError(f"the booster reads {self._booster.num_features()} columns, spec.json {len(spec.columns)}")

    def margin(self, row: Floats) -> float:
        """Log-odds before calibration of one row (1 x columns)."""
        if self._graph is not None:
            return float(self._graph.margins(row)[0])
        return self._booster_margin(row)

    def _booster_margin(self, row: Floats) -> float:
        return float(self._booster.inplace_predict(row, predict_type="margin", validate_features=False)[0])

    def probability(self, features: Mapping[str, Any]) -> float:
        """Calibrated, unrounded probability; raises ``ModelError`` for features it cannot read."""
        return calibrated(self.margin(feature_row(features, self.spec)), self.spec.calibration)

    def contributions(self, features: Mapping[str, Any]) -> dict[str, float]:
        """Each feature's share of the margin; the values sum to it."""
        row = feature_row(features, self.spec)
        values = self._booster_contributions(row) if self._paths is None else self._paths.contributions(row)
        return by_indicator(values, self.spec)

    @cached_property
    def _paths(self) -> LeafPaths | None:
        """Tables give the booster's own contributions ten times faster; not every booster has them."""
        try:
            return read_leaf_paths(read_trees(self._booster), columns=len(self.spec.columns))
        except ModelError:
            return None

    def _booster_contributions(self, row: Floats) -> list[float]:
        with self._lock:
            data = xgboost.DMatrix(row, nthread=1)
            found = self._booster.predict(data, pred_contribs=True, validate_features=False)[0]
        return [float(value) for value in found]

    def prove(self) -> None:
        """Raises ``ModelError`` unless the canary predictions come out as recorded, from graph and booster alike.

        The tables of contributions must say what the booster says.
        """
        for features, expected in self.spec.canaries:
            _agree(self.probability(features), expected)
            row = feature_row(features, self.spec)
            _agree(calibrated(self._booster_margin(row), self.spec.calibration), expected)
            if self._paths is not None:
                _explain_alike(self._paths.contributions(row), self._booster_contributions(row))


class LstmModel:
    """A series network with its spec; evaluation only, no gradients. A ``graph`` (ONNX) takes the weights' place."""

    def __init__(self, weights: bytes, spec: LstmSpec, graph: bytes | None = None) -> None:
        self.spec = spec
        margins = _network(weights, spec) if graph is None else Graph(graph, shape=(spec.months, spec.channels)).margins
        self._margins: Callable[[Floats], Floats] = margins

    def margin(self, window: Floats) -> float:
        """Log-odds before calibration of one window (1 x months x channels)."""
        return float(self._margins(window)[0])

    def probability(self, series: Sequence[Sequence[float | None]], mask: Sequence[bool]) -> float:
        """Calibrated, unrounded probability; raises ``ModelError`` for a series it cannot read."""
        margin = self.margin(series_window(series, mask, self.spec))
        if not math.isfinite(margin):
            raise ModelError("the network returned a value that is not finite", remedy="register a sound model")
        return calibrated(margin, self.spec.calibration)

    def prove(self) -> None:
        """Raises ``ModelError`` unless the canary predictions come out as recorded."""
        for series, mask, expected in self.spec.canaries:
            _agree(self.probability(series, mask), expected)


def _network(weights: bytes, spec: LstmSpec) -> Callable[[Floats], Floats]:
    network = SeriesNetwork(channels=spec.channels, hidden=spec.hidden)
    try:
        network.load_state_dict(load_tensors(weights), strict=True)
    except (RuntimeError, SafetensorError) as error:
        raise ModelError(f"the weights do not fit the declared architecture ({str(error)[:200]})") from error
    network.eval()

    def margins(windows: Floats) -> Floats:
        with torch.inference_mode():
            return network(torch.from_numpy(windows)).numpy()

    return margins


Model = XgboostModel | LstmModel


def build(files: Mapping[str, bytes]) -> Model:
    """A proven model from its files by base name: weights, ``spec.json``, and ``model.onnx`` if it was registered.

    Raises ``ModelError``.
    """
    if SPEC_FILE not in files:
        raise ModelError(f"{SPEC_FILE} is missing", remedy="register the model again")
    spec = from_json(files[SPEC_FILE])
    name = WEIGHTS_FILE[kind_of(spec)]
    if name not in files:
        raise ModelError(f"{name} is missing", remedy="register the model again")
    graph = files.get(GRAPH_FILE)  # versions registered before there were graphs have none
    model: Model
    if isinstance(spec, XgboostSpec):
        model = XgboostModel(files[name], spec, graph)
    else:
        model = LstmModel(files[name], spec, graph)
    model.prove()
    return model


def _agree(actual: float, expected: float) -> None:
    if abs(actual - expected) > TOLERANCE:
        raise ModelError(
            f"a canary prediction is {actual:.9f} instead of {expected:.9f}", remedy="register the model again"
        )


def _explain_alike(found: Sequence[float], expected: Sequence[float]) -> None:
    apart = max(abs(one - other) for one, other in zip(found, expected, strict=True))
    if not apart <= EXPLAINED_TOLERANCE * max(1.0, *map(abs, expected)):
        raise ModelError(f"contributions differ from the booster's by {apart:.2e}", remedy="tell the developers")
