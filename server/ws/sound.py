"""Plain samples, for browsers without an Opus codec of their own: PCM16, little endian, mono."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pcm16Decoder", "Pcm16Encoder"]

RATE = 48_000
HALF_TAPS = 24  # at the input's rate, on each side


class Pcm16Decoder:
    """From 16, 24 or 48 kHz to 48 kHz; a packet that is no whole number of samples is damaged.

    Between the given samples a windowed sinc interpolates (Kaiser, 60 dB), continuously over the
    packets. It delays the sound by :data:`HALF_TAPS` samples of the input, 1.5 ms at 16 kHz.

    Args:
        rate: of the samples that come, a divisor of 48 kHz.
    """

    def __init__(self, rate: int) -> None:
        self._factor, rest = divmod(RATE, rate)
        if rest:
            raise ValueError(f"{rate} is no divisor of {RATE}")
        # Phase p of the filter gives the output p / factor samples after an input sample.
        t = np.arange(-HALF_TAPS, HALF_TAPS)[None] + np.arange(self._factor)[:, None] / self._factor
        window = np.kaiser(2 * HALF_TAPS * self._factor + 1, 5.65)
        at = (t + HALF_TAPS) * self._factor
        taps = np.sinc(0.92 * t) * window[np.rint(at).astype(int)]
        self._taps = (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)[:, ::-1]
        self._tail = np.zeros(2 * HALF_TAPS - 1, np.float32)

    def decode(self, payload: bytes) -> NDArray[np.float32]:
        """``f32[n]`` mono 48 kHz in -1..1; empty when the payload is damaged or empty."""
        if not payload or len(payload) % 2:
            return np.zeros(0, np.float32)
        pcm = np.frombuffer(payload, "<i2").astype(np.float32) * np.float32(1 / 32768)
        if self._factor == 1:
            return pcm
        line = np.concatenate([self._tail, pcm])
        self._tail = line[len(pcm) :]
        windows = np.lib.stride_tricks.sliding_window_view(line, 2 * HALF_TAPS)
        out: NDArray[np.float32] = (windows @ self._taps.T).reshape(-1)
        return out


class Pcm16Encoder:
    """48 kHz, as it is."""

    def encode(self, pcm: NDArray[np.float32]) -> bytes:
        """``f32[n]`` to ``2 n`` bytes."""
        return (np.clip(pcm, -1.0, 1.0) * 32767).astype("<i2").tobytes()
