"""Weights under spectral norm, folded into plain ones.

Training divides a weight by its largest singular value, which it tracks by power iteration (T.
Miyato et al., "Spectral normalization for generative adversarial networks", 2018). A file holds the
weight and the two singular vectors; when a picture is made they do not change any more, so the
quotient is a plain weight.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from visavis.models.systems.state import StateMismatch

__all__ = ["folded", "singular_values"]

WEIGHT, LEFT, RIGHT = "weight_orig", "weight_u", "weight_v"


def singular_values(state: Mapping[str, Tensor]) -> dict[str, float]:
    """Return u^T W v of every weight under spectral norm, by the layer's name, in the file's order.

    Raises:
        StateMismatch: a weight lacks its vectors, they do not fit it, or the value is not positive.
    """
    values = {}
    for key, weight in state.items():
        layer, _, last = key.rpartition(".")
        if last != WEIGHT:
            continue
        matrix = weight.reshape(len(weight), -1)
        try:
            left, right = state[f"{layer}.{LEFT}"], state[f"{layer}.{RIGHT}"]
        except KeyError as error:
            raise StateMismatch(f"The weight of {layer} lacks {error.args[0]}") from error
        if left.shape != matrix.shape[:1] or right.shape != matrix.shape[1:]:
            raise StateMismatch(
                f"The singular vectors of {layer} have {len(left)} and {len(right)} numbers; its "
                f"weight is {list(weight.shape)}"
            )
        values[layer] = float(left.double() @ (matrix.double() @ right.double()))
        if not values[layer] > 0.0:
            raise StateMismatch(f"The singular value of {layer} is {values[layer]:g}")
    return values


def folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state with one `weight` for every `weight_orig`, `weight_u` and `weight_v`.

    Raises:
        StateMismatch: as `singular_values`, or vectors without a weight.
    """
    values = singular_values(state)
    plain = {}
    for key, tensor in state.items():
        layer, _, last = key.rpartition(".")
        if last in (LEFT, RIGHT):
            if layer not in values:
                raise StateMismatch(f"{key} belongs to no weight")
        elif last == WEIGHT:
            plain[f"{layer}.weight"] = (tensor.double() / values[layer]).to(torch.float32)
        else:
            plain[key] = tensor
    return plain
