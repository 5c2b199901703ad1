"""Whether the sound keeps step with the lips.

What the built-in person's network says of the sound, about a mouth that it never saw, is moved
along the tracked opening. Both are taken without what is slower than two seconds, and only where
somebody speaks. On real clips of 20 s and more the peak stands 5.4 deviations and more out of what
the same two curves give far away from it; of foreign sounds no peak stood out by more than 2.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.person import load_person
from visavis.finetune.check.findings import Finding
from visavis.finetune.lips.yardstick.agreement import FPS, high_pass, lag_ms
from visavis.finetune.lips.yardstick.listener import TICK, Lips, PersonLips

__all__ = ["Sync", "measure_sync", "sync_finding"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_BUILT_IN = Path(__file__).resolve().parents[2] / "persons" / "presenter" / "presenter.person"
_PIECE = 20 * FPS  # frames that are heard at once
_SPAN = 38  # frames either way: 1.5 s
_FAR = (63, 250)  # frames where nothing is in step
_BLOCK = 50  # frames: two seconds
_DRAWS = 300
_LEAST_SPOKEN = 4 * FPS  # frames
_DISTINCT = 4.5  # deviations
_WIDEST_MS = 200.0
# Sound that comes so much too early or too late is seen (ITU-R BT.1359); the lips of real clips
# that are in step were found at -40 to 40 ms.
_SEEN_MS = 60.0


@dataclass(frozen=True, slots=True)
class Sync:
    """How sound and lips stand to each other.

    Attributes:
        offset_ms: how much later the sound comes than the lips; earlier where it is negative.
        low_ms, high_ms: its 95 % interval, by block bootstrap.
        sure: the sound belongs to these lips, and this is how.
    """

    offset_ms: float
    low_ms: float
    high_ms: float
    sure: bool


_UNKNOWN = Sync(0.0, -1000.0 * _SPAN / FPS, 1000.0 * _SPAN / FPS, sure=False)


def measure_sync(aperture: F32, pcm: F32, lips: Lips | None = None) -> Sync:
    """Measure how late the sound is.

    Args:
        aperture: f32[N], the tracked opening of the mouth in IOD, 25 frames a second.
        pcm: f32[n], 16 kHz, from the start of the first frame; silence where it is short.
        lips: what they do to sound; the built-in person's.
    """
    frames = len(aperture)
    if frames < _LEAST_SPOKEN:
        return _UNKNOWN
    if lips is None:
        person = load_person(_BUILT_IN, trusted=True)
        lips = PersonLips(person, max(person.lookaheads_ms))
    sound = np.zeros(frames * TICK, np.float32)
    sound[: min(len(pcm), len(sound))] = pcm[: len(sound)]
    shown = lips.show(np.split(sound, range(_PIECE * TICK, len(sound), _PIECE * TICK)))
    said = high_pass(np.concatenate([one.tract for one in shown]).astype(np.float64))
    spoken = np.concatenate([one.gate for one in shown]) > 0.5
    done = high_pass(np.asarray(aperture, np.float64))
    if spoken.sum() < _LEAST_SPOKEN or not done.std() > 1e-6:
        return _UNKNOWN

    blocks = -(-frames // _BLOCK)
    near = _sums(said, done, spoken, np.arange(-_SPAN, _SPAN + 1))
    last = min(_FAR[1], frames // 2)
    away = np.arange(_FAR[0], last)
    far = _correlation(_sums(said, done, spoken, np.r_[-away[::-1], away]).sum(axis=0))
    drawn = np.random.default_rng(0).multinomial(blocks, np.full(blocks, 1.0 / blocks), _DRAWS)
    weights = np.concatenate((np.ones((1, blocks)), drawn))
    curves = _correlation(np.einsum("db,bls->dls", weights, near))
    lags = lag_ms(curves)
    known = lags[np.isfinite(lags)]
    if not np.isfinite(lags[0]) or len(known) < 0.9 * len(lags) or len(far) < 2 * _BLOCK:
        return _UNKNOWN
    low, high = np.percentile(known, (2.5, 97.5))
    distinct = curves[0].max() > _DISTINCT * far.std()
    return Sync(
        float(lags[0]), float(low), float(high), bool(distinct and high - low <= _WIDEST_MS)
    )


def _sums(said: F64, done: F64, spoken: NDArray[np.bool_], lags: NDArray[np.int_]) -> F64:
    """Return what correlations are made of, float64[blocks, lags, 6], of frames with speech."""
    frames = len(said)
    out = np.zeros((-(-frames // _BLOCK), len(lags), 6))
    for i, lag in enumerate(lags.tolist()):
        heard = np.arange(max(0, lag), min(frames, frames + lag))
        heard = heard[spoken[heard]]
        x, y = said[heard], done[heard - lag]
        for k, value in enumerate((np.ones(len(heard)), x, y, x * x, y * y, x * y)):
            out[:, i, k] = np.bincount(heard // _BLOCK, value, len(out))
    return out


def _correlation(sums: F64) -> F64:
    """Return Pearson's r of float64[..., 6]; 0 where one of them does not vary."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    n = np.maximum(n, 1.0)
    product = np.maximum(xx / n - (x / n) ** 2, 0.0) * np.maximum(yy / n - (y / n) ** 2, 0.0)
    still = product < 1e-18
    r = (xy / n - x * y / n**2) / np.sqrt(np.where(still, 1.0, product))
    return np.asarray(np.where(still, 0.0, r))


def sync_finding(sync: Sync) -> Finding | None:
    """Return what is to be said about it; None where sound and lips are in step."""
    if not sync.sure:
        return Finding(
            "sync-unknown",
            "warning",
            "Whether the sound keeps step with the lips could not be told: listen whether it is "
            "this face that speaks.",
        )
    if abs(sync.offset_ms) <= _SEEN_MS or sync.low_ms <= 0.0 <= sync.high_ms:
        return None
    late = sync.offset_ms > 0.0
    low, high = sorted((abs(sync.low_ms), abs(sync.high_ms)))
    return Finding(
        "sync",
        "warning",
        f"The sound comes {abs(sync.offset_ms):.0f} ms ({low:.0f} to {high:.0f}) "
        f"{'after' if late else 'before'} the lips; pass --sound-offset "
        f"{-round(sync.offset_ms)} to correct it.",
    )
