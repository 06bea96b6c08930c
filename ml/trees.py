"""Fits the XGBoost model: indicators with missing values, industry sections, monotone where a direction is declared."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from decision_service.errors import InputError
from decision_service.scoring.spec import Calibration, XgboostSpec
from decision_service.scoring.trees import NO_CHILD
from ml.fitted import Array, FittedModel, design, with_canaries

DEFAULTS: dict[str, Any] = {
    "objective": "binary:logistic",
    "eval_metric": "logloss",
    "tree_method": "hist",
    "learning_rate": 0.05,
    "max_depth": 4,
    "min_child_weight": 5.0,
    "subsample": 0.8,
    "colsample_bytree": 0.8,
    "reg_lambda": 2.0,
    "nthread": 1,  # these tables are small; one thread gives the same trees on every machine
}
QUANTUM = 2.0**-21
CANARY_QUANTILES = (0.1, 0.5, 0.9)


def fit_xgboost(
    matrix: Array,
    labels: NDArray[np.int_],
    *,
    feature_names: Sequence[str],
    monotone: Mapping[str, int] | None = None,
    seed: int,
    holdout: NDArray[np.bool_] | None = None,
    weights: Array | None = None,
    industry_codes: Sequence[str | None] | None = None,
    sections: Mapping[str, str] | None = None,
    rounds: int = 400,
    patience: int = 30,
    params: Mapping[str, Any] | None = None,
) -> FittedModel:
    """Boosted trees on n firms x features (nan: missing), labels 1 = defaulted within 12 months.

    ``monotone``: +1 if the PD may only rise with the feature, -1 if only fall. ``holdout`` marks rows kept out of the
    fit for early stopping (``patience`` rounds). ``weights``: how much each row counts. ``sections`` (industry code to
    section) with ``industry_codes`` adds the industry. ``params`` override ``DEFAULTS``. Not calibrated yet: see
    ``calibrate``. Raises ``InputError``.
    """
    labels = checked_labels(labels, len(matrix))
    spec = _spec(np.asarray(matrix, dtype=float), labels, feature_names, sections or {})
    spec = replace(spec, healthy=_healthy(np.asarray(matrix, dtype=float)[labels == 0], spec, industry_codes))
    rows = design(matrix, industry_codes, spec)
    fit_rows = np.ones(len(rows), dtype=bool) if holdout is None else ~np.asarray(holdout, dtype=bool)
    checked_labels(labels[fit_rows], int(fit_rows.sum()))
    settings = {**DEFAULTS, **(params or {}), "seed": seed}
    settings["monotone_constraints"] = tuple(dict(monotone or {}).get(column, 0) for column in spec.columns)
    settings["base_score"] = float(labels[fit_rows].mean())
    counted = None if weights is None else weights[fit_rows]
    train = xgboost.DMatrix(rows[fit_rows], labels[fit_rows], weight=counted, feature_names=list(spec.columns))
    stopping: dict[str, Any] = {}
    if holdout is not None:
        held = xgboost.DMatrix(rows[~fit_rows], labels[~fit_rows], feature_names=list(spec.columns))
        stopping = {"evals": [(held, "holdout")], "early_stopping_rounds": patience, "verbose_eval": False}
    booster = xgboost.train(settings, train, num_boost_round=rounds, **stopping)
    if holdout is not None:
        booster = booster[: booster.best_iteration + 1]
    used = {**settings, "rounds": booster.num_boosted_rounds(), "rows": int(fit_rows.sum())}
    return with_canaries(FittedModel(bytes(booster.save_raw("ubj")), spec, used))


def averaged(models: Sequence[FittedModel]) -> FittedModel:
    """One booster whose margin is the mean of the models' margins: all their trees, each leaf divided by their number.

    Leaves are rounded to multiples of ``QUANTUM`` and the base score is moved into the first tree, so that the sum over
    any number of trees is exact in single precision, in every order and program, while it stays between -8 and 8.
    The models share features, base score and spec.
    """
    documents = [_document(model.weights) for model in models]
    (base,) = {_base(document) for document in documents}
    whole = documents[0]
    forest = whole["learner"]["gradient_booster"]["model"]
    trees = [tree for document in documents for tree in document["learner"]["gradient_booster"]["model"]["trees"]]
    for number, tree in enumerate(trees):
        tree["id"] = number
        moved = math.log(base / (1 - base)) if number == 0 else 0.0
        for leaf in (place for place, left in enumerate(tree["left_children"]) if left == NO_CHILD):
            value = round((tree["split_conditions"][leaf] / len(models) + moved) / QUANTUM) * QUANTUM
            tree["split_conditions"][leaf] = tree["base_weights"][leaf] = value
    forest |= {"trees": trees, "tree_info": [0] * len(trees), "iteration_indptr": list(range(len(trees) + 1))}
    forest["gbtree_model_param"]["num_trees"] = str(len(trees))
    whole["learner"]["attributes"] = {}
    whole["learner"]["learner_model_param"]["base_score"] = "[5E-1]"
    booster = xgboost.Booster()
    booster.load_model(bytearray(json.dumps(whole).encode()))
    params = {**models[0].params, "averaged": len(models), "rounds": len(trees)}
    return with_canaries(FittedModel(bytes(booster.save_raw("ubj")), models[0].spec, params))


def _base(document: Mapping[str, Any]) -> float:
    """The probability that the trees start from; a list since XGBoost 3.1."""
    scores = json.loads(document["learner"]["learner_model_param"]["base_score"])
    return float(scores[0] if isinstance(scores, list) else scores)


def _document(weights: bytes) -> dict[str, Any]:
    booster = xgboost.Booster()
    booster.load_model(bytearray(weights))
    content: dict[str, Any] = json.loads(booster.save_raw("json"))
    return content


def checked_labels(labels: NDArray[np.int_], rows: int) -> NDArray[np.int_]:
    """Labels as integers; raises ``InputError`` unless one 0 or 1 a row and both occur."""
    found = np.asarray(labels)
    if found.shape != (rows,) or not np.isin(found, (0, 1)).all() or len(np.unique(found)) != 2:
        raise InputError(
            f"labels need one 0 or 1 for each of {rows} rows, and both must occur", remedy="check the target column"
        )
    return found.astype(np.int_)


def _spec(
    matrix: Array, labels: NDArray[np.int_], feature_names: Sequence[str], sections: Mapping[str, str]
) -> XgboostSpec:
    if matrix.ndim != 2 or matrix.shape[1] != len(feature_names):
        raise InputError(f"the matrix has shape {matrix.shape}, {len(feature_names)} features are named")
    return XgboostSpec(
        features=tuple(feature_names),
        section_order=tuple(sorted(set(sections.values()))),
        sections=dict(sections),
        calibration=Calibration(1.0, 0.0, float(labels.mean())),
        canaries=_canaries(matrix, feature_names, sections),
    )


def _canaries(
    matrix: Array, feature_names: Sequence[str], sections: Mapping[str, str]
) -> tuple[tuple[Mapping[str, Any], float], ...]:
    """Made-up firms at quantiles of each feature: no real firm's data is kept with the model."""
    rows = []
    for number, quantile in enumerate(CANARY_QUANTILES):
        features: dict[str, Any] = {
            name: _quantile(matrix[:, column], quantile) for column, name in enumerate(feature_names)
        }
        if sections:
            features["industry_code"] = sorted(sections)[number * (len(sections) - 1) // len(CANARY_QUANTILES)]
        rows.append((features, 0.5))
    return tuple(rows)


def _healthy(sound: Array, spec: XgboostSpec, codes: Sequence[str | None] | None) -> Mapping[str, Any] | None:
    """A made-up firm in the middle of those that did not default; missing where more than half of them have nothing.

    Its industry is one of the section that most firms are in; without any value there is no such firm.
    """
    found: dict[str, Any] = {}
    for place, name in enumerate(spec.features):
        missing = np.isnan(sound[:, place]).mean() > 0.5
        found[name] = None if missing else _quantile(sound[:, place], 0.5)
    if all(value is None for value in found.values()):
        return None
    if spec.section_order:
        known = [code for code in codes or () if code in spec.sections]
        counts = Counter(spec.sections[code] for code in known if code is not None)
        most = max(spec.section_order, key=lambda section: (counts[section], section))
        found["industry_code"] = min(code for code, section in spec.sections.items() if section == most)
    return found


def _quantile(column: Array, quantile: float) -> float | None:
    known = column[~np.isnan(column)]
    value = float(np.float32(np.quantile(known, quantile))) if known.size else math.nan
    return None if math.isnan(value) else value
