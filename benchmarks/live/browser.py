"""A real Chromium with a recording as its microphone, and what its page tells us."""

from __future__ import annotations

import base64
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visavis.benchmarks.live.timing import PageRecord, Sound
from visavis.engines.errors import ConfigError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["Box", "Clock", "LivePage", "find_chromium", "launched", "read_clock"]

Box = tuple[int, int, int, int]  # x, y, width, height in pixels of the picture; even

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--disable-gpu",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-background-timer-throttling",
)
PINGS = 40
TAKE_EVERY_S = 0.25


def find_chromium(given: Path | None = None) -> Path:
    """The browser's program: the one given, $VISAVIS_CHROMIUM, or one on the path.

    Raises:
        ConfigError: there is none.
    """
    wanted = given or os.environ.get("VISAVIS_CHROMIUM")
    found = [str(wanted)] if wanted else [shutil.which(name) or "" for name in NAMES]
    for name in found:
        if name and os.access(name, os.X_OK):
            return Path(name)
    raise ConfigError(
        f"{wanted} is not a program that can be run."
        if wanted
        else "There is no Chromium here: install it (Debian, Ubuntu: apt-get install chromium) "
        "or name it with --chromium."
    )


@contextmanager
def launched(program: Path, microphone: Path) -> Iterator[Browser]:
    """A headless browser whose microphone plays a wav file, from its start at each opening."""
    from playwright.sync_api import sync_playwright

    arguments = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium has no sandbox for root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=arguments,
            ignore_default_args=["--mute-audio"],
        )
        try:
            yield browser
        finally:
            browser.close()


class Clock:
    """Turns the page's milliseconds into the machine's monotonic seconds.

    Both are CLOCK_MONOTONIC on Linux, a constant apart; the constant is found by asking the page
    for its time, between two readings of ours. The quickest of many answers is the surest.

    Attributes:
        offset_s: what to add.
        uncertainty_s: half of the quickest answer's round trip.
    """

    def __init__(self, offset_s: float, uncertainty_s: float) -> None:
        self.offset_s = offset_s
        self.uncertainty_s = uncertainty_s

    def seconds(self, milliseconds: Any) -> NDArray[np.float64]:
        """Monotonic seconds of page times; None becomes NaN."""
        return np.asarray(milliseconds, dtype=np.float64) / 1000 + self.offset_s


def read_clock(page: Page) -> Clock:
    """Compare the page's clock with ours."""
    best = (np.inf, 0.0)
    for _ in range(PINGS):
        before = time.monotonic()
        milliseconds = float(page.evaluate("performance.now()"))
        after = time.monotonic()
        best = min(best, (after - before, (before + after) / 2 - milliseconds / 1000))
    return Clock(best[1], best[0] / 2)


class LivePage:
    """The product's page with the probe in it.

    Args:
        browser: from `launched`.
        url: the page's address.
        mouth, control: boxes to keep of each picture.
    """

    def __init__(self, browser: Browser, url: str, *, mouth: Box, control: Box) -> None:
        self._boxes = (mouth, control)
        self._context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.page = self._context.new_page()
        probe = files("visavis.benchmarks.live").joinpath("probe.js").read_text("utf-8")
        self.page.add_init_script(probe)
        self.page.goto(url)
        self.page.evaluate(
            "([mouth, control]) => { visavisProbe.boxes = { mouth, control }; }",
            [list(mouth), list(control)],
        )
        self._taken: list[dict[str, Any]] = []
        self.counters: dict[str, Any] = {}

    def forget(self) -> None:
        """Throw away what was noted so far."""
        self.take()
        self._taken = []

    def take(self) -> dict[str, Any]:
        """Fetch what the probe noted since the last time, and keep it."""
        taken: dict[str, Any] = json.loads(self.page.evaluate("visavisProbe.take()"))
        self._taken.append(taken)
        return taken

    def watch(self, seconds: float, *, every: Any = None) -> None:
        """Let it run, fetching now and then; call ``every`` each time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.page.wait_for_timeout(1000 * min(left, TAKE_EVERY_S))
            self.take()
            if every is not None:
                every()

    def first_motion_s(self, click: str, *, timeout_s: float = 15.0) -> float:
        """Click a button and wait; seconds from the click to the second different picture.

        Raises:
            ConfigError: none came.
        """
        self.forget()
        self.page.click(click)
        clicked: float | None = None
        seen: dict[int, float] = {}
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            self.page.wait_for_timeout(50)
            taken = self.take()
            if clicked is None and taken["clicks"]:
                clicked = taken["clicks"][0]
            for index, _, displayed, *_ in taken["frames"]:
                if index is not None:
                    seen.setdefault(index, displayed)
            if clicked is not None and len(seen) >= 2:
                return (sorted(seen.values())[1] - clicked) / 1000
        raise ConfigError(
            f"The page showed no moving picture within {timeout_s:.0f} s; it says: "
            f"{self.page.inner_text('body')[:200]!r}."
        )

    def record(self) -> PageRecord:
        """Everything that was noted since `forget`, in the machine's monotonic seconds."""
        clock = read_clock(self.page)
        counters = self.page.evaluate("visavisProbe.playout()")
        self.counters = dict(counters["video"] or {})
        self.counters["clock_uncertainty_s"] = clock.uncertainty_s
        self.counters["errors"] = [error for taken in self._taken for error in taken["errors"]]
        self.counters["lost"] = self._taken[-1]["lost"] if self._taken else 0
        frames = [frame for taken in self._taken for frame in taken["frames"]]
        columns = list(zip(*frames, strict=True)) if frames else [()] * 6
        return PageRecord(
            index=np.array([-1 if i is None else i for i in columns[0]], np.int64),
            presented=clock.seconds(columns[1]),
            displayed=clock.seconds(columns[2]),
            received=clock.seconds(columns[3]),
            count=np.array(columns[5], np.int64),
            mouth=self._pictures("mouth", self._boxes[0], len(frames)),
            control=self._pictures("control", self._boxes[1], len(frames)),
            microphone=self._sound("microphone", clock),
            voice=self._sound("voice", clock),
            playout_s=counters["seconds"] / max(1, counters["samples"]),
            clicks=clock.seconds([click for taken in self._taken for click in taken["clicks"]]),
        )

    def close(self) -> None:
        """Close the page and all it holds."""
        self._context.close()

    def _pictures(self, name: str, box: Box, count: int) -> NDArray[np.uint8]:
        data = b"".join(base64.b64decode(taken[name]) for taken in self._taken)
        shape = (-1, box[3] // 2, box[2] // 2)
        pictures = np.frombuffer(data, np.uint8).reshape(shape)
        if len(pictures) != count:
            return np.zeros((0, *shape[1:]), np.uint8)  # the picture is smaller than the boxes
        return pictures

    def _sound(self, kind: str, clock: Clock) -> Sound:
        latest = max((taken[kind]["generation"] for taken in self._taken), default=0)
        parts = [taken[kind] for taken in self._taken if taken[kind]["generation"] == latest]
        packets = [packet for part in parts for packet in part["packets"]]
        data = b"".join(base64.b64decode(part["samples"]) for part in parts)
        lengths = np.array([packet[3] for packet in packets], np.int64)
        return Sound(
            rate=int(packets[0][2]) if packets else 48_000,
            pcm=np.frombuffer(data, np.int16).astype(np.float32) / np.float32(32768),
            start=np.cumsum(lengths) - lengths,
            time=clock.seconds([packet[0] for packet in packets]),
        )
