"""A tab that sleeps for longer than its session is kept, in a real Chromium.

Ten minutes asleep are here a few seconds against a server that suspends and forgets sooner; what
counts is that the session is gone when the tab wakes up. Stopping all of the browser's processes is
a laptop whose lid is shut; freezing a page is what browsers do to tabs that nobody sees.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tests.browser import Served, chromium_arguments, find_chromium, serve_in_thread
from tests.client_web.helpers import Engine, until
from tests.client_web.live_picture import LOOK
from visavis.server.app import create_app
from visavis.server.config import ServerConfig

pytestmark = pytest.mark.browser

SUSPEND, FORGET = 0.6, 0.8  # s
ASLEEP = 2.5  # s
PAGE = """<!doctype html><video id="seen" autoplay playsinline muted></video>"""
SEEN = f"({LOOK})(document.getElementById('seen'))"


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Engine, Served, object]]:
    """A server that forgets soon, with its engine and its application."""
    engine = Engine(places=2)
    app = create_app(
        ServerConfig(
            token="t",
            suspend_seconds=SUSPEND,
            resume_seconds=FORGET,
            requests_per_second=50,
        ),
        engine,
    )
    with serve_in_thread(app) as served:
        yield engine, served, app
    engine.close()


@pytest.fixture(scope="module")
def site() -> Iterator[Served]:
    """Another site's page."""

    async def page(request: object) -> HTMLResponse:
        return HTMLResponse(PAGE)

    with serve_in_thread(Starlette(routes=[Route("/", page)])) as served:
        yield served


@pytest.fixture
def context(browser: Browser, tmp_path: Path) -> Iterator[BrowserContext]:
    """A Chromium whose processes can be found by its profile's folder."""
    context = browser.browser_type.launch_persistent_context(
        str(tmp_path / "profile"), executable_path=find_chromium(), args=chromium_arguments()
    )
    yield context
    context.close()


def processes(profile: Path) -> list[int]:
    """The browser of that profile, and all its descendants."""
    parents: dict[int, int] = {}
    first: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
            parents[int(entry.name)] = int(
                (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
            )
        except (OSError, IndexError):
            continue  # it has ended
        if f"--user-data-dir={profile}".encode() in line and b"--type=" not in line:
            first.append(int(entry.name))
    found = list(first)
    for pid in found:
        found += [
            child for child, parent in parents.items() if parent == pid and child not in found
        ]
    return found


def connect(context: BrowserContext, site: Served, served: Served, path: str) -> Page:
    """A page that shows the person and notes every state."""
    page = context.new_page()
    page.goto(site.url)
    page.evaluate(
        """async ([server, path]) => {
          const { connect } = await import(new URL("visavis.js", server));
          const avatar = await connect({ src: server, token: "t", path });
          window.states = [];
          window.errors = [];
          avatar.addEventListener("state", ({ detail }) => window.states.push(detail.state));
          avatar.addEventListener("error", ({ detail }) => window.errors.push(detail.message));
          document.getElementById("seen").srcObject = avatar.stream;
          window.avatar = avatar;
        }""",
        [served.url, path],
    )
    until(page, f"{SEEN}.index > 5")
    return page


def comes_back(page: Page, engine: Engine, app: object, before: str) -> None:
    """It must be connected again by itself, with one new session and nothing left of the old."""
    until(page, f"avatar.state === 'connected' && avatar.client.session !== '{before}'", seconds=30)
    states = page.evaluate("states")
    assert states[-1] == "connected" and states.count("connected") == 1, states
    assert set(states) <= {"resuming", "reconnecting", "connected"}, states
    assert page.evaluate("errors") == []
    # The picture moves again.
    shown = page.evaluate(f"{SEEN}.index")
    until(page, f"{SEEN}.index !== {shown}")
    deadline = time.monotonic() + 10
    while len(engine.sessions) != 1 or len(app.state.sessions) != 1:  # type: ignore[attr-defined]
        assert time.monotonic() < deadline, "sessions were left behind"
        page.wait_for_timeout(50)
    page.evaluate("avatar.close()")
    while engine.sessions or len(app.state.sessions):  # type: ignore[attr-defined]
        assert time.monotonic() < deadline, "the session was left behind"
        page.wait_for_timeout(50)


@pytest.mark.parametrize("path", ["webrtc", "websocket"])
def test_a_machine_that_slept_comes_back_by_itself(
    context: BrowserContext,
    site: Served,
    place: tuple[Engine, Served, object],
    path: str,
    tmp_path: Path,
) -> None:
    engine, served, app = place
    page = connect(context, site, served, path)
    before = page.evaluate("avatar.client.session")
    sleepers = processes(tmp_path / "profile")
    assert len(sleepers) > 2
    try:
        for pid in sleepers:
            os.kill(pid, signal.SIGSTOP)
        # Nobody is there: the place is free again, and the session is forgotten.
        deadline = time.monotonic() + 15
        while engine.sessions or len(app.state.sessions):  # type: ignore[attr-defined]
            assert time.monotonic() < deadline, "the session of a sleeper is kept"
            time.sleep(0.1)
    finally:
        for pid in reversed(sleepers):
            os.kill(pid, signal.SIGCONT)
    comes_back(page, engine, app, before)


@pytest.mark.long
@pytest.mark.parametrize("path", ["webrtc", "websocket"])
def test_a_page_that_was_frozen_is_there_when_it_is_looked_at(
    context: BrowserContext, site: Served, place: tuple[Engine, Served, object], path: str
) -> None:
    """Whether its connection went on below it is the browser's business."""
    engine, served, app = place
    page = connect(context, site, served, path)
    session = page.evaluate("avatar.client.session")
    chrome = context.new_cdp_session(page)
    chrome.send("Page.setWebLifecycleState", {"state": "frozen"})
    time.sleep(ASLEEP)
    went_on = len(app.state.sessions) == 1  # type: ignore[attr-defined]
    chrome.send("Page.setWebLifecycleState", {"state": "active"})
    if went_on:
        page.evaluate("states.push('connected')")
    comes_back(page, engine, app, "" if went_on else session)
