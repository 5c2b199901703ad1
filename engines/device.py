"""Networks on memory that lies on a device already: what a frame that never leaves a GPU asks for.

A `Graph` takes and gives arrays of the host. A `DeviceGraph` is told where its inputs lie and where
its outputs shall, and puts its work on the caller's stream: nothing is copied to the host, nobody
waits. Whoever calls owns the memory and the stream, and keeps both for as long as work is queued.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from visavis.engines.backend import Backend

__all__ = ["DeviceArray", "DeviceBackend", "DeviceGraph", "host_array", "view_of_host"]


@dataclass(frozen=True, slots=True)
class DeviceArray:
    """An array in the memory of a device, C-contiguous.

    Attributes:
        pointer: address of the first element; of the processor's memory for a backend that runs
            on the processor.
        shape: sizes, the batch first.
        dtype: of an element.
    """

    pointer: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return math.prod(self.shape) * self.dtype.itemsize


class DeviceGraph(Protocol):
    """A network that is ready to run on a device."""

    @property
    def capture_key(self) -> Hashable | None:
        """Whether `enqueue` may be captured into the caller's own CUDA graph.

        None: it may not, as the network replays a graph of its own. Otherwise what was captured
        stays valid while this value stays the same; it changes where another engine takes over.
        """

    def enqueue(
        self,
        feeds: Mapping[str, DeviceArray],
        outputs: Mapping[str, DeviceArray],
        stream: int,
    ) -> None:
        """Put one run on a stream and return at once.

        The first call with a batch size, a stream or other addresses may be slow and may allocate:
        it belongs into the warm-up. Later ones allocate nothing.

        Args:
            feeds: every input by name, float32[N, ...].
            outputs: every output by name, with the type and the shape that the graph gives.
            stream: handle of a CUDA stream (`cudaStream_t`) as a number; 0 on the processor.

        Raises:
            EngineError: the run cannot be queued, or N is more than the graph was loaded for.
        """


@runtime_checkable
class DeviceBackend(Backend, Protocol):
    """A backend that also runs networks on memory of its device."""

    def load_device(self, name: str, model: bytes, *, max_batch: int) -> DeviceGraph:
        """Make a network ready to run on memory of the device.

        Args:
            name: the part's name, for messages.
            model: an ONNX model.
            max_batch: the largest N that will come.

        Raises:
            PersonFileError: the runtime refuses the model.
        """


def host_array(array: NDArray[np.generic]) -> DeviceArray:
    """Return where an array of the host lies; the caller keeps it alive.

    Raises:
        ValueError: it is not C-contiguous.
    """
    if not array.flags.c_contiguous:
        raise ValueError("Only a C-contiguous array can be handed on by its address.")
    return DeviceArray(array.ctypes.data, array.shape, array.dtype)


def view_of_host(array: DeviceArray) -> NDArray[np.generic]:
    """Return host memory as an array, without a copy; whoever owns it keeps it alive."""
    if array.nbytes == 0:
        return np.zeros(array.shape, array.dtype)
    memory = memoryview((ctypes.c_byte * array.nbytes).from_address(array.pointer)).cast("B")
    return np.frombuffer(memory, array.dtype).reshape(array.shape)
