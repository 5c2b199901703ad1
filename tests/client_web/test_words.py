"""Every way it can go wrong is said in words on the page, and there is a way on."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Route

from tests.browser import Served, chromium_arguments, find_chromium, serve_in_thread
from tests.client_web.helpers import Engine, Open, until, wait_for, words
from visavis.engines.errors import EngineError
from visavis.server.app import create_app
from visavis.server.config import ServerConfig

pytestmark = pytest.mark.browser


def refuse(name: str) -> str:
    """A script under which the microphone fails as browsers make it fail."""
    return (
        "navigator.mediaDevices.getUserMedia = "
        f"async () => {{ throw new DOMException('no', '{name}') }}"
    )


@pytest.mark.parametrize(
    ("exception", "title", "advice"),
    [
        ("NotAllowedError", "The microphone was refused", "Allow it for this page"),
        ("NotFoundError", "No microphone was found", "Plug one in"),
        ("NotReadableError", "The microphone is busy", "Close that program"),
    ],
)
def test_microphone_that_cannot_be_used(
    open_page: Open, exception: str, title: str, advice: str
) -> None:
    page = open_page(init=refuse(exception))
    page.click("#primary")
    wait_for(page, "problem")
    assert words(page)[0] == title
    assert advice in words(page)[1]
    assert page.inner_text("#alarm") == " ".join([f"{title}.", words(page)[1]])
    page.evaluate("delete navigator.mediaDevices.getUserMedia")
    page.click("#primary")  # Try again
    wait_for(page, "listening")


def test_browser_that_really_refuses(browser: Browser, served: Served) -> None:
    # Nobody is there to say yes: a headless browser says no.
    ask = "--use-fake-ui-for-media-stream"
    arguments = [argument for argument in chromium_arguments() if argument != ask]
    other = browser.browser_type.launch(executable_path=find_chromium(), args=arguments)
    try:
        page = other.new_page()
        page.goto(served.url)
        wait_for(page, "ready")
        page.click("#primary")
        wait_for(page, "problem")
        assert words(page)[0] == "The microphone was refused"
    finally:
        other.close()


def test_microphone_unplugged_while_talking(open_page: Open) -> None:
    page = open_page()
    page.click("#secondary")
    wait_for(page, "live")
    page.evaluate(
        """() => {
          const {peer} = window.visavis.client;
          const [sender] = peer.getSenders().filter(({track}) => track?.kind === "audio");
          sender.track.dispatchEvent(new Event("ended"));
        }"""
    )
    wait_for(page, "problem")
    assert words(page)[0] == "The microphone is gone"
    assert page.evaluate("window.visavis.client") is None


def test_page_that_is_not_secure(open_page: Open) -> None:
    page = open_page(init="Object.defineProperty(window, 'isSecureContext', {value: false})")
    page.click("#primary")
    wait_for(page, "problem")
    assert words(page)[0] == "The microphone needs a secure page"
    assert "--https" in words(page)[1]


def test_nobody_speaks(open_page: Open) -> None:
    # Ten seconds of waiting pass in a moment: the page's own clock runs fast.
    page = open_page(
        init="""
          const real = performance.now.bind(performance);
          performance.now = () => 12 * real();
          AnalyserNode.prototype.getFloatTimeDomainData = (samples) => samples.fill(0);
        """
    )
    page.click("#primary")
    wait_for(page, "problem")
    assert words(page)[0] == "I did not hear you"


def test_full_server_counts_down_and_tries_again(open_page: Open) -> None:
    asked: list[str] = []

    def full(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) > 1:
            route.continue_()
        else:
            route.fulfill(
                status=503,
                headers={"Retry-After": "3"},
                content_type="application/problem+json",
                body='{"title": "Service Unavailable", "detail": "All places are taken."}',
            )

    page = open_page(routes={"**/sessions?*": full})
    page.click("#secondary")
    wait_for(page, "full")
    assert words(page)[0] == "Every place is taken"
    until(page, "document.getElementById('hint').textContent.includes('in 2 seconds')")
    until(page, "document.getElementById('hint').textContent.includes('in 1 second.')")
    wait_for(page, "live")
    assert len(asked) == 2


def test_full_server_for_real(open_page: Open) -> None:
    engine = Engine(places=1)
    try:
        with serve_in_thread(create_app(ServerConfig(), engine)) as served:
            first = open_page(url=served.url)
            first.click("#secondary")
            wait_for(first, "live")
            second = open_page(url=served.url)
            second.click("#primary")
            wait_for(second, "full")
            first.click("#primary")  # End
            wait_for(first, "ready")
            second.click("#primary")  # Try now
            wait_for(second, "listening")
    finally:
        engine.close()


@pytest.fixture(scope="module")
def guarded(engine: Engine) -> Iterator[Served]:
    """The real server with a token."""
    with serve_in_thread(create_app(ServerConfig(token="open sesame"), engine)) as served:
        yield served


def test_token_is_asked_for(open_page: Open, guarded: Served) -> None:
    page = open_page(url=guarded.url, state="token")
    assert words(page)[0] == "This server asks for a token"
    assert page.evaluate("document.activeElement.id") == "token"
    page.keyboard.type("friend")
    page.keyboard.press("Enter")
    until(page, "document.getElementById('hint').textContent.includes('not accept')")
    wait_for(page, "token")
    page.fill("#token", "open sesame")
    page.keyboard.press("Enter")
    wait_for(page, "ready")
    # The picture is behind the token too.
    until(page, "document.getElementById('poster').naturalWidth > 0")
    page.click("#secondary")
    wait_for(page, "live")
    page.reload()
    wait_for(page, "ready")


def test_token_in_the_address_is_taken_out_of_it(open_page: Open, guarded: Served) -> None:
    page = open_page("?token=open+sesame&person=presenter", url=guarded.url)
    assert page.url == f"{guarded.url}?person=presenter"
    assert page.evaluate("document.referrer") == ""


def test_person_that_is_not_there(open_page: Open) -> None:
    page = open_page("?person=cleopatra", state="problem")
    assert words(page)[0] == "cleopatra is not here"
    assert page.inner_text("#primary") == "Go on with Presenter"
    page.click("#primary")
    wait_for(page, "ready")


def test_server_that_does_not_answer(open_page: Open) -> None:
    page = open_page()
    page.route("**/sessions?*", lambda route: route.abort())
    page.click("#primary")
    wait_for(page, "problem")
    assert words(page)[0] == "The server does not answer"
    page.unroute("**/sessions?*")
    page.click("#primary")
    wait_for(page, "listening")


def test_nothing_gets_through(open_page: Open) -> None:
    page = open_page(
        "?path=webrtc",
        init="""Object.defineProperty(RTCPeerConnection.prototype, "connectionState",
                  {get: () => "failed"})""",
    )
    page.click("#primary")
    wait_for(page, "problem")
    assert words(page)[0] == "Sound and picture do not get through"
    assert "TURN" in words(page)[1]


def test_no_picture_comes(open_page: Open) -> None:
    # Frames are never painted, and the eight seconds of patience pass in a moment.
    page = open_page(
        init="""
          HTMLVideoElement.prototype.requestVideoFrameCallback = () => 0;
          const later = window.setTimeout;
          window.setTimeout = (call, ms) => later(call, ms === 8000 ? 400 : ms);
        """
    )
    page.click("#primary")
    wait_for(page, "problem")
    assert words(page)[0] == "The picture does not come"


def test_nothing_was_recorded(open_page: Open) -> None:
    page = open_page(init="Object.defineProperty(Blob.prototype, 'size', {get: () => 0})")
    page.click("#primary")
    wait_for(page, "recording")
    page.click("#primary")
    wait_for(page, "problem")
    assert words(page)[0] == "Nothing was recorded"


def test_server_says_no(open_page: Open) -> None:
    def no(route: Route) -> None:
        body = '{"detail": "The offer has no audio."}'
        route.fulfill(status=422, content_type="application/problem+json", body=body)

    page = open_page(routes={"**/sessions?*": no})
    page.click("#primary")
    wait_for(page, "problem")
    assert words(page) == ("The server said no", "The offer has no audio.")
    page.click("#secondary")  # Back
    wait_for(page, "ready")


def test_server_that_is_starting_and_then_ready(open_page: Open, engine: Engine) -> None:
    loaded = threading.Event()

    def load() -> Engine:
        loaded.wait(20)
        return Engine()

    try:
        with serve_in_thread(create_app(ServerConfig(), load)) as served:
            page = open_page(url=served.url, state="starting")
            assert words(page)[0] == "The server is getting ready"
            loaded.set()
            wait_for(page, "ready")
    finally:
        loaded.set()


def test_server_that_could_not_load(open_page: Open) -> None:
    def load() -> Engine:
        raise EngineError("The file is broken; export it again.")

    with serve_in_thread(create_app(ServerConfig(), load)) as served:
        page = open_page(url=served.url, state="problem")
        assert words(page)[0] == "The server could not get ready"


def test_browser_without_webrtc_and_webcodecs(open_page: Open) -> None:
    without = "delete globalThis.RTCPeerConnection; delete globalThis.VideoDecoder"
    page = open_page(init=without, state="problem")
    assert words(page)[0] == "This browser cannot do it"


def test_browser_that_cannot_record_talks_live(open_page: Open) -> None:
    page = open_page(init="delete globalThis.MediaRecorder")
    assert page.inner_text("#primary") == "Talk live"
    assert page.is_hidden("#secondary")
    page.click("#primary")
    wait_for(page, "live")
