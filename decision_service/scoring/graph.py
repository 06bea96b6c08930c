"""One ONNX graph as a function from an array of inputs to margins: the fast way to score a single row.

ONNX Runtime is imported where the first graph is loaded: most commands load none.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from decision_service.errors import ModelError
from decision_service.scoring.rows import Floats

if TYPE_CHECKING:
    import onnxruntime

GRAPH_FILE = "model.onnx"
INPUT, OUTPUT = "inputs", "margin"


class GraphFailed(ModelError):
    """A sound graph did not run, for want of memory perhaps: no word about the row that it was given."""


class Graph:
    """A loaded graph; one thread, without a pool of its own, safe under threads.

    ``shape`` is that of one row of ``inputs``, the only input (float32, n x ``shape``); ``margin`` (float32, n x 1) is
    the only output. Raises ``ModelError`` for bytes that are no such graph.
    """

    def __init__(self, content: bytes, *, shape: tuple[int, ...]) -> None:
        import onnxruntime

        try:
            self._session = onnxruntime.InferenceSession(content, _options(), providers=["CPUExecutionProvider"])
        except _failures() as error:
            raise ModelError(f"the ONNX graph cannot be read ({str(error)[:200]})") from error
        found = [(one.name, one.type, tuple(one.shape[1:])) for one in self._session.get_inputs()]
        if found != [(INPUT, "tensor(float)", shape)]:
            raise ModelError(f"the ONNX graph reads {found}, spec.json needs {shape}")
        if [one.name for one in self._session.get_outputs()] != [OUTPUT]:
            raise ModelError(f"the ONNX graph does not give just {OUTPUT!r}")

    def margins(self, inputs: Floats) -> Floats:
        """Log-odds before calibration of n rows (n x ``shape``); raises ``GraphFailed``."""
        try:
            (margins,) = self._session.run((OUTPUT,), {INPUT: inputs})
        except _failures() as error:
            remedy = "see whether the machine has memory left, and try again"
            raise GraphFailed(f"the ONNX graph failed ({str(error)[:200]})", remedy=remedy) from error
        return margins[:, 0]


def _options() -> onnxruntime.SessionOptions:
    """A thread pool would only spin between single rows, and an arena only grow."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return options


@cache
def _failures() -> tuple[type[Exception], ...]:
    """ONNX Runtime's exceptions; they have no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    return (
        native.EngineError,
        native.EPFail,
        native.Fail,
        native.InvalidArgument,
        native.InvalidGraph,
        native.InvalidProtobuf,
        native.NoModel,
        native.NotImplemented,
        native.RuntimeException,
    )
