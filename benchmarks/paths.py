"""What each way between page and server costs: WebRTC, WebRTC through TURN, and the WebSocket.

The echo of the live benchmark, in the same browser and one after the other in one run, so that what
differs is the way alone. See ``docs/benchmarks.md``.
"""

from __future__ import annotations

import datetime
import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from visavis.benchmarks import turn
from visavis.benchmarks.extra import require_extra
from visavis.benchmarks.figures import at, number, verdict
from visavis.benchmarks.live import MIDDLE, driver_pid
from visavis.benchmarks.live.browser import find_chromium, launched
from visavis.benchmarks.live.machine import machine, versions
from visavis.benchmarks.live.mouth_box import boxes
from visavis.benchmarks.live.persons import load, own_speech
from visavis.benchmarks.live.session import measure
from visavis.benchmarks.live.speech import read, varied, write
from visavis.engines.errors import ConfigError

__all__ = ["PATHS", "run", "table"]

SEED = 1
LEAST_SECONDS = 10
EXTRA_S = 15.0
LEAST_FOUND = 0.8
# Over WebRTC: medians, in ms.
LIMITS = {"turn-udp": 20.0, "turn-tcp": 20.0, "ws": 80.0}
PATHS = ("webrtc", *LIMITS)


def run(
    *, person: str = "presenter", seconds: float = 30, chromium: Path | None = None
) -> dict[str, Any]:
    """Measure the echo over every path.

    Args:
        person: whose background the echo shows and whose speech is heard.
        seconds: of each path that count.
        chromium: the browser's program; by default found.

    Returns:
        What `table` prints, JSON throughout. ``passed`` says whether every target was met.

    Raises:
        ConfigError: Chromium, coturn or the [bench] extra is missing, or a server does not start.
        PersonFileError: the person cannot be loaded.
        AudioInputError: it has no speech of its own.
    """
    if seconds < LEAST_SECONDS:
        raise ConfigError(f"The benchmark of paths needs at least {LEAST_SECONDS} seconds.")
    require_extra("paths", "psutil", "playwright")
    program = find_chromium(chromium)
    loaded = load(person)
    mouth, control = boxes(loaded) or (MIDDLE, MIDDLE)
    result: dict[str, Any] = {
        "benchmark": "paths",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "person_id": loaded.id,
        "seconds": seconds,
        "seed": SEED,
        "machine": machine(),
        "versions": versions(),
        "paths": {},
    }
    with tempfile.TemporaryDirectory(prefix="visavis-bench-") as name:
        folder = Path(name)
        samples = varied(read(own_speech(loaded, folder)), seconds + EXTRA_S, seed=SEED)
        write(folder / "microphone.wav", samples)
        with launched(program, folder / "microphone.wav") as browser, ExitStack() as opened:
            result["versions"]["chromium"] = browser.version
            pid = driver_pid()
            relay = opened.enter_context(turn.running(folder / "turn"))
            for path in PATHS:
                print(f"visavis bench paths: {path}", file=sys.stderr)
                result["paths"][path] = measure(
                    "echo",
                    person=person,
                    browser=browser,
                    browser_pid=pid,
                    seconds=seconds,
                    mouth=mouth,
                    control=control,
                    folder=folder / path,
                    query=_query(path),
                    options=_options(path, relay),
                    starts=1,
                )
    result["machine"]["load_after"] = round(os.getloadavg()[0], 2)
    result["targets"] = judge(result)
    result["passed"] = all(row["passed"] for row in result["targets"])
    return result


def _query(path: str) -> str:
    """What the page is told in its address."""
    if path.startswith("turn"):
        return "path=webrtc&relay"
    return f"path={path}"


def _options(path: str, relay: turn.Turn) -> list[str]:
    """Further arguments of the measured server."""
    if not path.startswith("turn"):
        return []
    return ["--turn", relay.url(path.removeprefix("turn-")), "--turn-secret", relay.secret]


def judge(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Hold each path's medians against WebRTC's. What could not be measured has not passed."""
    rows = []
    legs = result["paths"]
    for path, limit in LIMITS.items():
        for what, figure in (("picture", "delay"), ("ear", "voice")):
            values = [at(legs[name], figure, "median_ms") for name in ("webrtc", path)]
            first, second = values
            more = None if first is None or second is None else round(second - first, 1)
            trusted = all(
                (at(legs[name], "voice", "found_in_microphone") or 0.0) >= LEAST_FOUND
                for name in ("webrtc", path)
            )
            rows.append(
                {
                    "what": f"{path}: microphone to {what}, over WebRTC, ms",
                    "measured": more,
                    "limit": limit,
                    "trusted": trusted,
                    "passed": trusted and more is not None and more <= limit,
                }
            )
    return rows


def table(result: Mapping[str, Any]) -> str:
    """The result as people read it."""
    machine = result["machine"]
    legs = result["paths"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores (load {machine['load_before']:.1f} before, "
        f"{machine['load_after']:.1f} after), Chromium {result['versions']['chromium']}, echo",
        "",
        f"{'':44}" + "".join(f"{name:>10}" for name in legs),
    ]

    def line(what: str, *path: str, digits: int = 1) -> None:
        shown = (number(at(leg, *path), digits) for leg in legs.values())
        lines.append(f"{what:44}" + "".join(f"{value:>10}" for value in shown))

    line("microphone to picture, median ms", "delay", "median_ms")
    line("microphone to picture, p95 ms", "delay", "p95_ms")
    line("microphone to ear, median ms", "voice", "median_ms")
    line("microphone to ear, p95 ms", "voice", "p95_ms")
    line("picture minus voice, median ms", "offset", "median_ms")
    line("distinct pictures a second", "flow", "distinct_per_second", digits=2)
    line("server, processor cores", "cores", "server", digits=2)
    line("click to moving picture, s", "first_motion", "slowest_s", digits=2)
    lines.append("")
    for row in result["targets"]:
        lines.append(
            f"{row['what']:48}{number(row['measured'], 1):>8}"
            f"  limit {number(row['limit'], 0):>4}  {verdict(row)}"
        )
    return "\n".join(lines)
