"""Background and framing in the browser: tiles, attributes, one's own picture, no background."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page
from playwright.sync_api import Route as PageRoute
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tests.browser import Served, serve_in_thread
from tests.client_web.helpers import Engine, Open, until, wait_for
from tests.client_web.live_picture import LIVE
from visavis.server.app import create_app
from visavis.server.config import ServerConfig

pytestmark = pytest.mark.browser

FACE = (0.5, 0.45, 0.3)
SIZE = 128
SEA = (30, 70, 190)
# A colour of the live picture, 0 to 255: at x, y of the fake engine's picture, right of its blocks.
PIXEL = """
([video, x, y]) => {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0);
  return [...context.getImageData(x, y, 1, 1).data].slice(0, 3);
}
"""


class Cutout(Engine):
    """Ada can be cut out; Ben cannot. Their pictures are larger, so that a badge leaves room."""

    def __init__(self) -> None:
        super().__init__("ada", "ben")
        ada = replace(self.people[0], has_matte=True, face=FACE)
        self.people = (ada, self.people[1])
        self.person = ada


@pytest.fixture(scope="module")
def cutout() -> Iterator[Cutout]:
    engine = Cutout()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def looks(cutout: Cutout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("backgrounds")
    (folder / "sea & sky.png").write_bytes(png(64, 64, SEA))
    config = ServerConfig(token="seen", requests_per_second=50, backgrounds=str(folder))
    with serve_in_thread(create_app(config, cutout)) as served:
        yield served


@pytest.fixture
def page(open_page: Open, looks: Served) -> Page:
    return open_page("?token=seen", url=looks.url, viewport={"width": 390, "height": 844})


def png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    encoder = av.CodecContext.create("png", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "rgb24"
    picture = np.broadcast_to(np.array(colour, np.uint8), (height, width, 3))
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def near(seen: list[int], colour: tuple[int, int, int], within: int = 14) -> bool:
    return max(abs(a - b) for a, b in zip(seen, colour, strict=True)) <= within


def until_seen(page: Page, colour: tuple[int, int, int], video: str = LIVE) -> None:
    """Wait until the corner that the fake engine's plate stands in has a colour."""
    for _ in range(200):
        seen = page.evaluate(f"({PIXEL})([{video}, {SIZE - 20}, 10])")
        if near(seen, colour):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never {colour}; last {seen}")


def test_what_is_chosen_stands_behind_the_person_and_is_remembered(page: Page) -> None:
    assert not page.is_visible("#look")
    page.keyboard.press("l")
    assert page.get_attribute("#look-open", "aria-expanded") == "true"
    names = page.eval_on_selector_all(".tile small", "all => all.map((one) => one.textContent)")
    assert names == [
        "As filmed",
        "Blurred",
        "Paper",
        "Slate",
        "Green",
        "Colour",
        "sea & sky",
        "Yours",
    ]
    # It fits on a phone with the person in sight, and can be touched.
    fits = "document.documentElement.scrollWidth <= innerWidth"
    box = page.locator("#framings button").last.bounding_box()
    assert page.evaluate(fits) and box is not None
    assert box["height"] >= 44 and box["y"] + box["height"] <= 844
    # The server's picture is shown small, though it is not given to everybody.
    until(page, "document.querySelector('.tile[data-kind=picture] img')?.naturalWidth === 64")
    page.click(".tile[data-key='#00b140']")  # before there is a session
    page.click("#secondary")  # Talk live
    wait_for(page, "live")
    until_seen(page, (0, 177, 64))
    page.fill("#look-colour", "#c02040")
    page.dispatch_event("#look-colour", "change")
    until_seen(page, (192, 32, 64))
    assert page.get_attribute(".tile[data-kind=mixed]", "aria-pressed") == "true"
    page.click(".tile[data-kind=picture]")
    until_seen(page, SEA)
    page.dispatch_event("#look-colour", "change")
    until_seen(page, (192, 32, 64))
    page.click("#framings button[data-key=face]")
    until(page, "document.querySelector('#framings [data-key=face]').ariaPressed === 'true'")
    assert page.inner_text("#look-note") == ""
    page.reload()
    wait_for(page, "ready")
    page.keyboard.press("l")
    pressed = page.eval_on_selector_all(
        "#look [aria-pressed=true]", "all => all.map((one) => one.dataset.kind ?? one.dataset.key)"
    )
    assert pressed == ["mixed", "face"]
    page.keyboard.press("Escape")
    assert not page.is_visible("#look")
    # Somebody else has nothing to choose, and nothing of it is shown.
    page.keyboard.press("l")
    page.check("input[value=ben]", force=True)
    until(page, "document.getElementById('look-open').hidden")
    assert not page.is_visible("#look")


