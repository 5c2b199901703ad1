"""What was seen: distinct frames, drops, freezes, and whether the mouth moves with the voice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.benchmarks.live.records import ServerRecord
from visavis.benchmarks.live.timing import FRAME_S, PageRecord

__all__ = ["Flow", "Mouth", "flow", "mouth"]

FREEZE_S = 0.19  # W3C webrtc-stats: more than max(3 mean, mean + 150 ms) without a new frame
TICK_SAMPLES = 640
VOICED_DB = -20.0  # below the loud frames of the speech
SILENT_DB = -35.0
SILENT_MARGIN = 8  # frames: the mouth settles before a pause counts as rest
RESTING = 90  # per cent of the pairs in rest that lie below the threshold
LEAST_PAIRS = 20
LONGEST_LAG = 8  # frames


@dataclass(frozen=True, slots=True)
class Flow:
    """How the pictures flowed.

    Attributes:
        seconds: from the first to the last picture.
        distinct: pictures that differ from the one before, by index and by content.
        distinct_per_second: over these seconds.
        dropped: share of the frames in between that were never shown.
        unobserved: share that the browser says it presented while the probe had no turn to look.
            They are no drops, and count as distinct where it is certain which frames they were.
        unread: pictures whose index could not be read.
        freezes: pauses of more than 190 ms.
        longest_gap_s: between two new pictures.
    """

    seconds: float
    distinct: int
    distinct_per_second: float
    dropped: float
    unobserved: float
    unread: int
    freezes: int
    longest_gap_s: float


def flow(server: ServerRecord, page: PageRecord) -> Flow | None:
    """Count pictures; None if none was read."""
    content = dict(zip(server.index.tolist(), server.picture.tolist(), strict=True))
    shown: list[tuple[int, float, int]] = []
    for index, at, count in zip(
        page.index.tolist(), page.displayed.tolist(), page.count.tolist(), strict=True
    ):
        if index >= 0 and (not shown or index > shown[-1][0]):
            shown.append((index, at, count))
    if len(shown) < 2:
        return None
    steps = list(zip(shown, shown[1:], strict=False))
    missing = unobserved = 0
    times = [shown[0][1]]
    for (before, since, count_before), (after, at, count_after) in steps:
        skipped = after - before - 1
        unseen = min(skipped, max(0, count_after - count_before - 1))
        unobserved += unseen
        missing += skipped - unseen
        # Where as many were presented as are missing, we know which ones they were.
        between = range(before + 1, after) if unseen == skipped else ()
        previous = before
        for number, index in enumerate([*between, after], start=1):
            # A picture that repeats the one before is not a new one, whatever its index says.
            if index in content and content[index] != content.get(previous):
                times.append(since + (at - since) * number / (len(between) + 1))
            previous = index
    span = shown[-1][1] - shown[0][1]
    expected = shown[-1][0] - shown[0][0]
    gaps = np.diff([*times, shown[-1][1]]) if len(times) > 1 else np.array([span])
    return Flow(
        seconds=span,
        distinct=len(times),
        distinct_per_second=(len(times) - 1) / span,
        dropped=missing / expected,
        unobserved=unobserved / expected,
        unread=int((page.index < 0).sum()),
        freezes=int((gaps > FREEZE_S).sum()),
        longest_gap_s=float(gaps.max()),
    )


@dataclass(frozen=True, slots=True)
class Mouth:
    """Whether the mouth moved.

    Attributes:
        voiced_pairs, silent_pairs: successive frames that both fall into speech, or into rest.
        threshold: change, in grey levels, that nine in ten silent pairs stay below. It holds what
            the codec adds and what the turning head leaves after it was compensated.
        changing: share of the voiced pairs above it.
        resting_change, speaking_change: median change of either kind of pairs, in grey levels.
        lag_s: how much later than its voice's loudness the mouth's look follows; a rough check
            (lips lead many sounds) of what index and time stamps cannot show.
        lag_correlation: how well it follows at that lag, 0 to 1.
    """

    voiced_pairs: int
    silent_pairs: int
    threshold: float
    changing: float
    resting_change: float
    speaking_change: float
    lag_s: float
    lag_correlation: float


def mouth(server: ServerRecord, page: PageRecord) -> Mouth | None:
    """Compare successive mouths; None without boxes, speech or rest to compare."""
    index, first = np.unique(page.index, return_index=True)
    first, index = first[index >= 0], index[index >= 0]
    if not page.mouth.size or index.size < 2:
        return None
    level = _levels(server.pcm)
    keep = index < level.size
    first, index = first[keep], index[keep]
    loud = float(np.percentile(level, 90))
    voiced = level > loud + VOICED_DB
    silent = _all_around(level < loud + SILENT_DB, SILENT_MARGIN)

    pair = np.flatnonzero(np.diff(index) == 1)
    left = _residuals(page.mouth[first], page.control[first], pair)
    change = np.sqrt(np.mean(left**2, axis=(1, 2)))
    spoken = voiced[index[pair]] & voiced[index[pair] + 1]
    resting = silent[index[pair]] & silent[index[pair] + 1]
    if spoken.sum() < LEAST_PAIRS or resting.sum() < LEAST_PAIRS:
        return None
    threshold = float(np.percentile(change[resting], RESTING))
    lag, correlation = _lag(left, index[pair] + 1, np.maximum(level, loud + SILENT_DB))
    return Mouth(
        voiced_pairs=int(spoken.sum()),
        silent_pairs=int(resting.sum()),
        threshold=threshold,
        changing=float((change[spoken] > threshold).mean()),
        resting_change=float(np.median(change[resting])),
        speaking_change=float(np.median(change[spoken])),
        lag_s=lag,
        lag_correlation=correlation,
    )


def _levels(pcm: NDArray[np.float32]) -> NDArray[np.float64]:
    """Level of each frame's 40 ms, dB of full scale."""
    ticks = pcm[: pcm.size // TICK_SAMPLES * TICK_SAMPLES].reshape(-1, TICK_SAMPLES)
    power = np.mean(ticks.astype(np.float64) ** 2, axis=1)
    return np.asarray(10 * np.log10(power + 1e-10))


def _all_around(flags: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    """Flags that hold with all neighbours up to ``margin`` away."""
    padded = np.pad(flags, margin)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * margin + 1)
    return np.asarray(windows.all(axis=1))


def _residuals(
    inside: NDArray[np.uint8], outside: NDArray[np.uint8], pair: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Change of the mouth box from frame to frame with the head's movement taken off: f64[p, h, w].

    The movement is read from the control box as one small shift (Lucas and Kanade 1981: brightness
    constancy, least squares over the box) and applied to the mouth box to first order. Where that
    explains nothing (a blink reached the control box), the plain difference stands.
    """
    left = []
    for i in pair:
        shift = _shift(outside[i].astype(np.float64), outside[i + 1].astype(np.float64))
        before, after = inside[i].astype(np.float64), inside[i + 1].astype(np.float64)
        rows, columns = np.gradient((before + after) / 2)
        plain = _smooth(after - before)
        still = _smooth(after - before - rows * shift[0] - columns * shift[1])
        left.append(min(plain, still, key=lambda values: float(np.sum(values**2))))
    return np.stack(left) if left else np.zeros((0, 1, 1))


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of 3 x 3: lips move as an area, a codec's noise does not."""
    windows = np.lib.stride_tricks.sliding_window_view(values, (3, 3))
    return np.asarray(windows.mean(axis=(2, 3)))


def _shift(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients (rows, columns) of the gradient that explain ``after - before`` best."""
    rows, columns = np.gradient((before + after) / 2)
    slopes = np.stack([rows.ravel(), columns.ravel()], axis=1)
    found, *_ = np.linalg.lstsq(slopes, (after - before).ravel(), rcond=None)
    return np.asarray(found, dtype=np.float64)


def _lag(
    left: NDArray[np.float64], index: NDArray[np.int64], level: NDArray[np.float64]
) -> tuple[float, float]:
    """Lag, in seconds, at which the mouth's main movement follows the rise and fall of loudness."""
    flat = left.reshape(left.shape[0], -1)
    # The first principal component of the changes is the opening and closing of the mouth.
    main = np.random.default_rng(0).standard_normal(flat.shape[1])
    for _ in range(30):
        main = flat.T @ (flat @ main)
        main /= np.linalg.norm(main) or 1.0
    speed = np.zeros(level.size)
    speed[index] = flat @ main
    rise = np.diff(level, prepend=level[0])
    inside = slice(int(index[0]) + LONGEST_LAG, int(index[-1]) - LONGEST_LAG)
    scores = [
        float(np.corrcoef(np.roll(speed, -lag)[inside], rise[inside])[0, 1])
        for lag in range(-LONGEST_LAG, LONGEST_LAG + 1)
    ]
    strength = np.abs(np.nan_to_num(scores))
    top = int(np.argmax(strength))
    shift = 0.0
    if 0 < top < strength.size - 1:
        before, at, after = strength[top - 1 : top + 2]
        curve = before - 2 * at + after
        shift = 0.5 * (before - after) / curve if curve < 0 else 0.0
    return (top + float(shift) - LONGEST_LAG) * FRAME_S, float(strength[top])
