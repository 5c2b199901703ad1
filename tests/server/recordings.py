"""What tests of recordings share: a file read back, picture by picture and sample by sample."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tests.server.fake_engine import read_index, read_level

__all__ = ["RATE", "Played", "play", "swell"]

RATE = 48_000
TICK = 1920


def swell(seconds: float, every: float = 0.8) -> NDArray[np.int16]:
    """A tone that grows and fades without a pause, so that each moment has its own loudness."""
    t = np.arange(int(seconds * RATE)) / RATE
    loudness = np.sin(np.pi * t / every) ** 2
    return (24_000 * loudness * np.sin(2 * np.pi * 440 * t)).astype(np.int16)


@dataclass
class Played:
    """A recording as a player has it."""

    ticks: list[int] = field(default_factory=list)
    """Of each picture, 25 a second."""
    keys: list[int] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    """What each picture of the fake engine says that it is."""
    levels: list[float] = field(default_factory=list)
    """How loud each picture says that its voice is."""
    corners: list[NDArray[np.float64]] = field(default_factory=list)
    """Y, U and V of each picture's upper right corner."""
    size: tuple[int, int] = (0, 0)
    pcm: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    """From the file's time 0 on, at 48 kHz."""
    metadata: dict[str, str] = field(default_factory=dict)
    codecs: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long the voice is."""
        return len(self.pcm) / RATE

    def lag_ms(self, first: int = 0, end: int | None = None) -> float:
        """By how much the pictures follow their voice, of pictures ``first`` to ``end``.

        Pictures show the loudness of their own 40 ms; the same is taken of the voice, shifted by
        steps of 5 ms, and the shift at which both agree best is the lag.
        """
        # Where it begins and ends there may be a picture without its voice.
        part = slice(3, -3)
        ticks = np.array(self.ticks[first:end])[part]
        levels = np.array(self.levels[first:end])[part]
        assert levels.max() > 0.3 and levels.min() < 0.05, "there must be something to compare"
        agreement = {}
        for ms in range(-120, 125, 5):
            loud = []
            for tick in ticks:
                begin = tick * TICK - ms * RATE // 1000
                heard = self.pcm[max(0, begin) : max(0, begin + TICK)]
                loud.append(float(np.abs(heard).max()) if len(heard) else 0.0)
            agreement[ms] = -float(np.square(np.minimum(loud, 1) - levels).sum())
        best = max(agreement.values())
        return float(np.mean([ms for ms, value in agreement.items() if value > best - 1e-3]))


def play(file: Path | bytes) -> Played:
    """Decode all of it."""
    played = Played()
    with av.open(io.BytesIO(file) if isinstance(file, bytes) else str(file)) as container:
        played.metadata = dict(container.metadata)
        played.codecs = tuple(stream.codec_context.name for stream in container.streams)
        for frame in container.decode(video=0):
            assert frame.pts is not None and frame.time_base is not None
            tick = frame.pts * frame.time_base * 25
            assert tick.denominator == 1, "a picture stands between two ticks"
            i420 = frame.to_ndarray()
            luma = i420[: frame.height]
            u, v = i420[frame.height :].reshape(2, frame.height // 2, -1)
            corner = [luma[4:12, -12:-4], u[2:6, -6:-2], v[2:6, -6:-2]]
            played.corners.append(np.array([plane.mean() for plane in corner]))
            played.ticks.append(int(tick))
            played.indices.append(read_index(luma))
            played.levels.append(read_level(luma))
            played.size = frame.width, frame.height
            if frame.key_frame:
                played.keys.append(int(tick))
    with av.open(io.BytesIO(file) if isinstance(file, bytes) else str(file)) as container:
        parts = []
        for sound in container.decode(audio=0):
            assert sound.pts is not None and sound.sample_rate == RATE
            start = round(sound.pts * sound.time_base * RATE)
            have = sum(map(len, parts))
            assert abs(start - have) <= 1, "the voice has a hole"
            parts.append(sound.to_ndarray()[0])
        played.pcm = np.concatenate(parts)
    return played
