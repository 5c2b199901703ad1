"""The audio encoder that `headpose` and `audiodvp` share: MFCC of 280 ms to 256 numbers.

It is the audio half of AT-net (L. Chen et al., "Hierarchical cross-modal talking face generation
with dynamic pixel-wise loss", 2019), trained on English broadcasts; both systems took its weights.
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["RENAMES", "AudioEncoder"]

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
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            _convolution(1, 64),
            _convolution(64, 128),
            nn.MaxPool2d(3, stride=(1, 2)),
            _convolution(128, 256),
            _convolution(256, 256),
            _convolution(256, 512),
            nn.MaxPool2d(3, stride=(2, 2)),
        )
        self.full = nn.Sequential(
            nn.Linear(512 * 12 * 2, 2048), nn.ReLU(), nn.Linear(2048, 256), nn.ReLU()
        )

    def forward(self, windows: Tensor) -> Tensor:
        """Return f32[N, 256]."""
        features: Tensor = self.full(self.convolutions(windows[:, None]).flatten(1))
        return features
