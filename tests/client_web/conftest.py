"""A served page with a real session behind it, and a Chromium to look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from starlette.types import Receive, Scope, Send

from tests.browser import Served, chromium_arguments, find_chromium, serve_in_thread, spoken_wave
from tests.client_web.helpers import Engine, Open, wait_for
from visavis.server.app import create_app
from visavis.server.config import ServerConfig


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def requests() -> list[tuple[str, str]]:
    """Method and path of everything the server was asked, oldest first."""
    return []


@pytest.fixture(scope="session")
def served(engine: Engine, requests: list[tuple[str, str]]) -> Iterator[Served]:
    """The real server with one person."""
    app = create_app(ServerConfig(requests_per_second=50), engine)

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            requests.append((scope["method"], scope["path"]))
        await app(scope, receive, send)

    with serve_in_thread(noted) as served:
        yield served


# Not for the session: while Playwright's synchronous interface is open, its event loop runs in this
# thread, and no test of another room could run one.
@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A Chromium whose microphone speaks one sentence in every nine seconds or so."""
    voice = tmp_path_factory.mktemp("voice") / "voice.wav"
    executable = find_chromium()
    spoken_wave(voice)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=chromium_arguments(voice)
        )
        yield browser
        browser.close()


class Watched:
    """What a page did that nobody wants: errors, and requests to anywhere else."""

    def __init__(self, page: Page, home: str) -> None:
        self.errors: list[str] = []
        self.strangers: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda entry: self._console(entry.type, entry.text))
        page.on("request", lambda request: self._request(request.url, home))

    def _console(self, kind: str, text: str) -> None:
        # An answer of 401, 404 or 503 is logged by the browser itself; each is handled.
        if kind == "error" and "Failed to load resource" not in text:
            self.errors.append(text)

    def _request(self, url: str, home: str) -> None:
        if not url.startswith((home, "blob:", "data:")):
            self.strangers.append(url)


@pytest.fixture
def open_page(browser: Browser, served: Served) -> Iterator[Open]:
    """Opens the page: ``open_page(path="", state="ready", init=JS, url=..., **context options)``.

    At the end of the test, no page may have thrown, broken the content policy or asked a stranger.
    """
    contexts: list[BrowserContext] = []
    watched: list[Watched] = []

    def open_page(
        path: str = "",
        *,
        state: str | None = "ready",
        init: str | None = None,
        url: str | None = None,
        routes: dict[str, Callable[..., Any]] | None = None,
        **options: Any,
    ) -> Page:
        home = url or served.url
        options.setdefault("viewport", {"width": 1280, "height": 800})
        options.setdefault("permissions", ["microphone"])
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        watched.append(Watched(page, home))
        if init is not None:
            page.add_init_script(init)
        for pattern, handler in (routes or {}).items():
            page.route(pattern, handler)
        page.goto(home + path)
        if state is not None:
            wait_for(page, state)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [error for one in watched for error in one.errors] == []
    assert [url for one in watched for url in one.strangers] == []
