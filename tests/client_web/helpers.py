"""What the tests of the page share: an engine with pictures, and ways to watch the page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import av
from playwright.sync_api import Page

from tests.server.fake_engine import FakeEngine, draw
from visavis.engines.client import PersonInfo

__all__ = ["Engine", "Open", "poster", "until", "wait_for", "words"]

Open = Callable[..., Page]


def poster(size: int) -> bytes:
    """A JPEG picture of a frame."""
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width = encoder.height = size
    encoder.pix_fmt = "yuvj420p"
    frame = av.VideoFrame.from_ndarray(draw(5, 0.5, size, size), format="yuv420p")
    return b"".join(bytes(packet) for packet in encoder.encode(frame.reformat(format="yuvj420p")))


class Engine(FakeEngine):
    """The fake engine with pictures a browser can show and, if wanted, several persons."""

    def __init__(self, *names: str, places: int = 4) -> None:
        super().__init__(places=places)
        first = replace(self.person, has_preview=False)
        self.clip = None
        self._poster = poster(self.person.width)
        self.posters: list[str] = []
        shown = names or ("presenter",)
        self.people = tuple(replace(first, name=n, display_name=n.capitalize()) for n in shown)
        self.person = self.people[0]

    def persons(self) -> tuple[PersonInfo, ...]:
        return self.people

    def poster(self, person: str) -> bytes:
        super().poster(person)
        self.posters.append(person)
        return self._poster

    def open(self, person: str, *args: Any, **kwargs: Any) -> Any:
        known = {one.name for one in self.people}
        return super().open(self.person.name if person in known else person, *args, **kwargs)


def wait_for(page: Page, state: str, *, seconds: float = 15) -> None:
    """Wait until the page is in a state of client_web/state.js."""
    page.wait_for_selector(f"body[data-state={state}]", timeout=1000 * seconds)


def until(page: Page, expression: str, *, seconds: float = 20) -> Any:
    """Wait until a JavaScript expression is truthy, and return its value.

    Playwright's own wait evaluates strings inside the page, which the page's policy forbids.
    """
    deadline = time.monotonic() + seconds
    while True:
        if value := page.evaluate(expression):
            return value
        assert time.monotonic() < deadline, f"still not true after {seconds} s: {expression}"
        page.wait_for_timeout(50)


def words(page: Page) -> tuple[str, str]:
    """The title and the sentence under the picture."""
    return page.inner_text("#title"), page.inner_text("#hint")
