"""WHIP and WHEP clients that others wrote, in a real Chromium and in libavformat."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from starlette.applications import Starlette
from starlette.responses import FileResponse, HTMLResponse
from starlette.routing import Route

from tests.browser import Served, serve_in_thread
from tests.client_web.helpers import Engine, until
from tests.client_web.live_picture import LOOK
from visavis.server.app import create_app
from visavis.server.config import ServerConfig

pytestmark = pytest.mark.browser

BUNDLE = Path(__file__).parents[2] / "build" / "foreign" / "clients.bundle.js"
PAGE = """<!doctype html><meta charset="utf-8"><title>foreign</title>
<video id="seen" autoplay playsinline muted></video>
<script type="module">import * as clients from "./clients.js"; window.clients = clients;</script>"""
SEEN = f"({LOOK})(document.getElementById('seen'))"

PUBLISH = {
    "whip-whep": """async (url) => {
      const stream = await navigator.mediaDevices.getUserMedia({audio: true});
      window.pc = new RTCPeerConnection({bundlePolicy: "max-bundle"});
      for (const track of stream.getTracks())
        pc.addTransceiver(track, {direction: "sendonly", streams: [stream]});
      window.whip = new clients.WHIPClient();
      await whip.publish(pc, url);
      window.leave = () => whip.stop();
    }""",
    "@eyevinn/whip-web-client": """async (url) => {
      const stream = await navigator.mediaDevices.getUserMedia({audio: true, video: true});
      window.whip = new clients.EyevinnWHIP({endpoint: url, opts: {noTrickleIce: true}});
      await whip.ingest(stream);
      window.leave = () => whip.destroy();
    }""",
}
PLAY = {
    "whip-whep": """async (url) => {
      window.pc = new RTCPeerConnection({bundlePolicy: "max-bundle"});
      pc.addTransceiver("audio", {direction: "recvonly"});
      pc.addTransceiver("video", {direction: "recvonly"});
      const stream = new MediaStream();
      pc.ontrack = ({track}) => stream.addTrack(track);
      document.getElementById("seen").srcObject = stream;
      window.whep = new clients.WHEPClient();
      await whep.view(pc, url);
      window.leave = () => whep.stop();
    }""",
    "@eyevinn/webrtc-player": """async (url) => {
      window.player = new clients.WebRTCPlayer(
        {video: document.getElementById("seen"), type: "whep"});
      await player.load(new URL(url));
      window.leave = () => player.destroy();
    }""",
}


@pytest.fixture(scope="module")
def home() -> Iterator[Any]:
    """The server, open to other sites, with its application."""
    engine = Engine()
    app = create_app(ServerConfig(open=True, requests_per_second=50), engine)
    with serve_in_thread(app) as served:
        yield served, app
    engine.close()


@pytest.fixture(scope="module")
def site() -> Iterator[Served]:
    """Another site, whose page has nothing but the clients."""
    if not BUNDLE.exists():
        pytest.skip("the WHIP and WHEP clients are not installed (scripts/install-test-clients)")

    async def page(request: object) -> HTMLResponse:
        return HTMLResponse(PAGE)

    async def bundle(request: object) -> FileResponse:
        return FileResponse(BUNDLE, media_type="text/javascript")

    with serve_in_thread(
        Starlette(routes=[Route("/", page), Route("/clients.js", bundle)])
    ) as served:
        yield served


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(permissions=["microphone", "camera"])
    yield context
    context.close()


def opened(context: BrowserContext, site: Served) -> Page:
    page = context.new_page()
    page.goto(site.url)
    until(page, "!!window.clients")
    return page


def metric(served: Served, name: str) -> float:
    text = httpx.get(f"{served.url}metrics", trust_env=False).text
    found = re.search(rf"^{re.escape(name)} ([0-9.e+]+)$", text, re.MULTILINE)
    assert found, name
    return float(found[1])


@pytest.mark.parametrize("client", list(PUBLISH))
def test_a_page_publishes_and_others_watch(
    context: BrowserContext, browser: Browser, site: Served, home: Any, client: str
) -> None:
    served, app = home
    locations: list[str] = []
    speaker = opened(context, site)
    speaker.on(
        "response",
        lambda response: locations.append(response.headers.get("visavis-view", "")),
    )
    speaker.evaluate(PUBLISH[client], f"{served.url}whip/presenter")
    for _ in range(200):
        if any(locations):
            break
        speaker.wait_for_timeout(50)
    view = next(found for found in locations if found)
    # No permission for a microphone: such a browser hides its addresses.
    others = browser.new_context()
    try:
        players = []
        for name, play in PLAY.items():
            player = opened(others, site)
            player.evaluate(play, f"{served.url}whep/{view}")
            players.append((name, player))
        for _, player in players:
            until(player, f"{SEEN}.index > 10")
            first = player.evaluate(f"{SEEN}.index")
            until(player, f"{SEEN}.index > {first + 10}")
            until(player, f"{SEEN}.level > 0.3")  # the voice that was published moves it
        assert metric(served, "visavis_viewers") == 2
        for _, player in players:
            player.evaluate("leave()")
            player.close()
        speaker.evaluate("leave()")
        until(speaker, "true")
        for _ in range(200):
            if metric(served, 'visavis_sessions{state="live"}') == 0:
                break
            speaker.wait_for_timeout(50)
        assert metric(served, 'visavis_sessions{state="live"}') == 0
        assert len(app.state.sessions) == 0
    finally:
        others.close()
