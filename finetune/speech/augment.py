"""What rooms, microphones and senders do to speech, and sounds that are not speech.

All functions take f32 sound at 16 kHz and a generator, and give f32 sound. Nothing here changes the
times of phones; what does (resampling) is done where the phones are known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "breath",
    "colour",
    "degrade",
    "keys",
    "music",
    "noise",
    "reverberate",
    "rustle",
    "whisper",
]

RATE = 16000
F32 = NDArray[np.float32]
Rng = np.random.Generator


def _fast_length(n: int) -> int:
    """The next length of the form 2^k or 3 * 2^k, which the FFT likes."""
    power = 1 << max(n - 1, 1).bit_length()
    return power * 3 // 4 if power * 3 // 4 >= n else power


def _filtered(x: F32, gain_db: NDArray[np.float64], hz: NDArray[np.float64]) -> F32:
    """Zero-phase filter by a gain curve, linear between the given frequencies."""
    n = _fast_length(len(x) + 512)
    spectrum = np.fft.rfft(x, n)
    at = np.fft.rfftfreq(n, 1 / RATE)
    spectrum *= np.power(10.0, np.interp(at, hz, gain_db) / 20.0).astype(np.float32)
    return np.fft.irfft(spectrum, n)[: len(x)].astype(np.float32)


def _unit(x: F32) -> F32:
    return np.asarray(x / (np.sqrt(np.mean(np.square(x))) + 1e-9), np.float32)


def colour(x: F32, rng: Rng) -> F32:
    """A microphone's and a line's colour: tilt, two or three broad peaks, and band limits."""
    hz = np.geomspace(50.0, 8000.0, 48)
    octave = np.log2(hz / 700.0)
    gain = rng.uniform(-3.0, 3.5) * octave
    for _ in range(rng.integers(1, 4)):
        centre, width = rng.uniform(-3.0, 3.3), rng.uniform(0.25, 1.0)
        gain += rng.uniform(-9.0, 9.0) * np.exp(-(((octave - centre) / width) ** 2))
    kind = rng.random()
    low, high = rng.uniform(50.0, 180.0), 8000.0
    if kind < 0.12:
        low, high = 300.0, rng.uniform(3200.0, 3800.0)
    elif kind < 0.35:
        high = rng.uniform(4000.0, 7500.0)
    gain -= 24.0 * np.maximum(0.0, np.log2(low / hz)) + 90.0 * np.maximum(0.0, np.log2(hz / high))
    return _filtered(x, gain, hz)


def reverberate(x: F32, rng: Rng) -> F32:
    """A room: direct sound, then decaying noise (T60 .1 to .6 s) that loses its treble."""
    t60 = rng.uniform(0.1, 0.6)
    n = int(t60 * RATE)
    tail = rng.normal(0.0, 1.0, n).astype(np.float32)
    tail *= np.exp(-6.9 * np.arange(n) / n).astype(np.float32)
    smooth = rng.uniform(0.0, 0.7)
    tail[1:] = (1 - smooth) * tail[1:] + smooth * tail[:-1]
    tail[: int(rng.uniform(0.001, 0.012) * RATE)] = 0.0
    tail *= np.float32(10 ** (rng.uniform(-16.0, 2.0) / 20.0) / np.sqrt(np.sum(tail**2) + 1e-9))
    tail[0] = 1.0
    size = _fast_length(len(x) + n)
    wet = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(tail, size), size)
    return np.asarray(wet[: len(x)], np.float32)


def noise(n: int, rng: Rng) -> F32:
    """Steady noise of unit power: white to brown, a fan or mains hum at times."""
    size = _fast_length(n)
    hz = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 20.0)
    shape = np.power(hz / 500.0, -rng.uniform(0.0, 1.2))
    for _ in range(rng.integers(0, 4)):
        centre = np.exp(rng.uniform(np.log(80.0), np.log(6000.0)))
        shape *= 1.0 + rng.uniform(0.0, 4.0) * np.exp(-(((hz - centre) / (0.2 * centre)) ** 2))
    phase = rng.normal(size=len(hz)) + 1j * rng.normal(size=len(hz))
    out = _unit(np.fft.irfft(shape * phase, size)[:n].astype(np.float32))
    if rng.random() < 0.25:
        t = np.arange(n) / RATE
        base = rng.choice([50.0, 60.0, rng.uniform(80.0, 250.0)])
        hum = sum(
            rng.uniform(0.0, 1.0 / k) * np.sin(2 * np.pi * base * k * t + rng.uniform(0, 6.3))
            for k in range(1, 8)
        )
        out = _unit(out + np.asarray(hum, np.float32) * np.float32(rng.uniform(0.3, 2.0)))
    if rng.random() < 0.3:
        knots = rng.uniform(-8.0, 8.0, max(2, n // RATE))
        swell = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(knots)), knots)
        out = out * np.power(10.0, swell / 20.0).astype(np.float32)
    return out


def _band(x: F32, low: float, high: float) -> F32:
    hz = np.array([20.0, low * 0.6, low, high, min(high * 1.5, 7999.0), 8000.0])
    return _filtered(x, np.array([-60.0, -30.0, 0.0, 0.0, -30.0, -60.0]), np.maximum.accumulate(hz))


def keys(n: int, rng: Rng) -> F32:
    """Keyboard, mouse and table: short noisy blows, many in a row or few."""
    out = np.zeros(n, np.float32)
    at = rng.uniform(0.0, 0.3)
    pace = rng.uniform(0.08, 0.6)
    low = rng.uniform(120.0, 2500.0)
    while at * RATE < n - 10:
        for shift, size in ((0.0, 1.0), (rng.uniform(0.05, 0.11), rng.uniform(0.0, 0.6))):
            length = int(rng.uniform(0.004, 0.045) * RATE)
            start = int((at + shift) * RATE)
            length = min(length, n - start)
            if length > 8:
                blow = rng.normal(size=length) * np.exp(
                    -rng.uniform(4, 9) * np.arange(length) / length
                )
                out[start : start + length] += (size * rng.uniform(0.3, 1.0) * blow).astype(
                    np.float32
                )
        at += rng.exponential(pace) + 0.05
    return _unit(_band(out, low, min(low * rng.uniform(2.0, 12.0), 7800.0)))


def breath(n: int, rng: Rng) -> F32:
    """Breath: noise with the resonances of an open throat, swelling and falling."""
    out = rng.normal(size=n).astype(np.float32)
    hz = np.geomspace(50.0, 8000.0, 64)
    gain = np.full(64, -14.0)
    for centre in (rng.uniform(400, 900), rng.uniform(1200, 2000), rng.uniform(2400, 4000)):
        gain += rng.uniform(6, 16) * np.exp(-((np.log2(hz / centre) / 0.35) ** 2))
    out = _filtered(out, gain, hz)
    envelope = np.zeros(n, np.float32)
    at = 0
    while at < n:
        length = int(rng.uniform(0.25, 1.1) * RATE)
        stop = min(at + length, n)
        hump = np.sin(np.linspace(0, np.pi, length)) ** rng.uniform(0.6, 2.0)
        envelope[at:stop] = (rng.uniform(0.3, 1.0) * hump)[: stop - at]
        at = stop + int(rng.uniform(0.1, 1.5) * RATE)
    return _unit(out * envelope)


def rustle(n: int, rng: Rng) -> F32:
    """Cloth, paper, wind on the microphone: noise that comes and goes without a rhythm."""
    knots = np.maximum(0.0, rng.normal(-0.3, 1.0, max(3, int(n / RATE * rng.uniform(2, 14)))))
    envelope = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(knots)), knots)
    low = np.exp(rng.uniform(np.log(40.0), np.log(3000.0)))
    x = _band(rng.normal(size=n).astype(np.float32), low, min(low * rng.uniform(1.5, 10.0), 7800.0))
    return _unit(x * envelope.astype(np.float32))


def music(n: int, rng: Rng) -> F32:
    """Notes of harmonic tones in chords, with a beat at times: pitched, but no speech."""
    out = np.zeros(n, np.float32)
    beat = rng.uniform(0.15, 0.8)
    root = rng.uniform(80.0, 300.0)
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16])
    decay = rng.uniform(0.5, 8.0)
    rolloff = rng.uniform(0.6, 2.2)
    at = 0.0
    while at * RATE < n - 100:
        start = int(at * RATE)
        length = min(int(rng.uniform(0.8, 3.0) * beat * RATE), n - start)
        t = np.arange(length) / RATE
        fade = np.minimum(1.0, np.minimum(t / 0.01, (t[-1] - t) / 0.02)) * np.exp(-decay * t)
        for _ in range(rng.integers(1, 4)):
            pitch = root * 2.0 ** (rng.choice(scale) / 12.0)
            vibrato = rng.uniform(0, 0.004) * np.sin(2 * np.pi * rng.uniform(4, 7) * t)
            phase = 2 * np.pi * pitch * (t + vibrato)
            for k in range(1, 9):
                if pitch * k < 7500.0:
                    out[start : start + length] += (fade * np.sin(k * phase) / k**rolloff).astype(
                        np.float32
                    )
        at += beat * rng.choice([1.0, 1.0, 2.0])
    if rng.random() < 0.5:
        out = _unit(out) + np.float32(rng.uniform(0.2, 1.0)) * keys(n, rng)
    return _unit(out)


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


def degrade(x: F32, rng: Rng) -> F32:
    """What senders do: clipping, a noise gate, gain that pumps. Each happens now and then."""
    peak = float(np.abs(x).max()) + 1e-9
    if rng.random() < 0.08:
        limit = peak * rng.uniform(0.15, 0.6)
        x = np.clip(x, -limit, limit)
    if rng.random() < 0.15:
        hop = 160
        rows = np.sqrt(np.square(x[: len(x) // hop * hop].reshape(-1, hop)).mean(1))
        open_ = rows > np.percentile(rows, 95) * 10 ** (rng.uniform(-36.0, -24.0) / 20.0)
        held = np.convolve(open_, np.ones(int(rng.integers(4, 25))))[: len(open_)] > 0
        gate = np.repeat(np.where(held, 1.0, rng.choice([0.0, 0.03])), hop)
        gate = np.convolve(gate, np.ones(80) / 80, "same")
        x = x[: len(gate)] * gate.astype(np.float32)
    if rng.random() < 0.2:
        knots = rng.uniform(-6.0, 6.0, max(2, len(x) // (3 * RATE)))
        swell = np.interp(np.linspace(0, 1, len(x)), np.linspace(0, 1, len(knots)), knots)
        x = x * np.power(10.0, swell / 20.0).astype(np.float32)
    return np.asarray(x, np.float32)