def test_a_picture_of_ones_own_is_made_small_and_stands_behind(page: Page) -> None:
    sent: list[bytes] = []

    def pass_on(asked: PageRoute) -> None:
        sent.append(asked.request.post_data_buffer or b"")
        asked.continue_()

    page.route("**/sessions/*/background", pass_on)
    page.click("#look-open")
    page.click("#secondary")
    wait_for(page, "live")
    page.set_input_files(
        "#look-file",
        {"name": "sky.png", "mimeType": "image/png", "buffer": png(2600, 1300, (40, 90, 200))},
    )
    until_seen(page, (40, 90, 200))
    with av.open(io.BytesIO(sent[0])) as picture:
        stream = picture.streams.video[0]
        assert (stream.width, stream.height) == (1280, 640)
        assert stream.codec_context.name == "mjpeg"
    assert page.get_attribute(".tile[data-kind=own]", "aria-pressed") == "true"
    # What is no picture is said, and changes nothing.
    page.set_input_files(
        "#look-file", {"name": "sky.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"}
    )
    until(page, "document.getElementById('look-note').textContent")
    said = page.inner_text("#look-note")
    assert said == "That cannot be shown. This is no picture that the browser can read."
    until_seen(page, (40, 90, 200))
    assert page.get_attribute(".tile[data-kind=own]", "aria-pressed") == "true"


PATTERN = """<!doctype html><meta charset="utf-8"><title>over a pattern</title>
<style>
  body { margin: 0; }
  body { background: repeating-linear-gradient(90deg, #d02030 0 32px, #2050d0 32px 64px); }
  visavis-avatar { width: 512px; height: 512px; }
</style>"""
ELEMENT = """
async ([server, attributes]) => {
  await import(new URL("visavis.js", server));
  window.events = [];
  const avatar = document.createElement("visavis-avatar");
  for (const name of ["connected", "controls", "error"])
    avatar.addEventListener(name, ({ detail }) => events.push([name, detail?.message ?? null]));
  const all = { src: server, token: "seen", mic: "", ...attributes };
  for (const [name, value] of Object.entries(all))
    avatar.setAttribute(name, value);
  document.body.append(avatar);
  window.element = avatar;
}
"""
CONNECTED = "events.some(([name]) => name === 'connected')"


@pytest.fixture(scope="module")
def patterned() -> Iterator[Served]:
    """Another site, with one page."""

    async def page(request: object) -> HTMLResponse:
        return HTMLResponse(PATTERN)

    with serve_in_thread(Starlette(routes=[Route("/", page)])) as served:
        yield served


@pytest.fixture
def elsewhere(browser: Browser, patterned: Served) -> Iterator[Page]:
    context = browser.new_context(
        permissions=["microphone"], viewport={"width": 512, "height": 512}
    )
    page = context.new_page()
    page.goto(patterned.url)
    yield page
    context.close()


def screen(page: Page) -> NDArray[np.uint8]:
    """What is on the screen: ``uint8[512, 512, 3]``."""
    with av.open(io.BytesIO(page.screenshot()), "r") as picture:
        frame = next(picture.decode(video=0))
        return frame.to_ndarray(format="rgb24").astype(np.uint8)


