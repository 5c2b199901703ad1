"""An avatar on somebody else's page, and in a call with somebody, in a real Chromium."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tests.browser import (
    Served,
    chromium_arguments,
    find_chromium,
    serve_in_thread,
    spoken_wave,
)
from tests.client_web.helpers import Engine, until
from tests.client_web.live_picture import LOOK, lag
from visavis.server.app import create_app
from visavis.server.config import ServerConfig
from visavis.server.extension import extension_files, write_extension
from visavis.server.pages import load_pages

pytestmark = pytest.mark.browser

EXAMPLES = Path(__file__).parents[2] / "examples" / "embedding"
TOKEN = "embedded"
PAGE = """<!doctype html><meta charset="utf-8"><title>elsewhere</title>
<button id="go">Go</button><video id="seen" autoplay playsinline muted></video>"""

# Loudness of a stream's voice for every 10 ms and the level of every picture that is shown, both
# by one clock, for some seconds.
OBSERVE = f"""
async ([selector, seconds]) => {{
  const look = {LOOK};
  const video = document.querySelector(selector);
  const context = new AudioContext();
  await context.resume();
  const source = context.createMediaStreamSource(video.srcObject);
  const analyser = new AnalyserNode(context, {{fftSize: 512}});
  source.connect(analyser);
  const samples = new Float32Array(512);
  const begin = performance.now();
  const frames = [];
  const note = (now) => {{
    const {{index, level}} = look(video);
    frames.push([(now - begin) / 1000, index, level]);
    video.requestVideoFrameCallback(note);
  }};
  video.requestVideoFrameCallback(note);
  const loudness = [];
  while (performance.now() - begin < 1000 * seconds) {{
    analyser.getFloatTimeDomainData(samples);
    const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    const due = Math.floor((performance.now() - begin) / 10) + 1;
    while (loudness.length < due) loudness.push(peak);
    await new Promise((resolve) => setTimeout(resolve, 8));
  }}
  await context.close();
  return {{frames, loudness}};
}}
"""


@pytest.fixture(scope="module")
def far(engine: Engine) -> Iterator[Served]:
    """A server that lets other sites in, with a token."""
    with serve_in_thread(
        create_app(ServerConfig(token=TOKEN, requests_per_second=50), engine)
    ) as served:
        yield served


@pytest.fixture(scope="module")
def site() -> Iterator[Served]:
    """Another site: an empty page, and the examples."""

    call = (EXAMPLES / "call.html").read_text()

    async def page(request: object) -> HTMLResponse:
        return HTMLResponse(PAGE)

    async def example(request: object) -> HTMLResponse:
        return HTMLResponse(call)

    with serve_in_thread(
        Starlette(routes=[Route("/", page), Route("/examples/call.html", example)])
    ) as served:
        yield served


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(permissions=["microphone", "camera"])
    yield context
    context.close()


def begin(page: Page, far: Served, options: str) -> None:
    """Connect on a click, and show the stream."""
    page.evaluate(
        """([server, options]) => {
          window.events = [];
          document.getElementById("go").onclick = async () => {
            try {
              const { connect } = await import(new URL("visavis.js", server));
              const avatar = await connect({ src: server, token: "embedded", ...options });
              for (const name of ["connected", "speaking", "stats", "error"])
                avatar.addEventListener(name, ({ detail }) => window.events.push([name, detail]));
              document.getElementById("seen").srcObject = avatar.stream;
              window.avatar = avatar;
            } catch (error) {
              window.failed = [error.kind, error.message];
            }
          };
        }""",
        [far.url.rstrip("/"), options],
    )
    page.click("#go")


SEEN = f"({LOOK})(document.getElementById('seen'))"
TONE = """
(seconds) => {
  const samples = new Float32Array(24000 * seconds);
  for (let i = 0; i < samples.length; i += 1) samples[i] = 0.5 * Math.sin(i / 20);
  return window.avatar.speak({ samples, sampleRate: 24000 });
}
"""


def test_another_site_lets_the_person_speak(
    context: BrowserContext, site: Served, far: Served
) -> None:
    page = context.new_page()
    page.goto(site.url)
    begin(page, far, options={})  # type: ignore[arg-type]
    until(page, "window.avatar && window.avatar.state === 'connected'")
    until(page, f"{SEEN}.index > 10")
    assert page.evaluate(f"{SEEN}.level") < 0.2, "nobody speaks yet"
    said = page.evaluate_handle(f"({{done: ({TONE})(1.5)}})")
    until(page, f"{SEEN}.level > 0.3")
    until(page, "events.some(([name, detail]) => name === 'speaking' && detail)")
    assert said.evaluate("({done}) => done") is True
    until(page, "events.at(-1) && events.filter(([n]) => n === 'speaking').at(-1)[1] === false")
    until(page, "events.some(([name, detail]) => name === 'stats' && detail.fps > 10)")
    assert not page.evaluate("events.some(([name]) => name === 'error')")


def test_clear_ends_it_in_the_middle_of_the_word(
    context: BrowserContext, site: Served, far: Served
) -> None:
    page = context.new_page()
    page.goto(site.url)
    begin(page, far, options={})  # type: ignore[arg-type]
    until(page, "window.avatar && window.avatar.state === 'connected'")
    said = page.evaluate_handle(f"({{done: ({TONE})(60)}})")
    until(page, f"{SEEN}.level > 0.3")
    page.evaluate("avatar.clear()")
    assert said.evaluate("({done}) => done") is False
    until(page, f"{SEEN}.level < 0.2", seconds=5)
    page.evaluate("avatar.close()")
    assert page.evaluate("avatar.stream.getTracks().length") == 0
    assert page.evaluate("avatar.speaking") is False
    problem = "avatar.speak({samples: [1, 2], sampleRate: 24000}).catch((error) => error.name)"
    assert page.evaluate(problem) == "TypeError"


def test_who_is_turned_away_is_told_why(context: BrowserContext, site: Served, far: Served) -> None:
    page = context.new_page()
    page.goto(site.url)
    begin(page, far, options={"token": "wrong"})  # type: ignore[arg-type]
    until(page, "window.failed")
    assert page.evaluate("failed[0]") == "token"
    page.evaluate("window.failed = null")
    begin(page, far, options={"person": "nobody"})  # type: ignore[arg-type]
    until(page, "window.failed")
    assert page.evaluate("failed[0]") == "person"


def test_the_element_connects_by_itself(context: BrowserContext, site: Served, far: Served) -> None:
    page = context.new_page()
    page.goto(site.url)
    page.evaluate(
        """async (server) => {
          await import(new URL("visavis.js", server));
          window.events = [];
          const avatar = document.createElement("visavis-avatar");
          for (const name of ["connected", "speaking", "error"])
            avatar.addEventListener(name, ({ detail }) => window.events.push([name, detail]));
          for (const [name, value] of Object.entries({src: server, token: "embedded", mic: ""}))
            avatar.setAttribute(name, value);
          document.body.append(avatar);
          window.element = avatar;
        }""",
        far.url.rstrip("/"),
    )
    until(page, "events.some(([name]) => name === 'connected')")
    until(page, f"({LOOK})(element.video).level > 0.3", seconds=36)
    page.evaluate("element.remove()")
    until(page, "element.client === null && element.stream === null")


def in_a_call(near: Page, far_end: Page) -> None:
    """Both join; the far end must see a face that moves with the voice that it hears."""
    far_end.click("#join")
    near.click("#join")
    until(far_end, "document.getElementById('words').textContent === 'connected'", seconds=30)
    until(far_end, f"({LOOK})(document.getElementById('far')).index > 10", seconds=30)
    seen: dict[str, Any] = {}
    lags = []
    deadline = time.monotonic() + 45
    while time.monotonic() < deadline:
        seen = far_end.evaluate(OBSERVE, ["#far", 10])
        lags.append(lag(seen["frames"], seen["loudness"]))
        if abs(lags[-1]) <= 200:
            break
    assert abs(lags[-1]) <= 200, f"the face does not follow the voice: {lags} ms"
    indices = [index for _, index, _ in seen["frames"]]
    assert len(set(indices)) > 100, "the far end's picture moves"


def test_the_far_end_of_a_call_sees_and_hears_the_avatar(
    context: BrowserContext, site: Served, far: Served
) -> None:
    near, other = context.new_page(), context.new_page()
    near.goto(f"{site.url}examples/call.html?avatar={far.url}&token={TOKEN}")
    other.goto(f"{site.url}examples/call.html")
    in_a_call(near, other)


def test_a_call_site_that_knows_nothing_of_it_gets_the_avatar_for_a_camera(
    context: BrowserContext, site: Served, far: Served
) -> None:
    near, other = context.new_page(), context.new_page()
    near.goto(f"{site.url}examples/call.html")
    near.evaluate(
        """async (server) => {
          const { connect, replaceCamera } = await import(new URL("visavis.js", server));
          window.undo = replaceCamera(async (getUserMedia) =>
            connect({ src: server, token: "embedded", mic: await getUserMedia({ audio: true }) }));
        }""",
        far.url,
    )
    listed = "navigator.mediaDevices.enumerateDevices().then((all) => all.map((d) => d.label))"
    assert near.evaluate(listed)[:2] == ["visavis avatar", "visavis avatar"]
    other.goto(f"{site.url}examples/call.html")
    in_a_call(near, other)
    real = near.evaluate(
        """async () => {
          const devices = await navigator.mediaDevices.enumerateDevices();
          const camera = devices.find((d) => d.kind === "videoinput" && d.groupId !== "visavis");
          const wanted = { video: { deviceId: { exact: camera.deviceId } } };
          const stream = await navigator.mediaDevices.getUserMedia(wanted);
          return stream.getVideoTracks()[0].label;
        }"""
    )
    assert "fake" in real, "another camera that is chosen is the real one"
    near.evaluate("undo()")
    assert "visavis avatar" not in near.evaluate(listed)


def test_the_extension_is_the_camera_of_a_call_site(
    browser: Browser, site: Served, far: Served, tmp_path: Path
) -> None:
    folder = tmp_path / "extension"
    write_extension(
        folder,
        extension_files(
            load_pages(), server=far.url.rstrip("/"), sites=["http://localhost/*"], token=TOKEN
        ),
    )
    voice = tmp_path / "voice.wav"
    spoken_wave(voice)
    context = browser.browser_type.launch_persistent_context(
        str(tmp_path / "profile"),
        executable_path=find_chromium(),
        headless=False,
        permissions=["microphone", "camera"],
        args=[
            *chromium_arguments(voice),
            "--headless=new",
            f"--disable-extensions-except={folder}",
            f"--load-extension={folder}",
        ],
    )
    try:
        near, other = context.new_page(), context.new_page()
        near.goto(f"{site.url}examples/call.html?near")
        other.goto(f"{site.url}examples/call.html")
        in_a_call(near, other)
    finally:
        context.close()
