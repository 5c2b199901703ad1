"""A fleet in processes of its own, as tests start, look at and kill it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from tests.server.peers import Server

__all__ = ["Running", "running"]

ROOT = Path(__file__).resolve().parents[3]
MODULES = {
    "tests.server.front.engine_process": "engine",
    "visavis.server.front.worker": "worker",
}


class Running:
    """A fleet that is ready.

    Attributes:
        server: for the clients of `tests.server.peers`.
        no_memory: while this file is there, the engine opens no session.
        log: what the processes log.
    """

    def __init__(self, process: subprocess.Popen[str], url: str, folder: Path) -> None:
        self.process = process
        self.server = Server(Starlette(), url)
        self.no_memory = folder / "no-memory"
        self.log = folder / "log"

    def children(self, kind: str | None = None) -> list[int]:
        """Process ids of the front's children, oldest first; of one kind, or all."""
        found = []
        for entry in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
            with contextlib.suppress(OSError, IndexError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                if parent == self.process.pid and kind in (None, MODULES.get(words[2])):
                    found.append(int(entry.name))
        return found

    def kill(self, pid: int) -> None:
        """As the kernel does when memory is short."""
        os.kill(pid, signal.SIGKILL)

    def get(self, path: str) -> httpx.Response:
        """One request."""
        return httpx.get(self.server.url + path, verify=False, timeout=10)

    def number(self, name: str) -> float:
        """One sample of ``/metrics``, by its name and labels as they are written there."""
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(name + " "):
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"no {name} in the metrics")

    def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until it holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not in time; {self.log.read_text()}"
            time.sleep(0.05)


@contextlib.contextmanager
def running(
    folder: Path,
    *,
    workers: int,
    places: int,
    config: dict[str, Any] | None = None,
    matte: bool = False,
) -> Iterator[Running]:
    """Start a fleet, and see to it that nothing is left of it."""
    given = {
        "workers": workers,
        "engine": {
            "places": places,
            "no_memory": str(folder / "no-memory"),
            "size": 192 if matte else 128,
            "matte": matte,
        },
        "config": {"requests_per_second": 1000.0, **(config or {})},
    }
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.server.front.front_process", json.dumps(given)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(folder)},
        )
    fleet = Running(process, "", folder)
    pids: list[int] = []
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Open "), fleet.log.read_text()
        fleet.server.url = line.split()[1].rstrip("/")
        yield fleet
    finally:
        pids = fleet.children()
        process.kill()
        process.communicate()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
