"""An ONNX model as bytes: one input, one output, the operator versions that the service reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from decision_service.scoring.graph import INPUT, OUTPUT

IR_VERSION = 8
OPSETS = {"": 17, "ai.onnx.ml": 3}


def serialized(
    nodes: Sequence[onnx.NodeProto], *, shape: list[int], constants: Mapping[str, NDArray[Any]]
) -> bytes:
    """A checked model from ``inputs`` (n x ``shape``) to ``margin`` (n x 1)."""
    graph = helper.make_graph(
        nodes,
        "margin",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", *shape])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["rows", 1])],
        [numpy_helper.from_array(np.ascontiguousarray(values), name) for name, values in constants.items()],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
