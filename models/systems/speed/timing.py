"""Timing two networks against each other: in turns, so that a busy machine slows both."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from visavis.models.cuda_graph import recorded
from visavis.models.systems.speed.workload import Shapes, Workload, examples

__all__ = ["ORIGINAL", "Runner", "about_device", "measure"]

Arrays = dict[str, NDArray[np.float32]]
Runner = Callable[[Arrays], Mapping[str, NDArray[Any]]]
"""What runs a network of ours elsewhere: arrays by input's name to arrays by output's."""

ORIGINAL = "eager float32, as the original"
OURS = "eager float32"
HALF = "float16, channels last"
GRAPH = "float16, CUDA graph"
LEAST_ROUNDS = 3
LONGEST_CALL_S = 30.0  # what would take longer is not run
WARM_UPS = 3  # before a CUDA graph is recorded


def about_device(device: str, threads: int) -> str | None:
    """Return what is measured on, in words; None where there is no such device."""
    if device == "cpu":
        return f"{threads} thread{'s' if threads > 1 else ''}, torch {torch.__version__}"
    if not torch.cuda.is_available():
        return None
    tf32 = "with" if torch.backends.cudnn.allow_tf32 else "without"
    return f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {tf32} TF32 in float32"


def measure(
    work: Workload,
    batches: Sequence[int],
    *,
    device: str = "cpu",
    seconds: float = 3.0,
    threads: int = 1,
    runners: Mapping[str, Runner] | None = None,
) -> dict[str, Any]:
    """Time a part of a frame in every way that there is, one call of each after the other.

    Args:
        work: what to time.
        batches: frames in a call, the smallest first.
        device: ``cpu`` or ``cuda``.
        seconds: of each way and batch, three calls at least.
        threads: on a CPU.
        runners: further ways to run ours, by name; on a CPU.

    Returns:
        "part", "note", "parameters" and "gflop", each of "original" and "ours" (those that a call
        uses; a frame's, a multiplication and an addition being two, of convolutions and products
        of matrices), and "runs": for each batch and way "ms_a_frame" (the median), "calls" and
        "ratio" (how many times as fast as the original in this batch; None where that was not
        run), or "not_run" with the reason. For the first batch "deviation": of what is given from
        the original's, by the largest magnitude there; None where the two cannot be compared.
    """
    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            theirs = _cost(work.original, work.original_inputs)
            ours = _cost(work.ours, work.inputs)
            return {
                "part": work.part,
                "note": work.note,
                "parameters": {"original": theirs[0], "ours": ours[0]},
                "gflop": {
                    "original": round(theirs[1] / work.original_frames / 1e9, 6),
                    "ours": round(ours[1] / 1e9, 6),
                },
                "runs": _runs(work, batches, device, seconds, runners or {}),
            }
    finally:
        torch.set_num_threads(before)


def _cost(network: nn.Module, inputs: Shapes) -> tuple[int, int]:
    """Parameters that a call uses, and its arithmetic."""
    used: dict[nn.Module, None] = {}

    def note(module: nn.Module, _: object) -> None:
        used[module] = None

    hooks = [module.register_forward_pre_hook(note) for module in network.modules()]
    try:
        with FlopCounterMode(display=False) as counter:
            network(*examples(inputs, 1).values())
    finally:
        for hook in hooks:
            hook.remove()
    parameters = {
        id(parameter): parameter.numel()
        for module in used
        for parameter in module.parameters(recurse=False)
    }
    return sum(parameters.values()), counter.get_total_flops()


def _runs(
    work: Workload,
    batches: Sequence[int],
    device: str,
    seconds: float,
    runners: Mapping[str, Runner],
) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = []
    for batch in batches:
        now: dict[str, dict[str, Any]] = {}
        calls: dict[str, Callable[[], Any]] = {}
        for way in (ORIGINAL, OURS, *((HALF, GRAPH) if device == "cuda" else runners)):
            now[way] = {"way": way, "batch": batch}
            if (expected := _expected(runs, way) * batch) > LONGEST_CALL_S:
                now[way]["not_run"] = f"a call would take about {expected:.0f} s"
                continue
            try:
                call = _call(way, work, batch, device, runners)
                given = _first(call())
                if not np.isfinite(given).all():
                    raise RuntimeError("with these weights it gives what is not finite")
                if not runs and way != ORIGINAL:
                    now[way]["deviation"] = _deviation(work, batch, device, given)
            except RuntimeError as error:  # out of memory, or a layer without float16
                now[way]["not_run"] = str(error).splitlines()[0][:200]
                continue
            calls[way] = call
        frames = {way: batch for way in calls} | {ORIGINAL: batch * work.original_frames}
        taken = {way: float(np.median(rows)) for way, rows in _turns(calls, seconds, device, now)}
        for way, each in taken.items():
            now[way]["ms_a_frame"] = round(1000.0 * each / frames[way], 4)
        theirs = taken.get(ORIGINAL)
        for way, each in taken.items():
            now[way]["ratio"] = (
                None
                if theirs is None
                else round(theirs / frames[ORIGINAL] / (each / frames[way]), 3)
            )
        runs += now.values()
    return runs


def _expected(runs: Sequence[Mapping[str, Any]], way: str) -> float:
    """Seconds of a frame by what a smaller batch took."""
    known = [run["ms_a_frame"] for run in runs if run["way"] == way and "ms_a_frame" in run]
    return float(known[-1]) / 1000.0 if known else 0.0


def _call(
    way: str, work: Workload, batch: int, device: str, runners: Mapping[str, Runner]
) -> Callable[[], Any]:
    """What is timed. Networks of the published size are moved and converted in place."""
    if way in runners:
        arrays = {name: value.numpy() for name, value in examples(work.inputs, batch).items()}
        return lambda: runners[way](arrays)
    network, shapes = work.ours, work.inputs
    if way == ORIGINAL:
        network, shapes = work.original, work.original_inputs
    half = way in (HALF, GRAPH)
    dtype = torch.float16 if half else torch.float32
    form = torch.channels_last if half else torch.contiguous_format
    feeds = [
        value.to(dtype).contiguous(memory_format=form) if value.dim() == 4 else value.to(dtype)
        for value in examples(shapes, batch, device).values()
    ]
    # What the two networks share must stay as it is.
    made: nn.Module = copy.deepcopy(network) if half else network
    made = made.to(device, dtype).to(memory_format=form)  # type: ignore[call-overload]

    def call() -> Any:
        return made(*feeds)

    return recorded(call, WARM_UPS) if way == GRAPH else call


def _turns(
    calls: Mapping[str, Callable[[], Any]],
    seconds: float,
    device: str,
    now: Mapping[str, dict[str, Any]],
) -> list[tuple[str, list[float]]]:
    """Seconds of every call, one of each way after the other, until all had their time."""
    taken: dict[str, list[float]] = {way: [] for way in calls}
    while any(len(rows) < LEAST_ROUNDS or sum(rows) < seconds for rows in taken.values()):
        for way, call in calls.items():
            if device == "cuda":
                torch.cuda.synchronize()
            began = time.perf_counter()
            call()
            if device == "cuda":
                torch.cuda.synchronize()
            taken[way].append(time.perf_counter() - began)
    for way, rows in taken.items():
        now[way]["calls"] = len(rows)
    return list(taken.items())


def _deviation(work: Workload, batch: int, device: str, given: NDArray[np.float32]) -> float | None:
    if work.compared is None:
        return None
    wanted = _first(work.compared.to(device)(*examples(work.inputs, batch, device).values()))
    return float(f"{np.abs(given - wanted).max() / np.abs(wanted).max():.3g}")


def _first(given: Any) -> NDArray[np.float32]:
    """The first output as an array."""
    if isinstance(given, Mapping):
        return np.asarray(next(iter(given.values())), np.float32)
    tensor: Tensor = given if isinstance(given, Tensor) else given[0]
    return tensor.detach().float().cpu().numpy()
