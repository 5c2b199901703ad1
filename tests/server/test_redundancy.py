"""Redundant audio (RFC 2198): payloads, what it makes good, and how it is agreed on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from visavis.server.media.receive import MicrophoneStream
from visavis.server.media.redundancy import MAX_BLOCKS, split_red
from visavis.server.media.sdp import parse_offer, with_redundancy

RATE = 48_000
OPUS = 111


def pack_red(timestamp: int, blocks: list[tuple[int, bytes]], codec: int = OPUS) -> bytes:
    """RFC 2198, 3: four bytes of header for each older block, one for the last."""
    headers, data = b"", b""
    for number, (when, payload) in enumerate(blocks):
        if number < len(blocks) - 1:
            packed = (timestamp - when) << 10 | len(payload)
            headers += bytes([0x80 | codec]) + packed.to_bytes(3, "big")
        else:
            headers += bytes([codec])
        data += payload
    return headers + data


@settings(deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=MAX_BLOCKS),
    st.integers(0, 2**32 - 1),
)
def test_what_is_packed_is_unpacked(payloads: list[bytes], timestamp: int) -> None:
    blocks = [(timestamp - 480 * (len(payloads) - 1 - n), p) for n, p in enumerate(payloads)]
    red = pack_red(timestamp, blocks)
    out = split_red(red, timestamp, payload_type=OPUS)
    assert [b.payload for b in out] == payloads
    assert [b.timestamp for b in out] == [when % 2**32 for when, _ in blocks]
    assert [b.age for b in out] == list(range(len(payloads)))[::-1]
    assert split_red(red, timestamp, payload_type=0) == []


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_damaged_payloads_are_nothing_and_no_error(payload: bytes) -> None:
    blocks = split_red(payload, 0, payload_type=OPUS)
    assert sum(len(b.payload) for b in blocks) <= len(payload)


class Pcm:
    def decode(self, payload: bytes) -> NDArray[np.float32]:
        return np.frombuffer(payload, np.float32)


def play(lost: set[int], *, redundancy: int, seconds: float = 6.0) -> MicrophoneStream:
    """Speech-like noise in packets of 10 ms, some lost; each brings ``redundancy`` older ones."""
    rng = np.random.default_rng(7)
    pcm = rng.normal(0, 0.1, int(seconds * RATE)).astype(np.float32).reshape(-1, 480)
    stream = MicrophoneStream(Pcm())
    number, shift = 0, 0.0
    heard = []
    for step in range(int(seconds * 50) - 5):
        due = shift + 0.02 * (step + 1)
        while (number + 1) * 0.01 + 0.002 <= due:
            now = (number + 1) * 0.01 + 0.002
            if number not in lost:
                for age in range(redundancy, -1, -1):
                    n = number - age
                    if n >= 0:
                        stream.add(n, n * 480, pcm[n].tobytes(), now=now, redundant=age > 0)
            number += 1
        heard.append(stream.pull(due))
        shift += stream.shift_seconds
    played = np.concatenate(heard)
    # The last two seconds, sample for sample.
    tail = pcm[-300].tobytes()
    stream.tail_intact = tail in played.tobytes()  # type: ignore[attr-defined]
    return stream


@pytest.mark.parametrize("share", [0.02, 0.05, 0.10])
def test_lost_packets_come_back_with_the_next(share: float) -> None:
    rng = np.random.default_rng(3)
    draws = rng.random(600)
    alone = {n for n in range(50, 590) if draws[n] < share and draws[n - 1] >= share}
    plain = play(alone, redundancy=0)
    doubled = play(alone, redundancy=1)
    assert plain.recovered == 0
    assert plain.concealed_samples > 350 * len(alone)
    # The first few teach the buffer to wait for the next packet.
    assert doubled.recovered >= len(alone) - 8
    assert doubled.concealed_samples < 0.5 * plain.concealed_samples
    assert doubled.depth_seconds < plain.depth_seconds + 0.020


def test_redundancy_without_loss_changes_nothing() -> None:
    plain, doubled = play(set(), redundancy=0), play(set(), redundancy=1)
    assert doubled.recovered == 0 and doubled.concealed_samples == 0
    assert doubled.depth_seconds == pytest.approx(plain.depth_seconds, abs=0.001)
    assert doubled.tail_intact  # type: ignore[attr-defined]


OFFER = (Path(__file__).parent / "offers" / "chromium_microphone.sdp").read_text()


def test_chromiums_offer_has_it_and_the_answer_asks_for_it() -> None:
    offer = parse_offer(OFFER)
    assert offer.red == {111: 63}
    answer = (
        "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\n"
        "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n"
    )
    edited = with_redundancy(answer, offer.red)
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 63 111\r\n" in edited
    assert "a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:111 opus" in edited
    assert "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" in edited
    assert with_redundancy(answer, {}) == answer


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a=fmtp:63 111/111", "a=fmtp:63 111/0"),
        ("a=rtpmap:63 red/48000/2", "a=rtpmap:63 red/8000"),
        ("a=fmtp:63 111/111", "a=ptime:20"),
    ],
)
def test_another_kind_of_redundancy_is_not_agreed_on(old: str, new: str) -> None:
    assert old in OFFER
    assert parse_offer(OFFER.replace(old, new)).red == {}
