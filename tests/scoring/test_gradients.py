"""The network in NumPy is PyTorch's, forwards and backwards; integrated gradients add up and divide rightly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from models_for_tests import network, world
from safetensors.torch import load
from safetensors.torch import save as save_tensors

from decision_service.errors import ModelError
from decision_service.scoring import gradients as module
from decision_service.scoring.gradients import SeriesGradients
from decision_service.scoring.network import series_network
from decision_service.scoring.rows import channels
from decision_service.scoring.spec import LstmSpec

FITTED = network(epochs=4)
assert isinstance(FITTED.spec, LstmSpec)
SPEC = FITTED.spec
FIRMS = world()
WINDOWS = channels(FIRMS.series, FIRMS.mask, SPEC).astype(np.float64)
BASELINE = WINDOWS[FIRMS.labels == 0].mean(axis=0)


def in_torch() -> torch.nn.Module:
    found = series_network(channels=SPEC.channels, hidden=SPEC.hidden)
    found.load_state_dict(load(FITTED.weights))
    return found.eval().double()


def test_margins_and_gradients_are_those_of_autograd() -> None:
    windows = torch.tensor(WINDOWS, requires_grad=True)
    margins = in_torch()(windows)
    margins.sum().backward()
    found = SeriesGradients(FITTED.weights, SPEC)
    np.testing.assert_allclose(found.margins(WINDOWS), margins.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(found.gradients(WINDOWS), windows.grad.numpy(), atol=1e-12)


def test_less_than_one_reported_month_divides_by_one_as_the_network_does() -> None:
    faint = WINDOWS[:5].copy()
    faint[:, :, -1] *= 0.01
    windows = torch.tensor(faint, requires_grad=True)
    in_torch()(windows).sum().backward()
    np.testing.assert_allclose(SeriesGradients(FITTED.weights, SPEC).gradients(faint), windows.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("strength", [1.0, 8.0], ids=["as fitted", "steep weights"])
def test_shares_add_up_to_the_difference_from_the_baseline(strength: float) -> None:
    tensors = {name: tensor * strength for name, tensor in load(FITTED.weights).items()}
    found = SeriesGradients(save_tensors(tensors), SPEC)
    margins, start = found.margins(WINDOWS), found.margins(BASELINE[np.newaxis])[0]
    for window, margin in list(zip(WINDOWS, margins, strict=True))[:40]:
        assert found.integrated(window, BASELINE).sum() == pytest.approx(margin - start, abs=1e-5)


def test_a_cell_that_is_as_in_the_baseline_has_no_share() -> None:
    window = BASELINE.copy()
    window[20:, 0] -= 1.0
    shares = SeriesGradients(FITTED.weights, SPEC).integrated(window, BASELINE)
    assert np.flatnonzero(shares.any(axis=0)).tolist() == [0] and not shares[:20].any()


def test_shares_that_do_not_add_up_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MISSED_BY_A_PIECE", -1.0)
    monkeypatch.setattr(module, "MOST_PIECES", 9)
    with pytest.raises(ModelError, match="miss the margin"):
        SeriesGradients(FITTED.weights, SPEC).integrated(WINDOWS[0], BASELINE)


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param(lambda: (b"no weights", SPEC), id="no safetensors"),
        pytest.param(lambda: (save_tensors({"readout.bias": torch.zeros(1)}), SPEC), id="a layer is missing"),
        pytest.param(lambda: (FITTED.weights, replace(SPEC, hidden=SPEC.hidden + 1)), id="another size"),
    ],
)
def test_weights_that_do_not_fit_are_refused(spoilt) -> None:
    weights, spec = spoilt()
    with pytest.raises(ModelError):
        SeriesGradients(weights, spec)
