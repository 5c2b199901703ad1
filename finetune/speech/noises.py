"""Sounds that are no speech, of unit power: f32 at 16 kHz, from a length in samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.speech.augment import fast_length, filtered

__all__ = [
    "breath",
    "clicks",
    "cough",
    "hum",
    "keys",
    "music",
    "noise",
    "rustle",
    "wind",
]

RATE = 16000
F32 = NDArray[np.float32]
Rng = np.random.Generator


def _unit(x: F32) -> F32:
    return np.asarray(x / (np.sqrt(np.mean(np.square(x))) + 1e-9), np.float32)


def noise(n: int, rng: Rng) -> F32:
    """Steady noise of unit power: white to brown, a fan or mains hum at times."""
    size = fast_length(n)
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
    return filtered(x, np.array([-60.0, -30.0, 0.0, 0.0, -30.0, -60.0]), np.maximum.accumulate(hz))


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
    out = filtered(out, gain, hz)
    envelope = np.zeros(n, np.float32)
    at = 0
    while at < n:
        length = int(rng.uniform(0.25, 1.1) * RATE)
        stop = min(at + length, n)
        hump = np.sin(np.linspace(0, np.pi, length)) ** rng.uniform(0.6, 2.0)
        envelope[at:stop] = (rng.uniform(0.3, 1.0) * hump)[: stop - at]
        at = stop + int(rng.uniform(0.1, 1.5) * RATE)
    return _unit(out * envelope)


def _grains(n: int, per_second: float, shortest: float, longest: float, rng: Rng) -> F32:
    """An envelope of separate events, each a quick rise and a decay; lengths in seconds."""
    out = np.zeros(n, np.float32)
    for start in rng.integers(0, n, max(1, rng.poisson(n / RATE * per_second))):
        length = np.exp(rng.uniform(np.log(shortest), np.log(longest)))
        t = np.arange(int(6 * length * RATE)) / RATE
        piece = (t / (0.1 * length + 1e-4)).clip(0, 1) * np.exp(-t / length)
        piece = (rng.lognormal(0.0, 0.8) * piece[: n - start]).astype(np.float32)
        out[start : start + len(piece)] += piece
    return out


def _coloured(n: int, rng: Rng) -> F32:
    """Noise with a random colour: one to three bands of any width anywhere."""
    hz = np.geomspace(40.0, 8000.0, 64)
    gain = np.full(64, rng.uniform(-40.0, -12.0)) + rng.uniform(-4.0, 4.0) * np.log2(hz / 1000.0)
    for _ in range(rng.integers(1, 4)):
        centre, width = np.exp(rng.uniform(np.log(60.0), np.log(7000.0))), rng.uniform(0.15, 2.0)
        gain += rng.uniform(10, 35) * np.exp(-((np.log2(hz / centre) / width) ** 2))
    return _unit(filtered(rng.normal(size=n).astype(np.float32), gain, hz))


def rustle(n: int, rng: Rng) -> F32:
    """Cloth and paper on the microphone: rubbing with a rhythm or none, crackle, thuds.

    Two colours take turns, each with envelopes of its own, so that the spectrum moves as it does in
    speech.
    """
    out = np.zeros(n, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        kind = rng.random()
        if kind < 0.35:  # comes and goes
            knots = rng.normal(-0.3, 1.0, max(3, int(n / RATE * rng.uniform(1, 16))))
            envelope: NDArray[np.floating] = np.interp(
                np.linspace(0, 1, n), np.linspace(0, 1, len(knots)), np.maximum(0.0, knots)
            )
        elif kind < 0.6:  # to and fro, as fast as syllables
            pace = rng.uniform(1.5, 9.0) * (1.0 + 0.3 * rng.normal(size=max(3, n // 4000)))
            turns = np.cumsum(np.interp(np.arange(n), np.linspace(0, n, len(pace)), pace)) / RATE
            envelope = np.abs(np.sin(np.pi * turns)) ** rng.uniform(0.7, 4.0)
            gate = rng.random(max(2, int(n / RATE / rng.uniform(0.5, 3.0)))) < 0.6
            envelope *= np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(gate)), gate)
        elif kind < 0.85:  # crackle
            envelope = _grains(n, np.exp(rng.uniform(0.0, 4.5)), 0.001, 0.05, rng)
        else:  # thuds and strokes
            envelope = _grains(n, rng.uniform(0.5, 5.0), 0.03, 0.3, rng)
        out += np.float32(rng.uniform(0.2, 1.0)) * _unit(
            _coloured(n, rng) * np.asarray(envelope, np.float32)
        )
    return _unit(out)


def wind(n: int, rng: Rng) -> F32:
    """Wind or breath blowing on the microphone: low, in gusts, with flutter."""
    knots = np.exp(rng.normal(0.0, rng.uniform(0.4, 1.2), max(3, int(n / RATE * 2))))
    gusts = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(knots)), knots)
    flutter = np.abs(_band(rng.normal(size=n).astype(np.float32), 2.0, rng.uniform(8.0, 40.0)))
    body = _band(rng.normal(size=n).astype(np.float32), 30.0, rng.uniform(90.0, 700.0))
    hiss = np.float32(rng.uniform(0.0, 0.2)) * _coloured(n, rng)
    return _unit((_unit(body) + hiss) * gusts.astype(np.float32) * (0.3 + _unit(flutter)))


def clicks(n: int, rng: Rng) -> F32:
    """Mouse, switches, taps on a table, drops on the line: very short, with or without a ring."""
    out = np.zeros(n, np.float32)
    for start in rng.integers(0, n, max(1, rng.poisson(n / RATE * np.exp(rng.uniform(-1.0, 2.5))))):
        t = np.arange(int(rng.uniform(0.002, 0.12) * RATE)) / RATE
        tone = np.sin(2 * np.pi * np.exp(rng.uniform(4.5, 8.8)) * t) + rng.normal(0, 0.4, len(t))
        piece = rng.lognormal(0.0, 0.7) * tone * np.exp(-6.0 * t / (t[-1] + 1e-6))
        piece = piece[: n - start]
        out[start : start + len(piece)] += piece.astype(np.float32)
    return _unit(out)


def hum(n: int, rng: Rng) -> F32:
    """Mains, motors, beeps: tones that stand still, switched at times."""
    t = np.arange(n) / RATE
    base = rng.choice([50.0, 60.0, 100.0, 120.0, np.exp(rng.uniform(4.4, 7.5))])
    fall = rng.uniform(0.3, 2.0)
    out = np.zeros(n)
    for k in range(1, int(rng.integers(2, 20))):
        if base * k < 7800.0 and rng.random() < 0.8:
            out += np.sin(2 * np.pi * base * k * t + rng.uniform(0, 6.3)) / k**fall
    if rng.random() < 0.4:
        on = np.repeat(rng.random(n // 1600 + 1) < rng.uniform(0.2, 0.8), 1600)[:n]
        out *= np.convolve(on, np.ones(160) / 160, "same")
    return _unit(out.astype(np.float32))


def cough(n: int, rng: Rng) -> F32:
    """Coughs and throats cleared: a burst through an open throat, then a rough voice at times."""
    out = np.zeros(n, np.float32)
    at = int(rng.uniform(0.0, 0.6) * RATE)
    while at < n - 400:
        length = int(rng.uniform(0.12, 0.45) * RATE)
        t = np.arange(length) / RATE
        blow = np.minimum(t / rng.uniform(0.003, 0.03), 1.0) * np.exp(-t / rng.uniform(0.04, 0.15))
        source = rng.normal(size=length) * blow
        if rng.random() < 0.6:
            pitch = rng.uniform(70.0, 350.0) * (1.0 + 0.1 * np.cumsum(rng.normal(size=length)) / 80)
            buzz = np.maximum(0.0, np.sin(2 * np.pi * np.cumsum(pitch) / RATE)) ** 6 - 0.15
            source += rng.uniform(0.5, 3.0) * buzz * np.exp(-((t / t[-1] - 0.6) ** 2) / 0.06)
        hz = np.geomspace(50.0, 8000.0, 64)
        gain = np.full(64, -16.0)
        for low, high in ((400, 900), (1100, 2000), (2300, 3800)):
            centre = rng.uniform(low, high)
            gain += rng.uniform(8, 18) * np.exp(-((np.log2(hz / centre) / 0.3) ** 2))
        piece = (filtered(source.astype(np.float32), gain, hz) * rng.uniform(0.4, 1.0))[: n - at]
        out[at : at + len(piece)] += piece
        pause = rng.uniform(0.05, 0.3) if rng.random() < 0.6 else rng.uniform(0.8, 3.0)
        at += length + int(pause * RATE)
    return _unit(out + np.float32(1e-6))


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
