"""What is served is the ONNX graph that was registered; a version without one is served by its own library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from models_for_tests import application, network, trees

from decision_service.errors import ModelError
from decision_service.scoring.graph import Graph
from decision_service.scoring.leaf_paths import LeafPaths
from decision_service.scoring.models import Model, build
from decision_service.scoring.rows import Floats
from decision_service.scoring.spec import to_json
from ml.export import exported
from ml.fitted import FittedModel

FEATURES, SERIES, MASK = application()
WEIGHTS = {"xgboost": "model.ubj", "lstm": "weights.safetensors"}


def files(fitted: FittedModel, graph: bytes | None, kind: str) -> dict[str, bytes]:
    content = {"spec.json": to_json(fitted.spec), WEIGHTS[kind]: fitted.weights}
    return content if graph is None else {**content, "model.onnx": graph}


def probability(model: Model, kind: str) -> float:
    return model.probability(FEATURES) if kind == "xgboost" else model.probability(SERIES, MASK)


@pytest.mark.parametrize(("fit", "kind"), [(trees, "xgboost"), (network, "lstm")])
def test_a_version_without_a_graph_scores_the_same_to_a_millionth(fit: Callable[[], FittedModel], kind: str) -> None:
    fitted = fit()
    with_graph = build(files(fitted, exported(fitted), kind))
    without = build(files(fitted, None, kind))
    assert probability(with_graph, kind) == pytest.approx(probability(without, kind), abs=1e-6)


@pytest.mark.parametrize(("fit", "kind"), [(trees, "xgboost"), (network, "lstm")])
def test_a_graph_of_another_model_is_refused_by_the_canaries(fit: Callable[..., FittedModel], kind: str) -> None:
    with pytest.raises(ModelError, match="canary prediction"):
        build(files(fit(), exported(fit(seed=5)), kind))


def test_a_booster_that_the_graph_does_not_match_is_refused() -> None:
    fitted, other = trees(), trees(seed=5)
    with pytest.raises(ModelError, match="canary prediction"):
        build(files(replace(fitted, weights=other.weights), exported(fitted), "xgboost"))


@pytest.mark.parametrize("content", [b"", b"\x00" * 99, b"\xff" * 9, b"{}"], ids=["empty", "zeros", "noise", "JSON"])
def test_bytes_that_are_no_graph_are_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="ONNX graph"):
        Graph(content, shape=(3,))


def test_a_graph_that_reads_another_shape_is_refused() -> None:
    with pytest.raises(ModelError, match="spec.json needs"):
        Graph(exported(trees()), shape=(99,))


def test_a_cut_graph_is_refused() -> None:
    graph = exported(trees())
    with pytest.raises(ModelError, match="ONNX graph"):
        Graph(graph[: len(graph) // 2], shape=(5,))


def test_tables_that_divide_a_margin_otherwise_than_the_booster_are_not_registered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = LeafPaths.contributions

    def swapped(self: LeafPaths, row: Floats) -> list[float]:
        first, second, *others = found(self, row)
        return [second, first, *others]

    monkeypatch.setattr(LeafPaths, "contributions", swapped)
    with pytest.raises(ModelError, match="contributions differ"):
        exported(trees())
