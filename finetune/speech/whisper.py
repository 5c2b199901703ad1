"""A whisper made of any voice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["whisper"]

F32 = NDArray[np.float32]
Rng = np.random.Generator


def whisper(x: F32, rng: Rng) -> F32:
    """The same speech without a voice: the spectral envelope over noise."""
    size, hop = 512, 128
    padded = np.pad(x, (size, size + hop))
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * window
    magnitude = np.abs(np.fft.rfft(frames)) + 1e-6
    cepstrum = np.fft.irfft(np.log(magnitude))
    cepstrum[:, 26:-25] = 0.0
    envelope = np.exp(np.fft.rfft(cepstrum).real)
    # A whisper has little below the first formant.
    envelope *= np.minimum(1.0, np.linspace(0.05, 6.0, envelope.shape[1]))
    breathy = rng.normal(size=frames.shape).astype(np.float32) * window
    shaped = np.fft.irfft(np.fft.rfft(breathy) * envelope / 12.0, size) * window
    out = np.zeros(len(padded) + size, np.float32)
    for i, frame in enumerate(shaped.astype(np.float32)):
        out[i * hop : i * hop + size] += frame
    return out[size : size + len(x)]
