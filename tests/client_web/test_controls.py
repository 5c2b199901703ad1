"""The picker: only where there is something to choose; what it says reaches the engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser import Served, serve_in_thread
from tests.client_web.helpers import Engine, Open, until, wait_for, words
from visavis.engines.client import ControlNames
from visavis.server.app import create_app
from visavis.server.config import ServerConfig

pytestmark = pytest.mark.browser

OFFERED = ControlNames(("calm", "lively"), "lively", ("own", "still"), ("greeting",))


class Chooser(Engine):
    """One person that can be chosen of, one that cannot, and neither in real time."""

    def __init__(self) -> None:
        super().__init__("ada", "ben")
        self.people = (replace(self.people[0], controls=OFFERED), self.people[1])
        self.person = self.people[0]
        self.pace = 3.2

    @property
    def told(self) -> list[dict[str, Any]]:
        return [changes for session in set(self.sessions) for changes in session.told]


@pytest.fixture(scope="module")
def chooser() -> Iterator[Chooser]:
    engine = Chooser()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def chosen_from(chooser: Chooser) -> Iterator[Served]:
    with serve_in_thread(create_app(ServerConfig(requests_per_second=50), chooser)) as served:
        yield served


@pytest.fixture
def page(open_page: Open, chosen_from: Served) -> Page:
    return open_page(url=chosen_from.url, viewport={"width": 390, "height": 780})


def test_what_is_chosen_before_and_while_talking_reaches_the_engine(
    page: Page, chooser: Chooser
) -> None:
    assert page.is_visible("#controls")
    assert page.input_value("#style") == "lively" and page.input_value("#head") == "own"
    labels = page.eval_on_selector_all("#head option", "all => all.map((one) => one.text)")
    assert labels == ["As filmed", "Still"]
    # It fits on a phone, and can be touched.
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    box = page.locator("#head").bounding_box()
    assert wide <= 0 and box is not None and box["height"] >= 44
    page.select_option("#style", "calm")
    page.click("#secondary")  # Talk live
    wait_for(page, "live")
    until_told(page, chooser, {"style": "calm"})
    page.select_option("#head", "still")
    until_told(page, chooser, {"head": "still"})
    page.select_option("#performance", "greeting")
    until_told(page, chooser, {"performance": "greeting"})
    page.select_option("#performance", "")
    until_told(page, chooser, {"performance": None})
    assert page.inner_text("#controls-note") == ""
    # A person that this machine is too slow for is said to be.
    until(page, "document.getElementById('hint').textContent.includes('about 3 pictures')")
    assert words(page)[1].endswith("This person makes about 3 pictures a second on this machine.")


def test_a_refusal_is_said_and_the_conversation_goes_on(page: Page, chooser: Chooser) -> None:
    page.click("#secondary")
    wait_for(page, "live")
    page.evaluate(
        "document.getElementById('head').append(new Option('Upside down', 'upside down'))"
    )
    page.select_option("#head", "upside down")
    until(page, "document.getElementById('controls-note').textContent")
    note = page.inner_text("#controls-note")
    assert note == "That cannot be chosen. There is no head 'upside down'."
    assert page.input_value("#head") == "own"
    assert page.get_attribute("body", "data-state") == "live"
    page.select_option("#head", "still")
    until_told(page, chooser, {"head": "still"})
    until(page, "document.getElementById('controls-note').textContent === ''")


def test_nothing_is_shown_where_there_is_nothing_to_choose(page: Page) -> None:
    page.check("input[value=ben]", force=True)
    until(page, "document.getElementById('controls').hidden")
    assert not page.is_visible("#controls")
    page.check("input[value=ada]", force=True)
    until(page, "!document.getElementById('controls').hidden")


def test_a_client_tells_a_new_session_what_was_chosen(page: Page, chooser: Chooser) -> None:
    """As after a connection that could not be resumed; a refusal is an event, not an end."""
    said = page.evaluate(
        """async () => {
          const {VisavisClient} = await import("/static/client.js");
          const client = new VisavisClient({server: location.href, path: "websocket"});
          const told = new Promise((resolve) =>
            client.addEventListener("controls", ({detail}) => resolve(detail), {once: true}));
          const before = await client.control({head: "still"});
          await client.connect({controls: {head: "still"}});
          const after = await told;
          const refused = await client.control({head: "no"})
            .catch(({kind, message}) => [kind, message]);
          const now = await client.control({});
          const again = new Promise((resolve) =>
            client.addEventListener("controls", ({detail}) => resolve(detail), {once: true}));
          await client.connect({controls: {head: "no"}});
          const wrong = (await again).message;
          const state = client.state;
          await client.close();
          return {before, after, refused, now, wrong, state};
        }"""
    )
    filmed = {"background": "filmed", "framing": "filmed"}
    still = {"style": None, "head": "still", "performance": None, **filmed}
    assert said == {
        "before": None,
        "after": still,
        "refused": ["refused", "There is no head 'no'."],
        "now": still,
        "wrong": "There is no head 'no'.",
        "state": "connected",
    }


def test_how_slow_is_said_in_whole_numbers(page: Page) -> None:
    said = page.evaluate(
        """async () => {
          const {words} = await import("/static/words.js");
          return [0.2, 1.1, 3.2].map(words.slow);
        }"""
    )
    assert said == [
        "This person takes about 5 seconds for a picture on this machine.",
        "This person makes about 1 picture a second on this machine.",
        "This person makes about 3 pictures a second on this machine.",
    ]


def until_told(page: Page, chooser: Chooser, changes: dict[str, Any]) -> None:
    for _ in range(200):
        if changes in chooser.told:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never told: {changes}")
