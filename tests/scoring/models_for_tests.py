"""Small real models for the tests of scoring: fitted in a second, registered in a store of their own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ml.fitted import FittedModel
from ml.scorecard import fit_scorecard
from ml.training import Registered, fit_lstm, fit_xgboost, register

NAMES = ("leverage", "growth", "idle")
SERIES = ("sales", "purchases")
MONTHS = 24
SECTIONS = {"01": "A", "02": "A", "13": "C"}
MODELS = ("pd-xgboost", "pd-lstm")
SCORECARD = "pd-scorecard"


@dataclass(frozen=True)
class World:
    """Firms whose default depends on leverage (up) and on falling sales."""

    matrix: np.ndarray
    series: np.ndarray
    mask: np.ndarray
    labels: np.ndarray
    codes: tuple[str, ...]


def world(count: int = 300, seed: int = 1) -> World:
    random = np.random.default_rng(seed)
    risk = random.normal(size=count)
    labels = (random.random(count) < 1 / (1 + np.exp(1.5 - 2 * risk))).astype(int)
    noise = random.normal(size=(count, 3))
    matrix = np.column_stack([risk, -risk, np.zeros(count)]) + noise
    matrix[random.random(matrix.shape) < 0.1] = np.nan
    trend = -0.05 * risk[:, None] * np.arange(MONTHS)
    logs = 10 + trend + 0.1 * random.normal(size=(count, MONTHS))
    series = np.stack([np.exp(logs), 0.7 * np.exp(logs)], axis=2)
    mask = np.ones((count, MONTHS), dtype=bool)
    mask[:20, :12] = False
    series[~mask] = np.nan
    return World(matrix, series, mask, labels, tuple(("01", "02", "13")[place % 3] for place in range(count)))


def trees(seed: int = 1, rounds: int = 20, names: tuple[str, ...] = NAMES) -> FittedModel:
    firms = world()
    return fit_xgboost(
        firms.matrix,
        firms.labels,
        feature_names=names,
        monotone={"leverage": 1, "growth": -1},
        seed=seed,
        industry_codes=firms.codes,
        sections=SECTIONS,
        rounds=rounds,
        params={"nthread": 1},
    )


def network(seed: int = 1, epochs: int = 2) -> FittedModel:
    firms = world()
    return fit_lstm(
        firms.series, firms.mask, firms.labels, series_names=SERIES, seed=seed, epochs=epochs, hidden=4, min_months=6
    )


@cache
def scorecard(seed: int = 1) -> FittedModel:
    firms = world(1500, seed)
    codes = ["01" if code == "13" and not bad else code for code, bad in zip(firms.codes, firms.labels, strict=True)]
    return fit_scorecard(
        firms.matrix,
        firms.labels,
        feature_names=NAMES,
        monotone={"leverage": 1, "growth": -1},
        categories={"industry_code": codes},
    )


def put(fitted: FittedModel, name: str, uri: str, *, alias: str | None = "champion") -> Registered:
    return register(fitted, name=name, metrics={"auc": 0.8}, data_hash="sha256:0", alias=alias, uri=uri)


def store_uri(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def application() -> tuple[dict[str, object], tuple[tuple[float, ...], ...], tuple[bool, ...]]:
    """One firm as the portrait delivers it: features, series, mask."""
    features = {"leverage": 0.5, "growth": float("nan"), "idle": 0.1, "industry_code": "13"}
    series = tuple((1000.0 + 10 * month, 700.0) for month in range(MONTHS))
    return features, series, (True,) * MONTHS