def stripes(picture: NDArray[np.uint8]) -> bool:
    """Whether the page's pattern shows right of the fake engine's blocks, to the last pixel."""
    row = picture[40, 288:512].reshape(-1, 32, 3)
    colours = [row[i, 4:-4].astype(int) for i in range(len(row))]
    wanted = [(32, 80, 208), (208, 32, 48)]
    return all(np.abs(c - wanted[i % 2]).max() <= 3 for i, c in enumerate(colours))


def grey_and_whole(picture: NDArray[np.uint8]) -> bool:
    """Whether the level's block (fake_engine.py) hides the page."""
    block = picture[4 * 64 + 16 : 5 * 64 - 16, 16:240].astype(int)
    return bool(np.ptp(block.mean(axis=(0, 1))) < 8 and block.std(axis=(0, 1)).max() < 8)


def test_the_page_is_seen_where_the_person_is_not(elsewhere: Page, looks: Served) -> None:
    page = elsewhere
    page.evaluate(ELEMENT, [looks.url, {"background": "transparent"}])
    until(page, CONNECTED)
    picture = screen(page)
    assert stripes(picture) and grey_and_whole(picture)
    assert page.evaluate("element.video.videoHeight / element.video.videoWidth") == 2
    # A browser may take the graphics away: the picture comes back by itself.
    page.evaluate(
        """async () => {
          const canvas = element.shadowRoot.querySelector("canvas");
          const graphics = canvas.getContext("webgl").getExtension("WEBGL_lose_context");
          const event = (name) => new Promise((resolve) => canvas.addEventListener(name, resolve));
          const [lost, back] = [event("webglcontextlost"), event("webglcontextrestored")];
          graphics.loseContext();
          await lost;
          setTimeout(() => graphics.restoreContext(), 100);
          await back;
        }"""
    )
    page.wait_for_timeout(400)
    picture = screen(page)
    assert stripes(picture) and grey_and_whole(picture)
    # Another background by the attribute, and back to none.
    page.evaluate("element.setAttribute('background', '#10a040')")
    until_seen(page, (16, 160, 64), "element.video")
    until(page, "element.shadowRoot.querySelector('canvas').hidden")
    assert near(screen(page)[40, 400].tolist(), (16, 160, 64))
    page.evaluate("element.look({background: 'transparent'})")
    until(page, "element.video.videoHeight === 2 * element.video.videoWidth")
    page.wait_for_timeout(200)
    assert stripes(screen(page))
    # An attribute that is refused is an event, and nothing changes.
    page.evaluate("element.setAttribute('background', 'attic')")
    until(page, "events.some(([name, said]) => name === 'controls' && said)")
    assert page.evaluate("events.at(-1)[1]") == "There is no picture 'attic'."
    assert stripes(screen(page))


def test_a_browser_without_webgl_says_so(elsewhere: Page, looks: Served) -> None:
    page = elsewhere
    page.evaluate("HTMLCanvasElement.prototype.getContext = () => null")
    page.evaluate(ELEMENT, [looks.url, {"background": "transparent"}])
    until(page, "events.length")
    sentence = "This browser has no WebGL, which a transparent background needs."
    assert page.evaluate("events") == [["error", sentence]]


def test_who_cannot_be_cut_out_is_shown_as_filmed(elsewhere: Page, looks: Served) -> None:
    page = elsewhere
    page.evaluate(ELEMENT, [looks.url, {"background": "transparent", "person": "ben"}])
    until(page, CONNECTED)
    until(page, "element.shadowRoot.querySelector('canvas').hidden")
    [said] = page.evaluate("events.filter(([name]) => name === 'controls')")
    assert said[1] == "This person is shown before the background they were filmed with."
    assert page.evaluate("getComputedStyle(element.video).opacity") == "1"


