"""One leg of the benchmark: a server, a page, some clicks, and a conversation."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visavis.benchmarks.live import report
from visavis.benchmarks.live.browser import Box, LivePage
from visavis.benchmarks.live.processes import TreeMeter
from visavis.benchmarks.live.records import ServerRecord
from visavis.engines.errors import ConfigError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["TALK", "free_port", "measure", "served"]

TALK = 'button:has-text("Talk live")'
END = 'button:has-text("End")'
READY_TIMEOUT_S = 180.0
RECORD_TIMEOUT_S = 20.0
SETTLE_S = 5.0  # at the start of a conversation, left out of delays and processor time


def free_port() -> int:
    """A port that nobody listens on just now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(
    command: list[str], port: int, log: Path, *, ready_s: float = READY_TIMEOUT_S
) -> Iterator[subprocess.Popen[bytes]]:
    """A server in a process of its own, ready within so many seconds; ended when done with.

    Raises:
        ConfigError: it did not become ready; the message ends with what it said last.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        _wait_until_ready(process, port, log, ready_s)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(
    process: subprocess.Popen[bytes], port: int, log: Path, seconds: float
) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.2)
    last = log.read_text("utf-8", "replace").strip().splitlines()[-1:] or ["nothing"]
    raise ConfigError(f"The measured server did not become ready; it said: {last[0]}")


def measure(
    leg: str,
    *,
    person: str,
    browser: Browser,
    browser_pid: int,
    seconds: float,
    mouth: Box,
    control: Box,
    folder: Path,
    query: str = "path=webrtc",
    options: Sequence[str] = (),
    starts: int = 3,
) -> dict[str, Any]:
    """Run one leg and return its figures.

    Args:
        leg: ``echo`` or ``person``.
        person: name of a built-in person, or path of a person file.
        browser: with the speech as its microphone; browser_pid, the root of its processes.
        seconds: that count, after the first five.
        mouth, control: boxes of the picture, see `mouth_box`.
        folder: for the records and the server's log.
        query: of the page's address, without the question mark.
        options: further arguments of the server (`serving`).
        starts: how many clicks have their first moving picture timed; the last one goes on.

    Raises:
        ConfigError: the server did not start, or the session did not end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "visavis.benchmarks.live.serving", leg]
    command += ["--person", person, "--port", str(port), "--folder", str(folder), *options]
    with served(command, port, folder / "server.log") as process:
        url = f"http://localhost:{port}/?{query}"
        page = LivePage(browser, url, mouth=mouth, control=control)
        try:
            delays = []
            for number in range(starts):
                if number:
                    page.page.click(END)
                    page.page.wait_for_timeout(1000)
                page.page.wait_for_selector(TALK, state="visible")
                delays.append(page.first_motion_s(TALK))
            meters = {
                "server": TreeMeter(process.pid),
                # The driver between us and the browser is ours, not a viewer's.
                "browser": TreeMeter(browser_pid, without=("node",)),
            }
            page.watch(SETTLE_S)
            begin = time.monotonic()
            before = {name: meter.sample() for name, meter in meters.items()}
            page.watch(seconds, every=lambda: [meter.sample() for meter in meters.values()])
            after = {name: meter.sample() for name, meter in meters.items()}
            spent = time.monotonic() - begin
            seen = page.record()
            page.page.click(END)
            noted = _record(folder / f"session-{starts}.npz")
        finally:
            page.close()
    return report.figures(noted, seen) | {
        "cores": {
            **{name: round((after[name] - before[name]) / spent, 3) for name in meters},
            "measurement": round(noted.overhead_s / (spent + SETTLE_S), 4),
        },
        "first_motion": {
            "slowest_s": max(delays),
            "each_s": [round(start, 3) for start in delays],
        },
        "browser": {
            name: value
            for name, value in page.counters.items()
            if name in ("framesDropped", "freezeCount", "clock_uncertainty_s", "errors", "lost")
            or name in ("decoderImplementation", "packetsLost", "pliCount", "keyFramesDecoded")
        },
    }


def _record(path: Path) -> ServerRecord:
    """Wait for what the server writes when a session closes."""
    end = time.monotonic() + RECORD_TIMEOUT_S
    while not path.exists():
        if time.monotonic() > end:
            raise ConfigError("The measured session did not end when its page said so.")
        time.sleep(0.1)
    return ServerRecord.load(path)
