"""An ONNX Runtime session on memory that its caller owns, by IO binding.

The same code serves the processor and CUDA; only the name of the device differs. A binding holds
addresses, so there is one for each set of addresses that comes, made once and kept: a caller with
two buffers for each batch size needs two for each. The runtime's own arena grows in the first run
of a size and never after.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from visavis.engines.device import DeviceArray
from visavis.engines.errors import EngineError

__all__ = ["MAX_BINDINGS", "BoundGraph"]

MAX_BINDINGS = 64  # the one not used for longest goes
_NO_GRAPH = -1

_Key = tuple[tuple[str, int, tuple[int, ...]], ...]


class BoundGraph:
    """A session as a `device.DeviceGraph`; for one thread at a time.

    Args:
        name: the part's name, for messages.
        session: an `onnxruntime.InferenceSession`.
        device: what ONNX Runtime calls the device, "cpu" or "cuda".
        max_batch: the largest N that will come.
        graphs: let the runtime capture a CUDA graph for each binding and replay it.
    """

    # With or without a graph of its own, the runtime synchronises and allocates as it likes.
    capture_key = None

    def __init__(
        self, name: str, session: Any, device: str, *, max_batch: int, graphs: bool = False
    ) -> None:
        import onnxruntime

        self._name = name
        self._session = session
        self._device = device
        self._max_batch = max_batch
        self._graphs = graphs
        self._options = onnxruntime.RunOptions
        self._inputs = [item.name for item in session.get_inputs()]
        self._outputs = [item.name for item in session.get_outputs()]
        self._bindings: OrderedDict[_Key, tuple[Any, Any]] = OrderedDict()
        self._made = 0

    def enqueue(
        self,
        feeds: Mapping[str, DeviceArray],
        outputs: Mapping[str, DeviceArray],
        stream: int,
    ) -> None:
        """Put one run on the session's stream; see `device.DeviceGraph`.

        On the processor the outputs are there when this returns.
        """
        check_arrays(self._name, self._inputs, self._outputs, feeds, outputs, self._max_batch)
        key = tuple((name, array.pointer, array.shape) for name, array in feeds.items())
        key += tuple((name, array.pointer, array.shape) for name, array in outputs.items())
        held = self._bindings.get(key)
        if held is None:
            held = self._bindings[key] = self._bind(feeds, outputs)
            if len(self._bindings) > MAX_BINDINGS:
                self._bindings.popitem(last=False)
        else:
            self._bindings.move_to_end(key)
        binding, options = held
        try:
            self._session.run_with_iobinding(binding, options)
        except Exception as error:  # the runtime raises classes that it does not export
            raise EngineError(f"{self._name!r} does not run: {_first_line(error)}") from error

    def _bind(
        self, feeds: Mapping[str, DeviceArray], outputs: Mapping[str, DeviceArray]
    ) -> tuple[Any, Any]:
        binding = self._session.io_binding()
        try:
            for bind, arrays in ((binding.bind_input, feeds), (binding.bind_output, outputs)):
                for name, array in arrays.items():
                    bind(name, self._device, 0, array.dtype.type, list(array.shape), array.pointer)
        except Exception as error:
            raise EngineError(f"{self._name!r} cannot be bound: {_first_line(error)}") from error
        options = self._options()
        # The caller waits for its stream when it needs the outputs, not after each network.
        options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        if self._graphs:
            # The runtime keeps every graph that it has captured: past so many, runs go without.
            self._made += 1
            number = self._made if self._made <= MAX_BINDINGS else _NO_GRAPH
            options.add_run_config_entry("gpu_graph_id", str(number))
        return binding, options


def check_arrays(
    name: str,
    inputs: list[str],
    outputs: list[str],
    feeds: Mapping[str, DeviceArray],
    into: Mapping[str, DeviceArray],
    max_batch: int,
) -> int:
    """Return N.

    Args:
        name: of the part, for the message.
        inputs, outputs: the names that the graph has.
        feeds, into: what the caller gave.

    Raises:
        EngineError: an array is missing or one too many, or N differs or is out of bounds.
    """
    for side, wanted, given in (("input", inputs, feeds), ("output", outputs, into)):
        if differing := set(wanted) ^ given.keys():
            raise EngineError(f"{name!r} and its caller differ in the {side} {min(differing)!r}.")
    sizes = {array.shape[0] if array.shape else 0 for array in (*feeds.values(), *into.values())}
    if len(sizes) != 1 or not 1 <= (size := sizes.pop()) <= max_batch:
        raise EngineError(f"{name!r} takes one batch of 1 to {max_batch}.")
    return size


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
