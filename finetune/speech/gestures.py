"""From phones in time to the movement of a mouth.

Per channel every phone pulls towards its target with a dominance that is full while the phone lasts
and falls off on both sides (Cohen and Massaro, "Modeling coarticulation in synthetic visual
speech", 1993). Short phones between strong neighbours fall short of their targets, as real ones do.
On top of that, lip closures and lip-to-teeth contacts are made certain: a real plateau.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visavis.engines.motion import CHANNELS
from visavis.finetune.speech.phones import Phone
from visavis.finetune.speech.shapes import SHAPES, Shape

__all__ = ["RATE", "frame_times", "gestures"]

RATE = 50

F64 = NDArray[np.float64]

# Per channel: how far a phone reaches back and ahead of itself (half-width of the fall, seconds),
# and how much earlier than the sound it is made. Lips round early, and open before they are heard.
_BACK = np.array([0.050, 0.085, 0.075, 0.070, 0.035, 0.040])
_AHEAD = np.array([0.040, 0.075, 0.060, 0.060, 0.030, 0.040])
_LEAD = np.array([0.035, 0.030, 0.055, 0.060, 0.010, 0.010])
# From silence the mouth is opened a little ahead, and left a little slowly.
_SILENCE_GRACE = 0.035
# Who speaks keeps the lips parted in a short pause, and parts them to breathe in before speaking.
_PARTED = Shape("silence", (0.12, 0.03, 0.0, 0.0, 0.0, 0.0), (6.0, 6.0, 3.0, 3.0, 1.0, 1.0))
_PARTED_AFTER, _PARTED_BEFORE = 1.5, 0.4

_STEP = 0.005
_SMOOTH = np.hanning(13)[1:-1] / np.hanning(13)[1:-1].sum()  # 55 ms at the inner rate

# Share of a closure's sound during which the lips are shut: the rest is the burst and the breath.
_SHUT = {"p": 0.72, "b": 0.88, "m": 1.0}
_SHORTEST = 0.050
_LONGEST = 0.160
_RAMP_IN, _RAMP_OUT = 0.060, 0.050


def frame_times(seconds: float) -> F64:
    """Middle of every 20 ms step, f64[T]."""
    return (np.arange(int(seconds * RATE + 1e-6)) + 0.5) / RATE


def _ease(x: F64) -> F64:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _contact(phone: Phone) -> tuple[float, float]:
    """When the lips are on each other, or on the teeth."""
    length = (phone.end - phone.start) * _SHUT.get(phone.name, 0.95)
    start, end = phone.start - 0.004, phone.start + length
    if end - start < _SHORTEST:
        start = end - _SHORTEST
    return start, min(end, start + _LONGEST) if phone.name != "m" else end


def _envelope(t: F64, spans: Sequence[tuple[float, float]]) -> F64:
    out = np.zeros_like(t)
    for start, end in spans:
        lo, hi = np.searchsorted(t, (start - _RAMP_IN, end + _RAMP_OUT))
        u = t[lo:hi]
        ramp = np.minimum((u - start + _RAMP_IN) / _RAMP_IN, (end + _RAMP_OUT - u) / _RAMP_OUT)
        out[lo:hi] = np.maximum(out[lo:hi], _ease(ramp))
    return out


def _inside(t: F64, spans: Sequence[tuple[float, float]]) -> F64:
    out = np.zeros_like(t)
    for start, end in spans:
        lo, hi = np.searchsorted(t, (start, end))
        out[lo:hi] = 1.0
    return out


def _with_pauses(phones: Sequence[Phone], first: float, last: float) -> list[tuple[Shape, Phone]]:
    """All phones and what is between them, without gaps; long pauses in up to three parts."""
    segments: list[tuple[Shape, Phone]] = []
    at, spoken = first, False

    def pause(end: float, speaks_again: bool) -> None:
        parted = at + _PARTED_AFTER if spoken else at
        again = end - _PARTED_BEFORE if speaks_again else end
        if parted >= again and spoken and speaks_again:
            parted = again = end
        for shape, a, b in (
            (_PARTED, at, min(parted, end)),
            (SHAPES["pau"], parted, again),
            (_PARTED, max(again, at), end),
        ):
            if b > a + 1e-6:
                segments.append((shape, Phone("pau", a, b, 0.0)))

    for phone in phones:
        if phone.name == "pau":
            continue
        if phone.start > at + 1e-6:
            pause(phone.start, True)
        segments.append((SHAPES[phone.name], phone))
        at, spoken = max(at, phone.end), True
    pause(last, False)
    return segments


def _blend(t: F64, segments: Sequence[tuple[Shape, Phone]], vowel: float, unstressed: float) -> F64:
    """The dominance blend alone, f64[T, 6]."""
    total = np.full((len(t), 6), 1e-6)
    pulled = np.zeros((len(t), 6))
    for shape, phone in segments:
        target, weight = np.array(shape.target), np.array(shape.weight)
        if shape.kind == "vowel":
            target[:2] *= unstressed + (vowel - unstressed) * phone.stress
            weight = weight * (0.45 + 0.55 * phone.stress)
        elif shape.kind == "other":
            target[:2] *= vowel
        start, end = phone.start - _LEAD, phone.end - _LEAD
        if shape.kind == "silence":
            start, end = start + _SILENCE_GRACE, end - _SILENCE_GRACE
            weight = weight * min(1.0, max(0.1, (phone.end - phone.start) / 0.25))
        lo, hi = np.searchsorted(t, (start.min() - 0.35, end.max() + 0.35))
        u = t[lo:hi, None]
        before, after = np.maximum(start - u, 0.0), np.maximum(u - end, 0.0)
        pull = weight * np.exp2(-((before / _BACK) ** 2) - (after / _AHEAD) ** 2)
        total[lo:hi] += pull
        pulled[lo:hi] += pull * target
    return np.asarray(pulled / total)


def gestures(
    phones: Sequence[Phone],
    times: F64,
    *,
    vowel: float = 0.75,
    unstressed: float = 0.6,
) -> NDArray[np.float32]:
    """What the mouth does at the given times while the phones are said.

    Args:
        phones: in order of time, without overlap; time outside them is silence.
        times: f64[T], seconds, rising.
        vowel: scale of opening for stressed vowels; 1 is a speaker who over-articulates.
        unstressed: the same for reduced vowels.

    Returns:
        f32[T, 9], the channels of `CHANNELS`. Aperture, jaw and width in IOD, width as the
        difference from rest; protrusion, tuck and tongue 0 to 1; the last three are 0 or 1.
    """
    times = np.asarray(times, np.float64)
    if len(times) == 0:
        return np.zeros((0, len(CHANNELS)), np.float32)
    first = min(times[0], phones[0].start if phones else times[0]) - 0.5
    last = max(times[-1], phones[-1].end if phones else times[-1]) + 0.5
    t = np.arange(first, last, _STEP)
    curves = _blend(t, _with_pauses(phones, first - 1.0, last + 1.0), vowel, unstressed)
    for c in range(curves.shape[1]):
        edge = np.pad(curves[:, c], len(_SMOOTH) // 2, mode="edge")
        curves[:, c] = np.convolve(edge, _SMOOTH, "valid")

    kind = [(SHAPES[p.name].kind, p) for p in phones]
    closures = [_contact(p) for k, p in kind if k == "closure"]
    teeth = [_contact(p) for k, p in kind if k == "liptooth"]
    closed = _envelope(t, closures)
    tucked = _envelope(t, teeth) * (1.0 - closed)
    out = np.zeros((len(t), len(CHANNELS)))
    out[:, :6] = curves
    out[:, 0] = np.maximum(curves[:, 0], 0.0) * (1.0 - closed)
    out[:, 0] += tucked * (0.03 - out[:, 0])
    out[:, 4] = np.maximum(curves[:, 4] * (1.0 - closed), tucked)
    out[:, 5] *= (1.0 - closed) * (1.0 - 0.8 * tucked)
    out[:, 1] = np.maximum(out[:, 1], 0.0)
    out[:, 3:6] = np.clip(out[:, 3:6], 0.0, 1.0)
    out[:, 6] = _inside(t, closures)
    out[:, 7] = _inside(t, teeth)

    # Speech, with short gaps inside a phrase counted in: the gate must not flutter.
    spans: list[list[float]] = []
    for phone in phones:
        if phone.name == "pau":
            continue
        start, end = phone.start - 0.06, phone.end + 0.03
        if spans and start - spans[-1][1] < 0.12:
            spans[-1][1] = end
        else:
            spans.append([start, end])
    out[:, 8] = _inside(t, [(a, b) for a, b in spans])

    result = np.empty((len(times), len(CHANNELS)))
    for c in range(6):
        result[:, c] = np.interp(times, t, out[:, c])
    nearest = np.clip(np.rint((times - t[0]) / _STEP).astype(int), 0, len(t) - 1)
    result[:, 6:] = out[nearest, 6:]
    return result.astype(np.float32)
