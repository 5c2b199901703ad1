"""What a frame costs where many persons share a batch, beside where they do not.

Three ways in turn, on the same frames: a launch for each person; one launch with weights as inputs
(`shared_batch`); and one launch with one set of weights for all, which shows the wrong persons and
is what the others are compared with. On a CPU smaller launches can be faster: they fit its caches.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visavis.models.cuda_graph import recorded
from visavis.models.renderer import PLANES, Renderer
from visavis.models.shared_batch import SharedBatch, frame_weights, stacked_weights

__all__ = ["EACH", "FLOOR", "TOGETHER", "device_name", "gflop", "measure"]

EACH, TOGETHER, FLOOR = "a launch a person", "weights as inputs", "one set of weights"
WARM_UPS = 3


def device_name(device: str) -> str | None:
    """Return what is measured on, in words; None where there is no such device."""
    if device == "cpu":
        return f"one thread, float32, torch {torch.__version__}"
    if not torch.cuda.is_available():
        return None
    return f"{torch.cuda.get_device_name()}, float16, torch {torch.__version__}"


def gflop(size: int) -> float:
    """Return what a picture of a renderer costs, in 10^9 multiplications and additions.

    Args:
        size: S, pixels of the crop.
    """
    counted: list[int] = []

    def count(module: torch.nn.Conv2d, _: object, made: Tensor) -> None:
        counted.append(2 * made.numel() * module.weight[0].numel())

    with torch.device("meta"):
        net = Renderer()
        for module in net.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.register_forward_hook(count)
        net(torch.zeros(1, PLANES, size // 2, size // 2))
    return round(sum(counted) / 1e9, 2)


def measure(
    persons: int, frames: int, *, size: int = 192, device: str = "cpu", repeats: int = 5
) -> dict[str, Any]:
    """Measure one batch: on a CPU one thread and float32, on a GPU float16 and CUDA graphs.

    Args:
        persons: P.
        frames: N of the batch, as many as persons at least: frame i is of person i modulo P.
        size: S, pixels of the crop.
        device: ``cpu`` or ``cuda``.
        repeats: of every way; medians count.

    Returns:
        "persons", "frames", "deviation" (the largest difference of the first two ways, in levels),
        "graphs" (whether CUDA graphs were used) and "ways": for each "ms_a_frame", "ratio" to the
        last way, and "weight_bytes", which one batch reads.
    """
    frames = max(frames, persons)
    dtype = torch.float16 if device == "cuda" else torch.float32
    threads = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        with torch.no_grad():
            return _measure(persons, frames, size, device, dtype, repeats)
    finally:
        torch.set_num_threads(threads)


def _measure(
    persons: int, frames: int, size: int, device: str, dtype: torch.dtype, repeats: int
) -> dict[str, Any]:
    nets = [_renderer(seed, device, dtype) for seed in range(persons)]
    who = torch.arange(frames, device=device) % persons
    torch.manual_seed(0)
    planes = torch.rand(frames, PLANES, size // 2, size // 2).to(device, dtype) - 0.5
    # In one launch frames lie side by side as channels, so only the others have channels last.
    last = planes.contiguous(memory_format=torch.channels_last)
    parts = [last[torch.nonzero(who == p)[:, 0]] for p in range(persons)]
    weights = stacked_weights([net.state_dict() for net in nets], dtype=dtype, device=device)
    shared = SharedBatch(frame_weights(weights, who))

    def each() -> list[Tensor]:
        return [net(part) for net, part in zip(nets, parts, strict=True)]

    def together() -> list[Tensor]:
        return [shared.render(planes)]

    def floor() -> list[Tensor]:
        return [nets[0](last)]

    one = sum(value.nbytes for value in nets[0].state_dict().values())
    read = {EACH: persons * one, TOGETHER: frames * one, FLOOR: one}
    calls: dict[str, Callable[[], object]] = {EACH: each, TOGETHER: together, FLOOR: floor}
    rows = torch.cat([torch.nonzero(who == p)[:, 0] for p in range(persons)])
    apart = (torch.cat(each()).float() - together()[0][rows]).abs().max()
    for call in calls.values():
        for _ in range(WARM_UPS if device == "cuda" else 1):
            call()
    graphs = device == "cuda"
    if graphs:
        calls = {name: recorded(call, WARM_UPS) for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            seconds[name].append(_timed(call, device))
    ms = {name: 1000.0 * float(np.median(values)) / frames for name, values in seconds.items()}
    return {
        "persons": persons,
        "frames": frames,
        "deviation": round(128.0 * float(apart), 3),
        "graphs": graphs,
        "ways": {
            name: {
                "ms_a_frame": round(value, 4),
                "ratio": round(value / ms[FLOOR], 2),
                "weight_bytes": read[name],
            }
            for name, value in ms.items()
        },
    }


def _renderer(seed: int, device: str, dtype: torch.dtype) -> Renderer:
    """A renderer that has learnt nothing; what it costs does not depend on that."""
    torch.manual_seed(seed)
    net = Renderer()
    torch.nn.init.normal_(net.leave.weight, std=0.01)  # otherwise all show what is drawn
    made: Renderer = net.to(device, dtype, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return made


def _timed(call: Callable[[], object], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began
