"""A TensorRT plan that is ready to run, on memory of the GPU or from arrays of the host."""

from __future__ import annotations

import itertools
import math
import threading
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from visavis.engines.backend import Feeds, Outputs
from visavis.engines.cuda_driver import CudaMemory
from visavis.engines.device import DeviceArray
from visavis.engines.errors import EngineError
from visavis.engines.onnx_binding import check_arrays
from visavis.engines.tensorrt_library import Complaints

__all__ = ["PlanRefused", "TensorrtGraph"]

_numbers = itertools.count()


class PlanRefused(EngineError):
    """TensorRT does not take a plan: it is of another version, GPU or driver, or damaged."""


class TensorrtGraph:
    """One plan with one execution context; `run` takes turns, `enqueue` is for one thread.

    Args:
        library: the module `tensorrt`.
        name: the part's name, for messages.
        plan: a serialized engine, of this machine and from a place that can be trusted.
        most: the largest batch that it was built for.
        memory: of the GPU, for `run`.

    Raises:
        PlanRefused: TensorRT does not take the plan.
        EngineError: there is no memory for it.
    """

    def __init__(self, library: Any, name: str, plan: bytes, most: int, memory: CudaMemory) -> None:
        self._name = name
        self._most = most
        self._memory = memory
        self._complaints = Complaints(library)
        # The runtime and the logger must live as long as what was made with them.
        self._runtime = library.Runtime(self._complaints.logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            reason = self._complaints.first("it says no more")
            raise PlanRefused(f"TensorRT does not take the plan of {name!r}: {reason}.")
        self._context = self._engine.create_execution_context()
        if self._context is None:
            reason = self._complaints.first("there is no memory left")
            raise EngineError(f"TensorRT cannot run {name!r}: {reason}.")
        self._inputs: list[str] = []
        self._outputs: list[str] = []
        self._kinds: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
        for index in range(self._engine.num_io_tensors):
            tensor = self._engine.get_tensor_name(index)
            mode = self._engine.get_tensor_mode(tensor)
            side = self._inputs if mode == library.TensorIOMode.INPUT else self._outputs
            side.append(tensor)
            dtype = np.dtype(library.nptype(self._engine.get_tensor_dtype(tensor)))
            self._kinds[tensor] = dtype, tuple(self._engine.get_tensor_shape(tensor))[1:]
        self.capture_key = next(_numbers)
        self._lock = threading.Lock()
        self._buffers: dict[str, int] = {}

    def enqueue(
        self,
        feeds: Mapping[str, DeviceArray],
        outputs: Mapping[str, DeviceArray],
        stream: int,
    ) -> None:
        """Put one run on a stream; see `device.DeviceGraph`. It may be captured."""
        check_arrays(self._name, self._inputs, self._outputs, feeds, outputs, self._most)
        context = self._context
        for name, array in (*feeds.items(), *outputs.items()):
            dtype, rest = self._kinds[name]
            if array.dtype != dtype or array.shape[1:] != rest:
                raise EngineError(
                    f"{self._name!r} has {dtype.name}{list(rest)} for {name!r}, its caller "
                    f"{array.dtype.name}{list(array.shape[1:])}."
                )
            if name in feeds and not context.set_input_shape(name, array.shape):
                raise self._refused(f"the shape {list(array.shape)} of {name!r}")
            if not context.set_tensor_address(name, array.pointer):
                raise self._refused(f"the address of {name!r}")
        if not context.execute_async_v3(stream):
            raise self._refused("to run")

    def run(self, feeds: Feeds) -> Outputs:
        """Return every output by name; see `backend.Graph`."""
        size = len(next(iter(feeds.values()))) if feeds else 0
        with self._lock:
            memory = self._memory
            memory.enter()
            if not self._buffers:
                self._allocate()
            given = {
                name: DeviceArray(self._buffers.get(name, 0), array.shape, array.dtype)
                for name, array in feeds.items()
            }
            made = {
                name: np.empty((size, *self._kinds[name][1]), self._kinds[name][0])
                for name in self._outputs
            }
            into = {
                name: DeviceArray(self._buffers[name], array.shape, array.dtype)
                for name, array in made.items()
            }
            check_arrays(self._name, self._inputs, self._outputs, given, into, self._most)
            kept = [np.ascontiguousarray(array) for array in feeds.values()]
            for name, array in zip(feeds, kept, strict=True):
                dtype, rest = self._kinds[name]
                if array.dtype != dtype or array.shape[1:] != rest:
                    raise EngineError(f"{self._name!r} is fed {array.shape} for {name!r}.")
                memory.upload(self._buffers[name], array)
            self.enqueue(given, into, memory.stream)
            for name, array in made.items():
                memory.download(array, into[name].pointer)
            memory.synchronize()
            return dict(made)

    def silence(self, size: int) -> Feeds:
        """Return inputs of zeros, to warm up with."""
        return {name: np.zeros((size, *self._kinds[name][1]), np.float32) for name in self._inputs}

    def _allocate(self) -> None:
        for name, (dtype, rest) in self._kinds.items():
            size = self._most * math.prod(rest) * dtype.itemsize
            self._buffers[name] = self._memory.allocate(size)
        freed = weakref.finalize(self, _free, self._memory, list(self._buffers.values()))
        freed.atexit = False  # the driver may be gone by then, and the memory goes with the process

    def _refused(self, what: str) -> EngineError:
        reason = self._complaints.first("it says no more")
        return EngineError(f"TensorRT refuses {what} for {self._name!r}: {reason}.")


def _free(memory: CudaMemory, pointers: list[int]) -> None:
    memory.enter()
    for pointer in pointers:
        memory.free(pointer)
