"""Networks as one, what each firm counts, and what a batch hides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from decision_service.scoring.gradients import SeriesGradients
from decision_service.scoring.graph import Graph
from decision_service.scoring.network import series_network
from decision_service.scoring.rows import channels
from decision_service.scoring.spec import LstmSpec
from ml import sequences, table_models
from ml.deadline import Deadline
from ml.export import exported
from ml.fitted import FittedModel, lstm_margins, margins_of
from ml.sequences import averaged, fit_lstm
from ml.tables.inputs import Inputs

RANDOM = np.random.default_rng(3)
COUNT, MONTHS, NAMES = 300, 5, ("risk", "noise")
RISK = RANDOM.normal(size=COUNT)
LABELS = (RANDOM.random(COUNT) < 1 / (1 + np.exp(1 - 2 * RISK))).astype(int)
SERIES = np.stack([RISK[:, None] + 0.1 * RANDOM.normal(size=(COUNT, MONTHS)), RANDOM.normal(size=(COUNT, MONTHS))], 2)
MASK = RANDOM.random((COUNT, MONTHS)) < 0.9
MASK[:, -1] = True


def fitted(**changes: Any) -> FittedModel:
    given = {"series_names": NAMES, "seed": 1, "epochs": 3, "hidden": 4, "min_months": 1, **changes}
    return fit_lstm(SERIES, MASK, LABELS, **given)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_networks_side_by_side_give_the_mean_of_their_margins(count: int) -> None:
    torch.manual_seed(4)
    networks = [series_network(channels=7, hidden=3).eval() for _ in range(count)]
    one = series_network(channels=7, hidden=3 * count).eval()
    one.load_state_dict(averaged([network.state_dict() for network in networks]))
    windows = torch.randn(50, MONTHS, 7)
    windows[:, :, -1] = (torch.rand(50, MONTHS) < 0.8).float()
    with torch.inference_mode():
        expected = torch.stack([network(windows) for network in networks]).mean(0)
        torch.testing.assert_close(one(windows), expected, atol=1e-6, rtol=1e-5)


def test_members_are_fits_of_the_following_seeds() -> None:
    whole = fitted(members=2)
    parts = [fitted(seed=seed) for seed in (1, 2)]
    expected = np.mean([lstm_margins(part, SERIES, MASK) for part in parts], axis=0)
    np.testing.assert_allclose(lstm_margins(whole, SERIES, MASK), expected, atol=1e-6)
    assert whole.spec.hidden == 8 and whole.weights == fitted(members=2).weights


def test_several_networks_are_served_and_explained_as_one() -> None:
    whole = fitted(members=3)
    windows = channels(SERIES, MASK, whole.spec)
    expected = lstm_margins(whole, SERIES, MASK)
    graph = Graph(exported(whole), shape=(MONTHS, 7))
    np.testing.assert_allclose(graph.margins(windows), expected, atol=5e-6)
    np.testing.assert_allclose(SeriesGradients(whole.weights, whole.spec).margins(windows), expected, atol=5e-6)


def test_a_firm_that_counts_nothing_teaches_nothing() -> None:
    """Its label may be anything; those that count turn the other way are learnt the other way."""
    weights = np.where(np.arange(COUNT) < 150, 1.0, 0.0)
    first = fitted(weights=weights, epochs=25, batch=32)
    turned = np.where(weights > 0, LABELS, 1 - LABELS)
    given = {"series_names": NAMES, "seed": 1, "epochs": 25, "hidden": 4, "min_months": 1, "batch": 32}
    second = fit_lstm(SERIES, MASK, turned, weights=weights, **given)
    np.testing.assert_allclose(lstm_margins(first, SERIES, MASK), lstm_margins(second, SERIES, MASK), atol=1e-6)
    plain = fitted(epochs=25, batch=32)
    assert np.abs(lstm_margins(first, SERIES, MASK) - lstm_margins(plain, SERIES, MASK)).max() > 0.05


def test_what_a_batch_hides_is_a_channel_in_all_months_and_never_the_mask() -> None:
    torch.manual_seed(1)
    windows = torch.ones(400, MONTHS, 7)
    hidden = sequences._partly_hidden(windows, 0.5)
    assert torch.equal(hidden[:, :, -1], windows[:, :, -1])
    assert torch.equal(hidden, hidden[:, :1].expand(-1, MONTHS, -1))
    assert set(hidden[:, :, :-1].unique().tolist()) == {0.0, 2.0}
    assert (hidden[:, 0, :-1] == 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert sequences._partly_hidden(windows, 0.0) is windows


def test_weights_of_one_network_stay_as_they_are() -> None:
    weights = load(fitted().weights)
    assert save(averaged([weights])) == save(weights)


def test_epochs_are_the_mean_of_where_networks_stop_by_other_units(monkeypatch: pytest.MonkeyPatch) -> None:
    stops, held = iter([3, 9, 4, 20, 8]), []

    def stopped(series: np.ndarray, mask: np.ndarray, labels: np.ndarray, **given: Any) -> FittedModel:
        held.append(given["holdout"])
        return replace(model, params={"epochs": next(stops)})

    model = fitted()
    monkeypatch.setattr(table_models, "fit_lstm", stopped)
    assert table_models.epochs_for(panel(), Deadline(), seed=1) == (9, 5)
    np.testing.assert_array_equal(np.sum(held, axis=0), np.ones(COUNT))


def test_a_series_that_repeats_another_is_not_read() -> None:
    inputs = replace(panel(), series_names=("assets", "log assets"))
    settings = table_models.Settings((), {}, epochs=1, seed=1)
    model = table_models.fit("lstm", inputs, settings, averages=2)
    assert isinstance(model.spec, LstmSpec) and model.spec.series == ("assets",)
    assert model.params["members"] == 2 and np.isfinite(margins_of(model, inputs)).all()


def panel() -> Inputs:
    ids = tuple(map(str, range(COUNT)))
    times = np.arange(COUNT, dtype=float)
    mask = np.ones_like(MASK)
    return Inputs(ids, RISK[:, None], ("risk",), SERIES, mask, NAMES, labels=LABELS, times=times)
