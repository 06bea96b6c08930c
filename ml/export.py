"""Writes a fitted model as the ONNX graph that the service runs, and proves that both give the same probability."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from decision_service.errors import ModelError
from decision_service.scoring.graph import GRAPH_FILE, Graph
from decision_service.scoring.models import TOLERANCE, XgboostModel
from decision_service.scoring.rows import Floats
from decision_service.scoring.spec import LstmSpec, ScorecardSpec, XgboostSpec
from ml.fitted import FittedModel, probabilities
from ml.network_graph import network_graph, network_rows
from ml.scorecard import points_files
from ml.trees_graph import tree_rows, trees_graph


def companions(fitted: FittedModel) -> dict[str, bytes]:
    """The files that stand beside a model's weights and spec: its graph, or of a scorecard its points for people.

    A scorecard has no graph: looking it up is faster. Raises ``ModelError`` as ``exported`` does.
    """
    return points_files(fitted) if isinstance(fitted.spec, ScorecardSpec) else {GRAPH_FILE: exported(fitted)}


def exported(fitted: FittedModel) -> bytes:
    """The ONNX graph of trees or a network, from its inputs as ``scoring.rows`` makes them to its margin.

    Raises ``ModelError`` unless graph and model agree within 1e-6 on the canaries and on random rows,
    and, of trees, unless the tables of contributions say on the canaries what XGBoost says.
    """
    if isinstance(fitted.spec, XgboostSpec):
        XgboostModel(fitted.weights, fitted.spec).prove_tables()
        return proven(trees_graph(fitted.weights, fitted.spec), fitted, *tree_rows(fitted.weights, fitted.spec))
    assert isinstance(fitted.spec, LstmSpec)
    return proven(network_graph(fitted.weights, fitted.spec), fitted, *network_rows(fitted.weights, fitted.spec))


def proven(graph: bytes, fitted: FittedModel, inputs: Floats, margins: NDArray[np.float32]) -> bytes:
    """The graph, if it gives the model's probabilities of ``inputs`` (of known margins); else raises ``ModelError``."""
    shape = inputs.shape[1:]
    found = probabilities(fitted, Graph(graph, shape=shape).margins(inputs).astype(float))
    apart = np.abs(found - probabilities(fitted, margins.astype(float))).max()
    if not apart <= TOLERANCE:  # also true for nan
        raise ModelError(
            f"the ONNX graph differs from the model by {apart:.2e} on a probability",
            remedy="report the kind of model to the developers; it is not registered",
        )
    return graph
