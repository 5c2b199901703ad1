"""`audiodvp`'s motion, frame by frame: one more window of sound in, the expressions of a frame out.

The features of a frame depend on its sound alone, so of the seven frames whose features make an
expression six are remembered; the expression that comes out is that of three frames ago.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visavis.models.systems.audio_encoder import FEATURES, AudioEncoder
from visavis.models.systems.audiodvp.expression import FRAMES, AudioExpression, folded

__all__ = ["EARLY", "LOOKAHEAD_MS", "STATE", "LiveMotion"]

# The newest frame's sound ends 180 ms after its start, in whole rows; three frames more follow.
LOOKAHEAD_MS = 180 + 40 * (FRAMES // 2)
# Steps before that of frame 0: whole ticks of rows that end where the look-ahead of frame 0 ends.
# Outside the clip the program has features of zero, which are not those of silence.
EARLY = 4
# What is carried: the features of six frames, the oldest first, and how many steps there were.
STATE = {"earlier": (FRAMES - 1, FEATURES), "steps": (1,)}


class LiveMotion(nn.Module):
    """From the newest window f32[N, 28, 12] to expressions f32[N, 64] of three frames before.

    Args:
        encoder, expression: the published networks; the second is folded into one layer.
    """

    def __init__(self, encoder: AudioEncoder, expression: AudioExpression) -> None:
        super().__init__()
        self.encoder = encoder
        self.expression = folded(expression)

    def forward(
        self, features: Tensor, earlier: Tensor, steps: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return expressions f32[N, 64], and `earlier` and `steps` for the next frame.

        Args:
            features: f32[N, 28, 12], rows of MFCC.
            earlier: f32[N, 6, 256]; steps: f32[N, 1]. Zeros at first.
        """
        begun = torch.clamp(steps - (EARLY - 1), 0.0, 1.0)
        newest = self.encoder(features) * begun
        window = torch.cat((earlier, newest[:, None]), 1)
        expressions: Tensor = self.expression(window.flatten(1))
        return expressions, window[:, 1:], torch.clamp(steps + 1.0, max=float(EARLY))
