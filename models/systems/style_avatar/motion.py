"""From sound and a talking style to expression: the motion network of `style_avatar`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.systems.state import StateLayout

__all__ = [
    "FRAMES",
    "HEARD",
    "LAYOUT",
    "STYLE",
    "Motion",
    "Widths",
    "averaged",
    "heard",
    "starts",
    "widths_of",
]

POSTERIORS, STYLE, EXPRESSION = 29, 135, 64
FRAMES = 32  # of 40 ms, that a window tells
STEP = 8  # frames from a window to the next
AROUND = 8  # rows of 20 ms that a window hears before and after its frames
HEARD = 2 * FRAMES + 2 * AROUND

BLOCKS = (3, 4, 14)  # of each stage; the first block of a stage halves the time
LATE = (22, 23)  # what the file calls the blocks that know the style; there is no 21

LAYOUT = StateLayout(
    renames={
        "audio_layer": "audio",
        "energy_layer": "energy",
        "exp_sty_layer": "style",
        "out_layer": "leave",
    }
    | {
        f"{theirs}.{part}_layer": f"{ours}.{name}"
        for theirs, ours in [
            *((f"backbone1.{n}", f"early.{n}") for n in range(sum(BLOCKS))),
            *((f"backbone2.{n}", f"late.{i}") for i, n in enumerate(LATE)),
        ]
        for part, name in (("res", "residual"), ("shortcut", "shortcut"))
    }
)


@dataclass(frozen=True, slots=True)
class Widths:
    """Channels; those of the published network.

    Attributes:
        audio, energy: of what is heard. stages: of the stages. style: of the code's hidden layer.
    """

    audio: int = 48
    energy: int = 16
    stages: tuple[int, int, int] = (64, 128, 256)
    style: int = 64


def widths_of(state: Mapping[str, Tensor]) -> Widths:
    """Return the channels of a checkpoint.

    Raises:
        KeyError: a tensor that tells them is missing.
    """
    firsts = [f"backbone1.{sum(BLOCKS[:n])}.res_layer.1.weight" for n in range(len(BLOCKS))]
    first, second, third = (len(state[name]) for name in firsts)
    return Widths(
        len(state["audio_layer.0.weight"]),
        len(state["energy_layer.0.weight"]),
        (first, second, third),
        len(state["exp_sty_layer.0.weight"]),
    )


class _Block(nn.Module):
    """A residual unit that is normalised first (J. Deng et al., "ArcFace", 2019, in one axis)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.BatchNorm1d(inputs),
            nn.Conv1d(inputs, outputs, 3, 1, 1, bias=False),
            nn.PReLU(outputs),
            nn.Conv1d(outputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm1d(outputs),
        )
        self.shortcut = (
            nn.MaxPool1d(1, stride)
            if inputs == outputs
            else nn.Sequential(
                nn.Conv1d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm1d(outputs)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.residual(x)) + cast(Tensor, self.shortcut(x))


class _Stretched(nn.Module):
    """To 32 frames, linear; of pictures one row high, which exporters keep as one operation."""

    def forward(self, x: Tensor) -> Tensor:
        wide = F.interpolate(x[:, :, None], (1, FRAMES), mode="bilinear", align_corners=False)
        return wide[:, :, 0]


def _enter(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, 3, 1, 1),
        nn.BatchNorm1d(outputs),
        nn.ReLU(),
        nn.Conv1d(outputs, outputs, 3, 1, 1),
    )


class Motion(nn.Module):
    """From a window of sound and a style code to 32 frames of expression.

    It has no causal structure: every frame may depend on the whole window.

    Args:
        widths: of the layers.
    """

    def __init__(self, widths: Widths | None = None) -> None:
        super().__init__()
        w = widths or Widths()
        self.audio = _enter(POSTERIORS, w.audio)
        self.energy = _enter(1, w.energy)
        blocks, inputs = [], w.audio + w.energy
        for outputs, count in zip(w.stages, BLOCKS, strict=True):
            blocks.append(_Block(inputs, outputs, 2))
            blocks += [_Block(outputs, outputs) for _ in range(count - 1)]
            inputs = outputs
        self.early = nn.Sequential(*blocks)
        self.style = nn.Sequential(nn.Linear(STYLE, w.style), nn.ReLU(), nn.Linear(w.style, inputs))
        self.late = nn.Sequential(*(_Block(2 * inputs, 2 * inputs) for _ in LATE))
        self.leave = nn.Sequential(
            _Stretched(),
            nn.BatchNorm1d(2 * inputs),
            nn.Conv1d(2 * inputs, EXPRESSION, 3, 1, 1, bias=False),
            nn.PReLU(EXPRESSION),
            nn.Conv1d(EXPRESSION, EXPRESSION, 3, 1, 1, bias=False),
        )

    def forward(self, audio: Tensor, energy: Tensor, style: Tensor) -> Tensor:
        """Return expression coefficients f32[N, 64, 32].

        Args:
            audio: f32[N, 29, 80], posteriors of letters (DeepSpeech), 50 a second; see `heard`.
            energy: f32[N, 1, 80], the root of the mean square of the sound at the same times.
            style: f32[N, 135]; see `style.style_code`.
        """
        x = self.early(torch.cat((self.audio(audio), self.energy(energy)), 1))
        code = self.style(style)[:, :, None].expand(-1, -1, x.shape[-1])
        expression: Tensor = self.leave(self.late(torch.cat((x, code), 1)))
        return expression


def starts(frames: int) -> list[int]:
    """Return the first frames of the windows that the original makes of a clip.

    The last ones are moved back to end with the clip, and count as often as they come.

    Args:
        frames: of 40 ms, at least `FRAMES`.
    """
    if frames < FRAMES:
        raise ValueError(f"A clip must have {FRAMES} frames or more, not {frames}.")
    return [min(start, frames - FRAMES) for start in range(0, frames, STEP)]


def heard(rows: NDArray[np.float32], start: int) -> NDArray[np.float32]:
    """Return what a window hears, f32[C, 80]; before and after the clip its end is repeated.

    Args:
        rows: f32[M, C], 20 ms apart.
        start: the window's first frame, of 40 ms.
    """
    wanted = np.arange(2 * start - AROUND, 2 * (start + FRAMES) + AROUND)
    return np.ascontiguousarray(rows[wanted.clip(0, len(rows) - 1)].T)


def averaged(
    frames: int, windows: Iterator[tuple[int, NDArray[np.float32]]]
) -> NDArray[np.float32]:
    """Return f32[F, 64]: for every frame the mean of all windows that tell it.

    Args:
        frames: of the clip.
        windows: first frame, and f32[64, 32].
    """
    total = np.zeros((frames, EXPRESSION), np.float64)
    count = np.zeros((frames, 1))
    for start, window in windows:
        total[start : start + FRAMES] += window.T
        count[start : start + FRAMES] += 1
    return (total / count).astype(np.float32)
