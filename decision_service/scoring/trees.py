"""The trees of a booster as plain numbers, from XGBoost's own JSON form."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import xgboost

from decision_service.errors import ModelError

NO_CHILD = -1
Tree = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trees:
    """Trees as lists by node (``left_children``, ``split_indices``, ``split_conditions``, …) and the intercept.

    A leaf's value stands where an inner node has its split condition. The margin (log-odds) is the intercept plus the
    value of one leaf of each tree.
    """

    trees: tuple[Tree, ...]
    intercept: float


def read_trees(booster: xgboost.Booster) -> Trees:
    """The trees of a ``gbtree`` for ``binary:logistic`` on numeric columns; raises ``ModelError`` for any other."""
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    objective, kind = learner["objective"]["name"], learner["gradient_booster"]["name"]
    trees = learner["gradient_booster"].get("model", {}).get("trees", [])
    if (objective, kind) != ("binary:logistic", "gbtree") or any(any(tree["split_type"]) for tree in trees):
        raise ModelError(
            f"cannot read the trees of {kind} with objective {objective}",
            remedy="train gbtree with binary:logistic on numeric columns",
        )
    scores = json.loads(learner["learner_model_param"]["base_score"])  # a list since XGBoost 3.1
    base = scores[0] if isinstance(scores, list) else scores
    return Trees(tuple(trees), math.log(base / (1.0 - base)))
