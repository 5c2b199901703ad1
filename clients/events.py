"""What comes out of a session with a server."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CodedPicture",
    "CodedVoice",
    "Event",
    "Picture",
    "PlaybackFinished",
    "PlaybackStarted",
    "Voice",
]


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame: when it is due, uint8[H * 3 / 2, W] BT.601 limited I420."""

    pts_s: float
    i420: NDArray[np.uint8]
    generation: int


@dataclass(frozen=True, slots=True)
class Voice:
    """20 ms of voice, f32[960] at 48 kHz."""

    pts_s: float
    pcm: NDArray[np.float32]
    generation: int


@dataclass(frozen=True, slots=True)
class CodedPicture:
    """A frame as the server compressed it: a VP8 frame, or H.264 in Annex B.

    `pts` counts samples at 48 kHz, as that of `CodedVoice` does, from one origin.
    """

    pts: int
    data: bytes
    key: bool


@dataclass(frozen=True, slots=True)
class CodedVoice:
    """20 ms of voice as an Opus packet."""

    pts: int
    data: bytes


@dataclass(frozen=True, slots=True)
class PlaybackStarted:
    """The first sample of a segment has left the server."""

    segment: int


@dataclass(frozen=True, slots=True)
class PlaybackFinished:
    """A segment has left, whole or until it was cleared."""

    segment: int
    position_s: float
    interrupted: bool


Event = Picture | Voice | CodedPicture | CodedVoice | PlaybackStarted | PlaybackFinished
