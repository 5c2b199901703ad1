"""Binary messages and the hello: what is written is read, and everything else is refused."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.server.errors import RequestError
from visavis.server.ws.framing import HEADER_BYTES, Kind, Packet, parse
from visavis.server.ws.hello import MAX_TEXT_BYTES, parse_hello, parse_text

PACKETS = st.builds(
    Packet,
    kind=st.sampled_from(Kind),
    sequence=st.integers(0, 2**32 - 1),
    pts=st.integers(0, 2**64 - 1),
    payload=st.binary(max_size=200),
    key=st.booleans(),
    generation=st.integers(0, 255),
)


@given(PACKETS)
def test_what_is_packed_is_parsed(packet: Packet) -> None:
    assert parse(packet.pack()) == packet


def test_the_layout_is_the_documented_one() -> None:
    packet = Packet(Kind.FACE, 0x01020304, 0x05060708090A0B0C, b"vp8", key=True, generation=9)
    assert packet.pack() == bytes([1, 2, 1, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]) + b"vp8"


def test_counters_wrap() -> None:
    packet = parse(Packet(Kind.VOICE, 2**32 + 5, generation=256 + 7).pack())
    assert (packet.sequence, packet.generation) == (5, 7)


@given(st.binary(max_size=64))
def test_garbage_is_refused_with_a_sentence(data: bytes) -> None:
    try:
        packet = parse(data)
    except RequestError as error:
        assert str(error).endswith(".")
        return
    # What is accepted is exactly what its header says; unknown flags are ignored.
    assert data[0] == 1 and data[1] in set(Kind) and len(data) >= HEADER_BYTES
    assert packet.pack()[3:] == data[3:]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "at least 16 bytes, not 0"),
        (b"\x01" * 15, "at least 16 bytes, not 15"),
        (struct.pack("!BBBBIQ", 2, 1, 0, 0, 0, 0), "version 1 of the framing, not 2"),
        (struct.pack("!BBBBIQ", 1, 9, 0, 0, 0, 0), "no binary message of kind 9"),
    ],
)
def test_refusals_say_what_is_wrong(data: bytes, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        parse(data)


def hello(**changes: object) -> str:
    return json.dumps({"type": "hello", "version": 1, **changes})


def test_the_first_known_codec_is_taken() -> None:
    known = parse_hello(hello(voice=["aac", "pcm16", "opus"], face=["av1", "h264", "vp8"]))
    assert (known.voice, known.face, known.video_mime_type) == ("pcm16", "h264", "video/H264")
    usual = parse_hello(hello(person="ann", token="t", lookahead_ms=160))
    assert (usual.voice, usual.face, usual.microphone) == ("opus", "vp8", "opus")
    assert (usual.person, usual.token, usual.lookahead_ms) == ("ann", "t", 160)


@pytest.mark.parametrize(
    ("text", "status", "sentence"),
    [
        ("", 400, "must be JSON"),
        ("hello", 400, "must be JSON"),
        ("[" * 3000, 400, "must be JSON"),
        ("[]", 400, 'an object with a "type"'),
        ('{"type": 1}', 400, 'an object with a "type"'),
        ('{"type": "clear"}', 400, 'must be a "hello"'),
        (hello(version=2), 400, "version 1 of the protocol"),
        (hello(token=5), 400, '"token" must be a text'),
        (hello(person=["a"]), 400, '"person" must be a text'),
        (hello(lookahead_ms="40"), 400, "whole number"),
        (hello(lookahead_ms=True), 400, "whole number"),
        (hello(microphone=[1]), 400, '"microphone" must be an object'),
        (hello(microphone={"codec": "mp3"}), 422, "opus or pcm16"),
        (hello(microphone={"codec": {}}), 422, "opus or pcm16"),
        (hello(microphone={"codec": "pcm16", "rate": 44100}), 422, "16000, 24000 or 48000"),
        (hello(microphone={"codec": "pcm16", "rate": [1]}), 422, "16000, 24000 or 48000"),
        (hello(voice="opus"), 400, "a list of codecs"),
        (hello(voice=[]), 422, "None of the codecs"),
        (hello(face=["av1", {}]), 422, "vp8 or h264"),
        (" " * MAX_TEXT_BYTES + hello(), 413, "at most 4096"),
    ],
)
def test_a_hello_that_is_none_is_refused(text: str, status: int, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as refused:
        parse_hello(text)
    assert refused.value.status == status


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
FIELDS = ["token", "person", "microphone", "voice", "face", "lookahead_ms", "version", "type"]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_no_field_of_a_hello_breaks_anything(fields: dict[str, object]) -> None:
    text = json.dumps({"type": "hello", "version": 1, **fields})
    for read in (parse_text, parse_hello):
        try:
            read(text)
        except RequestError as error:
            assert str(error)
