"""ONNX Runtime that runs a model as it is written, node by node.

An 8-bit model then computes in floats between its rounded values, the same on every processor. The
usual way fuses them into 8-bit kernels, which are wrong on processors without VNNI; whether the
file is right must not depend on whoever exports it.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from visavis.engines.backend import Feeds
from visavis.engines.errors import PersonFileError

__all__ = ["PlainBackend"]


class _PlainGraph:
    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]

    def run(self, feeds: Feeds) -> dict[str, NDArray[np.generic]]:
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(feeds)), strict=True))


class PlainBackend:
    """See above; a backend to compare with, not to serve with."""

    name = f"ONNX Runtime {onnxruntime.__version__}, node by node"

    def load(self, name: str, model: bytes) -> _PlainGraph:
        """Make a network ready; see `backend.Backend`."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            return _PlainGraph(
                onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            )
        except Exception as error:  # the runtime raises classes that it does not export
            reason = str(error).splitlines()[0][:200]
            raise PersonFileError(f"{name!r} is refused by ONNX Runtime: {reason}") from error
