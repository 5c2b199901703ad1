"""Another speaker from the same sound: WORLD (Morise et al. 2016), where pyworld is installed.

The sound is taken apart into pitch, envelope and aperiodicity, every one changed by itself, and put
together at new times. Without pyworld `load()` is None and callers resample instead.
"""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.speech.prosody import Rate

__all__ = ["Speaker", "load", "random_speaker", "revoice"]

RATE = 16000
FRAME_MS = 5.0
_FFT = 1024

F32 = NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Speaker:
    """What makes a speaker, against the one who spoke.

    Attributes:
        pitch: factor on F0.
        range: factor on its deviations (in octaves) from its mean.
        wander: slow change of F0 that the synthesiser did not think of, octaves.
        formants: factor on the frequencies of the envelope.
        breath: 0 clear to 1 breathy.
        creak: share of F0 periods that break down at the ends of phrases, 0 to 1.
        slur: seconds over which the envelope is smoothed: articulation that falls short.
    """

    pitch: float = 1.0
    range: float = 1.0
    wander: float = 0.0
    formants: float = 1.0
    breath: float = 0.2
    creak: float = 0.0
    slur: float = 0.0


def random_speaker(rng: Rng) -> Speaker:
    """A speaker drawn from what people are like."""
    return Speaker(
        pitch=float(np.exp(rng.uniform(np.log(0.65), np.log(1.6)))),
        range=float(rng.uniform(0.5, 2.2)),
        wander=float(rng.uniform(0.0, 0.12)),
        formants=float(np.exp(rng.uniform(np.log(0.8), np.log(1.25)))),
        breath=float(rng.uniform(0.0, 1.0) ** 2),
        creak=float(rng.uniform(0.2, 1.0)) if rng.random() < 0.25 else 0.0,
        slur=float(rng.uniform(0.0, 0.022)) if rng.random() < 0.6 else 0.0,
    )


@functools.cache
def load() -> ModuleType | None:
    """The compiled part of pyworld, or None.

    Its package (0.3.5) imports pkg_resources, which setuptools no longer has, only to tell its own
    version; so the package is passed over.
    """
    package = importlib.util.find_spec("pyworld")
    for folder in (package.submodule_search_locations or ()) if package else ():
        for path in sorted(Path(folder).glob("pyworld*.so")):
            spec = importlib.util.spec_from_file_location("pyworld.pyworld", path)
            if spec is not None and spec.loader is not None:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    return None


def _pitch(f0: NDArray[np.float64], speaker: Speaker, rng: Rng) -> NDArray[np.float64]:
    voiced = f0 > 0
    if not voiced.any():
        return f0
    octaves = np.log2(f0[voiced])
    mean = octaves.mean()
    knots = rng.normal(0.0, speaker.wander, max(3, len(f0) // 60))
    wander = np.interp(np.linspace(0, 1, len(f0)), np.linspace(0, 1, len(knots)), knots)
    changed = mean + speaker.range * (octaves - mean) + wander[voiced]
    # Jitter: no throat is exact.
    changed += rng.normal(0.0, 0.006, changed.shape)
    out = np.zeros_like(f0)
    out[voiced] = np.clip(speaker.pitch * np.exp2(changed), 55.0, 480.0)
    if speaker.creak > 0.0:
        # The last quarter second of a voiced stretch breaks down to half the pitch, irregularly.
        edges = np.flatnonzero(np.diff(np.concatenate(([0], voiced.astype(int), [0]))))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            if rng.random() < speaker.creak:
                tail = slice(max(start, stop - int(rng.uniform(10, 50))), stop)
                shake = rng.uniform(0.75, 1.25, stop - tail.start)
                out[tail] = np.maximum(0.5 * out[tail] * shake, 40.0)
    return out


def _aperiodicity(f0: NDArray[np.float64], breath: float) -> NDArray[np.float64]:
    """Noise beside the voice: all of it where there is no voice, rising with frequency where."""
    hz = np.fft.rfftfreq(_FFT, 1 / RATE)
    decibels = np.interp(np.log2(np.maximum(hz, 60.0)), np.log2([60.0, 1000.0, 3000.0, 8000.0]),
                         [-45.0 + 20.0 * breath, -32.0 + 22.0 * breath,
                          -18.0 + 14.0 * breath, -7.0 + 6.0 * breath])  # fmt: skip
    voiced = np.minimum(np.power(10.0, decibels / 20.0), 0.999)
    return np.where((f0 > 0)[:, None], voiced[None, :], 0.999)


def revoice(sound: F32, speaker: Speaker, rate: Rate | None, rng: Rng) -> F32:
    """The sound as `speaker` would say it, at the times of `rate`; same length without one.

    Raises:
        RuntimeError: when pyworld is not installed.
    """
    world = load()
    if world is None:
        raise RuntimeError("pyworld is not installed: pip install visavis[vocoder]")
    x = sound.astype(np.float64) + rng.normal(0.0, 1e-5, len(sound))
    f0, times = world.dio(x, RATE, f0_floor=60.0, f0_ceil=450.0, frame_period=FRAME_MS)
    f0 = world.stonemask(x, f0, times, RATE)
    envelope = np.log(world.cheaptrick(x, f0, times, RATE, fft_size=_FFT))
    if speaker.slur > 0.0:
        reach = max(1, int(np.ceil(2.5 * speaker.slur * 1000.0 / FRAME_MS)))
        weight = np.exp(-0.5 * (np.arange(-reach, reach + 1) * FRAME_MS / 1000 / speaker.slur) ** 2)
        weight /= weight.sum()
        padded = np.pad(envelope, ((reach, reach), (0, 0)), mode="edge")
        envelope = sum(w * padded[i : i + len(f0)] for i, w in enumerate(weight))
    if speaker.formants != 1.0:
        at = np.minimum(np.arange(envelope.shape[1]) / speaker.formants, envelope.shape[1] - 1.0)
        low = np.minimum(at.astype(int), envelope.shape[1] - 2)
        part = at - low
        envelope = envelope[:, low] * (1 - part) + envelope[:, low + 1] * part
    f0 = _pitch(f0, speaker, rng)
    if rate is not None:
        count = int(rate.new[-1] * 1000.0 / FRAME_MS) + 1
        old = np.minimum(rate.to_old(np.arange(count) * FRAME_MS / 1000.0), times[-1])
        at = old * 1000.0 / FRAME_MS
        low = np.minimum(at.astype(int), len(f0) - 2)
        part = at - low
        envelope = envelope[low] * (1 - part)[:, None] + envelope[low + 1] * part[:, None]
        f0 = np.where(part < 0.5, f0[low], f0[low + 1])
    out = world.synthesize(
        np.ascontiguousarray(f0),
        np.ascontiguousarray(np.exp(envelope)),
        np.ascontiguousarray(_aperiodicity(f0, speaker.breath)),
        RATE,
        FRAME_MS,
    )
    length = len(sound) if rate is None else int(rate.new[-1] * RATE)
    return np.pad(out, (0, max(0, length - len(out))))[:length].astype(np.float32)
