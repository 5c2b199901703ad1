"""What a network costs: parameters, arithmetic, milliseconds a frame in every way that is usual.

Whose network it is does not matter here; weights are as they were made, since no cost depends on
them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from visavis.models.batch_timing import device_name
from visavis.models.renderer import Renderer

__all__ = ["WAYS", "device_name", "measure", "our_renderer"]

WAYS = {
    "cpu": ("eager float32",),
    "cuda": ("eager float32", "eager float16", "float16 channels last", "compiled float16"),
}
"""On a CPU one thread, in float32: the peers' networks have no smaller numbers there."""
LEAST_RUNS = 3
LONGEST_BATCH_S = 30.0  # what would take longer is not run
WARM_UPS = 3


def our_renderer() -> nn.Module:
    """The native renderer, untrained but for its last layer: zeros would be faster on some CPUs."""
    torch.manual_seed(0)
    net = Renderer()
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.01)
    return net


def measure(
    network: nn.Module,
    inputs: Mapping[str, Sequence[int]],
    batches: Sequence[int],
    *,
    device: str,
    seconds: float,
) -> dict[str, Any]:
    """Time a network.

    Args:
        network: in eval mode or not; it is put into it.
        inputs: shapes without the batch, by the name of forward's argument.
        batches: frames in a call.
        device: ``cpu`` or ``cuda``.
        seconds: of each measurement, three calls at least.

    Returns:
        "parameters", "gflop" (a frame; a multiplication and an addition are two), and "runs": for
        each way and batch "ms_a_frame" (median) and "calls", or "not_run" with the reason.
    """
    network = network.eval()
    out: dict[str, Any] = {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "runs": [],
    }
    threads = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        with torch.no_grad():
            # A fused attention hides its products from the counter.
            plain = sdpa_kernel(SDPBackend.MATH)
            with plain, FlopCounterMode(display=False) as counter:
                network(**_inputs(inputs, 1, "cpu", torch.float32))
            out["gflop"] = round(counter.get_total_flops() / 1e9, 6)
            for way in WAYS[device]:
                out["runs"] += _way(way, network, inputs, batches, device, seconds)
    finally:
        torch.set_num_threads(threads)
    return out


def _way(
    way: str,
    network: nn.Module,
    inputs: Mapping[str, Sequence[int]],
    batches: Sequence[int],
    device: str,
    seconds: float,
) -> list[dict[str, Any]]:
    dtype = torch.float16 if "float16" in way else torch.float32
    last = "channels last" in way or "compiled" in way
    form = torch.channels_last if last else torch.contiguous_format
    made: nn.Module = network.to(device, dtype)
    made = made.to(memory_format=form)  # type: ignore[call-overload]
    call: Callable[..., Any] = torch.compile(made) if "compiled" in way else made
    runs: list[dict[str, Any]] = []
    for batch in batches:
        run: dict[str, Any] = {"way": way, "batch": batch}
        known = [one["ms_a_frame"] for one in runs if "ms_a_frame" in one]
        if known and known[-1] * batch / 1000 > LONGEST_BATCH_S:
            run["not_run"] = f"it would take over {LONGEST_BATCH_S:g} s a call"
        else:
            try:
                feeds = _inputs(inputs, batch, device, dtype)
                if last:
                    feeds = {
                        name: value.contiguous(memory_format=torch.channels_last)
                        if value.dim() == 4
                        else value
                        for name, value in feeds.items()
                    }
                run |= _timed(call, feeds, batch, device, seconds)
            except RuntimeError as error:  # out of memory, or a layer without float16
                run["not_run"] = str(error).splitlines()[0][:200]
        runs.append(run)
    return runs


def _timed(
    call: Callable[..., Any],
    feeds: Mapping[str, Tensor],
    batch: int,
    device: str,
    seconds: float,
) -> dict[str, Any]:
    def once() -> float:
        began = time.perf_counter()
        call(**feeds)
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    first = once()
    for _ in range(WARM_UPS - 1 if first < 1.0 else 0):
        once()
    taken: list[float] = []
    while len(taken) < LEAST_RUNS or sum(taken) < seconds:
        taken.append(once())
    return {
        "ms_a_frame": round(1000 * float(np.median(taken)) / batch, 4),
        "calls": len(taken),
    }


def _inputs(
    shapes: Mapping[str, Sequence[int]], batch: int, device: str, dtype: torch.dtype
) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {
        name: torch.rand(batch, *shape).to(device, dtype)
        if shape
        else torch.tensor(0, device=device)
        for name, shape in shapes.items()
    }
