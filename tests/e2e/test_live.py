"""The product as people meet it: `visavis serve`, the built-in person, a real browser, a voice."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page

from tests.browser import find_chromium, spoken_wave
from visavis.benchmarks.live import browser as driver
from visavis.benchmarks.live import correlate
from visavis.benchmarks.live.browser import Box, LivePage
from visavis.benchmarks.live.mouth_box import boxes
from visavis.benchmarks.live.persons import load
from visavis.benchmarks.live.timing import PageRecord, Sound

pytestmark = pytest.mark.browser

READY_S = 90.0
PATIENCE_S = 30.0
SAY, TALK, END = (f'button:has-text("{text}")' for text in ("Say something", "Talk live", "End"))


class Server:
    """`visavis serve` with one place, as a process of its own."""

    def __init__(self) -> None:
        command = [sys.executable, "-u", "-m", "visavis", "serve", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--max-sessions", "1"], stdout=subprocess.PIPE, text=True
        )
        # A server that says nothing must not hold up the tests for ever.
        guard = threading.Timer(READY_S, self.process.kill)
        guard.start()
        assert self.process.stdout is not None
        greeting = self.process.stdout.readline()
        guard.cancel()
        found = re.search(r"http://\S+", greeting)
        assert found, f"the server did not say what to open: {greeting!r}"
        self.url = found.group(0)

    def sessions(self) -> int:
        """How many sessions it says are open."""
        with urlopen(f"{self.url}metrics", timeout=5) as answer:
            text = answer.read().decode()
        counts = re.findall(r"^visavis_sessions\{[^}]*\} ([0-9.]+)$", text, re.MULTILINE)
        return int(sum(map(float, counts)))

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()
            if self.process.stdout is not None:
                self.process.stdout.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    find_chromium()
    server = Server()
    yield server
    if server.process.poll() is None:
        server.stop()


@pytest.fixture(scope="module")
def areas() -> tuple[Box, Box]:
    """Boxes of mouth and nose of the built-in person."""
    found = boxes(load("presenter"))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose microphone says a sentence, then is silent for some seconds, for ever."""
    program = Path(find_chromium())
    voice = tmp_path_factory.mktemp("voice") / "voice.wav"
    spoken_wave(voice, before=1.5, after=4.0)
    with driver.launched(program, voice) as browser:
        yield browser


@pytest.fixture
def live(chromium: Browser, server: Server, areas: tuple[Box, Box]) -> Iterator[LivePage]:
    """The product's page with the probe in it, ready."""
    page = LivePage(chromium, server.url, mouth=areas[0], control=areas[1])
    wait_for(page.page, "ready")
    yield page
    page.close()


def wait_for(page: Page, *states: str) -> None:
    """Wait for one of the states of client_web/state.js."""
    selector = ", ".join(f"body[data-state={state}]" for state in states)
    page.wait_for_selector(selector, timeout=1000 * PATIENCE_S)


def wait_until_free(server: Server) -> None:
    """Wait until the server has no session."""
    end = time.monotonic() + PATIENCE_S
    while server.sessions():
        assert time.monotonic() < end, "the session was not freed"
        time.sleep(0.2)


def loudness(sound: Sound, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Level of what is heard in the 40 ms that follow each moment, dB of full scale."""
    step = sound.rate // 25
    first = np.searchsorted(sound.time, at).clip(0, sound.start.size - 1)
    pieces = [sound.pcm[start : start + step] for start in sound.start[first]]
    return np.array([10 * np.log10(np.mean(piece**2) + 1e-9) for piece in pieces])


def mouth_changes(record: PageRecord) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Change of the mouth from picture to picture while the voice sounds, and while it rests."""
    pictures = record.mouth.astype(np.float64)
    change = np.sqrt(np.mean(np.diff(pictures, axis=0) ** 2, axis=(1, 2)))
    level = loudness(record.voice, record.displayed + record.playout_s)[1:]
    quiet = np.convolve(level < -55, np.ones(15), mode="same") == 15
    return change[level > -35], change[quiet]


def test_talking_live_moves_the_mouth_and_gives_the_voice_back(
    server: Server, live: LivePage
) -> None:
    live.page.click(TALK)
    wait_for(live.page, "live")
    live.watch(1.0)
    live.forget()
    live.watch(16.0)
    record = live.record()
    assert live.counters["errors"] == []
    assert server.sessions() == 1

    # Pictures come, and they are different ones.
    assert record.count[-1] - record.count[0] > 100
    differ = [np.any(a != b) for a, b in zip(record.control, record.control[1:], strict=False)]
    assert np.mean(differ) > 0.5

    # The mouth moves while the voice sounds, and rests when it rests.
    speaking, resting = mouth_changes(record)
    assert speaking.size > 15 and resting.size > 15
    assert np.median(speaking) > 2 * np.median(resting)

    # What is heard is what was said. A busy machine stretches it, so that some of it must do;
    # of a foreign voice nothing is ever found.
    said = correlate.resample(record.microphone.pcm, record.microphone.rate, correlate.RATE)
    heard = correlate.resample(record.voice.pcm, record.voice.rate, correlate.RATE)
    begin = float(record.voice.time[0] - record.microphone.time[0])
    found = correlate.align(said, heard, search=(-begin - 1.0, -begin + 4.0))
    assert found.sure.sum() >= 3

    live.page.click(END)
    wait_for(live.page, "ready")
    wait_until_free(server)


def test_who_finds_every_place_taken_is_told_so_and_gets_the_next_one(
    server: Server, chromium: Browser, live: LivePage, areas: tuple[Box, Box]
) -> None:
    live.page.click(TALK)
    wait_for(live.page, "live")
    other = LivePage(chromium, server.url, mouth=areas[0], control=areas[1])
    try:
        wait_for(other.page, "ready")
        other.page.click(TALK)
        wait_for(other.page, "full")
        assert other.page.inner_text("#title") == "Every place is taken"
        assert "Trying again" in other.page.inner_text("#hint")
        assert server.sessions() == 1

        live.page.click(END)
        wait_for(other.page, "live")
        assert server.sessions() == 1
    finally:
        other.close()
    # The other page was closed without a word to its session.
    wait_until_free(server)


def test_a_take_is_recorded_and_played_back_with_picture_and_sound(
    server: Server, live: LivePage
) -> None:
    live.page.click(SAY)
    wait_for(live.page, "listening", "recording")
    wait_for(live.page, "replay")
    look = """() => {
      const clip = document.getElementById("clip");
      return [clip.videoWidth, clip.currentTime, document.getElementById("save").hidden];
    }"""
    end = time.monotonic() + PATIENCE_S
    while (clip := live.page.evaluate(look))[1] < 1.0:
        assert time.monotonic() < end, f"the take does not play: {clip}"
        live.page.wait_for_timeout(100)
    assert clip[0] == 512
    assert clip[2] is False
    wait_until_free(server)


def test_it_ends_when_it_is_told_to(server: Server) -> None:
    assert server.stop() == 0
