"""N whole sessions against a running server: what each got, and what the server took for it."""

from __future__ import annotations

import itertools
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from visavis.benchmarks.sessions.census import Census, Taken, spent
from visavis.benchmarks.sessions.crowd import Crowd
from visavis.benchmarks.sessions.exposition import (
    Samples,
    between,
    parse,
    percentile,
    promised,
    total,
)
from visavis.benchmarks.sessions.verdict import reasons

__all__ = ["Load", "promise", "step", "summary"]

SETTLE_S = 4.0
EMPTY_S = 20.0
AT_ONCE = 8
LATE = "visavis_frame_ready_late_seconds"
STATS = ("server_delay_ms", "budget_ms", "render_ms", "encode_ms", "receive_depth_ms")


@dataclass(frozen=True, slots=True)
class Load:
    """What is put on a server.

    Attributes:
        url, pid: of the server.
        speech: a recording that visitors say cuts of.
        persons: whom they see, in turn.
        codec: ``vp8`` or ``h264``.
        seconds: that count, for each number of sessions.
        loop_s: length of what each says before it begins again.
        decode_every: one session in so many is decoded.
        settle_s: what is left out at the beginning.
    """

    url: str
    pid: int
    speech: Path
    persons: Sequence[str]
    codec: str = "vp8"
    seconds: float = 60.0
    loop_s: float = 20.0
    decode_every: int = 8
    settle_s: float = SETTLE_S


def promise(url: str) -> dict[str, float]:
    """What the server says it carries, by its metrics."""
    return promised(_metrics(url))


def step(load: Load, count: int) -> dict[str, Any]:
    """Let ``count`` visitors talk at once, and measure.

    Returns:
        what `summary` makes of it, and "load", the machine's average of the last minute.
    """
    census = Census(load.pid)
    with Crowd(
        load.url,
        load.speech,
        load.persons,
        count,
        codec=load.codec,
        loop_s=load.loop_s,
        decode_every=load.decode_every,
    ) as crowd:
        time.sleep(load.settle_s)
        stats, metrics, taken = _stats(load.url, crowd.opened), _metrics(load.url), census.take()
        begin, end = crowd.begin(load.seconds)
        time.sleep(max(0.0, end - time.monotonic()))
        later, after = census.take(), _metrics(load.url)
        stats_after = _stats(load.url, crowd.opened)
        sessions, cores = crowd.figures()
        refused, busy = crowd.refused, os.getloadavg()[0]
    _wait_until_empty(load.url)
    made = summary(
        count,
        sessions,
        refused,
        generator_cores=cores,
        seconds=end - begin,
        stats=(stats, stats_after),
        metrics=(metrics, after),
        taken=(taken, later),
    )
    return {**made, "load": round(busy, 2)}


