"""Fits the LSTM on monthly series with a mask; the scaling is learnt from the training firms only."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from decision_service.errors import InputError
from decision_service.scoring.network import DROPOUT, series_network
from decision_service.scoring.rows import channels, relative_and_level
from decision_service.scoring.spec import Calibration, LstmSpec
from ml.fitted import Array, FittedModel, with_canaries
from ml.trees import CANARY_QUANTILES, checked_labels

Mask = NDArray[np.bool_]
LEAST_SPREAD = 1e-3
GRADIENT_NORM = 1.0
GATES = 4


def fit_lstm(
    series: Array,
    mask: Mask,
    labels: NDArray[np.int_],
    *,
    series_names: Sequence[str],
    seed: int,
    holdout: Mask | None = None,
    weights: Array | None = None,
    members: int = 1,
    hidden: int = 16,
    epochs: int = 30,
    patience: int = 5,
    batch: int = 256,
    learning_rate: float = 3e-3,
    weight_decay: float = 1e-4,
    input_dropout: float = 0.0,
    readout_dropout: float = DROPOUT,
    min_months: int = 6,
) -> FittedModel:
    """An LSTM on n firms x months x F (nan: not reported) with a mask n x months, labels 1 = defaulted.

    Firms with fewer than ``min_months`` reported months are left out. ``holdout`` marks firms kept out of the fit;
    the epoch with the least loss on them is kept. ``weights``: how much each firm counts. ``members`` networks of other
    seeds become one whose margin is their mean. Not calibrated yet: see ``calibrate``. Raises ``InputError``.
    """
    series, mask = _checked(series, mask, series_names)
    labels = checked_labels(labels, len(series))
    enough = mask.sum(axis=1) >= min_months
    held = enough & (np.zeros(len(series), dtype=bool) if holdout is None else np.asarray(holdout, dtype=bool))
    fit_rows = enough & ~held
    checked_labels(labels[fit_rows], int(fit_rows.sum()))
    spec = _spec(series[fit_rows], mask[fit_rows], series_names, hidden=hidden, min_months=min_months)
    counted = np.ones(len(series)) if weights is None else weights
    whole = _Data(*map(torch.from_numpy, (channels(series, mask, spec), labels, counted)))
    data, kept_out = whole.rows(fit_rows), whole.rows(held)
    networks, done = [], []
    with _one_thread():
        for member in range(members):
            torch.manual_seed(seed + member)
            network = series_network(channels=spec.channels, hidden=hidden, dropout=readout_dropout)
            optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, weight_decay=weight_decay)
            course = _Course(optimizer, epochs, patience, batch, input_dropout)
            done.append(_train(network, data, kept_out, course))
            networks.append(network)
    params = {
        "hidden": hidden,
        "members": members,
        "epochs": max(done),
        "batch": batch,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "input_dropout": input_dropout,
        "readout_dropout": readout_dropout,
        "seed": seed,
        "rows": int(fit_rows.sum()),
    }
    tensors = averaged([network.state_dict() for network in networks])
    rate = float(labels[fit_rows].mean())
    spec = replace(spec, hidden=members * hidden)
    spec = _with_inputs(spec, series[fit_rows], mask[fit_rows], rate)
    sound = fit_rows & (labels == 0)
    spec = replace(spec, healthy=_healthy(series[sound], mask[sound]))
    return with_canaries(FittedModel(save_tensors(tensors), spec, params))


def averaged(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The weights of one network whose margin is the mean of the networks' margins: their states side by side.

    Each gate holds all networks' units; a unit sees the earlier states of its own network only.
    """

    def stacked(name: str, joined: Callable[..., Tensor]) -> Tensor:
        gates = zip(*(state[name].chunk(GATES) for state in states), strict=True)
        return torch.cat([joined(*gate) for gate in gates]).contiguous()

    def after_one_another(*gate: Tensor) -> Tensor:
        return torch.cat(gate)

    halves = zip(*(state["readout.weight"].chunk(2, dim=1) for state in states), strict=True)
    return {
        "lstm.weight_ih_l0": stacked("lstm.weight_ih_l0", after_one_another),
        "lstm.weight_hh_l0": stacked("lstm.weight_hh_l0", torch.block_diag),
        "lstm.bias_ih_l0": stacked("lstm.bias_ih_l0", after_one_another),
        "lstm.bias_hh_l0": stacked("lstm.bias_hh_l0", after_one_another),
        "readout.weight": torch.cat([torch.cat(half, dim=1) for half in halves], dim=1) / len(states),
        "readout.bias": torch.stack([state["readout.bias"] for state in states]).mean(dim=0),
    }


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order, so that the same seed gives the same weights; a small network gains nothing from more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _checked(series: Array, mask: Mask, names: Sequence[str]) -> tuple[Array, Mask]:
    values, months = np.asarray(series, dtype=float), np.asarray(mask, dtype=bool)
    if values.ndim != 3 or values.shape[2] != len(names) or months.shape != values.shape[:2]:
        raise InputError(f"series {values.shape} and mask {months.shape} do not fit {len(names)} named series")
    if np.isinf(values).any():
        raise InputError("the series hold an infinite value", remedy="correct the records")
    return values, months


