"""What a session says about a trouble: before, during, after, and how soon it was over. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.benchmarks.live.timing import PageRecord, Times

__all__ = [
    "BACK_WITHIN_S",
    "FREEZE_S",
    "counted",
    "freezes",
    "phases",
    "recovery_s",
    "spread",
]

BACK_WITHIN_S = 0.010
FREEZE_S = 0.2
BIN_S = 0.5
STAYS_BINS = 2
LEAST_IN_BIN = 3

Seconds = NDArray[np.float64]


def spread(seconds: Seconds) -> dict[str, float | int | None]:
    """Median and 95th percentile in ms, and of how many; None where nothing is known."""
    known = seconds[np.isfinite(seconds)] * 1000
    if not known.size:
        return {"median_ms": None, "p95_ms": None, "known": 0}
    median, p95 = np.percentile(known, (50, 95)).tolist()
    return {"median_ms": round(median, 1), "p95_ms": round(p95, 1), "known": int(known.size)}


def recovery_s(
    at: Seconds, delay: Seconds, *, begin: float, end: float, until: float
) -> float | None:
    """How long after ``end`` the delay is within 10 ms of what it was before ``begin``.

    Medians of half seconds are compared. The first one counts from which on two in a row are
    within; a half second with fewer than three known delays is not. Waiting before the trouble is
    over cannot be told from it, so 0 is the least.

    Args:
        at: when each delay was measured, seconds; in any order.
        delay: seconds; NaN where not known.
        begin, end: of the trouble.
        until: when the measurement ended.

    Returns:
        Seconds, rounded up to the end of the half second's beginning; None if never, or if
        nothing was known before.
    """
    known = np.isfinite(delay) & np.isfinite(at)
    at, delay = at[known], delay[known]
    before = delay[at < begin]
    if before.size < LEAST_IN_BIN:
        return None
    most = float(np.median(before)) + BACK_WITHIN_S
    good: list[bool] = []
    for number in range(int((until - end) / BIN_S + 1e-6)):
        first = end + number * BIN_S
        here = delay[(at >= first) & (at < first + BIN_S)]
        good.append(here.size >= LEAST_IN_BIN and float(np.median(here)) <= most)
        if len(good) >= STAYS_BINS and all(good[-STAYS_BINS:]):
            return (len(good) - STAYS_BINS) * BIN_S
    return None


def freezes(displayed: Seconds, begin: float, end: float) -> tuple[int, float]:
    """How often no new picture came for over 200 ms, and the longest such wait in ms.

    Args:
        displayed: when each new picture was first shown, in any order; seconds.
        begin, end: waits that began before ``begin`` count from there, and no further than
            ``end``: a picture that never comes again is a freeze as well.
    """
    shown = np.sort(displayed[np.isfinite(displayed)])
    shown = shown[(shown >= begin) & (shown <= end)]
    waits = np.diff(np.concatenate(([begin], shown, [end])))
    return int((waits > FREEZE_S).sum()), round(float(waits.max()) * 1000, 1)


def phases(times: Times, page: PageRecord, marks: Sequence[float]) -> dict[str, Any]:
    """The figures of each phase.

    Args:
        times: of every frame that was shown.
        page: where the times come from.
        marks: four monotonic times: the first that counts, begin and end of the trouble, the end.
    """
    names = ("before", "during", "after")
    # All that lies ahead of the browser's own buffer: microphone, network, server, network.
    door = times.received - times.microphone
    buffer = times.displayed - times.received
    result: dict[str, Any] = {}
    for name, begin, end in zip(names, marks, marks[1:], strict=False):
        here = (times.displayed >= begin) & (times.displayed < end)
        frozen, longest = freezes(times.displayed, begin, end)
        result[name] = {
            "seconds": round(end - begin, 1),
            "pixel": spread(times.delay[here]),
            "ear": spread(times.voice_delay[here]),
            "to_the_browser": spread(door[here]),
            "browser_buffer": spread(buffer[here]),
            "pictures": int(here.sum()),
            "freezes": frozen,
            "longest_wait_ms": longest,
        }
    _, begin, end, until = marks
    after = {"begin": begin, "end": end, "until": until}
    result["back_s"] = {
        "pixel": recovery_s(times.displayed, times.delay, **after),
        "ear": recovery_s(times.heard, times.voice_delay, **after),
        "to_the_browser": recovery_s(times.displayed, door, **after),
    }
    return result


def counted(samples: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """By how much each counter grew from one sample to the next; a counter that fell began anew."""
    return [
        {
            name: round(later[name] - (earlier[name] if later[name] >= earlier[name] else 0), 1)
            for name in later
            if name in earlier
        }
        for earlier, later in zip(samples, samples[1:], strict=False)
    ]
