"""Models ready to score one application: built from verified bytes, proven by their own canary predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from decision_service.errors import ModelError
from decision_service.scoring.blend import clipped, expit
from decision_service.scoring.booster import Booster
from decision_service.scoring.contributions import BASE, by_indicator
from decision_service.scoring.gradients import SeriesGradients
from decision_service.scoring.graph import GRAPH_FILE, Graph
from decision_service.scoring.leaf_paths import LeafPaths, read_leaf_paths
from decision_service.scoring.network import network_margins, use_one_thread
from decision_service.scoring.rows import Floats, feature_row, series_window
from decision_service.scoring.scorecard import from_json as scorecard_from_json
from decision_service.scoring.scorecard import points
from decision_service.scoring.spec import Calibration, LstmSpec, ScorecardSpec, XgboostSpec, from_json, kind_of
from decision_service.scoring.trees import read_trees

TOLERANCE = 1e-6
EXPLAINED_TOLERANCE = 1e-4  # log-odds; the booster adds up in single precision
WEIGHTS_FILE = {"xgboost": "model.ubj", "lstm": "weights.safetensors", "scorecard": "scorecard.json"}
SPEC_FILE = "spec.json"


def calibrated(margin: float, calibration: Calibration) -> float:
    """The 12-month probability of default of a margin, unrounded, clipped to [1e-6, 1 - 1e-6]."""
    return clipped(expit(calibration.log_odds(margin)))


class XgboostModel:
    """A booster with its spec; safe under threads.

    With a ``graph`` (ONNX) the score comes from that, and tables read from the booster's file explain it. XGBoost runs
    what has no graph or no tables.
    """

    def __init__(self, weights: bytes, spec: XgboostSpec, graph: bytes | None = None) -> None:
        self.spec = spec
        self._weights = weights
        self._graph = None if graph is None else Graph(graph, shape=(len(spec.columns),))
        needed = self._graph is None or self._paths is None
        self._booster = Booster(weights, columns=len(spec.columns)) if needed else None

    def margins(self, rows: Floats) -> Floats:
        """Log-odds before calibration of n rows (n x columns)."""
        source = self._graph or self._booster
        assert source is not None
        return source.margins(rows)

    def margin(self, row: Floats) -> float:
        """Log-odds before calibration of one row (1 x columns)."""
        return float(self.margins(row)[0])

    def probability(self, features: Mapping[str, Any]) -> float:
        """Calibrated, unrounded probability; raises ``ModelError`` for features it cannot read."""
        return calibrated(self.margin(feature_row(features, self.spec)), self.spec.calibration)

    def contributions(self, features: Mapping[str, Any]) -> dict[str, float]:
        """Each feature's share of the margin; the values sum to it."""
        row = feature_row(features, self.spec)
        source = self._paths or self._booster
        assert source is not None
        return by_indicator(source.contributions(row), self.spec)

    @cached_property
    def _paths(self) -> LeafPaths | None:
        """Tables give the booster's own contributions ten times faster; not every booster has them."""
        try:
            trees = read_trees(self._weights)
        except ModelError:
            return None  # XGBoost has the last word
        return read_leaf_paths(trees) if trees.columns == len(self.spec.columns) else None

    def prove(self) -> None:
        """Raises ``ModelError`` unless the canary predictions come out as recorded, from each of the model's parts.

        Contributions sum to the margin of the trees they come from, so this holds the booster's file against the same
        canaries as the graph, without XGBoost.
        """
        for features, expected in self.spec.canaries:
            row = feature_row(features, self.spec)
            margins = [self.margin(row)]
            if self._paths is not None:
                margins.append(math.fsum(self._paths.contributions(row)))
            if self._booster is not None:
                margins.append(float(self._booster.margins(row)[0]))
            for margin in margins:
                _agree(calibrated(margin, self.spec.calibration), expected)
        self.prove_tables()

    def prove_tables(self) -> None:
        """Raises ``ModelError`` unless the tables divide the canaries' margins as XGBoost does, where it is loaded.

        It is loaded without a graph: that is how ``ml/export.py`` proves a version before it is registered.
        """
        if self._paths is None or self._booster is None:
            return
        for features, _ in self.spec.canaries:
            row = feature_row(features, self.spec)
            _explain_alike(self._paths.contributions(row), self._booster.contributions(row))


class LstmModel:
    """A series network with its spec. With a ``graph`` (ONNX) the score comes from that, ``gradients`` explain it."""

    def __init__(self, weights: bytes, spec: LstmSpec, graph: bytes | None = None) -> None:
        self.spec = spec
        self._weights = weights
        self._margins: Callable[[Floats], Floats]
        if graph is None:
            self._margins = network_margins(weights, spec)
        else:
            self._margins = Graph(graph, shape=(spec.months, spec.channels)).margins

    def margins(self, windows: Floats) -> Floats:
        """Log-odds before calibration of n windows (n x months x channels)."""
        return self._margins(windows)

    def margin(self, window: Floats) -> float:
        """Log-odds before calibration of one window (1 x months x channels)."""
        return float(self._margins(window)[0])

    @cached_property
    def gradients(self) -> SeriesGradients:
        """What explains the margins, from the weights; neither PyTorch nor the graph."""
        return SeriesGradients(self._weights, self.spec)

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


class ScorecardModel:
    """Bins and weights with their spec, in plain Python; safe under threads."""

    def __init__(self, weights: bytes, spec: ScorecardSpec) -> None:
        self.spec = spec
        self.scorecard = scorecard_from_json(weights)
        if tuple(one.name for one in self.scorecard.features) != spec.features:
            raise ModelError("scorecard.json has other features than spec.json", remedy="register the model again")

    def margin(self, features: Mapping[str, Any]) -> float:
        """Log-odds before calibration; raises ``ModelError`` for features it cannot read."""
        return self.scorecard.margin(features)

    def probability(self, features: Mapping[str, Any]) -> float:
        """Calibrated, unrounded probability; raises ``ModelError`` for features it cannot read."""
        return calibrated(self.margin(features), self.spec.calibration)

    def contributions(self, features: Mapping[str, Any]) -> dict[str, float]:
        """Log-odds each feature costs against its best bin, and the base; the values sum to the margin."""
        return self.scorecard.contributions(features, base=BASE)

    def points_lost(self, features: Mapping[str, Any]) -> dict[str, float]:
        """Points each feature costs against its best bin, the dearest first; raises ``ModelError``."""
        shares = self.contributions(features)
        lost = self.spec.scale.factor * self.spec.calibration.slope
        costs = {name: lost * share for name, share in shares.items() if name != BASE}
        return dict(sorted(costs.items(), key=lambda cost: (-cost[1], cost[0])))

    def points(self, features: Mapping[str, Any]) -> float:
        """The points of a firm, unrounded; raises ``ModelError`` for features it cannot read."""
        own = (
            points(self.scorecard, self.spec, one, one.bin_of(features[one.name]).woe)
            for one in self.scorecard.features
        )
        return math.fsum(own)

    def prove(self) -> None:
        """Raises ``ModelError`` unless the canary predictions come out as recorded."""
        for features, expected in self.spec.canaries:
            _agree(self.probability(features), expected)


Model = XgboostModel | LstmModel | ScorecardModel


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
    elif isinstance(spec, ScorecardSpec):
        model = ScorecardModel(files[name], spec)
    else:
        if graph is None:
            use_one_thread()
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
