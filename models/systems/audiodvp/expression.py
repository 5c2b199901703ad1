"""`audiodvp`'s expressions: the features of seven frames, and nothing but an affine map of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["AudioExpression", "folded", "windows"]

FRAMES = 7  # the frame's own and three to each side
FEATURES, EXPRESSIONS = 256, 64


def windows(features: Tensor) -> Tensor:
    """Return f32[T, 7, 256], frames k-3 to k+3 of features f32[T, 256], 0 outside the clip."""
    reach = FRAMES // 2
    padded = F.pad(features, (0, 0, reach, reach))
    return padded.unfold(0, FRAMES, 1).transpose(1, 2)


class AudioExpression(nn.Module):
    """From features of seven frames f32[N, 7, 256] to expressions f32[N, 64] of the middle one.

    The seven frames are channels; the convolutions run over the features. There is no
    non-linearity, so it is one affine map; see `folded`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(FRAMES, 5, 3)
        self.conv2 = nn.Conv1d(5, 3, 3)
        self.conv3 = nn.Conv1d(3, 1, 3)
        self.fc = nn.Linear(FEATURES - 6, EXPRESSIONS)

    def forward(self, features: Tensor) -> Tensor:
        """Return f32[N, 64]."""
        expressions: Tensor = self.fc(self.conv3(self.conv2(self.conv1(features)))[:, 0])
        return expressions


def folded(network: AudioExpression) -> nn.Linear:
    """Return the map as one layer, from f32[N, 7 * 256] to f32[N, 64].

    It is found by what the network makes of zero and of every unit vector, in double precision.
    """
    wide = AudioExpression().double()
    wide.load_state_dict(network.state_dict())
    with torch.no_grad():
        zero = torch.zeros(1, FRAMES, FEATURES, dtype=torch.float64)
        units = torch.eye(FRAMES * FEATURES, dtype=torch.float64)
        bias = wide(zero)[0]
        weight = wide(units.reshape(-1, FRAMES, FEATURES)) - bias
    layer = nn.Linear(FRAMES * FEATURES, EXPRESSIONS)
    layer.load_state_dict({"weight": weight.T.float(), "bias": bias.float()})
    return layer.requires_grad_(False)
