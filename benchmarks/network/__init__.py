"""The network benchmark: what a bad path does to a session, beside aiortc as it comes.

A real Chromium and a real server with a UDP relay between them. Both stacks have the same page, the
same echo engine and the same links with the same seeds. See ``docs/benchmarks.md``.
"""

from __future__ import annotations

import datetime
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from visavis.benchmarks.extra import require_extra
from visavis.benchmarks.live.browser import find_chromium, launched
from visavis.benchmarks.live.machine import machine, versions
from visavis.benchmarks.live.persons import load, own_speech
from visavis.benchmarks.live.session import free_port, served
from visavis.benchmarks.live.speech import read, varied, write
from visavis.benchmarks.network.report import judge, table
from visavis.benchmarks.network.scenarios import SCENARIOS
from visavis.benchmarks.network.session import Lengths, Stack, measure
from visavis.engines.errors import ConfigError

__all__ = ["SCENARIOS", "STACKS", "Lengths", "run", "table"]

SEED = 1
STACKS = ("visavis", "aiortc")
EXTRA_S = 15.0  # of speech beyond what counts


def run(
    *,
    person: str = "presenter",
    scenarios: Sequence[str] = tuple(SCENARIOS),
    lengths: Lengths | None = None,
    speech: Path | None = None,
    chromium: Path | None = None,
) -> dict[str, Any]:
    """Take both stacks through each trouble.

    Args:
        person: whose background the echo shows and whose speech is heard.
        scenarios: names from `SCENARIOS`.
        lengths: of the phases.
        speech: what is said; by default the person's own clip. Looped to length.
        chromium: the browser's program; by default found.

    Returns:
        What `table` prints, JSON throughout.

    Raises:
        ConfigError: an unknown scenario; Chromium or the [bench] extra is missing; a server does
            not start.
        PersonFileError: the person cannot be loaded.
        AudioInputError: the speech cannot be read.
    """
    for name in scenarios:
        if name not in SCENARIOS:
            raise ConfigError(f"There is no scenario {name}; there are {', '.join(SCENARIOS)}.")
    require_extra("network", "psutil", "playwright")
    lengths = lengths or Lengths()
    program = find_chromium(chromium)
    loaded = load(person)
    result: dict[str, Any] = {
        "benchmark": "network",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "person_id": loaded.id,
        "size": [loaded.width, loaded.height],
        "seed": SEED,
        "one_way_delay_ms": 10,
        "machine": machine(),
        "versions": versions(),
        "scenarios": {},
    }
    with tempfile.TemporaryDirectory(prefix="visavis-bench-") as name, ExitStack() as opened:
        folder = Path(name)
        own = own_speech(loaded, folder) if speech is None else speech
        total = lengths.settle + lengths.before + lengths.during + lengths.after + EXTRA_S
        write(folder / "microphone.wav", varied(read(own), total, seed=SEED))
        stacks = [_start(stack, person, folder, opened) for stack in STACKS]
        for stack in stacks:
            stack.page = stacks[0].page  # both are seen through the same page
        for scenario in scenarios:
            result["scenarios"][scenario] = {}
            for stack in stacks:
                print(f"visavis bench network: {scenario}, {stack.name}", file=sys.stderr)
                with launched(program, folder / "microphone.wav") as browser:
                    result["versions"]["chromium"] = browser.version
                    result["scenarios"][scenario][stack.name] = measure(
                        stack,
                        SCENARIOS[scenario],
                        browser=browser,
                        lengths=lengths,
                        seed=SEED,
                    )
    result["machine"]["load_after"] = round(os.getloadavg()[0], 2)
    result["targets"] = judge(result)
    result["passed"] = all(row["passed"] for row in result["targets"])
    return result


def _start(name: str, person: str, folder: Path, opened: ExitStack) -> Stack:
    """A server of one kind, ready."""
    port = free_port()
    room = folder / name
    room.mkdir()
    module = "network.plain" if name == "aiortc" else "live.serving"
    command = [sys.executable, "-m", f"visavis.benchmarks.{module}"]
    command += [] if name == "aiortc" else ["echo"]
    command += ["--person", person, "--port", str(port), "--folder", str(room)]
    opened.enter_context(served(command, port, room / "server.log"))
    base = f"http://localhost:{port}"
    return Stack(name, f"{base}/?path=webrtc", f"{base}/sessions", room)
