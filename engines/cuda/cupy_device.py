"""The first NVIDIA GPU, through CuPy: the kernels compiled by NVRTC, memory, streams, CUDA graphs.

CuPy is loaded when somebody asks for this device and not before. Not run by us yet: the kernels
were compiled for a GPU and run by the tests' simulator, this module has met nothing but a fake.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.cuda.device import Dim
from visavis.engines.cuda.layout import KERNELS, defines, source
from visavis.engines.cuda_driver import Load, find_gpu
from visavis.engines.errors import BackendUnavailable, DeviceLost, DeviceMemoryFull, EngineError

__all__ = ["NAME", "CupyDevice"]

NAME = "cuda"
U8 = NDArray[np.uint8]
_INSTALL = "pip install cupy-cuda13x, or cupy-cuda12x for a driver of CUDA 12."
_TO_DEVICE, _TO_HOST = 1, 2  # cudaMemcpyKind
# Without fused multiply-adds the GPU computes what the processor does, to the last bit.
_OPTIONS = ("-std=c++17", "--fmad=false")


class _Memory:
    def __init__(self, cupy: Any, nbytes: int) -> None:
        self.nbytes = nbytes
        self._held = cupy.cuda.alloc(max(nbytes, 1))
        self.pointer = int(self._held.ptr)

    def close(self) -> None:
        self._held = None


class _HostMemory:
    def __init__(self, cupy: Any, nbytes: int) -> None:
        self._held = cupy.cuda.alloc_pinned_memory(max(nbytes, 1))
        self.array: U8 = np.frombuffer(self._held, np.uint8, nbytes)

    def close(self) -> None:
        self.array = np.zeros(0, np.uint8)
        self._held = None


class _Stream:
    def __init__(self, cupy: Any, kernels: dict[str, Any]) -> None:
        self._runtime = cupy.cuda.runtime
        self._event = cupy.cuda.Event
        self._errors = (self._runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError)
        self._kernels = kernels
        self._stream: Any = cupy.cuda.Stream(non_blocking=True)
        self.handle = int(self._stream.ptr)

    def upload(self, pointer: int, source: U8) -> None:
        self._copy(pointer, source.ctypes.data, source.nbytes, _TO_DEVICE)

    def download(self, target: U8, pointer: int) -> None:
        self._copy(target.ctypes.data, pointer, target.nbytes, _TO_HOST)

    def _copy(self, target: int, origin: int, nbytes: int, kind: int) -> None:
        with _said(self._errors):
            self._runtime.memcpyAsync(target, origin, nbytes, kind, self.handle)

    def launch(self, kernel: str, grid: Dim, block: Dim, argument: int) -> None:
        with _said(self._errors):
            self._kernels[kernel](grid, block, (np.uint64(argument),), stream=self._stream)

    def capture(self, work: Callable[[], None]) -> Any:
        with _said(self._errors):
            # Relaxed: other threads go on allocating while this one is captured.
            self._stream.begin_capture(self._runtime.streamCaptureModeRelaxed)
            try:
                work()
            finally:
                captured = self._stream.end_capture()
            return captured

    def replay(self, captured: Any) -> None:
        with _said(self._errors):
            captured.launch(self._stream)

    def mark(self) -> Any:
        with _said(self._errors):
            event = self._event(disable_timing=True)
            event.record(self._stream)
            return event

    def after(self, mark: Any) -> None:
        with _said(self._errors):
            self._stream.wait_event(mark)

    def wait(self) -> None:
        with _said(self._errors):
            self._runtime.streamSynchronize(self.handle)

    def close(self) -> None:
        if self._stream is not None:
            self.wait()
            self._stream = None


@contextmanager
def _said(errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn what the CUDA runtime raises into a sentence."""
    try:
        yield
    except errors as error:
        reason = str(error).splitlines()[0][:200]
        raise DeviceLost(f"The GPU failed: {reason}.") from error


class CupyDevice:
    """The first GPU; see `device.Device`.

    Args:
        load_library: loads the driver's library by its name.

    Raises:
        BackendUnavailable: CuPy, the driver or a GPU is missing, or the kernels do not compile.
    """

    def __init__(self, *, load_library: Load = ctypes.CDLL) -> None:
        gpu = find_gpu(NAME, load=load_library)
        try:
            self._cupy: Any = import_module("cupy")
        except ImportError as error:
            reason = "CuPy is not installed" if error.name == "cupy" else "CuPy does not load"
            raise BackendUnavailable(NAME, reason, _INSTALL) from error
        built = int(self._cupy.cuda.runtime.runtimeGetVersion())
        find_gpu(NAME, cuda=(built // 1000, built % 1000 // 10), load=load_library)
        self.name = f"{gpu.name} (CuPy {self._cupy.__version__})"
        options = (*_OPTIONS, *(f"-D{name}={value}" for name, value in defines().items()))
        try:
            module = self._cupy.RawModule(code=source(), options=options, backend="nvrtc")
            self._kernels = {name: module.get_function(name) for name in KERNELS}
        except Exception as error:  # NVRTC's, the driver's and CuPy's own classes
            reason = (str(error) or type(error).__name__).splitlines()[0][:200]
            raise BackendUnavailable(
                NAME, f"NVRTC does not compile the kernels ({reason})", _INSTALL
            ) from error

    def allocate(self, nbytes: int) -> _Memory:
        """Return memory of the GPU; see `device.Device`."""
        try:
            return _Memory(self._cupy, nbytes)
        except self._cupy.cuda.memory.OutOfMemoryError:
            free, _ = self._cupy.cuda.runtime.memGetInfo()
            raise DeviceMemoryFull(self.name, nbytes, int(free)) from None

    def pin(self, nbytes: int) -> _HostMemory:
        """Return pinned memory of the host; see `device.Device`."""
        try:
            return _HostMemory(self._cupy, nbytes)
        except self._cupy.cuda.runtime.CUDARuntimeError as error:
            raise EngineError(
                f"{nbytes >> 20} MiB of the host's memory cannot be pinned for the GPU."
            ) from error

    def stream(self) -> _Stream:
        """Return a new stream; see `device.Device`."""
        return _Stream(self._cupy, self._kernels)
