"""The CUDA driver itself, called without a library in between: which GPU there is, and its memory.

It answers what every GPU backend must know first (a driver, a device, versions), and gives the few
calls that TensorRT leaves to its caller: memory, copies, a stream. It works in the device's primary
context, which the CUDA runtime, torch and ONNX Runtime share.
https://docs.nvidia.com/cuda/cuda-driver-api/
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import BackendUnavailable, EngineError

__all__ = ["CudaMemory", "Gpu", "Load", "find_gpu"]

LIBRARY = "libcuda.so.1"
VERSION_FILE = Path("/proc/driver/nvidia/version")
_NO_DEVICE = 100
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
_NON_BLOCKING = 1

Load = Callable[..., Any]  # as `ctypes.CDLL`


@dataclass(frozen=True, slots=True)
class Gpu:
    """The first GPU, and the driver that it is reached through.

    Attributes:
        name: as the driver calls it.
        memory_bytes: in all.
        capability: compute capability, as (9, 0).
        cuda: the newest CUDA version that the driver runs, as (13, 0).
        driver: version of the driver, as "580.65.06"; "" where it is not told.
    """

    name: str
    memory_bytes: int
    capability: tuple[int, int]
    cuda: tuple[int, int]
    driver: str


def find_gpu(backend: str, *, cuda: tuple[int, int] | None = None, load: Load = ctypes.CDLL) -> Gpu:
    """Return the first GPU.

    Args:
        backend: who asks, for the message.
        cuda: the CUDA version that it was built with. A driver runs all that was built with its
            own major version or an older one.
        load: loads the driver's library.

    Raises:
        BackendUnavailable: there is no driver or no GPU, or the driver is too old.
    """
    try:
        library = load(LIBRARY)
    except OSError:
        raise BackendUnavailable(
            backend,
            f"there is no NVIDIA driver ({LIBRARY} is missing)",
            "Install the driver, or start the container with --gpus all.",
        ) from None
    if (status := library.cuInit(0)) != 0:
        raise BackendUnavailable(
            backend,
            "the driver finds no GPU"
            if status == _NO_DEVICE
            else f"the NVIDIA driver does not start ({_words(library, status)})",
            "`nvidia-smi` says what it sees; a container needs --gpus all.",
        )
    count, version = ctypes.c_int(), ctypes.c_int()
    library.cuDeviceGetCount(ctypes.byref(count))
    library.cuDriverGetVersion(ctypes.byref(version))
    if count.value == 0:
        raise BackendUnavailable(
            backend, "the driver finds no GPU", "CUDA_VISIBLE_DEVICES may hide it."
        )
    runs = version.value // 1000, version.value % 1000 // 10
    if cuda is not None and runs[0] < cuda[0]:
        raise BackendUnavailable(
            backend,
            f"the driver runs CUDA {runs[0]}.{runs[1]}, and {cuda[0]}.{cuda[1]} is needed",
            "Install a newer driver.",
        )
    device = ctypes.c_int()
    name, size = ctypes.create_string_buffer(256), ctypes.c_size_t()
    major, minor = ctypes.c_int(), ctypes.c_int()
    library.cuDeviceGet(ctypes.byref(device), 0)
    library.cuDeviceGetName(name, len(name), device)
    library.cuDeviceTotalMem_v2(ctypes.byref(size), device)
    library.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
    library.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    return Gpu(
        name.value.decode(errors="replace"),
        size.value,
        (major.value, minor.value),
        runs,
        _driver_version(),
    )


class CudaMemory:
    """Memory and one stream of the first GPU.

    Args:
        load: loads the driver's library.

    Attributes:
        stream: handle of the stream.

    Raises:
        EngineError: the driver refuses.
    """

    def __init__(self, *, load: Load = ctypes.CDLL) -> None:
        self._library = load(LIBRARY)
        self._context = ctypes.c_void_p()
        device, stream = ctypes.c_int(), ctypes.c_void_p()
        self._call("cuInit", 0)
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device)
        self.enter()
        self._call("cuStreamCreate", ctypes.byref(stream), _NON_BLOCKING)
        self.stream = int(stream.value or 0)

    def enter(self) -> None:
        """Make the calling thread use this GPU: contexts belong to threads."""
        self._call("cuCtxSetCurrent", self._context)

    def allocate(self, size: int) -> int:
        """Return the address of so many bytes."""
        pointer = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(max(size, 1)))
        return pointer.value

    def free(self, pointer: int) -> None:
        """Give memory back."""
        self._call("cuMemFree_v2", ctypes.c_uint64(pointer))

    def upload(self, pointer: int, array: NDArray[np.generic]) -> None:
        """Copy an array, C order, to the device, in turn with the stream."""
        self._call(
            "cuMemcpyHtoDAsync_v2",
            ctypes.c_uint64(pointer),
            ctypes.c_void_p(array.ctypes.data),
            ctypes.c_size_t(array.nbytes),
            ctypes.c_void_p(self.stream),
        )

    def download(self, array: NDArray[np.generic], pointer: int) -> None:
        """Fill an array, C order, from the device; it is full after `synchronize`."""
        self._call(
            "cuMemcpyDtoHAsync_v2",
            ctypes.c_void_p(array.ctypes.data),
            ctypes.c_uint64(pointer),
            ctypes.c_size_t(array.nbytes),
            ctypes.c_void_p(self.stream),
        )

    def synchronize(self) -> None:
        """Wait until the stream has done all that was put on it."""
        self._call("cuStreamSynchronize", ctypes.c_void_p(self.stream))

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._library, function)(*arguments)
        if status != 0:
            raise EngineError(f"The GPU refuses {function}: {_words(self._library, status)}.")


def _words(library: Any, status: int) -> str:
    text = ctypes.c_char_p()
    library.cuGetErrorString(status, ctypes.byref(text))
    return f"{(text.value or b'unknown error').decode(errors='replace')}, error {status}"


def _driver_version(path: Path = VERSION_FILE) -> str:
    try:
        found = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", path.read_text())
    except OSError:
        return ""
    return found.group(1) if found else ""
