"""For every hand and eye: keyboard, screen reader, contrast, small screens, less motion."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.browser import Served, serve_in_thread
from tests.client_web.helpers import Engine, Open, until, wait_for
from visavis.server.app import create_app
from visavis.server.config import ServerConfig

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}


@pytest.fixture(scope="module")
def crowd() -> Iterator[Served]:
    """A server with three persons."""
    engine = Engine("ada", "grace", "maximilian")
    with serve_in_thread(create_app(ServerConfig(), engine)) as served:
        yield served
    engine.close()


@pytest.mark.parametrize("token", [None, "secret"])
def test_a_thousand_persons_are_asked_for_their_pictures_as_they_come_into_view(
    open_page: Open, token: str | None
) -> None:
    engine = Engine(*(f"p{index:04}" for index in range(1000)))
    with serve_in_thread(create_app(ServerConfig(token=token), engine)) as served:
        page = open_page(f"?token={token}" if token else "", url=served.url)
        images = "[...document.querySelectorAll('#person-list img')]"
        until(page, f"{images}[0].naturalWidth > 0")
        assert 1 < page.evaluate(f"{images}.filter((i) => i.src).length") < 60
        page.evaluate(f"{images}[999].scrollIntoView()")
        until(page, f"{images}[999].naturalWidth > 0")
        assert page.evaluate(f"{images}.filter((i) => i.src).length") < 120
        page.check("#person-list label:last-child input")
        until(page, "document.getElementById('poster').alt == 'P0999'")
        assert len(set(engine.posters)) < 120
    engine.close()


def test_all_of_it_with_the_keyboard(open_page: Open) -> None:
    page = open_page()
    focused: list[str] = []
    for _ in range(4):
        page.keyboard.press("Tab")
        focused.append(page.evaluate("document.activeElement.id"))
    assert focused == ["numbers", "fullscreen", "primary", "secondary"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")  # Say something
    wait_for(page, "recording")
    assert page.evaluate("document.activeElement.id") == "primary"
    page.keyboard.press("Space")  # Stop
    wait_for(page, "replay")
    until(page, "!document.getElementById('once-more').hidden")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "save"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # Talk live
    wait_for(page, "live")
    page.keyboard.press("m")
    assert page.get_attribute("#mute", "aria-pressed") == "true"
    page.keyboard.press("M")
    assert page.get_attribute("#mute", "aria-pressed") == "false"
    page.focus("#hear")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "headphones-on"
    page.keyboard.press("Escape")
    assert page.is_hidden("#headphones")
    assert page.evaluate("document.activeElement.id") == "hear"
    page.keyboard.press("i")
    assert page.get_attribute("#numbers", "aria-expanded") == "true"
    page.keyboard.press("i")
    page.keyboard.press("f")
    until(page, "document.fullscreenElement?.id === 'stage'")
    page.keyboard.press("f")
    until(page, "document.fullscreenElement === null")


def test_typing_a_token_is_not_a_shortcut(open_page: Open, engine: Engine) -> None:
    with serve_in_thread(create_app(ServerConfig(token="mif"), engine)) as served:
        page = open_page(url=served.url, state="token")
        page.keyboard.type("mif")
        assert page.input_value("#token") == "mif"
        assert page.is_hidden("#panel")
        page.keyboard.press("Enter")
        wait_for(page, "ready")


# Every control that can be seen, with the name a screen reader gives it (WAI-ARIA, in short).
CONTROLS = """
() => [...document.querySelectorAll("button, a[href], input, select")]
  .filter((element) => element.checkVisibility())
  .map((element) => [
    element.id || element.value,
    (element.getAttribute("aria-label")
      || [...(element.labels ?? [])].map((label) => label.innerText).join(" ")
      || element.innerText || "").trim(),
    element.getBoundingClientRect().width >= 44 && element.getBoundingClientRect().height >= 44,
  ])
