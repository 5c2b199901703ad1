"""What training of the motion network minimises."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from visavis.models.motion import MOVES

__all__ = ["tract_loss"]

# Scale of each move's error: a typical deviation.
_SCALE = torch.tensor([0.06, 0.035, 0.045, 0.30, 0.25, 0.25])
_WEIGHT = torch.tensor([1.6, 0.8, 1.0, 1.0, 0.8, 0.6])


def tract_loss(tract: Tensor, want: Tensor) -> Tensor:
    """Errors of moves, of their speed, and of the probabilities, per head.

    Args:
        tract: f32[N, H, T, 9], the last three as logits.
        want: f32[N, H, T, 9].

    Returns:
        f32[H].
    """
    closed, teeth = want[..., 6], want[..., 7]
    error = (tract[..., :MOVES] - want[..., :MOVES]) / _SCALE
    # Absolute error keeps edges crisp, squared error keeps the far ones in check.
    cost = 0.35 * error.abs() + 0.65 * functional.smooth_l1_loss(
        error, torch.zeros_like(error), reduction="none", beta=2.0
    )
    contact = 1.0 + 2.0 * closed + 1.0 * teeth
    shape = (cost * _WEIGHT).mean(-1) * contact
    move = ((error[:, :, 1:] - error[:, :, :-1]).abs() * _WEIGHT).mean(-1)
    sure = functional.binary_cross_entropy_with_logits(
        tract[..., MOVES:],
        want[..., MOVES:],
        reduction="none",
        pos_weight=torch.tensor([2.0, 2.0, 1.0]),
    ) * torch.tensor([1.5, 0.7, 1.2])
    return shape.mean((0, 2)) + 0.4 * move.mean((0, 2)) + sure.sum(-1).mean((0, 2))
