"""The series network as an ONNX graph, and the windows on which both must agree."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import helper
from safetensors.numpy import load as load_arrays
from safetensors.torch import load as load_tensors

from decision_service.scoring.graph import INPUT, OUTPUT
from decision_service.scoring.network import series_network
from decision_service.scoring.rows import Floats, series_window
from decision_service.scoring.spec import LstmSpec
from ml.onnx_file import serialized

PROOF_ROWS = 512
MISSING_SHARE = 0.2
LAYER = ("input_weights", "state_weights", "bias")


def network_graph(weights: bytes, spec: LstmSpec) -> bytes:
    """The layers of ``series_network`` without dropout; ONNX's LSTM wants the months first."""
    node = helper.make_node
    nodes = [
        node("Transpose", [INPUT], ["months_first"], perm=[1, 0, 2]),
        node("LSTM", ["months_first", *LAYER], ["all", "final"], hidden_size=spec.hidden),
        node("Squeeze", ["all", "axis_1"], ["states"]),
        node("Slice", ["months_first", "mask_from", "mask_to", "axis_2"], ["mask"]),
        node("Mul", ["states", "mask"], ["reported"]),
        node("ReduceSum", ["reported", "axis_0"], ["sum"], keepdims=0),
        node("ReduceSum", ["mask", "axis_0"], ["count"], keepdims=0),
        node("Max", ["count", "one"], ["divisor"]),
        node("Div", ["sum", "divisor"], ["mean"]),
        node("Squeeze", ["final", "axis_0"], ["last"]),
        node("Concat", ["last", "mean"], ["summary"], axis=1),
        node("Gemm", ["summary", "readout", "readout_bias"], [OUTPUT], transB=1),
    ]
    axes = {f"axis_{axis}": np.array([axis]) for axis in range(3)}
    mask = {"mask_from": np.array([spec.channels - 1]), "mask_to": np.array([spec.channels])}
    constants = {**_layers(weights), **axes, **mask, "one": np.array(1.0, dtype=np.float32)}
    return serialized(nodes, shape=[spec.months, spec.channels], constants=constants)


def _layers(weights: bytes) -> dict[str, NDArray[np.float32]]:
    arrays = load_arrays(weights)
    bias = np.concatenate([_gates(arrays["lstm.bias_ih_l0"]), _gates(arrays["lstm.bias_hh_l0"])])
    layer = (_gates(arrays["lstm.weight_ih_l0"]), _gates(arrays["lstm.weight_hh_l0"]), bias)
    directions = {name: values[np.newaxis] for name, values in zip(LAYER, layer, strict=True)}  # there is one
    return {**directions, "readout": arrays["readout.weight"], "readout_bias": arrays["readout.bias"]}


def _gates(stacked: NDArray[np.float32]) -> NDArray[np.float32]:
    """Torch stacks input, forget, cell, output; ONNX input, output, forget, cell."""
    into, forget, cell, out = np.split(stacked, 4)
    return np.concatenate([into, out, forget, cell])


def network_rows(weights: bytes, spec: LstmSpec) -> tuple[Floats, NDArray[np.float32]]:
    """Canaries and random windows with unreported months, and their margins."""
    random = np.random.default_rng(0)
    windows = random.normal(size=(PROOF_ROWS, spec.months, spec.channels)).astype(np.float32)
    windows[:, :, -1] = random.random((PROOF_ROWS, spec.months)) >= MISSING_SHARE
    windows = np.concatenate([windows, *(series_window(series, mask, spec) for series, mask, _ in spec.canaries)])
    network = series_network(channels=spec.channels, hidden=spec.hidden)
    network.load_state_dict(load_tensors(weights))
    network.eval()
    with torch.inference_mode():
        return windows, network(torch.from_numpy(windows)).numpy()
