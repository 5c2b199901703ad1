"""A call recorded as a CUDA graph, for timing without Python between its kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["recorded"]


def recorded(call: Callable[[], Any], warm_ups: int) -> Callable[[], Any]:
    """Record a call as a CUDA graph; what it gives is overwritten by every replay.

    Args:
        call: work on the present device.
        warm_ups: how often it runs before it is recorded.
    """
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(warm_ups):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = call()

    def replay() -> Any:
        graph.replay()
        return kept

    return replay
