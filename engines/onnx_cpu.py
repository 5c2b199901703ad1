"""Networks on the processor, with ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from visavis.engines.backend import Feeds
from visavis.engines.errors import PersonFileError
from visavis.engines.onnx_binding import BoundGraph

__all__ = ["OnnxCpuBackend", "OnnxCpuGraph"]

PROVIDER = "CPUExecutionProvider"


class OnnxCpuGraph:
    """One model in one ONNX Runtime session; it may run in several threads at once."""

    def __init__(self, name: str, model: bytes, *, threads: int = 1) -> None:
        self._session = _session(name, model, threads)
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, feeds: Feeds) -> dict[str, NDArray[np.generic]]:
        """Return every output by name; see `backend.Graph`."""
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(feeds)), strict=True))


class OnnxCpuBackend:
    """Makes networks ready to run on the processor; the host's memory is its device's.

    Args:
        threads: threads that one network may use.
    """

    name = f"onnx-cpu (ONNX Runtime {onnxruntime.__version__})"

    def __init__(self, *, threads: int = 1) -> None:
        self._threads = threads

    def load(self, name: str, model: bytes) -> OnnxCpuGraph:
        """Make a network ready; see `backend.Backend`."""
        return OnnxCpuGraph(name, model, threads=self._threads)

    def load_device(self, name: str, model: bytes, *, max_batch: int) -> BoundGraph:
        """Make a network ready to run between addresses; see `device.DeviceBackend`."""
        session = _session(name, model, self._threads)
        return BoundGraph(name, session, "cpu", max_batch=max_batch)


def _session(name: str, model: bytes, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    # Throughput comes from running several sessions of people, not from splitting one network:
    # on a shared machine a stalled helper thread makes a run slower than one thread.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(model, options, providers=[PROVIDER])
    except Exception as error:  # the runtime raises classes that it does not export
        reason = str(error).splitlines()[0][:200]
        raise PersonFileError(f"{name!r} is refused by ONNX Runtime: {reason}") from error
    if session.get_providers() != [PROVIDER]:
        raise PersonFileError(f"{name!r} would not run on {PROVIDER}.")
    return session
