"""Integrated gradients of the series network in NumPy, from its weights: which cells of a window move its margin.

Source: Sundararajan et al., Axiomatic Attribution for Deep Networks (2017): a cell's share is its distance from the
baseline times the mean gradient on the straight way from the baseline to the window. Neither PyTorch nor a graph is
needed, so that a service which runs graphs can explain them. Everything is float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from decision_service.errors import ModelError
from decision_service.scoring.spec import LstmSpec

Array = NDArray[np.float64]

NODES = 16
MOST_PIECES = 4096
MISSED_BY_A_PIECE, COMPLETE = 1e-7, 5e-6  # log-odds


@dataclass(frozen=True, slots=True)
class _Steps:
    """What the backward pass needs; ``gates`` (months x n x 4 x hidden) are input, forget, new and output."""

    gates: Array
    cells: Array
    states: Array
    mean: Array
    reported: Array


class SeriesGradients:
    """The network of ``network.series_network`` without dropout; raises ``ModelError`` for weights of another shape."""

    def __init__(self, weights: bytes, spec: LstmSpec) -> None:
        try:
            arrays = {name: value.astype(np.float64) for name, value in load(weights).items()}
            into, back = arrays["lstm.weight_ih_l0"], arrays["lstm.weight_hh_l0"]
            bias = arrays["lstm.bias_ih_l0"] + arrays["lstm.bias_hh_l0"]
            self._last, self._mean = np.split(arrays["readout.weight"][0], 2)
            self._constant = float(arrays["readout.bias"][0])
        except (KeyError, IndexError, ValueError, SafetensorError) as error:
            what = f"the weights do not fit the declared architecture ({str(error)[:200]})"
            raise ModelError(what, remedy="register the model again") from error
        found, hidden = (into.shape, back.shape, bias.shape, self._last.shape), spec.hidden
        if found != ((4 * hidden, spec.channels), (4 * hidden, hidden), (4 * hidden,), (hidden,)):
            raise ModelError(f"the weights have shapes {found}, not those of spec.json", remedy="register it again")
        self._hidden = hidden
        self._into_turned, self._back_turned = into, back
        # A sigmoid is half a tangent of the half: with halved weights one call bends all four gates.
        halves = np.repeat([0.5, 0.5, 1.0, 0.5], hidden)
        self._into_halved, self._back_halved = into.T * halves, back.T * halves
        self._bias_halved = bias * halves

    def margins(self, windows: NDArray[np.floating]) -> Array:
        """Log-odds before calibration of n windows (n x months x channels, the last channel is the mask)."""
        return self._forward(np.asarray(windows, dtype=np.float64))[0]

    def gradients(self, windows: NDArray[np.floating]) -> Array:
        """How each cell moves its window's margin: n x months x channels."""
        values = np.asarray(windows, dtype=np.float64)
        return self._backward(values, self._forward(values)[1])

    def integrated(self, window: NDArray[np.floating], baseline: NDArray[np.floating]) -> Array:
        """Shares (months x channels) that sum to ``margin(window) - margin(baseline)`` within 1e-5.

        How much a piece of the way must sum to is known from the margins at its ends: a piece whose shares miss that is
        halved. Raises ``ModelError`` if they still do after ``MOST_PIECES``.
        """
        end, start = np.asarray(window, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
        shares, missed = np.zeros_like(end), 0.0
        pieces = [(0.0, 1.0)]
        for _ in range(MOST_PIECES):
            if not pieces:
                break
            begin, stop = pieces.pop()
            found, apart = self._piece(start, end - start, begin, stop)
            if abs(apart) > MISSED_BY_A_PIECE:
                middle = (begin + stop) / 2.0
                pieces += [(middle, stop), (begin, middle)]
            else:
                shares, missed = shares + found, missed + apart
        if pieces or not abs(missed) <= COMPLETE:
            what = f"integrated gradients miss the margin by {missed:.2e} with {len(pieces)} pieces left"
            raise ModelError(what, remedy="tell the developers")
        return shares

    def _piece(self, start: Array, way: Array, begin: float, stop: float) -> tuple[Array, float]:
        """Shares of one piece of the way, by the rule of Gauss and Legendre, and what they miss of its rise."""
        places, weights = _rule()
        at = np.concatenate([begin + (stop - begin) * places, [begin, stop]])
        windows = start + at[:, np.newaxis, np.newaxis] * way
        margins, steps = self._forward(windows)
        gradients = self._backward(windows, steps)[:NODES]
        found = way * np.tensordot((stop - begin) * weights, gradients, axes=1)
        return found, float(found.sum() - (margins[-1] - margins[-2]))

    def _forward(self, windows: Array) -> tuple[Array, _Steps]:
        count, months, _ = windows.shape
        hidden = self._hidden
        inputs = windows.swapaxes(0, 1) @ self._into_halved + self._bias_halved
        bent = np.empty((months, count, 4 * hidden))
        cells, states = np.zeros((months + 1, count, hidden)), np.zeros((months + 1, count, hidden))
        gates = bent.reshape(months, count, 4, hidden)
        for month in range(months):
            np.tanh(inputs[month] + states[month] @ self._back_halved, out=bent[month])
            into, forget, new, out = gates[month].swapaxes(0, 1)
            for gate in (into, forget, out):
                gate += 1.0
                gate *= 0.5
            cells[month + 1] = forget * cells[month] + into * new
            states[month + 1] = out * np.tanh(cells[month + 1])
        mask = windows[:, :, -1].T[:, :, np.newaxis]
        reported = np.maximum(mask.sum(axis=0), 1.0)
        mean = (states[1:] * mask).sum(axis=0) / reported
        margins = states[-1] @ self._last + mean @ self._mean + self._constant
        return margins, _Steps(gates, cells, states, mean, reported)

    def _backward(self, windows: Array, steps: _Steps) -> Array:
        """Back through the months; the mask also weighs the mean, so it has a gradient there too."""
        months, count, _, hidden = steps.gates.shape
        mask = windows[:, :, -1].T[:, :, np.newaxis]
        into, forget, new, out = (steps.gates[:, :, gate] for gate in range(4))
        bent = np.tanh(steps.cells[1:])
        # By month: what a cell does to its state, and each gate to cell or state.
        of_cell = out * (1.0 - bent**2)
        of_gates = np.empty_like(steps.gates)
        of_gates[:, :, 0] = new * into * (1.0 - into)
        of_gates[:, :, 1] = steps.cells[:-1] * forget * (1.0 - forget)
        of_gates[:, :, 2] = into * (1.0 - new**2)
        of_gates[:, :, 3] = bent * out * (1.0 - out)
        by_mean = mask / steps.reported * self._mean
        slopes = np.empty_like(steps.gates)
        into_state: Array = np.broadcast_to(self._last, (count, hidden))
        into_cell: Array = np.zeros((count, hidden))
        for month in reversed(range(months)):
            into_state = into_state + by_mean[month]
            into_cell = into_cell + into_state * of_cell[month]
            slopes[month, :, :3] = into_cell[:, np.newaxis] * of_gates[month, :, :3]
            slopes[month, :, 3] = into_state * of_gates[month, :, 3]
            into_state = slopes[month].reshape(count, 4 * hidden) @ self._back_turned
            into_cell = into_cell * forget[month]
        found = (slopes.reshape(months, count, 4 * hidden) @ self._into_turned).swapaxes(0, 1)
        counted = (steps.reported > 1.0) * steps.mean  # below one month the divisor stands still
        found[:, :, -1] += ((steps.states[1:] - counted) / steps.reported @ self._mean).T
        return found


@cache
def _rule() -> tuple[Array, Array]:
    """Gauss and Legendre on the way from 0 to 1: places and weights."""
    places, weights = np.polynomial.legendre.leggauss(NODES)
    return (places + 1.0) / 2.0, weights / 2.0
