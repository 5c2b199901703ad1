"""The soak benchmark: sessions come and go, and nothing may grow.

A real server in a process of its own, visitors over the WebSocket path in this one. Lines are
fitted through what the server holds and through how late things come. See ``docs/benchmarks.md``.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import random
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.benchmarks.extra import require_extra
from visavis.benchmarks.live.machine import machine, versions
from visavis.benchmarks.live.persons import load, own_speech
from visavis.benchmarks.live.session import free_port, served
from visavis.benchmarks.live.speech import read
from visavis.benchmarks.soak.census import Census, Held
from visavis.benchmarks.soak.peers import Refused, Visitor
from visavis.benchmarks.soak.regression import slope
from visavis.benchmarks.soak.report import judge, rounded, table
from visavis.engines.errors import ConfigError

__all__ = ["run", "table"]

SEED = 1
WARM_UP_CYCLES = 4
SETTLE_S = 3.0
SAMPLE_EVERY_S = 1.0
WARM_UP_SHARE = 0.15  # of the samples, at most WARM_UP_S; caches fill, buffers find their depth
WARM_UP_S = 60.0
AT_ONCE = 2  # visitors that come and go
STAY_S = (2.0, 20.0)
PAUSE_S = (0.2, 3.0)
CAPACITY = "visavis_capacity_sessions"
NAN = float("nan")


@dataclass
class _Notes:
    """What a run collects; a row a second, or a row a cycle."""

    visits: int = 0
    failures: list[str] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)

    def column(self, name: str) -> NDArray[np.float64]:
        return np.array([row.get(name, NAN) for row in self.rows], np.float64)


def run(
    *,
    person: str = "presenter",
    leg: str = "person",
    minutes: float = 30.0,
    cycles: int | None = None,
) -> dict[str, Any]:
    """Let visitors come and go.

    Args:
        person: name of a built-in person, or path of a person file.
        leg: ``person``, or ``echo`` for stored pictures in its place.
        minutes: how long, where no cycles are given. One visitor stays throughout.
        cycles: connect, wait for voice and picture, leave; so many times, one at a time.

    Returns:
        What `table` prints, JSON throughout. ``passed`` says whether every target was met.

    Raises:
        ConfigError: the [bench] extra is missing, nothing is asked for, or the server does not
            start.
        PersonFileError: the person cannot be loaded.
        AudioInputError: it has no speech of its own.
    """
    require_extra("soak", "psutil")
    if cycles is not None and cycles < 1:
        raise ConfigError("--cycles must be at least 1.")
    loaded = load(person)
    notes = _Notes()
    result: dict[str, Any] = {
        "benchmark": "soak",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "person_id": loaded.id,
        "leg": leg,
        "cycles": cycles,
        "seed": SEED,
        "machine": machine(),
        "versions": versions(),
    }
    with tempfile.TemporaryDirectory(prefix="visavis-bench-") as name:
        folder = Path(name)
        pcm = (read(own_speech(loaded, folder)) * 32767).astype(np.int16)
        port = free_port()
        command = [sys.executable, "-m", "visavis.benchmarks.soak.serving", leg]
        command += ["--person", person, "--port", str(port)]
        with served(command, port, folder / "server.log") as process:
            url = f"http://127.0.0.1:{port}"
            work = _soak(url, pcm, Census(process.pid), notes, minutes * 60, cycles)
            begin = time.monotonic()
            before, after = asyncio.run(work)
            result["seconds"] = round(time.monotonic() - begin, 1)
    result["before"] = _plain(before)
    result["after"] = _plain(after)
    result["visits"] = notes.visits
    result["failures"] = notes.failures
    result["slopes"] = _slopes(notes, per_cycle=cycles is not None)
    result["machine"]["load_after"] = round(os.getloadavg()[0], 2)
    result["targets"] = judge(result)
    result["passed"] = all(row["passed"] for row in result["targets"])
    return result


async def _soak(
    url: str,
    pcm: NDArray[np.int16],
    census: Census,
    notes: _Notes,
    seconds: float,
    cycles: int | None,
) -> tuple[Held, Held]:
    """The whole run; what the server held with nobody there, before and after."""
    for _ in range(WARM_UP_CYCLES):
        async with _visit(url, pcm, notes) as visitor:
            if visitor is not None:
                await asyncio.sleep(1.0)
    await asyncio.sleep(SETTLE_S)
    before = census.take()
    if cycles is not None:
        for _ in range(cycles):
            async with _visit(url, pcm, notes):
                pass
            notes.rows.append({"x": float(len(notes.rows)), **_held(census.take())})
    else:
        await _stay(url, pcm, census, notes, seconds)
    await asyncio.sleep(SETTLE_S)
    return before, census.take()


async def _stay(
    url: str, pcm: NDArray[np.int16], census: Census, notes: _Notes, seconds: float
) -> None:
    """One visitor throughout, others that come and go while there is room; a row a second."""
    guests = min(AT_ONCE, await asyncio.to_thread(_places, url) - 1)
    end = time.monotonic() + seconds
    passing = [asyncio.create_task(_pass_by(url, pcm, notes, end, n)) for n in range(guests)]
    begin = time.monotonic()
    async with _visit(url, pcm, notes) as standing:
        while standing is not None and (now := time.monotonic()) < end:
            await asyncio.sleep(min(SAMPLE_EVERY_S, end - now))
            notes.rows.append(
                {"x": (time.monotonic() - begin) / 60, **_held(census.take()), **_late(standing)}
            )
            if not standing.alive:
                notes.failures.append("the visitor who stays was put out")
                break
    await asyncio.gather(*passing)


def _places(url: str) -> int:
    """How many sessions the server carries, by its own word."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    (line,) = (line for line in text.splitlines() if line.startswith(f"{CAPACITY} "))
    return int(float(line.split()[1]))