def test_a_session_made_anew_gets_the_picture_again(page: Page) -> None:
    said = page.evaluate(
        """async () => {
          const {VisavisClient} = await import("/static/client.js");
          const server = location.href;
          const client = new VisavisClient({server, token: "seen", path: "websocket"});
          const canvas = new OffscreenCanvas(200, 100);
          canvas.getContext("2d").fillRect(0, 0, 200, 100);
          const told = () => new Promise((resolve) =>
            client.addEventListener("controls", ({detail}) => resolve(detail), {once: true}));
          const looks = [];
          const background = await canvas.convertToBlob();
          for (const framing of ["face", "shoulders"]) {
            const next = told();
            await client.connect({person: "ada", controls: {background, framing}});
            looks.push(await next);
          }
          looks.push(await client.look({background: "blurred"}));
          looks.push(await client.look({framing: {zoom: 2, x: 0.5, y: 0.25}}));
          const refused = await client.look({background: "blurred", framing: "feet"})
            .catch((error) => error.message);
          const none = await client.connect({controls: {background: {no: "picture"}}})
            .catch((error) => [error.kind, error.message]);
          await client.close();
          return {looks, refused, none};
        }"""
    )
    chosen = [(look["background"], look["framing"]) for look in said["looks"]]
    assert chosen == [
        ({"picture": "own"}, "face"),
        ({"picture": "own"}, "shoulders"),
        ("blurred", "shoulders"),
        ("blurred", {"zoom": 2, "x": 0.5, "y": 0.25}),
    ]
    assert said["refused"].startswith("There is no framing 'feet'")
    assert said["none"] == ["refused", "This is no picture that the browser can read."]


def test_what_attributes_and_addresses_mean(page: Page) -> None:
    said = page.evaluate(
        """async () => {
          const {backgroundOf, framingOf} = await import("/static/look.js");
          const {firstLook, remember} = await import("/static/remembered-look.js");
          const {isStacked} = await import("/static/transparent.js");
          const kept = new Map();
          const storage = {getItem: (name) => kept.get(name) ?? null,
                           setItem: (name, value) => kept.set(name, value)};
          const all = {controls: {backgrounds: ["filmed", "color", "picture"],
                       framings: ["filmed", "face"]}, pictures: ["office"], storage};
          const first = (query, changes = {}) =>
            firstLook("ada", {...all, query: new URLSearchParams(query), ...changes});
          const looks = [first("")];
          remember("ada", {background: {picture: "office"}, framing: "face"}, storage);
          looks.push(first(""), first("framing=2 .5 .4&background=%23fff"),
                     first("", {pictures: []}), first("", {controls: null}));
          remember("ada", {background: new Blob([]), framing: "filmed"}, storage);
          looks.push(first(""));
          kept.set("visavis-look:ada", "{broken");
          looks.push(first(""));
          return {
            backgrounds: [null, "", "blurred", "#FA0", "#102030", "#12", "office"]
              .map(backgroundOf),
            framings: [null, "face", "2 0.5 0.4", "2, 0.5, 0.4", "1 2"].map(framingOf),
            stacked: [[512, 1024, 1], [512, 512, 1], [640, 720, 9 / 16], [640, 360, 9 / 16],
                      [0, 0, 1]].map((one) => isStacked(...one)),
            looks,
          };
        }"""
    )
    office = {"picture": "office"}
    assert said["backgrounds"] == [
        None, None, "blurred", "#ffaa00", "#102030", {"picture": "#12"}, office
    ]  # fmt: skip
    zoom = {"zoom": 2, "x": 0.5, "y": 0.4}
    assert said["framings"] == [None, "face", zoom, zoom, "1 2"]
    assert said["stacked"] == [True, False, True, False, False]
    assert said["looks"] == [
        {},
        {"background": office, "framing": "face"},
        {"background": "#ffffff", "framing": zoom},
        {"framing": "face"},
        {},
        {},
        {},
    ]
