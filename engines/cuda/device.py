"""What the frame's kernels ask of a GPU: memory, streams, launches, and a CUDA graph.

`cupy_device.CupyDevice` is the real one. The tests have another one, which runs the same kernels'
text on the processor, so that everything above this interface is the same code in both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Device", "Dim", "HostMemory", "Memory", "Stream"]

Dim = tuple[int, int, int]
U8 = NDArray[np.uint8]


class Memory(Protocol):
    """Memory of the device."""

    @property
    def pointer(self) -> int:
        """Address of the first byte, a multiple of 256."""

    @property
    def nbytes(self) -> int:
        """Bytes that were asked for."""

    def close(self) -> None:
        """Give it back; whoever calls knows that nothing uses it any more. Again: nothing."""


class HostMemory(Protocol):
    """Memory of the host that a device reads and writes by itself (pinned)."""

    @property
    def array(self) -> U8:
        """The memory, uint8[n]."""

    def close(self) -> None:
        """Give it back; calling it again does nothing."""


class Stream(Protocol):
    """Work that a device does in order. One thread at a time may use it."""

    @property
    def handle(self) -> int:
        """What a library calls the stream: `cudaStream_t` as a number."""

    def upload(self, pointer: int, source: U8) -> None:
        """Copy `source` uint8[n], pinned, to the device; it must not change before `wait`."""

    def download(self, target: U8, pointer: int) -> None:
        """Copy from the device into `target` uint8[n], pinned; it is there after `wait`."""

    def launch(self, kernel: str, grid: Dim, block: Dim, argument: int) -> None:
        """Run a kernel of `kernels.cu`.

        Args:
            kernel: its name.
            grid: blocks in x, y, z, each at least 1.
            block: threads in x, y, z.
            argument: address of its `Batch` on the device.
        """

    def capture(self, work: Callable[[], None]) -> Any:
        """Call `work`, whose launches are kept instead of run, and return them for `replay`."""

    def replay(self, captured: Any) -> None:
        """Run what was captured on this stream."""

    def mark(self) -> Any:
        """Return a mark behind everything that was put on the stream so far, for `after`."""

    def after(self, mark: Any) -> None:
        """Let what follows on this stream wait for another stream to come to its mark."""

    def wait(self) -> None:
        """Return when everything is done; other threads go on meanwhile.

        Raises:
            DeviceLost: it failed. Nothing that it holds can be trusted then; the other methods
                raise it, too.
        """

    def close(self) -> None:
        """Wait, and end the stream; calling it again does nothing."""


class Device(Protocol):
    """A GPU with the kernels of `kernels.cu`, compiled."""

    @property
    def name(self) -> str:
        """What people call it."""

    def allocate(self, nbytes: int) -> Memory:
        """Return memory of the device, of any content.

        Raises:
            DeviceMemoryFull: there is not so much.
        """

    def pin(self, nbytes: int) -> HostMemory:
        """Return pinned memory of the host, of any content.

        Raises:
            DeviceMemoryFull: there is not so much.
        """

    def stream(self) -> Stream:
        """Return a new stream, which waits for no other."""
