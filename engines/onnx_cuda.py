"""Networks on an NVIDIA GPU, with ONNX Runtime's CUDA provider.

The runtime falls back to the processor with no more than a line in its log when the provider cannot
be loaded, and node by node where it lacks a kernel. Both are refused here: asked for CUDA, it is
CUDA or a sentence. TF32 is off, as its ten bits are not what `fp32` says; a GPU has `fp16` for
speed.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import threading
from collections.abc import Mapping
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.backend import Feeds
from visavis.engines.cuda_driver import Load, find_gpu
from visavis.engines.device import DeviceArray
from visavis.engines.errors import BackendUnavailable, EngineError, PersonFileError
from visavis.engines.onnx_binding import BoundGraph

__all__ = ["OnnxCudaBackend", "OnnxCudaDeviceGraph", "OnnxCudaGraph"]

NAME = "onnx-cuda"
PROVIDER = "CUDAExecutionProvider"
MAX_STREAMS = 4
INSTALL = "pip install 'visavis[gpu]'"
_REPAIR = f"pip uninstall onnxruntime onnxruntime-gpu, then {INSTALL}."


class OnnxCudaGraph:
    """One model in one session, from arrays of the host to arrays of the host."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]

    def run(self, feeds: Feeds) -> dict[str, NDArray[np.generic]]:
        """Return every output by name; see `backend.Graph`."""
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(feeds)), strict=True))


class OnnxCudaDeviceGraph:
    """One model on memory of the GPU.

    A session is tied to one stream for its life, so the first run on a stream makes one.
    """

    capture_key = None

    def __init__(self, backend: OnnxCudaBackend, name: str, model: bytes, max_batch: int) -> None:
        self._backend = backend
        self._name = name
        self._model = model
        self._max_batch = max_batch
        self._bound: dict[int, BoundGraph] = {}
        self._lock = threading.Lock()

    def enqueue(
        self,
        feeds: Mapping[str, DeviceArray],
        outputs: Mapping[str, DeviceArray],
        stream: int,
    ) -> None:
        """Put one run on a stream; see `device.DeviceGraph`."""
        bound = self._bound.get(stream) or self._bind(stream)
        bound.enqueue(feeds, outputs, stream)

    def _bind(self, stream: int) -> BoundGraph:
        with self._lock:
            if stream not in self._bound:
                if len(self._bound) == MAX_STREAMS:
                    raise EngineError(f"{self._name!r} runs on {MAX_STREAMS} streams at most.")
                session = self._backend.session(self._name, self._model, stream=stream)
                self._bound[stream] = BoundGraph(
                    self._name, session, "cuda", max_batch=self._max_batch, graphs=True
                )
            return self._bound[stream]


class OnnxCudaBackend:
    """Makes networks ready to run on the first NVIDIA GPU.

    Args:
        load_library: loads a shared library by its name.

    Raises:
        BackendUnavailable: ONNX Runtime, its CUDA build, the driver or a GPU is missing.
    """

    # 8-bit graphs run on CUDA as floats between rounded values: slower than the floats alone.
    variants = frozenset({"fp32", "fp16"})

    def __init__(self, *, load_library: Load = ctypes.CDLL) -> None:
        try:
            self._runtime = import_module("onnxruntime")
        except ImportError:
            raise BackendUnavailable(NAME, "ONNX Runtime is not installed", f"{INSTALL}.") from None
        self._load_library = load_library
        self.name = f"{NAME} (ONNX Runtime {self._runtime.__version__})"
        if PROVIDER not in self._runtime.get_available_providers():
            raise _without_provider()
        built = getattr(self._runtime, "cuda_version", "") or ""
        major, _, minor = built.partition(".")
        wanted = (int(major), int(minor or 0)) if major.isdigit() else None
        find_gpu(NAME, cuda=wanted, load=load_library)
        # Finds the libraries that pip installed beside the runtime; it prints what it does not.
        with contextlib.redirect_stdout(io.StringIO()):
            self._runtime.preload_dlls()

    def load(self, name: str, model: bytes) -> OnnxCudaGraph:
        """Make a network ready; see `backend.Backend`."""
        return OnnxCudaGraph(self.session(name, model))

    def load_device(self, name: str, model: bytes, *, max_batch: int) -> OnnxCudaDeviceGraph:
        """Make a network ready to run on memory of the GPU; see `device.DeviceBackend`."""
        return OnnxCudaDeviceGraph(self, name, model, max_batch)

    def session(self, name: str, model: bytes, *, stream: int | None = None) -> Any:
        """Return an `onnxruntime.InferenceSession` that runs on the GPU and nowhere else.

        Args:
            stream: the stream that it shall use, and capture CUDA graphs of; its own where None.

        Raises:
            PersonFileError: the runtime refuses the model, or has no CUDA kernel for part of it.
            BackendUnavailable: the provider itself cannot be loaded.
        """
        options = self._runtime.SessionOptions()
        options.log_severity_level = 4
        provider = {
            "device_id": "0",
            "use_tf32": "0",
            # Grow by what is asked for, once: afterwards every run finds its memory there.
            "arena_extend_strategy": "kSameAsRequested",
            "cudnn_conv_algo_search": "EXHAUSTIVE",
            "cudnn_conv_use_max_workspace": "1",
        }
        if stream is not None:
            provider |= {"user_compute_stream": str(stream), "enable_cuda_graph": "1"}
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            session = self._open(model, options, provider)
        except Exception as error:  # the runtime raises classes that it does not export
            # With the fallback switched off it blames the model for a provider that is missing.
            if (missing := self._missing(model, provider)) is not None:
                raise BackendUnavailable(NAME, missing, _ADVICE) from error
            reason = (str(error) or type(error).__name__).splitlines()[0][:200]
            raise PersonFileError(f"{name!r} is refused by ONNX Runtime: {reason}") from error
        if session.get_providers()[0] != PROVIDER:
            raise BackendUnavailable(NAME, "ONNX Runtime would run on the processor", _ADVICE)
        return session

    def _open(self, model: bytes, options: Any, provider: dict[str, str]) -> Any:
        return self._runtime.InferenceSession(model, options, providers=[(PROVIDER, provider)])

    def _missing(self, model: bytes, provider: dict[str, str]) -> str | None:
        """Return why the provider does not load, in the loader's own words; None where it does."""
        options = self._runtime.SessionOptions()
        options.log_severity_level = 4
        try:
            if self._open(model, options, provider).get_providers()[0] == PROVIDER:
                return None
        except Exception:  # then it is the model
            return None
        folder = Path(str(self._runtime.__file__)).parent / "capi"
        try:
            for library in ("shared", "cuda"):
                path = folder / f"libonnxruntime_providers_{library}.so"
                self._load_library(str(path), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            return f"its CUDA provider does not load ({str(error)[:200]})"
        return "its CUDA provider does not start"


_ADVICE = "pip install 'onnxruntime-gpu[cuda,cudnn]' brings the libraries that it was built with."


def _without_provider() -> BackendUnavailable:
    found = {name for name in ("onnxruntime", "onnxruntime-gpu") if _installed(name)}
    if len(found) == 2:
        return BackendUnavailable(
            NAME,
            "onnxruntime and onnxruntime-gpu are both installed, and one has overwritten the other",
            _REPAIR,
        )
    return BackendUnavailable(NAME, "the ONNX Runtime here is built for processors only", _REPAIR)


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
