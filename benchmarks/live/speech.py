"""What the benchmark says: a recording, looped to length so that no two loops are alike."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import AudioInputError

__all__ = ["RATE", "read", "varied", "write"]

RATE = 48_000  # Hz
GAIN_EVERY_S = 0.5
GAIN_DB = 2.0
NOISE_DB = -75.0


def read(source: Path) -> NDArray[np.float32]:
    """The sound of any file, mono at 48 kHz, full scale 1: f32[n].

    Raises:
        AudioInputError: it cannot be read, or holds less than a second.
    """
    try:
        with av.open(str(source)) as container:
            resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
            pieces = [
                piece.to_ndarray().ravel()
                for frame in container.decode(audio=0)
                for piece in resampler.resample(frame)
            ]
            pieces += [piece.to_ndarray().ravel() for piece in resampler.resample(None)]
    except (OSError, IndexError, av.FFmpegError) as error:
        raise AudioInputError(f"{source} has no sound that can be read: {error}.") from None
    samples = np.concatenate([np.zeros(0, np.float32), *pieces]).astype(np.float32)
    if samples.size < RATE:
        raise AudioInputError(f"{source} holds less than a second of sound; give a longer one.")
    return samples


def varied(samples: NDArray[np.float32], seconds: float, *, seed: int) -> NDArray[np.float32]:
    """Loop to at least ``seconds`` with a slowly varying gain and faint noise.

    The gain (2 dB) and the noise (-75 dB) come from the seed and change nothing that matters to
    speech, but a stretch of one loop is never equal to the same stretch of another.
    """
    rng = np.random.default_rng(seed)
    loops = int(np.ceil(seconds * RATE / samples.size))
    looped = np.tile(samples, loops)
    knots = np.arange(0, looped.size + GAIN_EVERY_S * RATE, GAIN_EVERY_S * RATE)
    decibels = np.interp(np.arange(looped.size), knots, rng.uniform(-GAIN_DB, GAIN_DB, knots.size))
    noise = 10 ** (NOISE_DB / 20) * rng.standard_normal(looped.size)
    out = looped * 10 ** (decibels / 20) + noise
    return np.clip(out, -1, 1).astype(np.float32)


def write(path: Path, samples: NDArray[np.float32]) -> None:
    """Write mono 16-bit wav at 48 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
