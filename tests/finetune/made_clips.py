"""Small videos of every kind, made where a test needs them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

__all__ = ["flat", "scene", "write"]

U8 = NDArray[np.uint8]


def flat(level: int, width: int = 64, height: int = 48, u: int = 128, v: int = 128) -> U8:
    """One colour, uint8[height * 3/2, width]."""
    frame = np.full((height * 3 // 2, width), level, np.uint8)
    frame[height : height * 5 // 4], frame[height * 5 // 4 :] = u, v
    return frame


def scene(count: int, seed: int = 0, width: int = 64, height: int = 48) -> list[U8]:
    """A still texture with something that moves a little, so that a cut to another one shows."""
    rng = np.random.default_rng(seed)
    still = flat(0, width, height)
    still[:height] = np.kron(
        rng.integers(40, 200, (height // 8, width // 8)), np.ones((8, 8))
    ).astype(np.uint8)
    frames = []
    for k in range(count):
        frame = still.copy()
        at = 8 + abs(k % 32 - 16)
        frame[at : at + 8, at : at + 8] = 220
        frames.append(frame)
    return frames


def write(
    path: Path,
    pictures: Sequence[NDArray[Any]],
    *,
    times: Sequence[float] | None = None,
    rate: int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    turn: int = 0,
    sound: NDArray[np.float32] | None = None,
    sound_start: float = 0.0,
    tags: dict[str, int] | None = None,
) -> Path:
    """Write pictures in I420 of `pix_fmt`, and sound at 16 kHz.

    Args:
        times: when each is shown, seconds; else `rate`.
        turn: degrees counterclockwise that a player is to turn it.
        tags: attributes of the codec, for colours.
    """
    rows, width = pictures[0].shape
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, rows * 2 // 3, pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.thread_count = 1
        stream.options = {"crf": "10", "preset": "ultrafast", "bf": "0", **(options or {})}
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if turn:
            stream.set_display_rotation(turn)
        voice: Any = None
        if sound is not None:
            voice = container.add_stream(
                "aac" if path.suffix == ".mp4" else "pcm_s16le", rate=16000
            )
            voice.layout = "mono"
        for k, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, pix_fmt)
            for name, value in (tags or {}).items():
                setattr(frame, name, value)
            frame.pts = round(1000 * (k / rate if times is None else times[k]))
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice is not None and sound is not None:
            for first in range(0, len(sound), 1024):
                heard = av.AudioFrame.from_ndarray(
                    sound[None, first : first + 1024].astype(np.float32), "fltp", "mono"
                )
                heard.sample_rate, heard.time_base = 16000, Fraction(1, 16000)
                heard.pts = first + round(sound_start * 16000)
                container.mux(voice.encode(heard))
            container.mux(voice.encode(None))
    return path
