"""The audio encoder that `headpose` and `audiodvp` share: MFCC of 280 ms to 256 numbers.

It is the audio half of AT-net (L. Chen et al., "Hierarchical cross-modal talking face generation
with dynamic pixel-wise loss", 2019), trained on English broadcasts; both systems took its weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

__all__ = ["FULL", "RENAMES", "WIDTHS", "AudioEncoder", "encoder_sizes"]

WIDTHS = (64, 128, 256, 256, 512)
FULL = 2048
FEATURES = 256
LAST = 12 * 2  # places that the convolutions leave of 28 rows of 12

# Dotted prefixes of the file's keys to ours.
RENAMES = {"audio_eocder": "convolutions", "audio_eocder_fc": "full"}


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class AudioEncoder(nn.Module):
    """From windows f32[N, 28, 12] to features f32[N, 256].

    A window is 28 rows of 12 MFCC, 10 ms apart; see `mfcc.windows`. Frames do not depend on each
    other. Features are not negative.

    Args:
        widths: channels of the five convolutions; full: numbers between the two full layers. The
            published network has the defaults.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, full: int = FULL) -> None:
        super().__init__()
        first, second, third, fourth, last = widths
        self.convolutions = nn.Sequential(
            _convolution(1, first),
            _convolution(first, second),
            nn.MaxPool2d(3, stride=(1, 2)),
            _convolution(second, third),
            _convolution(third, fourth),
            _convolution(fourth, last),
            nn.MaxPool2d(3, stride=(2, 2)),
        )
        self.full = nn.Sequential(
            nn.Linear(last * LAST, full), nn.ReLU(), nn.Linear(full, FEATURES), nn.ReLU()
        )

    def forward(self, windows: Tensor) -> Tensor:
        """Return f32[N, 256]."""
        features: Tensor = self.full(self.convolutions(windows[:, None]).flatten(1))
        return features


def encoder_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return `widths` and `full` of the encoder in a file's state dict; `build` checks the rest.

    Raises:
        KeyError: a layer is missing.
    """
    prefix = "module." if all(key.startswith("module.") for key in state) else ""
    return {
        "widths": tuple(
            int(state[f"{prefix}audio_eocder.{n}.0.weight"].shape[0]) for n in (0, 1, 3, 4, 5)
        ),
        "full": int(state[f"{prefix}audio_eocder_fc.0.weight"].shape[0]),
    }