def summary(
    count: int,
    sessions: Sequence[Mapping[str, Any]],
    refused: Sequence[str],
    *,
    generator_cores: float,
    seconds: float,
    stats: tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Mapping[str, Any]]],
    metrics: tuple[Samples, Samples],
    taken: tuple[Taken, Taken],
) -> dict[str, Any]:
    """A step in figures. Pure.

    Args:
        count: of sessions that were asked for.
        sessions: `arrivals.figures` of those that were let in, with "location" and "pictures".
        refused: the server's answers to the others.
        generator_cores: what the visitors took.
        seconds: of the window.
        stats: of each session by its location, at both ends of the window.
        metrics, taken: likewise.
    """
    first, last = stats
    both = [(first[key], last[key]) for key in last if key in first]
    late = [s["late_ms"] for s in sessions if s["late_ms"] is not None]
    cores = spent(taken[0], taken[1], seconds)
    server = round(sum(cores.values()), 4)
    sent = sum(b["frames_sent"] - a["frames_sent"] for a, b in both)
    ready = between(*metrics, LATE)
    behind = percentile(ready, 0.95)
    apart = [s["picture_after_voice_ms"] for s in sessions if s["picture_after_voice_ms"]]
    out: dict[str, Any] = {
        "sessions": count,
        "opened": len(sessions),
        "refused": sorted(set(refused)),
        "least_fps": _least(s["fps"] for s in sessions),
        "median_fps": _middle(s["fps"] for s in sessions),
        "most_skipped": _most(s["skipped"] for s in sessions),
        "worst_late_p95_ms": _most(one["p95"] for one in late) if late else None,
        "median_late_p95_ms": _middle(one["p95"] for one in late) if late else None,
        "longest_wait_ms": _most(s["longest_wait_ms"] for s in sessions),
        "least_voice_per_s": _least(s["voice_per_s"] for s in sessions),
        "picture_after_voice_ms": {
            "median": _middle(one["p50"] for one in apart),
            "worst_p95": _most(one["p95"] for one in apart),
        }
        if apart
        else None,
        "bits_per_s": _middle(s["bits_per_s"] for s in sessions),
        "most_budget_ms": _most(b["budget_ms"] for _, b in both),
        "server": {
            **{
                name: {
                    "median": _middle(b[name] for _, b in both),
                    "most": _most(b[name] for _, b in both),
                }
                for name in STATS
            },
            "ready_late_p95_ms": None if behind is None else round(1000 * behind, 2),
            "frames_sent": sent,
            "frames_skipped": sum(b["frames_skipped"] - a["frames_skipped"] for a, b in both),
            "frames_shed": sum(b["frames_shed"] - a["frames_shed"] for a, b in both),
            "distinct": round(
                sum(b["frames_distinct"] - a["frames_distinct"] for a, b in both) / max(1, sent), 4
            ),
            "stalls": sum(b["stalls"] - a["stalls"] for a, b in both),
            "concealed_ms": _most(b["concealed_ms"] - a["concealed_ms"] for a, b in both),
        },
        "cores": {
            "server": server,
            "by_process": cores,
            "per_session": round(server / max(1, len(sessions)), 4),
            "visitors": round(generator_cores, 4),
        },
        "memory_mib": {role: round(held, 1) for role, held in taken[1].memory_mib.items()},
        "decoded": _decoded(sessions),
    }
    out["why_not"] = reasons({**out, "least_fps": out["least_fps"] or 0.0})
    out["carried"] = not out["why_not"]
    return out


def _decoded(sessions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of the sample that was decoded: how many pictures, and how unlike each other."""
    reports = [s["pictures"] for s in sessions if s["pictures"]]
    thumbs = [np.array(one["thumb"]) for one in reports if one["thumb"]]
    pairs = [float(np.abs(a - b).mean()) for a, b in itertools.combinations(thumbs, 2)]
    frames = sum(one["decoded"] for one in reports)
    return {
        "sessions": len(reports),
        "frames": frames,
        "distinct": round(sum(one["distinct"] for one in reports) / max(1, frames), 4),
        "moved": _least(one["moved"] for one in reports),
        "least_apart": round(min(pairs), 3) if pairs else None,
        "size": reports[0]["size"] if reports else None,
    }


def _stats(url: str, locations: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What the server says of each session; those that it does not know any more are left out."""

    def ask(location: str) -> dict[str, Any] | None:
        try:
            with urllib.request.urlopen(f"{url}{location}/stats", timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except (urllib.error.HTTPError, OSError, ValueError):
            return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(ask, locations))
    return {
        location: answer
        for location, answer in zip(locations, answers, strict=True)
        if answer is not None
    }


def _metrics(url: str) -> Samples:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        return parse(answer.read().decode())


def _wait_until_empty(url: str) -> None:
    """The next visitors must not share the server with these."""
    end = time.monotonic() + EMPTY_S
    while total(_metrics(url), "visavis_sessions") and time.monotonic() < end:
        time.sleep(0.2)


def _least(values: Any) -> float | None:
    found = list(values)
    return round(min(found), 3) if found else None


def _most(values: Any) -> float | None:
    found = list(values)
    return round(max(found), 4) if found else None


def _middle(values: Any) -> float | None:
    found = list(values)
    return round(median(found), 3) if found else None
