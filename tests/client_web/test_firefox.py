"""Firefox loads the page, connects, shows frames, and plays a take back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser import Served, find_firefox
from tests.client_web.bidi import BidiPage, firefox

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BidiPage]:
    with firefox(find_firefox(), tmp_path_factory.mktemp("firefox")) as page:
        yield page


def state(name: str) -> str:
    return f"document.body.dataset.state === '{name}'"


def test_say_something_in_firefox(page: BidiPage, served: Served) -> None:
    page.open(served.url)
    page.wait(state("ready"))
    page.click("#primary")
    page.wait(state("recording"))
    # Its test microphone is a tone without end, so the take runs until it is stopped.
    stats = page.wait("window.visavis.stats?.framesDecoded > 25 && window.visavis.stats")
    assert (stats["width"], stats["height"]) == (128, 128)
    assert 100 < stats["delayMs"] < 2000
    # A headless Firefox gives its window no focus, so keys press no button: the mouse does.
    page.click("#primary")  # Stop
    page.wait(state("replay"), seconds=6)
    clip = "document.getElementById('clip')"
    page.wait(f"{clip}.videoWidth === 128 && {clip}.currentTime > 0.3")
    assert page.run(f"{clip}.mozHasAudio && !{clip}.muted")
    page.wait("!document.getElementById('once-more').hidden")
    assert page.run(f"{clip}.currentTime") > 1
    assert page.errors == []


def test_talking_live_in_firefox(page: BidiPage, served: Served) -> None:
    page.open(served.url)
    page.wait(state("ready"))
    page.click("#secondary")
    page.wait(state("live"))
    video = "document.getElementById('avatar').video"
    first = page.run(f"{video}.mozPaintedFrames")
    page.wait(f"{video}.mozPaintedFrames > {first + 25}")
    assert page.run(f"{video}.muted") is True
    page.press("i")
    page.wait("document.getElementById('panel').innerText.includes('Pictures per second')")
    page.press("m")
    page.wait("document.getElementById('title').textContent === 'Your microphone is off'")
    page.click("#primary")  # End
    page.wait(state("ready"))
    assert page.errors == []
