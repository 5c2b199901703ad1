"""`rhythmic`'s head motion: rotation and translation from the voice and from how the head moved.

How the head moved becomes an affine map once; a frame's motion is that map of what its audio is
embedded as. So nothing but the audio looks ahead: 160 ms from a frame's start by its window, and 80
by the windows of the two frames after it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "MOTION_DEVIATION",
    "MOTION_MEAN",
    "AudioEmbedding",
    "MotionDecoder",
    "MotionHistory",
    "audio_rows",
]

ROWS, SAMPLES = 7, 640  # of a frame's window: its own 40 ms and three times that to each side
AUDIO, MOTION, HISTORY = 256, 6, 512
SLOPE = 0.3

# Of what the networks call motion 0 and 1: a rotation vector in radians and a translation.
MOTION_MEAN = (0.07, -0.008, -0.016, 11.4, 5.69, -4.37)
MOTION_DEVIATION = (0.066, 0.132, 0.071, 9.99, 9.24, 16.95)


def audio_rows(samples: Tensor, first: int, count: int) -> Tensor:
    """Return the windows of `count` frames from `first` on, f32[count, 7, 640].

    Args:
        samples: f32[N], 16 kHz, in whatever scale; the published program takes 16-bit integers as
            they are. Before and after there is silence.
    """
    reach = ROWS // 2
    start, stop = (first - reach) * SAMPLES, (first + count + reach) * SAMPLES
    inside = samples[max(start, 0) : max(stop, 0)]
    before = min(max(-start, 0), stop - start)
    padded = F.pad(inside, (before, stop - start - before - len(inside)))
    return padded.reshape(-1, SAMPLES).unfold(0, ROWS, 1).transpose(1, 2)


class AudioEmbedding(nn.Module):
    """From windows f32[N, T, 7, 640] of T frames in a row to f32[N, T, 256].

    A frame depends on the two before and the two after it as well; past the ends those are zero.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3))
        # Dropout of training has a place of its own.
        self.audio_l = nn.Sequential(
            nn.Conv1d(16 * (ROWS - 4) * (SAMPLES - 4), 512, 3, padding=1),
            nn.BatchNorm1d(512),
            nn.LeakyReLU(SLOPE),
            nn.Identity(),
            nn.Conv1d(512, AUDIO, 3, padding=1),
            nn.BatchNorm1d(AUDIO),
            nn.LeakyReLU(SLOPE),
        )

    def forward(self, windows: Tensor) -> Tensor:
        """Return f32[N, T, 256]."""
        seen = self.conv(windows.flatten(0, 1)[:, None]).unflatten(0, windows.shape[:2])
        embedded: Tensor = self.audio_l(seen.flatten(2).transpose(1, 2)).transpose(1, 2)
        return embedded


class MotionHistory(nn.Module):
    """From motion f32[N, T, 6] and embedded audio f32[N, T, 256] of T frames to f32[N, 512].

    T is 64 as published, and at least 13.
    """

    def __init__(self) -> None:
        super().__init__()
        self.l = nn.Sequential(
            nn.Linear(MOTION, 128), nn.BatchNorm1d(128), nn.LeakyReLU(SLOPE), nn.Linear(128, AUDIO)
        )
        self.backend_conv1 = nn.Sequential(
            nn.Conv1d(HISTORY, HISTORY, 5, stride=2),
            nn.BatchNorm1d(HISTORY),
            nn.LeakyReLU(SLOPE),
            nn.Identity(),
            nn.Conv1d(HISTORY, HISTORY, 5, stride=2),
            nn.BatchNorm1d(HISTORY),
            nn.LeakyReLU(SLOPE),
        )

    def forward(self, motion: Tensor, audio: Tensor) -> Tensor:
        """Return f32[N, 512]."""
        moved = self.l(motion.flatten(0, 1)).unflatten(0, motion.shape[:2])
        together = torch.cat([moved, audio], dim=2).transpose(1, 2)
        history: Tensor = self.backend_conv1(together).mean(dim=2)
        return history


class MotionDecoder(nn.Module):
    """From a history f32[N, 512] to an affine map of embedded audio to motion."""

    def __init__(self) -> None:
        super().__init__()
        self.l = nn.Linear(HISTORY, (AUDIO + 1) * MOTION)

    def forward(self, history: Tensor) -> tuple[Tensor, Tensor]:
        """Return a matrix f32[N, 256, 6] and what is added f32[N, 6]: motion is audio @ it + that.

        Motion is in deviations from the mean; see `MOTION_MEAN`.
        """
        matrix, added = self.l(history).split([AUDIO * MOTION, MOTION], dim=1)
        return matrix.unflatten(1, (AUDIO, MOTION)), added