async def _pass_by(
    url: str, pcm: NDArray[np.int16], notes: _Notes, end: float, number: int
) -> None:
    """Come and go until the end."""
    chance = random.Random(SEED + number)
    while (left := end - time.monotonic()) > 0:
        async with _visit(url, pcm, notes) as visitor:
            if visitor is not None:
                await asyncio.sleep(min(left, chance.uniform(*STAY_S)))
        await asyncio.sleep(chance.uniform(*PAUSE_S))


@asynccontextmanager
async def _visit(url: str, pcm: NDArray[np.int16], notes: _Notes) -> AsyncIterator[Visitor | None]:
    """A visitor who has voice and picture; None, and a note, where none could be had."""
    notes.visits += 1
    visitor = Visitor(url, pcm)
    try:
        await visitor.open()
    except Refused as error:
        notes.failures.append(str(error))
        yield None
        return
    try:
        yield visitor
    finally:
        await visitor.close()


def _held(held: Held) -> dict[str, float]:
    return {name: float(value) for name, value in asdict(held).items()}


def _plain(held: Held) -> dict[str, float]:
    return {**asdict(held), "memory_mib": round(held.memory_mib, 2)}


def _late(visitor: Visitor) -> dict[str, float]:
    """From saying to hearing, pictures against the voice, and what the server says; ms."""
    noted = visitor.take()
    face = median(noted.face) if noted.face else NAN
    voice = median(noted.voice) if noted.voice else NAN
    sound = visitor.sound_delay()
    return {
        "delay": NAN if sound is None else sound * 1000,
        "offset": (face - voice) * 1000,
        "server_delay": float(noted.report.get("server_delay_ms", NAN)),
    }


def _slopes(notes: _Notes, *, per_cycle: bool) -> dict[str, dict[str, float] | None]:
    """Lines through all that follows the warming up."""
    x = notes.column("x")
    if per_cycle:
        known = np.arange(x.size) >= WARM_UP_SHARE * x.size
    else:
        known = x * 60 >= min(WARM_UP_S, WARM_UP_SHARE * x.size * SAMPLE_EVERY_S)
    suffix = "_per_cycle" if per_cycle else ""
    scale = 1024.0 if per_cycle else 1.0
    columns = {
        f"memory{suffix}": notes.column("memory_mib") * scale,
        f"handles{suffix}": notes.column("handles"),
        f"threads{suffix}": notes.column("threads"),
    }
    if not per_cycle:
        columns |= {name: notes.column(name) for name in ("delay", "offset", "server_delay")}
    return {name: rounded(slope(x[known], y[known])) for name, y in columns.items()}
