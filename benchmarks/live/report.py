"""The figures of a session, the targets they are held against, and the table that people read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.benchmarks.figures import at, number, verdict
from visavis.benchmarks.live.picture import flow, mouth
from visavis.benchmarks.live.records import ServerRecord
from visavis.benchmarks.live.timing import FRAME_S, PageRecord, Times, match

__all__ = ["figures", "judge", "table"]

# Target, what, measured, limit, what must hold of both, whether the measurement can be trusted.
Row = tuple[str, str, float | None, float | None, Callable[[float, float], bool], bool]

SETTLED_S = 5.0  # from the first picture; delays and CPU are those of a settled session
LEAST_FOUND = 0.8  # of the windows with speech that must be found again
LEAST_TIMED = 0.8  # of the shown frames whose delay must be known

DISTINCT_PER_S = 24.9
MOUTH_CHANGING = 0.9
DROPPED = 0.005
OVER_ECHO_MS = 25.0
ECHO_MS = 130.0
OFFSET_MS = 40.0
CORES = 0.6
FIRST_MOTION_S = 1.0


def _spread(seconds: NDArray[np.float64]) -> dict[str, float | None]:
    """Median and 95th percentile in ms; None where nothing is known."""
    known = seconds[np.isfinite(seconds)] * 1000
    if not known.size:
        return {"median_ms": None, "p95_ms": None}
    median, p95 = np.percentile(known, (50, 95)).tolist()
    return {"median_ms": round(median, 1), "p95_ms": round(p95, 1)}


def figures(server: ServerRecord, page: PageRecord) -> dict[str, Any]:
    """All figures of one session that both sides' records hold."""
    times = match(server, page)
    flowed = flow(server, page)
    moved = mouth(server, page)
    settled = np.zeros(0, np.bool_)
    if times.index.size:
        settled = times.displayed >= times.displayed[0] + SETTLED_S
    timed = np.isfinite(times.delay)
    return {
        "flow": None if flowed is None else _rounded(asdict(flowed)),
        "mouth": None if moved is None else _rounded(asdict(moved)),
        "delay": {
            **_spread(times.delay[settled]),
            "timed": _share(timed[settled]),
            "first_5_s": _spread(times.delay[~settled]),
            "drift_ms_per_minute": _drift(times.displayed[settled], times.delay[settled]),
            "parts": {name: _spread(part[settled]) for name, part in times.parts().items()},
        },
        "voice": {
            **_spread(times.voice_delay[settled]),
            "found_in_microphone": round(times.in_microphone.found(), 3),
            "found_in_voice": round(times.in_voice.found(), 3),
            "playout_device_ms": round(page.playout_s * 1000, 1),
        },
        "offset": _offsets(times),
        "engine": {
            "lookahead_ms": server.lookahead_ms,
            "rendered": server.rendered,
            "skipped": server.skipped,
            "frame_ms_p50": round(server.engine_ms[0], 2),
            "frame_ms_p95": round(server.engine_ms[1], 2),
        },
    }


def _offsets(times: Times) -> dict[str, Any]:
    """Picture minus voice, second by second from second 1 on; seconds without voice are None."""
    series: list[float | None] = []
    if times.index.size:
        second = np.floor(times.displayed - times.displayed[0]).astype(np.int64)
        for number in range(1, int(second[-1]) + 1):
            here = times.offset[second == number]
            here = here[np.isfinite(here)]
            series.append(round(float(np.median(here)) * 1000, 1) if here.size else None)
    known = [value for value in series if value is not None]
    return {
        "median_ms": round(float(np.median(known)), 1) if known else None,
        "worst_ms": max(known, key=abs) if known else None,
        "seconds_known": len(known),
        "seconds": len(series),
        "per_second_ms": series,
    }


def _drift(at: NDArray[np.float64], delay: NDArray[np.float64]) -> float | None:
    """Slope of the delay over the session."""
    known = np.isfinite(delay)
    if known.sum() < 10 / FRAME_S / 2:
        return None
    slope = np.polyfit(at[known], delay[known], 1)[0]
    return round(float(slope) * 60_000, 1)


def _share(flags: NDArray[np.bool_]) -> float:
    return round(float(flags.mean()), 3) if flags.size else 0.0


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in values.items()
    }


