"""From sound to expression and head pose: the recurrent network of `headpose`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from visavis.models.systems.audio_encoder import FULL, RENAMES, WIDTHS, AudioEncoder
from visavis.models.systems.state import StateLayout

__all__ = ["LAYOUT", "Motion", "State", "start", "true_depth"]

HIDDEN, LAYERS = 256, 3
EXPRESSION, POSE = 64, 6
DEPTH = 69  # the column of the z translation
STORED_LESS = 0.5  # the training data had it subtracted

State = tuple[Tensor, Tensor]

LAYOUT = StateLayout(
    renames={theirs: f"encoder.{ours}" for theirs, ours in RENAMES.items()}
    | {"lstm": "recurrent", "lstm_fc.0": "leave"}
)


def start(batch: int = 1) -> State:
    """Return the state before the first frame, twice f32[3, N, 256]."""
    return torch.zeros(LAYERS, batch, HIDDEN), torch.zeros(LAYERS, batch, HIDDEN)


def true_depth(rows: Tensor) -> Tensor:
    """Return f32[..., 70] with the z translation that the pose means, not the one trained on."""
    moved = rows.clone()
    moved[..., DEPTH] += STORED_LESS
    return moved


class Motion(nn.Module):
    """From windows of MFCC to 64 expression coefficients and a pose.

    An LSTM of three layers (S. Hochreiter, J. Schmidhuber, "Long short-term memory", 1997) hears
    the past only, so a stream that carries its state gets what a whole utterance gets.

    Args:
        widths, full: of the encoder.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, full: int = FULL) -> None:
        super().__init__()
        self.encoder = AudioEncoder(widths, full)
        self.recurrent = nn.LSTM(256, HIDDEN, LAYERS, batch_first=True)
        self.leave = nn.Linear(HIDDEN, EXPRESSION + POSE)

    def forward(self, windows: Tensor, state: State) -> tuple[Tensor, State]:
        """Return f32[N, T, 70] and the state after them.

        A row is 64 expression coefficients, angles about x, y and z in radians and a translation,
        whose z is the pose's minus 0.5; see `true_depth`.

        Args:
            windows: f32[N, T, 28, 12] of `mfcc.windows`.
            state: of the frame before, or `start`.
        """
        features = self.encoder(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])
        hidden, after = self.recurrent(features, state)
        return self.leave(hidden), cast(State, after)
