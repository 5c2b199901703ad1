"""A GPU that is this processor: the text of `kernels.cu`, compiled by g++, on memory of the host.

Floating-point numbers are those of the GPU: both compilers are told to fuse nothing, and division
and square root are exact to rounding on either. Around each piece of memory lie bytes that nobody
may write; `check` finds who did.
"""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.engines.cuda.device import Dim
from visavis.engines.cuda.layout import KERNELS, defines, source
from visavis.engines.errors import DeviceLost, DeviceMemoryFull

__all__ = ["SimulatedDevice", "build"]

U8 = NDArray[np.uint8]
GUARD, MARK, FRESH = 256, 0xA5, 0xCD


@functools.cache
def build(change: tuple[str, str] | None = None) -> ctypes.CDLL:
    """Return the kernels, compiled for this processor; with one piece of text changed, for toys."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    text = source()
    if change is not None:
        assert text.count(change[0]) >= 1, f"{change[0]!r} does not stand in the kernels"
        text = text.replace(*change)
    with tempfile.TemporaryDirectory() as folder:
        code, library = Path(folder) / "kernels.cpp", Path(folder) / "kernels.so"
        code.write_text(text)
        # Toys are slow, as they run once.
        command = ["g++", "-std=c++17", "-O2" if change is None else "-O0", "-ffp-contract=off"]
        command += [
            "-Wall",
            "-Werror",
            "-shared",
            "-fPIC",
            "-include",
            str(Path(__file__).with_name("simulator.h")),
        ]
        command += [f"-D{name}={value}" for name, value in defines().items()]
        subprocess.run([*command, "-o", library, code], check=True, timeout=60)
        return ctypes.CDLL(str(library))


class SimulatedMemory:
    def __init__(self, device: SimulatedDevice, nbytes: int, *, pinned: bool = False) -> None:
        self.nbytes = nbytes
        self._device = device
        self._whole = np.full(nbytes + 3 * GUARD, MARK, np.uint8)
        self._start = GUARD + -(self._whole.ctypes.data + GUARD) % GUARD
        self.array = self._whole[self._start : self._start + nbytes]
        self.array[:] = FRESH
        self.pointer = self.array.ctypes.data
        self.pinned = pinned
        device.held.append(self)

    def intact(self) -> bool:
        end = self._start + self.nbytes
        around = self._whole[: self._start], self._whole[end:]
        return all((piece == MARK).all() for piece in around)

    def close(self) -> None:
        if self in self._device.held:
            assert self.intact(), "somebody has written beyond the end of memory"
            self._device.held.remove(self)
            self.array[:] = MARK


class SimulatedStream:
    """Does its work when it is given, or, of a lazy device, when somebody waits for it.

    Of a lazy one it is seen who reads too early, or changes what is uploaded before it was.
    """

    def __init__(self, device: SimulatedDevice) -> None:
        self.handle = 1 + max((stream.handle for stream in device.streams), default=0)
        self._device = device
        self._capturing: list[Callable[[], None]] | None = None
        self._queued: list[Callable[[], None]] = []
        self.queued = 0  # in all
        self.known: dict[int, int] = {}  # of each other stream, how much of it comes before
        self.closed = False
        device.streams.append(self)

    def queue(self, work: Callable[[], None]) -> None:
        if self._device.lost:
            raise DeviceLost("The GPU failed: it was pulled out.")
        if self._capturing is not None:
            self._capturing.append(work)
            return
        self.queued += 1
        if self._device.lazy:
            self._queued.append(work)
        else:
            work()

    def upload(self, pointer: int, source: U8) -> None:
        assert self._capturing is None and source.flags.c_contiguous
        self._device.uploads += 1
        self.queue(lambda: _copy(pointer, source.ctypes.data, source.nbytes))

    def download(self, target: U8, pointer: int) -> None:
        assert self._capturing is None and target.flags.c_contiguous
        self._device.downloads += 1
        self.queue(lambda: _copy(target.ctypes.data, pointer, target.nbytes))

    def launch(self, kernel: str, grid: Dim, block: Dim, argument: int) -> None:
        assert min(*grid, *block) >= 1 and np.prod(block) <= 1024, "no GPU takes this"
        assert grid[0] < 2**31 and max(grid[1:]) < 2**16
        device = self._device
        sizes = (ctypes.c_int * 6)(*grid, *block)
        function = ctypes.cast(getattr(device.library, kernel), ctypes.c_void_p)
        device.launches.append((kernel, grid))

        def run() -> None:
            device.library.simulate(function, ctypes.c_void_p(argument), sizes, int(device.reverse))

        self.queue(run)

    def capture(self, work: Callable[[], None]) -> list[Callable[[], None]]:
        self._device.captures += 1
        self._capturing = []
        try:
            work()
        finally:
            captured, self._capturing = self._capturing, None
        return captured

    def replay(self, captured: list[Callable[[], None]]) -> None:
        self._device.replays += 1
        for work in captured:
            self.queue(work)

    def mark(self) -> tuple[SimulatedStream, int]:
        assert self._capturing is None
        return self, self.queued

    def after(self, mark: tuple[SimulatedStream, int]) -> None:
        """Other streams run when somebody waits for them; this one makes them run until there."""
        assert self._capturing is None
        other, count = mark
        self.known[other.handle] = max(count, self.known.get(other.handle, 0))
        if other is not self:
            self.queue(lambda: other.run_until(count))

    def run_until(self, count: int) -> None:
        while self._queued and self.queued - len(self._queued) < count:
            self._queued.pop(0)()

    def wait(self) -> None:
        if self._device.lost:
            raise DeviceLost("The GPU failed: it was pulled out.")
        self.run_until(self.queued)

    def close(self) -> None:
        if not self.closed:
            self.wait()
            self.closed = True
            self._device.streams.remove(self)


class SimulatedDevice:
    """See `visavis.engines.cuda.device.Device`.

    Args:
        change: text of the kernels that is replaced, see `build`.
        reverse: run threads from the last to the first.
        lazy: run nothing before somebody waits.
        capacity: bytes of memory.
    """

    name = "simulator"

    def __init__(
        self,
        *,
        change: tuple[str, str] | None = None,
        reverse: bool = False,
        lazy: bool = False,
        capacity: int = 1 << 40,
    ) -> None:
        self.library = build(change)
        assert all(hasattr(self.library, kernel) for kernel in KERNELS)
        self.reverse = reverse
        self.lazy = lazy
        self.lost = False
        self.capacity = capacity
        self.held: list[SimulatedMemory] = []
        self.streams: list[SimulatedStream] = []
        self.launches: list[tuple[str, Dim]] = []
        self.uploads = self.downloads = self.captures = self.replays = 0

    @property
    def used(self) -> int:
        return sum(memory.nbytes for memory in self.held if not memory.pinned)

    def allocate(self, nbytes: int) -> SimulatedMemory:
        if self.used + nbytes > self.capacity:
            raise DeviceMemoryFull(self.name, nbytes, self.capacity - self.used)
        return SimulatedMemory(self, nbytes)

    def pin(self, nbytes: int) -> SimulatedMemory:
        return SimulatedMemory(self, nbytes, pinned=True)

    def stream(self) -> SimulatedStream:
        return SimulatedStream(self)

    def check(self) -> None:
        """Assert that nobody has written beyond the end of any memory."""
        assert all(memory.intact() for memory in self.held)


def _copy(target: int, origin: int, nbytes: int) -> None:
    ctypes.memmove(target, origin, nbytes)
