"""The trees of a booster as plain numbers, from the file that XGBoost writes (UBJSON); the library is not needed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from decision_service.errors import ModelError
from decision_service.scoring.ubjson import from_ubjson

NO_CHILD = -1
Tree = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trees:
    """Trees as lists by node (``left_children``, ``split_indices``, ``split_conditions``, …), over ``columns`` columns.

    A leaf's value stands where an inner node has its split condition. The margin (log-odds) is the intercept plus the
    value of one leaf of each tree.
    """

    trees: tuple[Tree, ...]
    intercept: float
    columns: int


def read_trees(content: bytes) -> Trees:
    """The trees of a ``gbtree`` for ``binary:logistic`` on numeric columns; raises ``ModelError`` for any other."""
    try:
        return _read(from_ubjson(content)["learner"])
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        what = f"the booster's trees cannot be read ({error!r})"
        raise ModelError(what, remedy="register the model again") from error


def _read(learner: Mapping[str, Any]) -> Trees:
    objective, kind = learner["objective"]["name"], learner["gradient_booster"]["name"]
    trees = learner["gradient_booster"].get("model", {}).get("trees", [])
    if (objective, kind) != ("binary:logistic", "gbtree") or any(any(tree["split_type"]) for tree in trees):
        raise ModelError(
            f"cannot read the trees of {kind} with objective {objective}",
            remedy="train gbtree with binary:logistic on numeric columns",
        )
    parameters = learner["learner_model_param"]
    scores = json.loads(parameters["base_score"])  # a list since XGBoost 3.1
    base = scores[0] if isinstance(scores, list) else scores
    return Trees(tuple(trees), math.log(base / (1.0 - base)), int(parameters["num_feature"]))
