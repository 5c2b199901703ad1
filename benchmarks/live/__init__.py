"""The live benchmark: a real server, a real browser, recorded speech as its microphone.

Two legs with the same page, codecs and network: a bare **echo**, which answers with stored pictures
of the same size as soon as it can, and the **person**. What the echo costs is what everything but
the engine costs. See ``docs/benchmarks.md`` for what each figure means.
"""

from __future__ import annotations

import datetime
import os
import tempfile
from pathlib import Path
from typing import Any

from visavis.benchmarks.extra import require_extra
from visavis.benchmarks.live.browser import Box, find_chromium, launched
from visavis.benchmarks.live.machine import machine, versions
from visavis.benchmarks.live.mouth_box import boxes
from visavis.benchmarks.live.persons import load, own_speech
from visavis.benchmarks.live.report import judge, table
from visavis.benchmarks.live.session import measure
from visavis.benchmarks.live.speech import read, varied, write
from visavis.engines.errors import ConfigError

__all__ = ["MIDDLE", "driver_pid", "run", "table"]

SEED = 1
LEAST_SECONDS = 20
EXTRA_S = 15.0  # of speech beyond the measured seconds: starting, settling, ending
MIDDLE: Box = (0, 0, 8, 8)  # for persons whose parts do not tell where the mouth is


def run(
    *,
    person: str = "presenter",
    seconds: float = 60,
    speech: Path | None = None,
    chromium: Path | None = None,
    path: str = "webrtc",
) -> dict[str, Any]:
    """Measure the person and, beside it, the echo.

    Args:
        person: name of a built-in person, or path of a person file.
        seconds: of each leg that count; some more are spent on starting and settling.
        speech: what is said; by default the person's own clip. Looped to length.
        chromium: the browser's program; by default found.
        path: ``webrtc``, or ``ws`` for the WebSocket path.

    Returns:
        What `table` prints, JSON throughout. ``passed`` says whether every target was met.

    Raises:
        ConfigError: Chromium or the [bench] extra is missing, or the server does not start.
        PersonFileError: the person cannot be loaded.
        AudioInputError: the speech cannot be read.
    """
    if seconds < LEAST_SECONDS:
        raise ConfigError(f"The live benchmark needs at least {LEAST_SECONDS} seconds.")
    require_extra("live", "psutil", "playwright")
    program = find_chromium(chromium)
    loaded = load(person)
    areas = boxes(loaded) or (MIDDLE, MIDDLE)
    result: dict[str, Any] = {
        "benchmark": "live",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "name": loaded.name,
        "person_id": loaded.id,
        "size": [loaded.width, loaded.height],
        "seconds": seconds,
        "seed": SEED,
        "path": path,
        "speech": speech.name if speech else "the person's own clip",
        "machine": machine(),
        "versions": versions(),
        "boxes": {"mouth": areas[0], "control": areas[1]},
    }
    with tempfile.TemporaryDirectory(prefix="visavis-bench-") as name:
        folder = Path(name)
        own = own_speech(loaded, folder) if speech is None else speech
        samples = varied(read(own), seconds + EXTRA_S, seed=SEED)
        write(folder / "microphone.wav", samples)
        with launched(program, folder / "microphone.wav") as browser:
            result["versions"]["chromium"] = browser.version
            pid = driver_pid()
            for leg in ("echo", "person"):
                result[leg] = measure(
                    leg,
                    person=person,
                    browser=browser,
                    browser_pid=pid,
                    seconds=seconds,
                    mouth=areas[0],
                    control=areas[1],
                    folder=folder / leg,
                    query=f"path={path}",
                )
    result["machine"]["load_after"] = round(os.getloadavg()[0], 2)
    result["targets"] = judge(result)
    result["passed"] = all(row["passed"] for row in result["targets"])
    return result


def driver_pid() -> int:
    """The process that drives the browser: the only child we have at that moment."""
    import psutil

    (driver,) = psutil.Process().children()
    return int(driver.pid)
