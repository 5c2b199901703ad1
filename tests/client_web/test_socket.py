"""The WebSocket path in a real Chromium: a take, talking live, and finding the way by itself."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import Browser, WebSocketRoute

from tests.browser import Served, chromium_arguments, find_chromium, spoken_wave
from tests.client_web.helpers import Engine, Open, until, wait_for, words
from tests.client_web.live_picture import follows_voice, look, moves
from tests.client_web.test_call import KEEP, TAKE_APART, lag

pytestmark = pytest.mark.browser

CLOSED = "Over WebSocket: UDP seems to be closed here."
PATH = "window.visavis.client.path"

# Pretends that no packet arrives: neither side learns an address of the other that leads anywhere
# (192.0.2.1 is nobody's, RFC 5737).
NOWHERE = r"""
const set = RTCPeerConnection.prototype.setRemoteDescription;
RTCPeerConnection.prototype.setRemoteDescription = function ({type, sdp}) {
  const nowhere = sdp.replace(/^(a=candidate:.* udp \d+ )\S+/gim, "$1192.0.2.1");
  return set.call(this, {type, sdp: nowhere});
};
const ask = window.fetch;
window.fetch = (url, options = {}) => {
  if (options.method === "PATCH") return Promise.resolve(new Response(null, {status: 204}));
  const body = options.body?.replace?.(/^a=candidate.*\r\n/gm, "");
  return ask(url, body ? {...options, body} : options);
};
"""


@pytest.mark.long  # the talk below goes the same way
def test_say_something_over_a_websocket(open_page: Open, engine: Engine) -> None:
    page = open_page("?path=ws", init=KEEP)
    page.click("#primary")
    wait_for(page, "recording")
    assert page.evaluate(PATH) == "websocket"
    moves(page, 15)
    wait_for(page, "replay")
    until(page, "document.getElementById('clip').ended")
    assert not engine.sessions

    take = page.evaluate(TAKE_APART)
    assert take["end"] > 2
    assert max(take["loudness"]) > 0.05
    indices = [frame[1] for frame in take["frames"]]
    assert len(set(indices)) > 10 * take["end"]
    assert (np.diff(indices) >= 0).all() and float(np.median(np.diff(indices))) <= 2
    # A machine that stalls for a moment spoils a take; two in a row it does not.
    late = lag(take["frames"], take["loudness"])
    if abs(late) > 120:
        page.click("#primary")  # Again
        wait_for(page, "replay", seconds=25)
        take = page.evaluate(TAKE_APART)
        late = lag(take["frames"], take["loudness"])
    assert abs(late) <= 120


def test_talking_live_over_a_websocket(open_page: Open, engine: Engine) -> None:
    page = open_page("?path=ws")
    page.click("#secondary")
    wait_for(page, "live")
    assert words(page) == (
        "Presenter moves as you talk",
        "Silent here, so that you can talk freely. Over WebSocket.",
    )
    # The picture follows the microphone, and rests when it is off.
    follows_voice(page)
    stats = until(page, "window.visavis.stats?.framesDecoded > 50 && window.visavis.stats")
    assert (stats["width"], stats["height"]) == (128, 128)
    assert stats["fps"] > 3 and 50 < stats["delayMs"] < 2000
    assert stats["server"]["path"] == "websocket"
    assert {part["name"] for part in stats["parts"]} == {
        "packet",
        "network",
        "server",
        "buffer",
        "decode",
    }
    page.keyboard.press("i")
    until(page, "document.getElementById('panel').innerText.includes('WebSocket')")
    # The voice comes back, and can be heard.
    heard = page.evaluate(
        """async () => {
          const context = new AudioContext();
          await context.resume();
          const source = context.createMediaStreamSource(window.visavis.client.stream);
          const analyser = new AnalyserNode(context);
          source.connect(analyser);
          const samples = new Float32Array(analyser.fftSize);
          let most = 0;
          for (let i = 0; i < 150; i += 1) {
            await new Promise((resolve) => setTimeout(resolve, 50));
            analyser.getFloatTimeDomainData(samples);
            most = Math.max(most, ...samples.map(Math.abs));
          }
          return most;
        }"""
    )
    assert heard > 0.05
    page.keyboard.press("m")
    page.wait_for_timeout(1000)
    levels = []
    for _ in range(30):
        levels.append(look(page)["level"])
        page.wait_for_timeout(100)
    assert max(levels) < 0.2
    page.click("#primary")  # End
    wait_for(page, "ready")
    page.wait_for_timeout(300)
    assert not engine.sessions


def test_another_microphone_over_a_websocket(open_page: Open) -> None:
    page = open_page("?path=ws")
    page.click("#secondary")
    wait_for(page, "live")
    options = page.eval_on_selector_all("#device option", "all => all.map(({value}) => value)")
    other = next(value for value in options if value != page.input_value("#device"))
    page.select_option("#device", other)
    follows_voice(page)
    moves(page)


def test_a_lost_websocket_comes_back_by_itself(open_page: Open) -> None:
    page = open_page("?path=ws")
    page.click("#secondary")
    wait_for(page, "live")
    before = page.evaluate("window.visavis.client.session")
    page.evaluate("(url) => fetch(url, {method: 'DELETE'})", before)
    wait_for(page, "reconnecting")
    wait_for(page, "live")
    assert page.evaluate("window.visavis.client.session") != before
    moves(page)


def test_where_no_packet_arrives_the_page_finds_the_other_way(open_page: Open) -> None:
    page = open_page(init=NOWHERE)
    page.click("#secondary")
    wait_for(page, "connecting")
    assert "Over" not in words(page)[1]
    wait_for(page, "live")
    assert words(page)[1].endswith(CLOSED)
    assert page.evaluate(PATH) == "websocket"
    moves(page)
    page.click("#primary")  # End
    wait_for(page, "ready")
    # It remembers, and does not make anybody wait for it again.
    page.click("#secondary")
    until(page, "document.getElementById('hint').textContent.includes('WebSocket')", seconds=2)
    wait_for(page, "live")
    moves(page)


def test_the_usual_way_is_taken_where_it_is_open(open_page: Open) -> None:
    page = open_page()
    page.click("#secondary")
    wait_for(page, "live")
    assert page.evaluate(PATH) == "webrtc"
    assert "WebSocket" not in words(page)[1]
    page.keyboard.press("i")
    until(page, "document.getElementById('panel').innerText.includes('WebRTC')")


def test_a_browser_without_webrtc_uses_the_websocket(open_page: Open) -> None:
    page = open_page(init="delete globalThis.RTCPeerConnection")
    page.click("#secondary")
    wait_for(page, "live")
    assert words(page)[1].endswith("Over WebSocket: this browser has no WebRTC.")
    moves(page)


@pytest.mark.parametrize(
    "missing",
    ["AudioDecoder", "AudioEncoder", "MediaStreamTrackGenerator", "MediaStreamTrackProcessor"],
)
def test_what_a_browser_lacks_is_replaced(open_page: Open, missing: str) -> None:
    page = open_page("?path=ws", init=f"delete globalThis.{missing}")
    page.click("#secondary")
    wait_for(page, "live")
    follows_voice(page)
    moves(page)


def test_the_microphone_is_compressed_for_other_machines(open_page: Open, served: Served) -> None:
    # A name that is not taken for this machine by the page, and is by browser and server.
    init = """
      window.sizes = [];
      const send = WebSocket.prototype.send;
      WebSocket.prototype.send = function (data) {
        if (data.byteLength) window.sizes.push(data.byteLength);
        return send.call(this, data);
      };
    """
    for host, least, most in (("app.localhost", 17, 300), ("localhost", 976, 976)):
        page = open_page("?path=ws", init=init, url=served.url.replace("localhost", host))
        page.click("#secondary")
        wait_for(page, "live")
        follows_voice(page)
        packets = [size for size in page.evaluate("window.sizes") if size > 16]
        assert least <= min(packets) and max(packets) <= most
        page.close()


def test_where_both_ways_are_shut_it_says_so(open_page: Open) -> None:
    def shut(socket: WebSocketRoute) -> None:
        socket.close(code=1011)

    page = open_page(init=NOWHERE, state=None)
    page.route_web_socket("**/ws", shut)
    page.reload()
    wait_for(page, "ready")
    page.click("#primary")
    wait_for(page, "problem")
    assert words(page)[0] == "Sound and picture do not get through"


def test_a_full_server_counts_down_over_a_websocket(open_page: Open) -> None:
    def full(socket: WebSocketRoute) -> None:
        message = '{"type": "error", "status": 503, "detail": "Full.", "retry_after": 7}'
        socket.on_message(lambda _: socket.send(message))

    page = open_page("?path=ws", state=None)
    page.route_web_socket("**/ws", full)
    page.reload()
    wait_for(page, "ready")
    page.click("#primary")
    wait_for(page, "full")
    assert words(page)[0] == "Every place is taken"


def test_with_udp_forbidden_by_the_browser(
    served: Served, tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> None:
    """A policy of companies: WebRTC must use a proxy, and there is none."""
    voice = tmp_path_factory.mktemp("voice") / "voice.wav"
    spoken_wave(voice)
    arguments = [*chromium_arguments(voice), "--webrtc-ip-handling-policy=disable_non_proxied_udp"]
    strict = browser.browser_type.launch(executable_path=find_chromium(), args=arguments)
    try:
        page = strict.new_context(permissions=["microphone"]).new_page()
        page.goto(served.url)
        wait_for(page, "ready")
        page.click("#secondary")
        wait_for(page, "live")
        assert words(page)[1].endswith(CLOSED)
        moves(page)
    finally:
        strict.close()