def judge(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Hold a result against the targets. What could not be measured has not passed."""
    person, echo = result["person"], result["echo"]
    lookahead = at(person, "engine", "lookahead_ms") or 0.0
    echo_delay = at(echo, "delay", "median_ms")
    most = None
    if echo_delay is not None:
        # A slow echo is no excuse for a slow person.
        most = round(min(echo_delay, ECHO_MS) + lookahead - 40 + OVER_ECHO_MS, 1)

    def sure(leg: Mapping[str, Any]) -> bool:
        """The delays and offsets rest on sound that was found again, for most of the frames."""
        return (at(leg, "voice", "found_in_microphone") or 0) >= LEAST_FOUND and (
            at(leg, "delay", "timed") or 0
        ) >= LEAST_TIMED

    heard = (at(person, "voice", "found_in_voice") or 0) >= LEAST_FOUND
    rows: list[Row] = [
        ("a", "distinct pictures a second", at(person, "flow", "distinct_per_second"),
         DISTINCT_PER_S, lambda x, limit: x >= limit, True),
        ("b", "mouth changes between voiced pictures, %", _percent(person, "mouth", "changing"),
         100 * MOUTH_CHANGING, lambda x, limit: x > limit, True),
        ("c", "dropped pictures, %", _percent(person, "flow", "dropped"),
         100 * DROPPED, lambda x, limit: x < limit, True),
        ("d", "microphone to picture, median, ms", at(person, "delay", "median_ms"),
         most, lambda x, limit: x <= limit, sure(person) and sure(echo)),
        ("d", "the same of the echo, ms", echo_delay,
         ECHO_MS, lambda x, limit: x <= limit, sure(echo)),
        ("e", "picture against voice, worst second, ms", at(person, "offset", "worst_ms"),
         OFFSET_MS, lambda x, limit: abs(x) <= limit, heard),
        ("f", "processor cores of the server", at(person, "cores", "server"),
         CORES, lambda x, limit: x <= limit, True),
        ("g", "click to moving picture, slowest, s", at(person, "first_motion", "slowest_s"),
         FIRST_MOTION_S, lambda x, limit: x <= limit, True),
    ]  # fmt: skip
    return [
        {
            "target": letter,
            "what": what,
            "measured": measured,
            "limit": limit,
            "trusted": trusted,
            "passed": trusted
            and measured is not None
            and limit is not None
            and holds(measured, limit),
        }
        for letter, what, measured, limit, holds, trusted in rows
    ]


def _percent(leg: Mapping[str, Any], *path: str) -> float | None:
    share = at(leg, *path)
    return None if share is None else round(100 * share, 2)


def table(result: Mapping[str, Any]) -> str:
    """The result as people read it."""
    legs = [result["echo"], result["person"]]
    machine = result["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores (load {machine['load_before']:.1f} before), "
        f"Chromium {result['versions']['chromium']}",
        "",
        f"{'':44}{'echo':>10}{result['name']:>12}{'difference':>12}",
    ]

    def line(what: str, *path: str, scale: float = 1.0, digits: int = 1) -> None:
        values = [at(leg, *path) for leg in legs]
        shown = [number(None if v is None else v * scale, digits) for v in values]
        first, second = values
        both = None if first is None or second is None else (second - first) * scale
        lines.append(f"{what:44}{shown[0]:>10}{shown[1]:>12}{number(both, digits):>12}")

    line("microphone to picture, median ms", "delay", "median_ms")
    line("microphone to picture, p95 ms", "delay", "p95_ms")
    for part in legs[1]["delay"]["parts"]:
        line(f"  {part}, median ms", "delay", "parts", part, "median_ms")
    line("microphone to ear, median ms", "voice", "median_ms")
    line("picture minus voice, median ms", "offset", "median_ms")
    line("picture minus voice, worst second ms", "offset", "worst_ms")
    line("distinct pictures a second", "flow", "distinct_per_second", digits=2)
    line("dropped, %", "flow", "dropped", scale=100, digits=2)
    line("freezes", "flow", "freezes", digits=0)
    line("mouth changes while speaking, % of pairs", "mouth", "changing", scale=100)
    line("server, processor cores", "cores", "server", digits=2)
    line("browser, processor cores", "cores", "browser", digits=2)
    lines.append("")
    for row in result["targets"]:
        lines.append(
            f"({row['target']}) {row['what']:44}{number(row['measured'], 2):>9}"
            f"  limit {number(row['limit'], 2):>7}  {verdict(row)}"
        )
    return "\n".join(lines)
