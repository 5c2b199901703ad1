"""Offers of real browsers, and offers nobody should send."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiortc import sdp
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.server.errors import OfferError
from visavis.server.media.playout import PLAYOUT_DELAY_URI, PlayoutDelayMap, pack_playout_delay
from visavis.server.media.sdp import (
    MAX_CANDIDATES,
    choose_video,
    parse_fragment,
    parse_offer,
    with_short_packets,
)

OFFERS = Path(__file__).parent / "offers"


def offer(name: str = "chromium_microphone") -> str:
    return (OFFERS / f"{name}.sdp").read_bytes().decode()


def test_a_browser_with_a_microphone() -> None:
    read = parse_offer(offer())
    assert read.sends_audio and read.receives_audio
    assert "video/VP8" in read.video_codecs and "video/H264" in read.video_codecs
    assert read.video_extensions[PLAYOUT_DELAY_URI] == 5
    assert read.username == "7OoP"
    candidates = [line for line in read.text.splitlines() if line.startswith("a=candidate:")]
    assert len(candidates) == 2  # those over TCP are of no use


def test_a_viewer_without_one_hides_its_addresses_and_is_not_waited_for() -> None:
    """Looking .local names up would take a second of multicast."""
    text = offer("chromium_viewer")
    assert ".local" in text
    read = parse_offer(text)
    assert not read.sends_audio and read.receives_audio
    assert ".local" not in read.text and "a=candidate:" not in read.text


def edited(old: str, new: str) -> str:
    text = offer()
    assert old in text
    return text.replace(old, new)


def without(prefix: str) -> str:
    return "\r\n".join(li for li in offer().splitlines() if not li.startswith(prefix)) + "\r\n"


REFUSED = {
    "no media": ("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", 422),
    "no video wanted": (edited("a=recvonly", "a=sendonly"), 422),
    "not bundled": (without("a=group:BUNDLE"), 422),
    "no rtcp-mux": (without("a=rtcp-mux"), 422),
    "no ice user": (without("a=ice-ufrag"), 422),
    "no fingerprint": (without("a=fingerprint"), 422),
    "no opus": (edited("opus/48000/2", "speex/48000/2"), 422),
    "a data channel": (
        offer() + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n",
        422,
    ),
    "not SDP": ("hello", 400),
    "empty": ("", 400),
    "a broken line": (edited("m=audio 58452", "m=audio x"), 400),
    "a thousand candidates": (
        offer() + "a=candidate:1 1 udp 1 192.0.2.2 5 typ host\r\n" * 1000,
        422,
    ),
    "no codec for the picture": (
        edited("VP8/90000", "VP9/90000").replace("H264/90000", "H265/90000"),
        422,
    ),
    "nothing wanted": (
        edited("a=recvonly", "a=inactive").replace("a=sendrecv", "a=inactive"),
        422,
    ),
    "the answer to an offer": (
        edited("a=sendrecv", "a=recvonly").replace("a=recvonly", "a=sendonly"),
        422,
    ),
    "bundled twice": (edited("a=group:BUNDLE 0 1", "a=group:BUNDLE 0 0"), 422),
    "bundles another section": (edited("a=group:BUNDLE 0 1", "a=group:BUNDLE 0 2"), 422),
    "two sections of one name": (edited("a=mid:1", "a=mid:0"), 422),
    "no names": (without("a=mid"), 422),
    "an endless ICE user": (edited("a=ice-ufrag:", "a=ice-ufrag:" + 300 * "x"), 422),
    "an endless ICE password": (edited("a=ice-pwd:", "a=ice-pwd:" + 300 * "x"), 422),
    "a payload type that is none": (edited("rtpmap:111 opus", "rtpmap:999 opus"), 400),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_cannot_be_answered_is_refused_with_a_sentence(case: str) -> None:
    text, status = REFUSED[case]
    with pytest.raises(OfferError) as caught:
        parse_offer(text)
    assert caught.value.status == status
    assert str(caught.value).endswith(".")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_mangled_offer_is_read_or_refused(data: st.DataObject) -> None:
    lines = offer().splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        change = data.draw(st.sampled_from(["drop", "double", "cut", "junk"]))
        if change == "drop":
            del lines[at]
        elif change == "double":
            lines.insert(at, lines[at])
        elif change == "cut":
            lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
        else:
            lines[at] += data.draw(st.text(max_size=20))
    try:
        parse_offer("\r\n".join(lines))
    except OfferError as error:
        assert error.status in (400, 422)


def test_fragments() -> None:
    text = (
        "a=ice-ufrag:7OoP\r\na=ice-pwd:x\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
        "a=candidate:1 1 udp 2122260223 192.0.2.9 61764 typ host\r\n"
        "a=candidate:2 1 udp 2122260223 abc.local 61765 typ host\r\n"
        "a=candidate:3 1 tcp 2122260223 192.0.2.9 9 typ host tcptype active\r\n"
        "a=candidate:broken\r\n"
        "a=end-of-candidates\r\n"
    )
    fragment = parse_fragment(text)
    assert fragment.username == "7OoP"
    assert [c.ip for c in fragment.candidates] == ["192.0.2.9"]
    assert fragment.complete


@pytest.mark.parametrize("text", ["", "\r\n", "hello", '{"candidate": 1}'])
def test_what_is_no_fragment_is_refused(text: str) -> None:
    with pytest.raises(OfferError) as caught:
        parse_fragment(text)
    assert caught.value.status == 400


def test_a_fragment_of_a_thousand_candidates_is_refused() -> None:
    line = "a=candidate:1 1 udp 2122260223 192.0.2.9 61764 typ host\r\n"
    with pytest.raises(OfferError, match="more than 64"):
        parse_fragment(line * (MAX_CANDIDATES + 1))


@pytest.mark.parametrize(
    ("place", "usable"),
    [
        ("192.0.2.9 61764", True),
        ("2001:db8::9 1", True),
        ("192.0.2.9 0", False),
        ("192.0.2.9 65536", False),
        ("192.0.2.9 -5", False),
        ("192.0.2.9 port", False),
        ("somewhere.example 61764", False),
        ("somewhere.local 61764", False),
        ("fe80::1%eth0 61764", False),
        ("0.0.0.0 61764", False),
        ("255.255.255.255 61764", False),
        ("224.0.0.251 5353", False),
        ("ff02::fb 5353", False),
    ],
)
def test_nothing_is_sent_to_what_is_no_machine(place: str, usable: bool) -> None:
    line = f"a=candidate:1 1 udp 2122260223 {place} typ host\r\n"
    only = without("a=candidate")
    assert ("a=candidate:" in parse_offer(only + line).text) is usable
    assert bool(parse_fragment(line).candidates) is usable


def test_vp8_by_default_and_h264_when_asked_or_alone() -> None:
    video = sdp.SessionDescription.parse(offer()).media[1].rtp.codecs
    assert [c.mimeType for c in choose_video(video, prefer_h264=False)] == [
        "video/VP8",
        "video/rtx",
    ]
    assert choose_video(video, prefer_h264=True)[0].mimeType == "video/H264"
    only = [c for c in video if c.mimeType != "video/VP8"]
    assert choose_video(only, prefer_h264=False)[0].mimeType == "video/H264"
    with pytest.raises(OfferError):
        choose_video([], prefer_h264=False)


def test_the_answer_asks_for_packets_of_10_ms() -> None:
    answer = with_short_packets("m=audio 9\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 x\r\n")
    assert "a=rtpmap:111 opus/48000/2\r\na=ptime:10\r\na=fmtp:111" in answer


def test_playout_delay_is_two_numbers_of_12_bits() -> None:
    assert pack_playout_delay(0, 200) == bytes([0, 0, 20])
    assert pack_playout_delay(40950, 40950) == b"\xff\xff\xff"


def test_playout_delay_stands_beside_the_extensions_aiortc_knows() -> None:
    from aiortc import rtp
    from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters

    extensions = PlayoutDelayMap()
    values = rtp.HeaderExtensions(mid="1")
    assert extensions.set(values) == (0, b"")
    extensions.configure(
        RTCRtpParameters(
            headerExtensions=[
                RTCRtpHeaderExtensionParameters(id=4, uri="urn:ietf:params:rtp-hdrext:sdes:mid"),
                RTCRtpHeaderExtensionParameters(id=5, uri=PLAYOUT_DELAY_URI),
            ]
        )
    )
    packed = rtp.unpack_header_extensions(*extensions.set(values))
    assert packed == [(4, b"1"), (5, bytes([0, 0, 20]))]
