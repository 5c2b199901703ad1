"""What the sender's programs do to a microphone: clipping, gates, gain control, suppression, Opus.

All functions take f32 sound at 16 kHz and a generator, and give f32 sound of the same length and at
the same times.
"""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from visavis.finetune.speech.resampling import resample
from visavis.finetune.speech.spectral import spectra, to_sound

__all__ = ["clip", "control_gain", "degrade", "gate", "opus", "pump", "suppress"]

RATE = 16000
F32 = NDArray[np.float32]
Rng = np.random.Generator


def _rows(x: F32, hop: int = 160) -> F32:
    """RMS of every 10 ms."""
    return np.asarray(np.sqrt(np.square(x[: len(x) // hop * hop].reshape(-1, hop)).mean(1)))


def clip(x: F32, rng: Rng) -> F32:
    """An input that was turned up too far."""
    limit = float(np.abs(x).max() + 1e-9) * rng.uniform(0.15, 0.6)
    return np.asarray(np.clip(x, -limit, limit), np.float32)


def gate(x: F32, rng: Rng) -> F32:
    """A noise gate: shut below a threshold, with a hang-over of 40 to 250 ms."""
    rows = _rows(x)
    open_ = rows > np.percentile(rows, 95) * 10 ** (rng.uniform(-36.0, -24.0) / 20.0)
    held = np.convolve(open_, np.ones(int(rng.integers(4, 25))))[: len(open_)] > 0
    gain = np.repeat(np.where(held, 1.0, rng.choice([0.0, 0.03])), 160)
    gain = np.convolve(np.pad(gain, (0, len(x) - len(gain)), mode="edge"), np.ones(80) / 80, "same")
    return x * gain.astype(np.float32)


def pump(x: F32, rng: Rng) -> F32:
    """A level that drifts: a head that turns, a hand on the microphone."""
    knots = rng.uniform(-7.0, 7.0, max(2, int(len(x) / RATE / rng.uniform(1.0, 4.0))))
    swell = np.interp(np.linspace(0, 1, len(x)), np.linspace(0, 1, len(knots)), knots)
    return x * np.power(10.0, swell / 20.0).astype(np.float32)


def control_gain(x: F32, rng: Rng) -> F32:
    """Automatic gain control: turns loud parts down at once and quiet ones up slowly."""
    level = 20.0 * np.log10(_rows(x) + 1e-6)
    strength, most = rng.uniform(0.3, 0.9), rng.uniform(6.0, 18.0)
    attack, release = rng.uniform(0.1, 0.9), rng.uniform(0.003, 0.03)
    target = float(np.percentile(level, 90))
    followed = np.empty(len(level))
    now = target
    for i, value in enumerate(level.tolist()):
        if value > target - 35.0:  # it does not follow silence
            now += (attack if value > now else release) * (value - now)
        followed[i] = now
    gain = np.clip(strength * (target - followed), -most, most)
    at = (np.arange(len(gain)) + 0.5) * 160
    return x * np.power(10.0, np.interp(np.arange(len(x)), at, gain) / 20.0).astype(np.float32)


def suppress(x: F32, rng: Rng) -> F32:
    """A noise suppressor: bands near their noise floor are turned down, too much at times."""
    frames = spectra(x)
    power = np.square(frames.real) + np.square(frames.imag)
    # A thinned-out sort is as good an estimate, and four times as fast.
    floor = np.percentile(power[::4], rng.uniform(8.0, 30.0), axis=0).astype(np.float32)
    over, least = np.float32(rng.uniform(1.5, 6.0)), np.float32(10 ** (rng.uniform(-30, -8) / 20))
    gain = np.sqrt(np.maximum(1.0 - over * floor / (power + 1e-12), 0.0))
    for _ in range(int(rng.integers(1, 4))):
        gain[1:-1] = (gain[:-2] + gain[1:-1] + gain[2:]) / 3.0
    return to_sound(frames * np.maximum(gain, least), len(x))


def opus(x: F32, rng: Rng) -> F32:
    """Opus for speech at 12 to 32 kbit/s and back (libopus; its delay is taken off again)."""
    peak = np.float32(np.abs(x).max() + 1e-9)
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = RATE, "mono", "s16"
    encoder.bit_rate = int(rng.uniform(12000, 32000))
    encoder.options = {"application": "voip", "compression_level": "2", "frame_duration": "20"}
    encoder.open()
    size = 320
    pcm = np.round(np.pad(x, (0, -len(x) % size + 2 * size)) * (20000.0 / peak)).astype(np.int16)
    packets = []
    for start in range(0, len(pcm), size):
        frame = av.AudioFrame.from_ndarray(pcm[None, start : start + size], "s16", "mono")
        frame.sample_rate, frame.pts = RATE, start
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = av.CodecContext.create("libopus", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.extradata = encoder.extradata
    pieces = [f.to_ndarray().reshape(-1) for packet in packets for f in decoder.decode(packet)]
    out = resample(np.concatenate(pieces).astype(np.float32) * (peak / np.float32(20000.0)), 48000)
    return np.pad(out, (0, max(0, len(x) - len(out))))[: len(x)]


def degrade(x: F32, rng: Rng) -> F32:
    """What senders do, one after another. Each happens now and then."""
    for step, share in (
        (clip, 0.08),
        (pump, 0.20),
        (control_gain, 0.20),
        (suppress, 0.15),
        (gate, 0.12),
        (opus, 0.30),
    ):
        if rng.random() < share:
            x = step(x, rng)
    return np.asarray(x, np.float32)