def _spec(series: Array, mask: Mask, names: Sequence[str], *, hidden: int, min_months: int) -> LstmSpec:
    """Scaling from training firms: spread of monthly distances, mean and spread of levels, on the signed log scale."""
    relative, known, level, has_level = relative_and_level(series, mask)
    count = np.maximum(known.sum(axis=(0, 1)), 1)
    firms = np.maximum(has_level.sum(axis=0), 1)
    mean = np.where(has_level, level, 0.0).sum(axis=0) / firms
    variance = np.where(has_level, (level - mean) ** 2, 0.0).sum(axis=0) / firms
    return LstmSpec(
        series=tuple(names),
        months=series.shape[1],
        hidden=hidden,
        min_months=min_months,
        spread=_positive(np.sqrt((relative**2).sum(axis=(0, 1)) / count)),
        level_mean=tuple(float(value) for value in mean),
        level_spread=_positive(np.sqrt(variance)),
        calibration=Calibration(1.0, 0.0, 0.5),
        canaries=(),
    )


def _positive(spread: Array) -> tuple[float, ...]:
    return tuple(float(value) if value > LEAST_SPREAD else 1.0 for value in spread)


class _Data(NamedTuple):
    """Windows, labels, and how much each firm counts."""

    windows: Tensor
    labels: Tensor
    weights: Tensor

    def rows(self, chosen: Mask | Tensor) -> _Data:
        """Some firms only."""
        return _Data(self.windows[chosen], self.labels[chosen].float(), self.weights[chosen].float())


@dataclass(frozen=True, slots=True)
class _Course:
    """How a network is trained. ``input_dropout``: share of a firm's channels that a batch hides, in all its months."""

    optimizer: torch.optim.Optimizer
    epochs: int
    patience: int
    batch: int
    input_dropout: float


def _train(network: nn.Module, data: _Data, held: _Data, course: _Course) -> int:
    """Epochs over shuffled batches; the best one on ``held`` (if any) is restored. Returns the epochs kept."""
    best: tuple[float, int, dict[str, Any]] = (float("inf"), course.epochs, {})
    for epoch in range(1, course.epochs + 1):
        _epoch(network, data, course)
        if not len(held.labels):
            continue
        network.eval()
        with torch.inference_mode():
            loss = float(_loss(network, held))
        if loss < best[0]:
            best = (loss, epoch, copy.deepcopy(network.state_dict()))
        elif epoch - best[1] >= course.patience:
            break
    if best[2]:
        network.load_state_dict(best[2])
    network.eval()
    return best[1]


def _epoch(network: nn.Module, data: _Data, course: _Course) -> None:
    network.train()
    for part in torch.randperm(len(data.labels)).split(course.batch):
        course.optimizer.zero_grad()
        some = data.rows(part)
        _loss(network, some._replace(windows=_partly_hidden(some.windows, course.input_dropout))).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
        course.optimizer.step()


def _partly_hidden(windows: Tensor, share: float) -> Tensor:
    """The windows with some channels of each at zero, the others larger for it; never the mask."""
    if not share:
        return windows
    kept = nn.functional.dropout(torch.ones(len(windows), 1, windows.shape[2]), share)
    kept[:, :, -1] = 1.0
    return windows * kept


def _loss(network: nn.Module, data: _Data) -> Tensor:
    return binary_cross_entropy_with_logits(network(data.windows), data.labels, weight=data.weights)


def _with_inputs(spec: LstmSpec, series: Array, mask: Mask, rate: float) -> LstmSpec:
    """Canary inputs: made-up firms at quantiles of each month; no real firm's series is kept with the model."""
    values = np.where(mask[:, :, np.newaxis], series, np.nan)
    canaries = []
    for quantile in CANARY_QUANTILES:
        window = _monthly_quantile(values, quantile)
        canaries.append((tuple(map(tuple, window.tolist())), (True,) * spec.months, 0.5))
    return replace(spec, calibration=Calibration(1.0, 0.0, rate), canaries=tuple(canaries))


def _healthy(series: Array, mask: Mask) -> tuple[tuple[float | None, ...], ...] | None:
    """A made-up firm at the median of each month of those that did not default."""
    window = _monthly_quantile(np.where(mask[:, :, np.newaxis], series, np.nan), 0.5)
    if np.isnan(window).all():
        return None
    return tuple(tuple(None if value != value else value for value in month) for month in window.tolist())


def _monthly_quantile(values: Array, quantile: float) -> Array:
    """T x F quantiles over firms; nan where no firm reports."""
    known = ~np.isnan(values).all(axis=0)
    window = np.full(values.shape[1:], np.nan)
    window[known] = np.nanquantile(values[:, known], quantile, axis=0)
    return window
