"""CuPy and the driver, as far as `CupyDevice` knows them, on this processor: for its calls alone.

Arguments are those of CuPy 13 and 14 (`cupy/_core/raw.pyx`, `cupy/cuda/stream.pyx`,
`cupy/cuda/function.pyx`); what is refused is refused with the classes that CuPy raises.
"""

from __future__ import annotations

import ctypes
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.engines.cuda.simulator import SimulatedDevice, SimulatedMemory, SimulatedStream

__all__ = ["FakeCupy", "FakeDriver"]


class FakeDriver:
    """libcuda: one GPU, CUDA 13.0."""

    def __init__(self, *, devices: int = 1, version: int = 13000) -> None:
        self._devices = devices
        self._version = version

    def cuInit(self, flags: int) -> int:
        return 0 if self._devices else 100

    def cuDeviceGetCount(self, out: Any) -> int:
        out._obj.value = self._devices
        return 0

    def cuDriverGetVersion(self, out: Any) -> int:
        out._obj.value = self._version
        return 0

    def cuDeviceGetName(self, out: Any, size: int, device: Any) -> int:
        out.value = b"Fake H200"
        return 0

    def __getattr__(self, name: str) -> Callable[..., int]:
        if not name.startswith("cu"):
            raise AttributeError(name)
        return lambda *arguments: 0


class CUDARuntimeError(RuntimeError):
    pass


class CUDADriverError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


class CompileException(Exception):
    pass


class _Pinned(bytearray):
    """As CuPy's, it offers its bytes as a buffer."""


class FakeCupy(types.ModuleType):
    """The module.

    Args:
        compile_error: what NVRTC says, or None.
        capacity: bytes of the GPU.
    """

    __version__ = "14.0.0"

    def __init__(self, *, compile_error: str | None = None, capacity: int = 1 << 40) -> None:
        super().__init__("cupy")
        self.simulator = SimulatedDevice(capacity=capacity)
        self.failing = False
        self.compile_error = compile_error
        self.options: tuple[str, ...] = ()
        self.kernels: list[str] = []
        self.streams: dict[int, SimulatedStream] = {}
        fake = self

        class RawModule:
            def __init__(self, *, code: str, options: tuple[str, ...], backend: str) -> None:
                assert backend == "nvrtc" and isinstance(options, tuple) and "__global__" in code
                fake.options = options

            def get_function(self, name: str) -> Callable[..., None]:
                if fake.compile_error is not None:
                    raise CompileException(fake.compile_error)
                fake.kernels.append(name)

                def launch(
                    grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], *,
                    shared_mem: int = 0, stream: Any = None,
                ) -> None:  # fmt: skip
                    fake.check()
                    (argument,) = args
                    assert isinstance(argument, np.uint64) and len(grid) == len(block) == 3
                    stream.simulated.launch(name, grid, block, int(argument))

                return launch

        class Stream:
            def __init__(self, *, non_blocking: bool) -> None:
                assert non_blocking
                self.simulated = fake.simulator.stream()
                self.ptr = self.simulated.handle
                self.captured: list[Callable[[], None]] | None = None
                fake.streams[self.ptr] = self.simulated

            def begin_capture(self, mode: int) -> None:
                assert mode == 2
                self.simulated._capturing = []

            def end_capture(self) -> Any:
                captured, self.simulated._capturing = self.simulated._capturing, None
                return types.SimpleNamespace(
                    launch=lambda stream: stream.simulated.replay(captured)
                )

            def wait_event(self, event: Any) -> None:
                self.simulated.after(event.mark)

        class Event:
            def __init__(self, *, disable_timing: bool) -> None:
                assert disable_timing
                self.mark: Any = None

            def record(self, stream: Stream) -> None:
                fake.check()
                self.mark = stream.simulated.mark()

        def alloc(nbytes: int) -> Any:
            try:
                memory = fake.simulator.allocate(nbytes)
            except Exception as error:
                raise OutOfMemoryError(str(error)) from None
            return _Held(memory)

        def memcpy_async(target: int, origin: int, nbytes: int, kind: int, stream: int) -> None:
            fake.check()
            assert kind in (1, 2)
            fake.streams[stream].queue(lambda: _move(target, origin, nbytes))

        def synchronize(stream: int) -> None:
            fake.check()
            fake.streams[stream].wait()

        self.RawModule = RawModule
        self.cuda = types.SimpleNamespace(
            alloc=alloc,
            alloc_pinned_memory=lambda nbytes: _Pinned(nbytes),
            Stream=Stream,
            Event=Event,
            memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            driver=types.SimpleNamespace(CUDADriverError=CUDADriverError),
            runtime=types.SimpleNamespace(
                CUDARuntimeError=CUDARuntimeError,
                memcpyAsync=memcpy_async,
                streamSynchronize=synchronize,
                streamCaptureModeRelaxed=2,
                runtimeGetVersion=lambda: 13000,
                memGetInfo=lambda: (capacity - fake.simulator.used, capacity),
            ),
        )

    def check(self) -> None:
        if self.failing:
            raise CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access\nand more")


class _Held:
    """A `MemoryPointer`: its memory is free when it is gone."""

    def __init__(self, memory: SimulatedMemory) -> None:
        self._memory = memory
        self.ptr = memory.pointer

    def __del__(self) -> None:
        self._memory.close()


def _move(target: int, origin: int, nbytes: int) -> None:
    ctypes.memmove(target, origin, nbytes)


def names(options: Sequence[str]) -> set[str]:
    """The names that options define."""
    return {option[2:].partition("=")[0] for option in options if option.startswith("-D")}
