from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.server.media.jitter import Gap, JitterBuffer, RtpPayload


def fill(buffer: JitterBuffer, numbers: list[int], *, first: int = 0, samples: int = 960) -> None:
    for number in numbers:
        sequence = (first + number) & 0xFFFF
        timestamp = (4_294_960_000 + number * samples) & 0xFFFFFFFF
        buffer.add(sequence, timestamp, bytes([number & 0xFF]))


def drain(buffer: JitterBuffer, *, samples: int = 960) -> list[int | Gap]:
    out: list[int | Gap] = []
    while (piece := buffer.pop()) is not None:
        if isinstance(piece, RtpPayload):
            buffer.played(piece, samples)
            out.append(piece.payload[0])
        else:
            out.append(piece)
    return out


@given(st.permutations(range(8)), st.sampled_from([0, 65_532, 40_000]))
def test_any_order_within_the_window_plays_in_sequence(order: list[int], first: int) -> None:
    buffer = JitterBuffer()
    fill(buffer, order, first=first)
    assert drain(buffer) == list(range(8))


@settings(max_examples=40)
@given(st.data())
def test_playing_meanwhile_changes_nothing_as_long_as_each_comes_in_time(
    data: st.DataObject,
) -> None:
    """Packets are displaced by at most three; playout lags by four."""
    keys = [(n + data.draw(st.integers(0, 3)), n) for n in range(40)]
    order = [n for _, n in sorted(keys)]
    buffer = JitterBuffer()
    played: list[int | Gap] = []
    for arrived, number in enumerate(order):
        fill(buffer, [number], first=65_520)
        if arrived >= 4:
            piece = buffer.pop()
            assert isinstance(piece, RtpPayload)
            buffer.played(piece, 960)
            played.append(piece.payload[0])
    assert played + drain(buffer) == list(range(40))
    assert buffer.lost == buffer.late == 0


def test_duplicates_and_what_comes_after_its_time_are_refused() -> None:
    buffer = JitterBuffer()
    fill(buffer, [0, 1, 1, 2])
    assert buffer.duplicates == 1
    assert drain(buffer) == [0, 1, 2]
    fill(buffer, [1])
    assert buffer.late == 1
    assert drain(buffer) == []


def test_a_hole_is_a_gap_as_long_as_what_is_missing() -> None:
    buffer = JitterBuffer()
    fill(buffer, [0, 1, 4])
    assert drain(buffer) == [0, 1, Gap(samples=2 * 960, lost=2), 4]
    assert buffer.lost == 2


def test_a_gap_is_shorter_by_what_the_caller_made_up_already() -> None:
    buffer = JitterBuffer()
    fill(buffer, [0])
    drain(buffer)
    assert buffer.pop(filled=500) is None
    fill(buffer, [2])
    assert buffer.pop(filled=500) == Gap(samples=460, lost=1)
    assert buffer.absorbed == 500


def test_silence_on_purpose_is_no_loss() -> None:
    """DTX: the sequence goes on, the timestamp jumps."""
    buffer = JitterBuffer()
    buffer.add(7, 0, b"a")
    buffer.add(8, 960 + 4800, b"b")
    first = buffer.pop()
    assert isinstance(first, RtpPayload)
    buffer.played(first, 960)
    assert buffer.pop() == Gap(samples=4800, lost=0)


@pytest.mark.parametrize("jump", [480_000_000, -480_000])
def test_a_sender_that_began_again_is_played_at_once(jump: int) -> None:
    buffer = JitterBuffer()
    buffer.add(100, 1_000_000_000, b"a")
    piece = buffer.pop()
    assert isinstance(piece, RtpPayload)
    buffer.played(piece, 960)
    buffer.add(101, (1_000_000_000 + jump) & 0xFFFFFFFF, b"b")
    piece = buffer.pop()
    assert isinstance(piece, RtpPayload) and piece.payload == b"b"
    buffer.played(piece, 960)
    buffer.add(30_000, 5, b"c")
    piece = buffer.pop()
    assert isinstance(piece, RtpPayload) and piece.payload == b"c"


def test_packets_of_10_and_20_ms_may_alternate() -> None:
    buffer = JitterBuffer()
    timestamp = 0
    for sequence, samples in enumerate(itertools.islice(itertools.cycle([480, 960]), 10)):
        buffer.add(sequence, timestamp, bytes([samples // 480]))
        timestamp += samples
    for _ in range(10):
        piece = buffer.pop()
        assert isinstance(piece, RtpPayload)
        buffer.played(piece, piece.payload[0] * 480)
    assert buffer.pop() is None


def test_it_never_holds_more_than_its_capacity() -> None:
    buffer = JitterBuffer(capacity=10)
    fill(buffer, list(range(50)))
    assert len(buffer) == 10
    assert buffer.overflowed == 40
    assert drain(buffer) == list(range(40, 50))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, 2**32 - 1)), max_size=100))
def test_no_stream_of_numbers_upsets_it(packets: list[tuple[int, int]]) -> None:
    buffer = JitterBuffer(capacity=16)
    for sequence, timestamp in packets:
        buffer.add(sequence, timestamp, b"x")
        piece = buffer.pop()
        if isinstance(piece, RtpPayload):
            buffer.played(piece, 960)
        elif piece is not None:
            assert 0 < piece.samples <= 48_000
        assert len(buffer) <= 16
