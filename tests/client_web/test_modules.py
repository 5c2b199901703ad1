"""The parts of the page that are plain functions, run in the browser they are written for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import Served

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """One page for all of these: they only call functions."""
    page = browser.new_page()
    page.goto(served.url)
    yield page
    page.close()


def call(page: Page, module: str, body: str) -> Any:
    """The value of a function body in which ``m`` is a module of client_web."""
    return page.evaluate(f"async () => {{ const m = await import('/static/{module}'); {body} }}")


def test_speech_ends_after_silence_and_not_before_it_began(page: Page) -> None:
    verdicts = call(
        page,
        "speech.js",
        """
        const speech = new m.SpeechEnd({silence: 1000});
        const said = [];
        const hear = (level, from, to) => {
          for (let time = from; time < to; time += 50) said.push(speech.hear(level, time));
        };
        hear(-70, 0, 3000);      // a quiet room
        hear(-20, 3000, 3050);   // a click: 50 ms are no speech
        hear(-70, 3050, 4000);
        hear(-25, 4000, 5000);   // words
        hear(-70, 5000, 5600);   // a pause
        hear(-25, 5600, 6000);   // words
        hear(-70, 6000, 7100);
        return {said, began: speech.began};
        """,
    )
    said = verdicts["said"]
    assert set(said[:80]) == {"waiting"}
    assert said[90] == "speaking" and said[110] == "pausing" and said[118] == "speaking"
    assert "ended" not in said[:138] and said[-1] == "ended"
    assert verdicts["began"] == 4000


def test_speech_in_a_loud_room_and_a_tone_from_the_start(page: Page) -> None:
    loud, tone = call(
        page,
        "speech.js",
        """
        const loud = new m.SpeechEnd();
        for (let time = 0; time < 5000; time += 50) loud.hear(-52 + Math.sin(time), time);
        const before = loud.began;
        for (let time = 5000; time < 5500; time += 50) loud.hear(-30, time);
        const tone = new m.SpeechEnd();
        for (let time = 0; time < 500; time += 50) tone.hear(-20, time);
        return [[before, loud.began], tone.began];
        """,
    )
    assert loud == [None, 5000]
    assert tone == 0


def test_level_in_decibels(page: Page) -> None:
    levels = call(
        page,
        "microphone.js",
        """return [m.decibels(new Float32Array(64)), m.decibels(new Float32Array(64).fill(1)),
             m.decibels(new Float32Array(64).fill(0.1)), m.decibels([])];""",
    )
    assert levels == pytest.approx([-100, 0, -20, -100], abs=0.01)


def test_waiting_before_reconnecting_grows_and_stops_growing(page: Page) -> None:
    waits = call(page, "client.js", "return [0, 1, 2, 3, 4, 5, 20].map((n) => m.backOff(n, 0.5));")
    assert waits == [500, 1000, 2000, 4000, 8000, 8000, 8000]
    low, high = call(page, "client.js", "return [m.backOff(2, 0), m.backOff(2, 1)];")
    assert (low, high) == (1500, 2500)


def test_retry_after_as_number_and_as_date(page: Page) -> None:
    seconds = call(
        page,
        "api.js",
        """const now = Date.parse("2026-01-01T00:00:00Z");
        return ["7", null, "Thu, 01 Jan 2026 00:00:30 GMT", "soon"].map(
          (header) => m.retryAfterSeconds(header, now));""",
    )
    assert seconds == [7, None, 30, None]


def test_fragment_of_candidates(page: Page) -> None:
    body = call(
        page,
        "trickle.js",
        r"""
        const offer = ["v=0", "a=group:BUNDLE 0 1", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0",
          "a=ice-ufrag:abcd", "a=ice-pwd:secret", "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1",
          "a=ice-ufrag:abcd", "a=ice-pwd:secret", ""].join("\r\n");
        const one = {candidate: "candidate:1 1 udp 1 10.0.0.1 5 typ host"};
        return m.fragment(offer, [one], true);
        """,
    )
    assert body.split("\r\n") == [
        "a=ice-ufrag:abcd",
        "a=ice-pwd:secret",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=mid:0",
        "a=candidate:1 1 udp 1 10.0.0.1 5 typ host",
        "a=end-of-candidates",
        "",
    ]


def test_apple_devices_prefer_h264_and_mp4(page: Page) -> None:
    codecs = "['video/VP8', 'video/H264', 'video/rtx'].map((mimeType) => ({mimeType}))"
    order = call(
        page,
        "browser.js",
        f"""const capabilities = {{codecs: {codecs}}};
        return [true, false].map((apple) =>
          m.preferredVideoCodecs(capabilities, apple)?.map(({{mimeType}}) => mimeType) ?? null);""",
    )
    assert order == [["video/H264", "video/VP8", "video/rtx"], None]
    types = call(
        page,
        "browser.js",
        """return [m.recordingType(() => true, true), m.recordingType(() => true, false),
             m.recordingType((type) => type === "video/mp4", false),
             m.recordingType(() => false, false)];""",
    )
    assert types[0].startswith("video/mp4") and types[1].startswith("video/webm")
    assert types[2:] == ["video/mp4", ""]


READINGS = """
const report = (n) => new Map([
  ["v", {type: "inbound-rtp", kind: "video", timestamp: 1000 * n, framesDecoded: 25 * n,
    framesPerSecond: 25, totalDecodeTime: 0.05 * n, jitterBufferDelay: 0.5 * n + n * n,
    jitterBufferEmittedCount: 25 * n, framesDropped: 2, packetsLost: 1, codecId: "c",
    frameWidth: 512, frameHeight: 512}],
  ["a", {type: "inbound-rtp", kind: "audio", timestamp: 1000 * n, jitterBufferDelay: 2400 * n,
    jitterBufferEmittedCount: 48000 * n, packetsLost: 3}],
  ["o", {type: "outbound-rtp", kind: "audio", timestamp: 1000 * n, packetsSent: 50 * n}],
  ["p", {type: "candidate-pair", nominated: true, currentRoundTripTime: 0.012}],
  ["q", {type: "candidate-pair", nominated: false, currentRoundTripTime: 9}],
  ["c", {type: "codec", mimeType: "video/VP8"}],
]);
"""


def test_reading_of_statistics_counts_the_last_second_only(page: Page) -> None:
    summary = call(
        page,
        "stats.js",
        READINGS
        + "return m.summarise(m.read(report(2)), m.read(report(1)), {server_delay_ms: 130});",
    )
    assert summary["fps"] == 25 and summary["codec"] == "VP8"
    assert summary["packetMs"] == pytest.approx(20)
    assert summary["roundTripMs"] == pytest.approx(12)
    assert summary["videoBufferMs"] == pytest.approx(1000 * 3.5 / 25)
    assert summary["audioBufferMs"] == pytest.approx(50)
    assert summary["decodeMs"] == pytest.approx(2)
    assert summary["packetsLost"] == 4
    assert summary["delayMs"] == pytest.approx(20 + 12 + 130 + 140 + 2)


def test_without_the_servers_part_there_is_no_delay(page: Page) -> None:
    summary = call(
        page, "stats.js", READINGS + "return m.summarise(m.read(report(1)), null, null);"
    )
    assert summary["delayMs"] is None and summary["packetMs"] is None
    lines = call(
        page,
        "panel.js",
        f"const {{summarise, read}} = await import('/static/stats.js'); {READINGS} "
        "return m.lines(summarise(read(report(1)), null, null));",
    )
    assert ["Skipped by the server", "\N{EN DASH}"] in lines
    assert ["Packets lost", "4"] in lines


def test_reading_before_anything_has_come(page: Page) -> None:
    summary = call(
        page,
        "stats.js",
        READINGS
        + """
        const nothing = m.summarise(m.read(new Map()), null, null);
        const some = m.summarise(m.read(report(9)), m.read(new Map()), {server_delay_ms: 130});
        return {nothing, some};
        """,
    )
    assert summary["nothing"]["fps"] == 0 and summary["nothing"]["delayMs"] is None
    # One reading tells nothing about packets yet; what it tells is of a sane size.
    assert summary["some"]["packetMs"] is None
    assert 130 < summary["some"]["delayMs"] < 1000


def test_states_refuse_what_may_not_follow(page: Page) -> None:
    message = call(
        page,
        "state.js",
        """const seen = [];
        const state = new m.State((name, before) => seen.push([before, name]));
        state.go("ready");
        try { state.go("live"); } catch (error) { return [error.message, seen]; }""",
    )
    assert message == ["ready cannot become live", [["loading", "ready"]]]


def test_every_state_and_every_problem_has_its_words(page: Page) -> None:
    missing = call(
        page,
        "words.js",
        """const {STATES} = await import("/static/state.js");
        return STATES.filter((state) => !m.words.states[state]);""",
    )
    assert missing == []
    texts = call(
        page,
        "words.js",
        """const facts = {name: "Ada", take: 8, left: 3, wait: 2, message: "Because."};
        return [...Object.values(m.words.states), ...Object.values(m.words.problems)]
          .flatMap((text) => text(facts));""",
    )
    assert not [text for text in texts if "undefined" in text or "!" in text]
