"""Lips that must shut, and lips that must not: counted against the phones that are said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.lips.yardstick.clips import frame_times
from visavis.finetune.speech.phones import Phone
from visavis.finetune.speech.shapes import SHAPES

__all__ = ["SHUT", "Closures", "closures", "said_frames", "total"]

F64 = NDArray[np.float64]

SHUT = 0.012  # IOD: a smaller gap is a closed mouth to a viewer
TOLERANCE_S = 0.040
_HALF_FRAME_S = 0.020
_BESIDE = 2  # frames beside a pause the mouth may be on its way


@dataclass(frozen=True, slots=True)
class Closures:
    """Counts over a recording.

    Attributes:
        wanted, met: P, B, M said, and those for which the lips shut within 40 ms.
        open_frames, false: frames of speech with no closure, no lip on teeth and no pause near, and
            those of them that are shut.
    """

    wanted: int
    met: int
    open_frames: int
    false: int

    @property
    def recall(self) -> float | None:
        """Share of the closures that are seen, None where none is said."""
        return self.met / self.wanted if self.wanted else None

    @property
    def false_share(self) -> float | None:
        """Share of the open frames that are shut, None where there are none."""
        return self.false / self.open_frames if self.open_frames else None


def said_frames(phones: Sequence[Phone], frames: int) -> NDArray[np.bool_]:
    """Frames whose middle lies in a phone, bool[K]."""
    times = frame_times(frames)
    said = np.zeros(frames, np.bool_)
    for phone in phones:
        if SHAPES[phone.name].kind != "silence":
            said |= (times > phone.start) & (times < phone.end)
    return said


def closures(opening: NDArray[np.floating], phones: Sequence[Phone]) -> Closures:
    """Compare an opening float[K], IOD, at 25 frames a second, with the phones said."""
    times = frame_times(len(opening))
    shut = np.asarray(opening) < SHUT
    near = np.zeros(len(times), np.bool_)
    wanted = met = 0
    # A frame stands for the 20 ms on either side of its middle.
    reach = TOLERANCE_S + _HALF_FRAME_S
    for phone in phones:
        kind = SHAPES[phone.name].kind
        if kind not in {"closure", "liptooth"}:
            continue
        close = (times > phone.start - reach) & (times < phone.end + reach)
        near |= close
        if kind == "closure" and times[0] < phone.start and phone.end < times[-1]:
            wanted += 1
            met += bool((shut & close).any())
    said = said_frames(phones, len(times))
    pause = np.convolve(~said, np.ones(2 * _BESIDE + 1), "same") > 0
    free = ~pause & ~near
    return Closures(wanted, met, int(free.sum()), int((shut & free).sum()))


def total(counts: Iterable[Closures]) -> Closures:
    """Sums."""
    every = list(counts)
    return Closures(
        sum(c.wanted for c in every),
        sum(c.met for c in every),
        sum(c.open_frames for c in every),
        sum(c.false for c in every),
    )
