"""Deletion probe: of 10,000 firms declined by their score, no reason that weighs more than the stated ones is unstated.

Every input of every firm is set to healthy on its own, as the raw value that a firm would deliver, and the firm is
scored again by the libraries that trained the models. Nothing of what states the reasons takes part in that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decision_service.rulebook.files import load
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.scoring.models import LstmModel, XgboostModel
from decision_service.scoring.reasons import HISTORY, reasons_of
from decision_service.scoring.registry import ModelRegistry
from decision_service.vocabulary import ScoreReasons
from ml.city import Place, draw_firms, draw_population
from ml.city_commands import place_of
from ml.city_training import Sizes, train_city
from ml.console import prepare_mlflow
from ml.features import Table, read_portraits, read_table
from ml.fitted import Array, FittedModel, log_odds, lstm_margins, xgboost_margins

RULES = Path(__file__).parents[2] / "rules"
DECLINES = 10_000
CHUNK, RISKY = 6_000, 0.04  # firms drawn at a time; the true PD from which one may be declined
FIRST = 600_001  # numbers of firms that no training city has
NEAR = 2e-6  # log-odds


@dataclass(frozen=True)
class Models:
    trees: XgboostModel
    network: LstmModel

    @property
    def fitted(self) -> tuple[FittedModel, FittedModel]:
        return (
            FittedModel(self.trees._weights, self.trees.spec, {}),
            FittedModel(self.network._weights, self.network.spec, {}),
        )


@dataclass(frozen=True)
class Firms:
    """Firms with the weight of the trees in their score."""

    table: Table
    weights: Array

    def rows(self, chosen: np.ndarray) -> Firms:
        return Firms(self.table.rows(chosen), self.weights[chosen])


def score(models: Models, firms: Firms) -> Array:
    """Log-odds of ``pd_12m``, by XGBoost and PyTorch."""
    trees, network = models.fitted
    table = firms.table
    first = log_odds(trees.spec.calibration, xgboost_margins(trees, table.indicators, table.industry_codes))
    second = log_odds(network.spec.calibration, lstm_margins(network, table.series, table.mask))
    return firms.weights * first + (1.0 - firms.weights) * second


def healthy_one_by_one(models: Models, firms: Firms) -> Iterator[tuple[tuple[str, str], Firms]]:
    """The firms with one input after the other as a healthy firm would deliver it; unreported months stay so."""
    table, healthy = firms.table, models.trees.spec.healthy or {}
    for column, name in enumerate(models.trees.spec.features):
        indicators = table.indicators.copy()
        indicators[:, column] = np.nan if healthy[name] is None else healthy[name]
        yield ("pd_xgb", name), replace(firms, table=replace(table, indicators=indicators))
    codes = (healthy["industry_code"],) * len(table.industry_codes)
    yield ("pd_xgb", "industry"), replace(firms, table=replace(table, industry_codes=codes))
    window = np.array(models.network.spec.healthy, dtype=float)
    for column, name in enumerate(models.network.spec.series):
        series = table.series.copy()
        series[:, :, column] = np.where(table.mask, window[:, column], np.nan)
        yield ("pd_lstm", name), replace(firms, table=replace(table, series=series))


def drops(models: Models, firms: Firms) -> dict[tuple[str, str], Array]:
    """By input: how far the log-odds fall when it alone is healthy."""
    before = score(models, firms)
    return {name: before - score(models, changed) for name, changed in healthy_one_by_one(models, firms)}


def stated(models: Models, firms: Firms, row: int) -> ScoreReasons:
    """The reasons as a decision states them."""
    table, weight = firms.table, Decimal(repr(float(firms.weights[row])))
    features: dict[str, Any] = dict(zip(models.trees.spec.features, map(float, table.indicators[row]), strict=True))
    features["industry_code"] = table.industry_codes[row]
    pair = (weight, 1 - weight)
    found = reasons_of([models.trees, models.network], features, table.series[row], table.mask[row], weights=pair)
    assert found is not None
    return found


def check(models: Models, firms: Firms) -> int:
    """Probes every firm; gives how many of them report all months, where each effect is held to the probe's."""
    by_input, whole, total = drops(models, firms), firms.table.mask.all(axis=1), score(models, firms)
    for row in range(len(firms.weights)):
        found = stated(models, firms, row)
        assert found.base + sum(found.shares.values()) == pytest.approx(total[row], abs=1e-5)
        effects = {(one.score, one.name): one.effect for one in found.stated}
        others = [drop[row] for name, drop in by_input.items() if name not in effects]
        main = max(by_input, key=lambda name: by_input[name][row])
        assert main in effects or by_input[main][row] <= max(effects.values()) + NEAR, (row, main)
        if whole[row]:
            assert max(others) <= min(effects.values()) + NEAR, row
            for name, effect in effects.items():
                assert name == ("pd_lstm", HISTORY) or effect == pytest.approx(by_input[name][row], abs=NEAR)
    return int(whole.sum())


def declined(place: Place, models: Models, wanted: int) -> Firms:
    """Firms whose blended PD lies above their industry's review cut-off, among the city's risky ones."""
    rules, portraits = load(RULES).in_force(place.as_of), read_portraits(RULES)
    found: list[Firms] = []
    first = FIRST
    while sum(len(one.weights) for one in found) < wanted:
        risky = [traits for traits in draw_population(place, range(first, first + CHUNK)) if traits.pd >= RISKY]
        first += CHUNK
        table = read_table([firm.records for firm in draw_firms(place, risky)], portraits, now=place.delivered)
        weights, cutoffs = (
            np.array([_parameter(rules, name, code) for code in table.industry_codes])
            for name in ("industry.weight_xgb", "industry.pd_cutoff_review")
        )
        firms = Firms(table, weights)
        with np.errstate(invalid="ignore"):
            found.append(firms.rows(1.0 / (1.0 + np.exp(-score(models, firms))) > cutoffs))
    return joined(found)


def _parameter(rules: RulesInForce, name: str, code: str) -> float:
    exact = rules.parameters("working_capital", code).get(name)
    return np.nan if exact is None else float(rules.catalogue.decode(name, exact))


def joined(parts: list[Firms]) -> Firms:
    tables = [one.table for one in parts]
    arrays = {
        name: np.concatenate([getattr(one, name) for one in tables])
        for name in ("indicators", "invoices", "series", "mask")
    }
    codes = tuple(code for one in tables for code in one.industry_codes)
    return Firms(Table(industry_codes=codes, **arrays), np.concatenate([one.weights for one in parts]))


def probe(folder: Path, wanted: int, sizes: Sizes) -> tuple[int, int]:
    place = place_of(20231015, datetime(2026, 11, 20), RULES, now=datetime.now(UTC))
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    prepare_mlflow(uri)
    train_city(place, RULES, uri=uri, sizes=sizes, epochs=10)
    registry = ModelRegistry(uri)
    trees, network = registry.load("pd-xgboost", "1").model, registry.load("pd-lstm", "1").model
    assert isinstance(trees, XgboostModel) and isinstance(network, LstmModel)
    models = Models(trees, network)
    firms = declined(place, models, wanted)
    return len(firms.weights), check(models, firms)


@pytest.mark.slow
def test_no_decline_has_an_unstated_main_reason(tmp_path: Path) -> None:
    declines, whole = probe(tmp_path, DECLINES, Sizes(30_000, 4_500, 500))
    assert declines >= DECLINES and whole > declines / 2