"""


def check_controls(page: Page) -> None:
    controls = page.evaluate(CONTROLS)
    assert controls
    assert [name for name, label, _ in controls if not label] == []
    assert [name for name, _, large in controls if not large] == []


def test_every_control_has_a_name_and_is_large_enough(open_page: Open, crowd: Served) -> None:
    page = open_page(url=crowd.url, viewport=PHONE)
    check_controls(page)
    page.click("#secondary")
    wait_for(page, "live")
    check_controls(page)
    page.click("#hear")
    check_controls(page)
    page.click("#headphones-no")
    page.click("#primary")
    page.click("#primary")
    wait_for(page, "recording")
    page.click("#primary")
    wait_for(page, "replay")
    check_controls(page)


def test_what_a_screen_reader_hears(open_page: Open) -> None:
    page = open_page()
    tree = page.locator("body").aria_snapshot()
    assert 'heading "visavis" [level=1]' in tree
    assert 'heading "Speak as Presenter" [level=2]' in tree
    assert 'region "The person: Presenter"' in tree
    assert 'button "Numbers (I)"' in tree
    assert page.get_attribute("html", "lang") == "en"
    # Each state is said once: a countdown would talk over the speaker.
    page.evaluate(
        """() => {
          window.said = [];
          const note = () => window.said.push(document.getElementById("spoken").textContent);
          new MutationObserver(note).observe(document.getElementById("spoken"), {childList: true});
        }"""
    )
    page.click("#primary")
    wait_for(page, "replay", seconds=25)
    said = page.evaluate("window.said")
    assert len(said) == len(set(said))
    assert any(text.startswith("Speak now.") for text in said)
    assert "I hear you. Up to 8 seconds." in said
    assert said[-1].startswith("Presenter, with your voice.")


# Text against what is behind it (WCAG 2.2, 1.4.3); over pictures there is a ground of its own.
CONTRAST = """
() => {
  const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1});
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const over = (colors) => {
    context.clearRect(0, 0, 1, 1);
    for (const color of colors) { context.fillStyle = color; context.fillRect(0, 0, 1, 1); }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const worst = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest(".unseen, option")) continue;
    const grounds = [];
    for (let e = element; e; e = e.parentElement)
      grounds.unshift(getComputedStyle(e).backgroundColor);
    const ground = over(["white", ...grounds]);
    const text = over(["white", ...grounds, getComputedStyle(element).color]);
    const [a, b] = [luminance(ground), luminance(text)].sort((x, y) => y - x);
    worst.push([(a + 0.05) / (b + 0.05), element.textContent.trim().slice(0, 30)]);
  }
  return worst.sort(([x], [y]) => x - y);
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(open_page: Open, crowd: Served, scheme: str) -> None:
    page = open_page(url=crowd.url, color_scheme=scheme, reduced_motion="reduce")

    def check() -> None:
        page.mouse.move(2, 2)
        page.wait_for_timeout(100)
        contrasts = page.evaluate(CONTRAST)
        assert len(contrasts) > 4
        assert contrasts[0][0] >= 4.5, contrasts[0]

    check()
    page.click("#secondary")
    wait_for(page, "live")
    page.click("#hear")
    page.keyboard.press("i")
    until(page, "window.visavis.stats?.delayMs")
    check()
    page.click("#headphones-on")
    page.keyboard.press("m")
    check()


CUT_OFF = """
() => [...document.querySelectorAll("button, select, h2, #hint, #panel")]
  .filter((element) => element.checkVisibility())
  .filter((element) => {
    const box = element.getBoundingClientRect();
    return box.left < 0 || box.right > innerWidth + 0.5
      || element.scrollWidth > element.clientWidth + 1;
  })
  .map(({id}) => id)
"""
SCREENS = [(1280, 800), (390, 844), (360, 640), (844, 390), (768, 1024), (1920, 1080)]


def test_nothing_is_cut_off_on_any_screen(open_page: Open, crowd: Served) -> None:
    page = open_page(url=crowd.url)
    page.click("#secondary")
    wait_for(page, "live")
    for width, height in SCREENS:
        page.set_viewport_size({"width": width, "height": height})
        primary = page.evaluate("document.getElementById('primary').getBoundingClientRect().bottom")
        assert primary <= height, (width, height)
        page.keyboard.press("i")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (width, height)
        assert page.evaluate(CUT_OFF) == [], (width, height)
        assert page.evaluate("document.getElementById('stage').clientWidth") >= 180, (width, height)
        page.keyboard.press("i")


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP])
def test_nothing_jumps_when_the_state_changes(open_page: Open, viewport: dict[str, int]) -> None:
    page = open_page(viewport=viewport)
    places = (
        "['stage', 'title', 'primary'].map((id) => document.getElementById(id))"
        ".map((e) => Math.round(e.getBoundingClientRect().top))"
    )
    seen = [page.evaluate(places)]
    page.click("#primary")
    wait_for(page, "recording")
    seen.append(page.evaluate(places))
    page.click("#primary")
    wait_for(page, "replay")
    seen.append(page.evaluate(places))
    page.click("#secondary")
    wait_for(page, "live")
    seen.append(page.evaluate(places))
    assert all(place == seen[0] for place in seen), seen


def test_choosing_a_person(open_page: Open, crowd: Served) -> None:
    page = open_page("?person=grace", url=crowd.url)
    assert page.inner_text("#title") == "Speak as Grace"
    assert page.is_checked("input[value=grace]")
    page.focus("input[value=grace]")
    page.keyboard.press("ArrowDown")
    until(page, "document.getElementById('title').textContent === 'Speak as Maximilian'")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.click("#secondary")
    wait_for(page, "live")
    assert any(url.endswith("/sessions?person=maximilian") for url in asked)
    page.check("input[value=ada]", force=True)
    until(page, "document.getElementById('title').textContent === 'Ada moves as you talk'")
    assert any(url.endswith("/sessions?person=ada") for url in asked)


def test_less_motion(open_page: Open) -> None:
    page = open_page(reduced_motion="reduce")
    page.click("#secondary")
    wait_for(page, "live")
    running = page.evaluate(
        "document.getAnimations().filter(({playState}) => playState === 'running').length"
    )
    assert running == 0
    # The level fills from the middle and does not scroll.
    heights = until(
        page,
        """(() => {
          const heights = [...document.querySelectorAll("#line i")]
            .map((bar) => Number(bar.style.getPropertyValue("--h")));
          return heights[24] > 0 && heights;
        })()""",
    )
    assert set(heights) <= {0, 0.5}
    assert heights == heights[::-1]
