"""Backends that run a person's ONNX graphs with torch, on the processor and as CUDA graphs.

Not to be taken for the trained modules that `export` compares with: this knows the file alone.
On CUDA every batch size is captured once into a graph with buffers of its own and replayed, so a
run is one launch and allocates nothing; the processor goes down the list instead, which makes it
the same code but for the capture. It is there to check with, not to serve with.
"""

from __future__ import annotations

import ctypes
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from visavis.engines.backend import Feeds, Outputs
from visavis.engines.cuda_driver import Load, find_gpu
from visavis.engines.device import DeviceArray, view_of_host
from visavis.engines.errors import BackendUnavailable, EngineError
from visavis.engines.onnx_binding import check_arrays
from visavis.engines.torch_graph import Steps, compile_model

__all__ = ["TorchCpuBackend", "TorchCudaBackend", "TorchDeviceGraph", "TorchGraph"]

MAX_REPLAYS = 64  # batch sizes that are kept; the one not used for longest goes
MAX_HOST_BATCH = 1024
WARM_UP_RUNS = 3
VARIANTS = frozenset({"fp32", "fp16"})
_CAPTURING = threading.Lock()  # the precision of convolutions is a setting of the whole process


class _Replay(Protocol):
    """One batch size: write to `inputs`, replay, read from `outputs`."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    def replay(self) -> None:
        """Run once, on the current stream."""


class _Listed:
    """On the processor: down the list each time."""

    def __init__(self, steps: Steps, inputs: Mapping[str, Tensor]) -> None:
        self._steps = steps
        self.inputs = inputs
        self.outputs: Mapping[str, Tensor] = {}
        self.replay()

    def replay(self) -> None:
        self.outputs = self._steps(self.inputs)


class _Captured:
    """On CUDA: captured once."""

    def __init__(self, steps: Steps, inputs: Mapping[str, Tensor]) -> None:
        self.inputs = inputs
        self._graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        # TF32 has ten bits of mantissa, which is not what `fp32` says.
        with (
            _CAPTURING,
            torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False),
        ):
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP_RUNS):
                    steps(inputs)
            torch.cuda.current_stream().wait_stream(stream)
            # Other threads may allocate meanwhile.
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self.outputs: Mapping[str, Tensor] = steps(inputs)

    def replay(self) -> None:
        self._graph.replay()


class _Replays:
    """The replays of one graph by batch size."""

    def __init__(self, steps: Steps, device: torch.device) -> None:
        self._steps = steps
        self._device = device
        self._kept: OrderedDict[int, _Replay] = OrderedDict()

    def of(self, size: int, shapes: Mapping[str, tuple[int, ...]]) -> _Replay:
        """Return that of a batch size, made when it is first asked for."""
        found = self._kept.get(size)
        if found is None:
            inputs = {
                name: torch.zeros(shape, device=self._device) for name, shape in shapes.items()
            }
            found = (
                _Captured(self._steps, inputs)
                if self._device.type == "cuda"
                else _Listed(self._steps, inputs)
            )
            self._kept[size] = found
            if len(self._kept) > MAX_REPLAYS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(size)
        return found


class TorchGraph:
    """A network from arrays of the host to arrays of the host; threads take turns."""

    def __init__(self, name: str, steps: Steps, device: torch.device) -> None:
        self._name = name
        self._steps = steps
        self._replays = _Replays(steps, device)
        self._lock = threading.Lock()

    @torch.inference_mode()
    def run(self, feeds: Feeds) -> Outputs:
        """Return every output by name; see `backend.Graph`."""
        if differing := set(self._steps.inputs) ^ feeds.keys():
            raise EngineError(f"{self._name!r} is fed without or besides {min(differing)!r}.")
        size = len(next(iter(feeds.values())))
        with self._lock:
            replay = self._replays.of(size, {name: array.shape for name, array in feeds.items()})
            for name, array in feeds.items():
                if array.shape != replay.inputs[name].shape:
                    raise EngineError(f"{self._name!r} is fed {array.shape} for {name!r}.")
                # torch would warn of an array that cannot be written to, though it only reads.
                readable = array if array.flags.writeable else array.copy()
                replay.inputs[name].copy_(torch.from_numpy(readable))
            replay.replay()
            return {name: np.array(tensor.cpu().numpy()) for name, tensor in replay.outputs.items()}


class TorchDeviceGraph:
    """A network on memory of its device; for one thread and one stream at a time."""

    # Replaying a graph within the capture of another one is not allowed.
    capture_key = None

    def __init__(self, name: str, steps: Steps, device: torch.device, max_batch: int) -> None:
        self._name = name
        self._steps = steps
        self._device = device
        self._max_batch = max_batch
        self._replays = _Replays(steps, device)

    @torch.inference_mode()
    def enqueue(
        self,
        feeds: Mapping[str, DeviceArray],
        outputs: Mapping[str, DeviceArray],
        stream: int,
    ) -> None:
        """Put one run on a stream; see `device.DeviceGraph`."""
        size = check_arrays(
            self._name,
            list(self._steps.inputs),
            list(self._steps.outputs),
            feeds,
            outputs,
            self._max_batch,
        )
        replay = self._replays.of(size, {name: array.shape for name, array in feeds.items()})
        if self._device.type == "cuda":
            own = torch.cuda.ExternalStream(stream)  # type: ignore[no-untyped-call]
            with torch.cuda.stream(own):
                self._queue(replay, feeds, outputs)
        else:
            self._queue(replay, feeds, outputs)

    def _queue(
        self,
        replay: _Replay,
        feeds: Mapping[str, DeviceArray],
        outputs: Mapping[str, DeviceArray],
    ) -> None:
        for name, array in feeds.items():
            self._match(name, array, replay.inputs[name])
            replay.inputs[name].copy_(self._view(array), non_blocking=True)
        replay.replay()
        for name, array in outputs.items():
            self._match(name, array, replay.outputs[name])
            self._view(array).copy_(replay.outputs[name], non_blocking=True)

    def _match(self, name: str, array: DeviceArray, tensor: Tensor) -> None:
        dtype = str(tensor.dtype).removeprefix("torch.")
        if array.shape != tuple(tensor.shape) or array.dtype.name != dtype:
            raise EngineError(
                f"{self._name!r} has {dtype}{list(tensor.shape)} for {name!r}, its caller "
                f"{array.dtype.name}{list(array.shape)}."
            )

    def _view(self, array: DeviceArray) -> Tensor:
        if self._device.type == "cuda":
            return torch.as_tensor(_CudaArray(array), device=self._device)
        return torch.from_numpy(view_of_host(array))


class _CudaArray:
    """Memory of the GPU as torch reads it.

    https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html
    """

    def __init__(self, array: DeviceArray) -> None:
        self.__cuda_array_interface__: dict[str, Any] = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.pointer, False),
            "version": 3,
        }


class _TorchBackend:
    """What both have in common."""

    name: str
    # 8-bit graphs are for processors.
    variants = VARIANTS
    device: torch.device

    def load(self, name: str, model: bytes) -> TorchGraph:
        """Make a network ready; see `backend.Backend`."""
        return TorchGraph(name, compile_model(name, model, self.device), self.device)

    def load_device(self, name: str, model: bytes, *, max_batch: int) -> TorchDeviceGraph:
        """Make a network ready to run on memory of the device; see `device.DeviceBackend`."""
        steps = compile_model(name, model, self.device)
        return TorchDeviceGraph(name, steps, self.device, max_batch)


class TorchCpuBackend(_TorchBackend):
    """Runs networks on the processor, slowly: to compare with."""

    def __init__(self) -> None:
        self.name = f"torch-cpu (torch {torch.__version__})"
        self.device = torch.device("cpu")


class TorchCudaBackend(_TorchBackend):
    """Runs networks on the first NVIDIA GPU.

    Args:
        load_library: loads a shared library by its name.

    Raises:
        BackendUnavailable: torch is built without CUDA, or there is no driver or GPU.
    """

    def __init__(self, *, load_library: Load = ctypes.CDLL) -> None:
        name = "torch-cuda"
        self.name = f"{name} (torch {torch.__version__})"
        self.device = torch.device("cuda", 0)
        built = torch.version.cuda
        if built is None:
            raise BackendUnavailable(
                name,
                f"torch {torch.__version__} is built without CUDA",
                "Install the torch that PyPI has for your driver.",
            )
        major, minor = built.split(".")[:2]
        find_gpu(name, cuda=(int(major), int(minor)), load=load_library)
        if not torch.cuda.is_available():
            raise BackendUnavailable(name, "torch finds no GPU that it can use", _ADVICE)


_ADVICE = "`python -c 'import torch; torch.cuda.init()'` says why."
