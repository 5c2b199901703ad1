"""From sound to a mouth feature: the coefficients and the audio encoder of `davs`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.systems.davs import FEATURE, channels
from visavis.models.systems.state import StateLayout

__all__ = ["FIRST_FRAME", "LAYOUT", "SoundEncoder", "frames", "mfcc", "window"]

SAMPLE_RATE = 16_000
WINDOW, HOP, TRANSFORM = 400, 160, 512
FILTERS, LOW_HZ, HIGH_HZ = 13, 300.0, 3700.0
LIFTER = 22
EMPHASIS = 0.97
FULL_SCALE = 32768.0
ROWS, BEFORE, STEP = 20, 8, 4  # of a frame of 40 ms: 80 ms before its begin to 135 ms after it
FIRST_FRAME = BEFORE // STEP
TAIL = 3  # frames at the end of a clip that the original does not make
FLOOR = 1e-10  # of a filter's sum, for samples of 16 bits; sound has 1 and more

F64 = NDArray[np.float64]

LAYOUT = StateLayout(
    renames={
        "model1": "wide",
        "model2": "tall",
        "model1.bn1": "wide.norm1",
        "model1.bn2": "wide.norm2",
        "model1.bn3": "wide.norm3",
        "model2.bn1": "tall.norm1",
        "model2.bn2": "tall.norm2",
    },
    unused=("model1.bn5.*",),
)


def mfcc(samples: NDArray[np.floating], *, floor: float = FLOOR) -> F64:
    """Return mel-frequency cepstral coefficients f64[M, 13], M = 1 + floor((N - 400) / 160).

    Symmetric Hamming window, magnitude spectrum, 13 triangles of height 1 from 300 to 3700 Hz; the
    formula of SyncNet (J. S. Chung, A. Zisserman, "Out of time", 2016). It was compared with its
    description, not with MATLAB.

    Args:
        samples: f[N], mono, 16 kHz, -1 to 1.
        floor: what a filter's sum is at least. The original has none, and digital silence becomes
            infinite there.
    """
    x = np.asarray(samples, np.float64) * FULL_SCALE
    if x.ndim != 1 or len(x) < WINDOW:
        raise ValueError(f"Samples must be a vector of {WINDOW} or more, not of shape {x.shape}.")
    x = x - EMPHASIS * np.concatenate(([0.0], x[:-1]))
    framed = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::HOP]
    magnitude = np.abs(np.fft.rfft(framed * np.hamming(WINDOW), TRANSFORM))
    loud = np.log(np.maximum(magnitude @ _filters().T, floor))
    k, m = np.ogrid[:FILTERS, 1 : FILTERS + 1]
    cosines = np.sqrt(2.0 / FILTERS) * np.cos(k * np.pi / FILTERS * (m - 0.5))
    lift = 1.0 + LIFTER / 2 * np.sin(np.pi * np.arange(FILTERS) / LIFTER)
    return np.asarray(loud @ cosines.T * lift, np.float64)


def frames(samples: int) -> range:
    """Return the frames, of 40 ms, that the original makes of a clip; each has a whole `window`.

    It stops 160 ms before the end, where a `window` needs 135 only.

    Args:
        samples: of the clip.
    """
    return range(FIRST_FRAME, samples // (STEP * HOP) - TAIL)


def window(coefficients: NDArray[np.floating], frame: int) -> NDArray[np.float32]:
    """Return what the encoder sees of a frame, f32[20, 12].

    Args:
        coefficients: f[M, 13] of `mfcc`; column 0 is dropped.
        frame: one of `frames`.
    """
    start = STEP * frame - BEFORE
    rows = np.asarray(coefficients[start : start + ROWS, 1:], np.float32)
    if start < 0 or len(rows) < ROWS:
        raise ValueError(f"There is no whole window around frame {frame}.")
    return rows


def _filters() -> F64:
    """Triangles f64[13, 257], their corners at equal steps of 1127 ln(1 + f / 700)."""
    low, high = (1127.0 * np.log1p(f / 700.0) for f in (LOW_HZ, HIGH_HZ))
    corners = 700.0 * np.expm1(np.linspace(low, high, FILTERS + 2) / 1127.0)
    f = np.linspace(0.0, SAMPLE_RATE / 2, TRANSFORM // 2 + 1)
    left, middle, right = (corners[i : i + FILTERS, None] for i in range(3))
    rise, fall = (f - left) / (middle - left), (right - f) / (right - middle)
    return np.asarray(np.clip(np.minimum(rise, fall), 0.0, None), np.float64)


class _Wide(nn.Module):
    """Small kernels over time and coefficients."""

    def __init__(self, feature: int) -> None:
        super().__init__()
        a, b, c, d = (channels(n, feature) for n in (64, 128, 256, 512))
        self.conv1 = nn.Conv2d(1, a, 3, (3, 2), (1, 2), bias=False)
        self.norm1 = nn.BatchNorm2d(a)
        self.conv2 = nn.Conv2d(a, b, 3, 2, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(b)
        self.conv3 = nn.Conv2d(b, c, 3, bias=False)
        self.norm3 = nn.BatchNorm2d(c)
        self.conv4 = nn.Conv2d(c, d, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.norm1(self.conv1(x)), 0.2)
        x = F.leaky_relu(self.norm2(self.conv2(x)), 0.2)
        x = F.leaky_relu(self.norm3(self.conv3(x)), 0.2)
        return torch.flatten(self.conv4(x), 1)


class _Tall(nn.Module):
    """Kernels over time that see all coefficients at once."""

    def __init__(self, feature: int) -> None:
        super().__init__()
        a, b, c = (channels(n, feature) for n in (64, 256, 512))
        self.conv1 = nn.Conv2d(1, a, (3, 12), bias=False)
        self.norm1 = nn.BatchNorm2d(a)
        self.conv2 = nn.Conv2d(a, b, (3, 1), padding=(1, 0), bias=False)
        self.norm2 = nn.BatchNorm2d(b)
        self.conv3 = nn.Conv2d(b, c, (3, 1), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.leaky_relu(self.norm1(self.conv1(x)), 0.2), 1, 3)
        x = F.max_pool2d(F.leaky_relu(self.norm2(self.conv2(x)), 0.2), 1, 2)
        return torch.flatten(self.conv3(x), 1)


class SoundEncoder(nn.Module):
    """From windows f32[N, 20, 12] of `mfcc` to mouth features f32[N, F].

    Args:
        feature: F; all widths go with it.
    """

    def __init__(self, *, feature: int = FEATURE) -> None:
        super().__init__()
        self.wide = _Wide(feature)
        self.tall = _Tall(feature)
        self.fc = nn.Linear(4 * feature, feature)

    def forward(self, windows: Tensor) -> Tensor:
        """Return f32[N, F]; times `FROM_SOUND` it is what the decoder takes."""
        x = windows[:, None]
        features: Tensor = self.fc(torch.cat((self.wide(x), self.tall(x)), 1))
        return features
