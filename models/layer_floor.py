"""How far the renderer is from the least that its memory traffic allows, layer by layer.

The floor of a layer is the time in which its input and its weights are read once and its output is
written once, at the bandwidth that a copy reaches on the same device. What is done in between is
free, and so is all that could stay in a cache: no implementation that keeps layers apart is faster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visavis.models.batch_timing import device_name
from visavis.models.cuda_graph import recorded
from visavis.models.network_timing import our_renderer
from visavis.models.renderer import PLANES

__all__ = ["Layer", "device_name", "layers_of", "measure"]

COPY_BYTES = {"cuda": 1 << 30, "cpu": 1 << 27}
REPEATS = {"cuda": 30, "cpu": 5}
WARM_UPS = 3


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution.

    Attributes:
        name: in the network.
        module: itself.
        reads: shape of its input without the batch; writes: of its output.
        weights: numbers in it, biases too.
    """

    name: str
    module: nn.Module
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    weights: int

    def traffic(self, batch: int, width: int) -> int:
        """Bytes that must move for a batch of numbers of ``width`` bytes."""
        moved = batch * (int(np.prod(self.reads)) + int(np.prod(self.writes))) + self.weights
        return width * moved


def layers_of(network: nn.Module, example: Tensor) -> list[Layer]:
    """Find the convolutions of a network, in the order in which they run, by running it once."""
    found: list[Layer] = []
    names = {module: name for name, module in network.named_modules()}

    def note(module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        weights = sum(parameter.numel() for parameter in module.parameters())
        found.append(
            Layer(names[module], module, tuple(given[0].shape[1:]), tuple(made.shape[1:]), weights)
        )

    hooks = [
        module.register_forward_hook(note)
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        with torch.no_grad():
            network(example)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def measure(batches: Sequence[int], *, device: str, size: int = 192) -> dict[str, Any]:
    """Measure the renderer against its floor.

    Args:
        batches: frames in a call.
        device: ``cuda`` (float16, channels last, CUDA graphs) or ``cpu`` (float32, one thread).
        size: pixels of the crop.

    Returns:
        "bytes_per_s" of a copy, and "batches": for each "ms", "floor_ms", "ratio", and "layers"
        with "name", "bytes", "floor_us" and "us" of each by itself.
    """
    dtype = torch.float16 if device == "cuda" else torch.float32
    network = our_renderer().eval().to(device, dtype)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    half = size // 2
    threads = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        with torch.no_grad():
            rate = _copy_rate(device)
            out = [_batch(network, batch, half, device, dtype, rate) for batch in batches]
    finally:
        torch.set_num_threads(threads)
    return {"size": size, "bytes_per_s": rate, "batches": out}


def _batch(
    network: nn.Module, batch: int, half: int, device: str, dtype: torch.dtype, rate: float
) -> dict[str, Any]:
    planes = _tensor((batch, PLANES, half, half), device, dtype)
    width = dtype.itemsize
    rows = []
    layers = layers_of(network, planes)
    for layer in layers:
        given = _tensor((batch, *layer.reads), device, dtype)
        moved = layer.traffic(batch, width)
        taken = _seconds(lambda module=layer.module, x=given: module(x), device)  # type: ignore[misc]
        rows.append(
            {
                "name": layer.name,
                "bytes": moved,
                "floor_us": round(1e6 * moved / rate, 2),
                "us": round(1e6 * taken, 2),
            }
        )
    whole = _seconds(lambda: network(planes), device)
    floor = sum(layer.traffic(batch, width) for layer in layers) / rate
    return {
        "batch": batch,
        "ms": round(1000 * whole, 4),
        "floor_ms": round(1000 * floor, 4),
        "ratio": round(whole / floor, 2),
        "frames_per_s": round(batch / whole, 1),
        "layers": rows,
    }


def _tensor(shape: tuple[int, ...], device: str, dtype: torch.dtype) -> Tensor:
    torch.manual_seed(0)
    made = (torch.rand(shape) - 0.5).to(device, dtype)
    return made.contiguous(memory_format=torch.channels_last)


def _copy_rate(device: str) -> float:
    """Bytes read and written in a second by a copy that no cache holds."""
    source = torch.ones(COPY_BYTES[device], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / _seconds(lambda: target.copy_(source), device)


def _seconds(call: Callable[[], object], device: str) -> float:
    """Median seconds of a call; on a GPU as a CUDA graph, so that no launch is counted."""
    if device == "cpu":
        call()
        taken = []
        for _ in range(REPEATS[device]):
            began = time.perf_counter()
            call()
            taken.append(time.perf_counter() - began)
        return float(np.median(taken))
    replay = recorded(call, WARM_UPS)
    replay()
    torch.cuda.synchronize()
    event: Any = torch.cuda.Event
    marks = [event(enable_timing=True) for _ in range(REPEATS[device] + 1)]
    marks[0].record()
    for mark in marks[1:]:
        replay()
        mark.record()
    torch.cuda.synchronize()
    spans = [a.elapsed_time(b) for a, b in zip(marks, marks[1:], strict=False)]
    return float(np.median(spans)) / 1000
