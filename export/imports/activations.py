"""How large numbers become inside of a network, layer by layer, while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Largest", "watched"]


@dataclass(slots=True)
class Largest:
    """What was seen of a network.

    Attributes:
        value: the largest magnitude that a layer gave; layer: its name.
        damaged: the first layer that gave what is not finite; None where all is.
    """

    value: float = 0.0
    layer: str = ""
    damaged: str | None = None

    def see(self, name: str, module: nn.Module, inputs: Any, outputs: Any) -> None:
        """Look at what a layer gives; a forward hook, but for the name."""
        for tensor in outputs if isinstance(outputs, tuple | list) else (outputs,):
            if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
                continue
            if not bool(torch.isfinite(tensor).all()):
                self.damaged = self.damaged or name
            elif tensor.numel() and (value := float(tensor.abs().max())) > self.value:
                self.value, self.layer = value, name


@contextmanager
def watched(module: nn.Module) -> Iterator[Largest]:
    """Yield what is seen of a network's layers until the block ends."""
    seen = Largest()
    hooks = [
        layer.register_forward_hook(partial(seen.see, name or type(layer).__name__))
        for name, layer in module.named_modules()
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
