"""Layers whose weights are more than one tensor of a person file may hold, in parts."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.engines.onnx_check import MAX_TENSOR_BYTES

__all__ = ["SplitLinear", "split_wide"]


class SplitLinear(nn.Module):
    """A linear layer as a sum over parts of what goes in.

    Args:
        layer: what it computes, up to rounding.
        parts: how many.
    """

    def __init__(self, layer: nn.Linear, parts: int) -> None:
        super().__init__()
        self.pieces = nn.ParameterList(
            nn.Parameter(piece.clone().contiguous(), requires_grad=False)
            for piece in torch.chunk(layer.weight.detach(), parts, dim=1)
        )
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """Return f32[..., outputs] of f32[..., inputs]."""
        place, total = 0, None
        for piece in self.pieces:
            width = piece.shape[1]
            product = F.linear(x[..., place : place + width], piece)
            total = product if total is None else total + product
            place += width
        assert total is not None
        return total if self.bias is None else total + self.bias


def split_wide(module: nn.Module, most_bytes: int = MAX_TENSOR_BYTES) -> nn.Module:
    """Return a copy of a network in which no linear layer's weights are larger than that."""
    made = copy.deepcopy(module)
    for name, layer in list(made.named_modules()):
        if not isinstance(layer, nn.Linear):
            continue
        size = layer.weight.numel() * layer.weight.element_size()
        if size <= most_bytes:
            continue
        outer, _, last = name.rpartition(".")
        setattr(made.get_submodule(outer), last, SplitLinear(layer, -(-size // most_bytes)))
    return made
