"""Boosted trees as one ONNX tree ensemble, and the rows on which both must agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray
from onnx import helper

from decision_service.scoring.graph import INPUT, OUTPUT
from decision_service.scoring.rows import Floats, feature_row
from decision_service.scoring.spec import XgboostSpec
from decision_service.scoring.trees import NO_CHILD, Tree, read_trees
from ml.onnx_file import serialized

PROOF_ROWS = 512
MISSING_SHARE = 0.2


def trees_graph(weights: bytes, spec: XgboostSpec) -> bytes:
    booster = read_trees(weights)
    nodes: dict[str, Any] = {}
    for number, tree in enumerate(booster.trees):
        for place in range(len(tree["left_children"])):
            for name, value in _node(tree, place).items():
                nodes.setdefault(name, []).append(value)
            nodes.setdefault("nodes_treeids", []).append(number)
    leaves = [place for place, mode in enumerate(nodes["nodes_modes"]) if mode == "LEAF"]
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        [OUTPUT],
        domain="ai.onnx.ml",
        n_targets=1,
        base_values=[booster.intercept],
        target_treeids=[nodes["nodes_treeids"][leaf] for leaf in leaves],
        target_nodeids=[nodes["nodes_nodeids"][leaf] for leaf in leaves],
        target_ids=[0] * len(leaves),
        target_weights=[nodes["nodes_values"][leaf] for leaf in leaves],
        **nodes,
    )
    return serialized([ensemble], shape=[len(spec.columns)], constants={})


def _node(tree: Tree, place: int) -> dict[str, Any]:
    """One node in ONNX's words; XGBoost goes left if the value is below the condition, and keeps leaf values there."""
    leaf = tree["left_children"][place] == NO_CHILD
    return {
        "nodes_nodeids": place,
        "nodes_modes": "LEAF" if leaf else "BRANCH_LT",
        "nodes_featureids": 0 if leaf else tree["split_indices"][place],
        "nodes_values": tree["split_conditions"][place],
        "nodes_truenodeids": 0 if leaf else tree["left_children"][place],
        "nodes_falsenodeids": 0 if leaf else tree["right_children"][place],
        "nodes_missing_value_tracks_true": 0 if leaf else tree["default_left"][place],
    }


def tree_rows(weights: bytes, spec: XgboostSpec) -> tuple[Floats, NDArray[np.float32]]:
    """Canaries and random rows with their margins: each value stands on, just below or above a split, or is missing."""
    trees = read_trees(weights).trees
    random = np.random.default_rng(0)
    rows = random.normal(size=(PROOF_ROWS, len(spec.columns))).astype(np.float32)
    for column in range(rows.shape[1]):
        splits = _splits(trees, column)
        if splits.size:
            rows[:, column] = random.choice(splits, PROOF_ROWS)
    rows[random.random(rows.shape) < MISSING_SHARE] = np.nan
    rows = np.concatenate([rows, *(feature_row(features, spec) for features, _ in spec.canaries)])
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(weights))
    return rows, booster.inplace_predict(rows, predict_type="margin", validate_features=False)


def _splits(trees: Sequence[Tree], column: int) -> Floats:
    on = [
        condition
        for tree in trees
        for condition, feature, left in zip(
            tree["split_conditions"], tree["split_indices"], tree["left_children"], strict=True
        )
        if feature == column and left != NO_CHILD
    ]
    values = np.array(on, dtype=np.float32)
    return np.concatenate([values, np.nextafter(values, np.float32(-np.inf)), np.nextafter(values, np.float32(np.inf))])
