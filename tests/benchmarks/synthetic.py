"""A whole session made of arrays, with every delay known, and toys that get one thing wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.benchmarks.live.correlate import resample
from visavis.benchmarks.live.records import ServerRecord
from visavis.benchmarks.live.timing import PageRecord, Sound

MIC_RATE, VOICE_RATE, RATE = 44_100, 48_000, 16_000
START = 1_000.0  # monotonic time at which the page's microphone track begins
UPLINK_S = 0.015  # microphone to server
ENGINE_S = 0.010
HOLD_S = 0.012
BROWSER_S = 0.030
PLAYOUT_S = 0.030
TIMELINE_S = 0.35  # the server's timeline begins this far into the microphone's recording


def speech(seconds: float, seed: int) -> NDArray[np.float64]:
    """Syllables of a buzzing voice with a wandering pitch, and real pauses between sentences."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    t = np.arange(n)
    knots = np.arange(0, n + 1600, 1600)
    pitch = np.interp(t, knots, 120 + 40 * rng.standard_normal(knots.size).cumsum() / 3)
    phase = np.cumsum(np.clip(pitch, 70, 250)) / RATE
    source = sum(np.sin(2 * np.pi * h * phase) / h for h in range(1, 20))
    formant = np.interp(t, knots, rng.uniform(0.2, 1.0, knots.size))
    noise = rng.standard_normal(n) * np.interp(t, knots, rng.uniform(0, 0.3, knots.size))
    loud = np.interp(t, knots, rng.uniform(0.05, 1.0, knots.size))
    sentence = (t / RATE) % 6 < 4.5  # 1.5 s of rest every 6 s
    return np.asarray(0.1 * (source * formant + noise) * loud * sentence)


def packets(
    samples: NDArray[np.float64], rate: int, start: float, rng: np.random.Generator
) -> Sound:
    """A track's packets of 10 ms with a little jitter in their time stamps."""
    pcm = resample(samples, RATE, rate).astype(np.float32)
    first = np.arange(0, pcm.size, rate // 100)
    time = start + first / rate + rng.uniform(-3e-4, 3e-4, first.size)
    return Sound(rate=rate, pcm=pcm, start=first.astype(np.int64), time=time)


def session(
    *,
    seconds: float = 14.0,
    lookahead_ms: int = 100,
    picture_late_s: float = 0.0,
    voice_late_s: float = 0.0,
    voice: str = "own",
    repeat: int = 1,
    drop: tuple[int, ...] = (),
    mouth: str = "moves",
    mouth_late_frames: int = 0,
    drift_ppm: float = 0.0,
) -> tuple[ServerRecord, PageRecord]:
    """Both sides of a session.

    Args:
        picture_late_s, voice_late_s: added on the way to the page.
        voice: "own", "silent" or "unrelated": what the page hears.
        repeat: each picture's content is given so many times under new indices.
        drop: frames that never come to the page.
        mouth: "moves", "still" or "flaps" (without regard to the voice).
        mouth_late_frames: the picture of frame k shows the mouth of an earlier frame.
        drift_ppm: how much faster the server's timeline runs than the page's clock.
    """
    rng = np.random.default_rng(11)
    spoken = speech(seconds, 21)
    microphone = packets(spoken, MIC_RATE, START, rng)
    begin = round(TIMELINE_S * RATE)
    scale = 1 + drift_ppm * 1e-6
    count = round((spoken.size - begin) * scale)
    timeline = np.interp(begin + np.arange(count) / scale, np.arange(spoken.size), spoken)

    ends = np.arange(320, timeline.size + 1, 320)
    given = START + TIMELINE_S + ends / scale / RATE + UPLINK_S - 0.02  # the first sample + UPLINK
    index = np.arange((timeline.size - lookahead_ms * 16) // 640)
    need = index * 640 + lookahead_ms * 16
    made = given[np.searchsorted(ends, need)] + ENGINE_S
    server = ServerRecord(
        lookahead_ms=lookahead_ms,
        pcm=timeline.astype(np.float32),
        push_time=given,
        push_end=ends,
        index=index,
        made=made,
        picture=(index // repeat + 1).astype(np.uint32),
        speech=np.ones(index.size, np.float32),
        generation=np.zeros(index.size, np.int64),
        rendered=index.size,
        skipped=0,
        engine_ms=(9.0, 12.0),
        overhead_s=0.0,
    )

    received = made + HOLD_S
    displayed = received + BROWSER_S + picture_late_s
    ideal = START + TIMELINE_S + index * 0.04 / scale  # when the voice of k was spoken
    heard_after = float(np.median(displayed - picture_late_s - ideal)) + voice_late_s
    content = {"own": spoken, "silent": np.zeros(spoken.size), "unrelated": speech(seconds, 99)}
    voice_track = packets(content[voice], VOICE_RATE, START + heard_after - PLAYOUT_S, rng)
    shown = np.setdiff1d(index, drop)
    inside, outside = boxes(index, timeline, mouth, mouth_late_frames, rng)
    page = PageRecord(
        index=shown,
        presented=displayed[shown] - 1e-3,
        displayed=displayed[shown],
        received=received[shown],
        count=np.arange(shown.size),
        mouth=inside[shown],
        control=outside[shown],
        microphone=microphone,
        voice=voice_track,
        playout_s=PLAYOUT_S,
        clicks=np.array([START]),
    )
    return server, page


def boxes(
    index: NDArray[np.int64],
    timeline: NDArray[np.float64],
    mouth: str,
    late: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A mouth that opens with the loudness, on a head that sways, with a codec's noise."""
    rows, columns = np.mgrid[0:24, 0:32].astype(np.float64)
    level = np.sqrt(np.mean(timeline[: index.size * 640].reshape(-1, 640) ** 2, axis=1))
    opening = {
        "moves": 14 * level / np.percentile(level, 95),
        "still": np.zeros(index.size),
        "flaps": rng.uniform(0, 10, index.size),
    }[mouth]
    opening = np.concatenate((np.zeros(late), opening))[: index.size]
    inside = np.empty((index.size, 24, 32), np.uint8)
    outside = np.empty_like(inside)
    for k in index:
        sway = 2 * np.sin(k / 9), 1.5 * np.cos(k / 13)

        def skin(phase: float, sway: tuple[float, float] = sway) -> NDArray[np.float64]:
            x, y = columns - sway[0], rows - sway[1]
            return 120 + 25 * np.sin(x / 4 + phase) + 20 * np.cos(y / 3 - phase)

        dark = np.exp(-(((columns - sway[0] - 16) / 9) ** 2))
        lips = dark * np.clip(opening[k] / 2 + 1 - np.abs(rows - sway[1] - 12), 0, 1) * 60
        noise = rng.normal(0, 1.5, (2, 24, 32))
        inside[k] = np.clip(skin(0.3) - lips + noise[0], 0, 255)
        outside[k] = np.clip(skin(1.1) + noise[1], 0, 255)
    return inside, outside
