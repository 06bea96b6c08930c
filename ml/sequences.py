"""Fits the LSTM on monthly series with a mask; the scaling is learnt from the training firms only."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from decision_service.errors import InputError
from decision_service.scoring.network import series_network
from decision_service.scoring.rows import channels, relative_and_level
from decision_service.scoring.spec import Calibration, LstmSpec
from ml.fitted import Array, FittedModel, with_canaries
from ml.trees import CANARY_QUANTILES, checked_labels

Mask = NDArray[np.bool_]
LEAST_SPREAD = 1e-3
GRADIENT_NORM = 1.0


def fit_lstm(
    series: Array,
    mask: Mask,
    labels: NDArray[np.int_],
    *,
    series_names: Sequence[str],
    seed: int,
    holdout: Mask | None = None,
    hidden: int = 16,
    epochs: int = 30,
    patience: int = 5,
    batch: int = 256,
    learning_rate: float = 3e-3,
    weight_decay: float = 1e-4,
    min_months: int = 6,
) -> FittedModel:
    """An LSTM on n firms x months x F (nan: not reported) with a mask n x months, labels 1 = defaulted.

    Firms with fewer than ``min_months`` reported months are left out. ``holdout`` marks firms kept out of the fit;
    the epoch with the least loss on them is kept. Not calibrated yet: see ``calibrate``. Raises ``InputError``.
    """
    series, mask = _checked(series, mask, series_names)
    labels = checked_labels(labels, len(series))
    enough = mask.sum(axis=1) >= min_months
    held = enough & (np.zeros(len(series), dtype=bool) if holdout is None else np.asarray(holdout, dtype=bool))
    fit_rows = enough & ~held
    checked_labels(labels[fit_rows], int(fit_rows.sum()))
    spec = _spec(series[fit_rows], mask[fit_rows], series_names, hidden=hidden, min_months=min_months)
    windows = torch.from_numpy(channels(series, mask, spec))
    targets = torch.from_numpy(labels.astype(np.float32))
    with _one_thread():
        torch.manual_seed(seed)
        network = series_network(channels=spec.channels, hidden=hidden)
        optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, weight_decay=weight_decay)
        data, kept_out = ((windows[rows], targets[rows]) for rows in (fit_rows, held))
        done = _train(network, data, kept_out, optimizer=optimizer, epochs=epochs, patience=patience, batch=batch)
    params = {
        "hidden": hidden,
        "epochs": done,
        "batch": batch,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "seed": seed,
        "rows": int(fit_rows.sum()),
    }
    weights = save_tensors({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    rate = float(labels[fit_rows].mean())
    spec = _with_inputs(spec, series[fit_rows], mask[fit_rows], rate)
    sound = fit_rows & (labels == 0)
    spec = replace(spec, healthy=_healthy(series[sound], mask[sound]))
    return with_canaries(FittedModel(weights, spec, params))


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


def _train(
    network: nn.Module,
    data: tuple[Tensor, Tensor],
    held: tuple[Tensor, Tensor],
    *,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    patience: int,
    batch: int,
) -> int:
    """Epochs over shuffled batches; the best one on ``held`` (if any) is restored. Returns the epochs kept."""
    best: tuple[float, int, dict[str, Any]] = (float("inf"), epochs, {})
    for epoch in range(1, epochs + 1):
        _epoch(network, data, optimizer, batch=batch)
        if not len(held[1]):
            continue
        loss = _loss(network, held)
        if loss < best[0]:
            best = (loss, epoch, copy.deepcopy(network.state_dict()))
        elif epoch - best[1] >= patience:
            break
    if best[2]:
        network.load_state_dict(best[2])
    network.eval()
    return best[1]


def _epoch(
    network: nn.Module, data: tuple[Tensor, Tensor], optimizer: torch.optim.Optimizer, *, batch: int
) -> None:
    network.train()
    for part in torch.randperm(len(data[1])).split(batch):
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(network(data[0][part]), data[1][part]).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
        optimizer.step()


def _loss(network: nn.Module, held: tuple[Tensor, Tensor]) -> float:
    network.eval()
    with torch.inference_mode():
        return float(binary_cross_entropy_with_logits(network(held[0]), held[1]))


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
