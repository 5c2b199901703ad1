"""The figures of what came, by streams whose truth is known; and the toys that must not pass."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.benchmarks.sessions.arrivals import (
    Packets,
    Reports,
    complete_frames,
    figures,
    unwrapped,
)

PER_FRAME = 3


def stream(
    ticks: Iterable[int],
    *,
    lost: frozenset[int] = frozenset(),
    late_s: float = 0.0,
    first_sequence: int = 65_500,
    first_timestamp: int = (1 << 32) - 10_000,
) -> Packets:
    """Frames of three packets at their ticks, every seventh late; `lost` counts packets."""
    packets, number = Packets(), 0
    for tick in ticks:
        for part in range(PER_FRAME):
            at = 100 + 0.040 * tick + 0.001 * part + (late_s if tick % 7 == 0 else 0.0)
            if number not in lost:
                packets.add(
                    at,
                    (first_sequence + number) % (1 << 16),
                    (first_timestamp + 3600 * tick) % (1 << 32),
                    part == PER_FRAME - 1,
                    1000,
                )
            number += 1
    return packets


def voice_stream(seconds: float, *, ahead_s: float = 0.060) -> Packets:
    packets = Packets()
    for step in range(round(seconds * 50)):
        packets.add(100 + 0.020 * step - ahead_s, step, 960 * step, False, 120)
    return packets


def seen(face: Packets, seconds: float = 10.0) -> dict[str, object]:
    shown, said = Reports(), Reports()
    shown.add(1 << 40, (1 << 32) - 10_000)
    said.add(1 << 40, 0)
    return figures(face, voice_stream(seconds), shown, said, 100.0, 100.0 + seconds)


def test_a_whole_stream_is_whole_across_both_wraps() -> None:
    found = seen(stream(range(250)))
    assert found["fps"] == pytest.approx(25.0)
    assert found["skipped"] == pytest.approx(0.0)
    assert found["late_ms"] == pytest.approx({"p50": 0, "p95": 0, "max": 0}, abs=1e-6)
    assert found["voice_per_s"] == pytest.approx(50.0, abs=0.5)


def test_a_picture_comes_so_long_after_its_voice() -> None:
    apart = seen(stream(range(250)))["picture_after_voice_ms"]
    assert apart == pytest.approx({"p50": 62, "p95": 62}, abs=0.1)  # the head start, and 2 ms


def test_a_frame_that_lacks_a_packet_does_not_count() -> None:
    """The toy: a counter of markers, to which a frame is its last packet."""
    middle, last = 3 * 40 + 1, 3 * 80 + 2
    timestamps, _ = complete_frames(stream(range(100), lost=frozenset({middle, last})))
    # Where a last packet is missing, nobody knows where the next frame begins.
    assert len(timestamps) == 100 - 1 - 2
    first = seen(stream(range(250), lost=frozenset({middle})))
    assert first["skipped"] == pytest.approx(1 / 250)


def test_packets_that_change_places_or_come_twice_change_nothing() -> None:
    straight, mixed = stream(range(60)), Packets()
    order = np.random.default_rng(3).permutation(PER_FRAME)
    for frame in range(60):
        for part in [*order, 0]:
            n = frame * PER_FRAME + int(part)
            mixed.add(
                straight.at[n], straight.sequence[n], straight.timestamp[n], straight.marker[n], 1
            )
    for ours, wanted in zip(complete_frames(mixed), complete_frames(straight), strict=True):
        assert np.array_equal(ours, wanted)


def test_every_second_frame_is_half_the_frames() -> None:
    """The toy: 12.5 frames a second, each in time and complete."""
    found = seen(stream(range(0, 250, 2)))
    assert found["fps"] == pytest.approx(12.5)
    assert found["skipped"] == pytest.approx(0.5, abs=0.01)


def test_a_stream_that_stops_has_missed_the_rest() -> None:
    """The toy: five good seconds, then nothing; its own timeline has no gap."""
    found = seen(stream(range(125)))
    assert found["fps"] == pytest.approx(12.5)
    assert found["skipped"] == pytest.approx(0.5, abs=0.01)
    assert found["longest_wait_ms"] == pytest.approx(5040, abs=5)


def test_late_frames_are_late() -> None:
    """The toy: 25 frames a second of which every seventh comes 80 ms late."""
    found = seen(stream(range(250), late_s=0.080))
    assert found["fps"] == pytest.approx(25.0, abs=0.3)
    late = found["late_ms"]
    assert isinstance(late, dict) and late["p50"] == pytest.approx(0, abs=0.5)
    assert late["p95"] == pytest.approx(80, abs=1)


def test_a_delay_that_grows_is_late_at_the_end() -> None:
    """The toy: every frame comes, each a little later than the one before."""
    packets = stream(range(250))
    packets.at = [at + 0.1 * (at - 100) / 10 for at in packets.at]
    late = seen(packets)["late_ms"]
    assert isinstance(late, dict) and late["p95"] > 80


def test_nothing_at_all() -> None:
    found = figures(Packets(), Packets(), Reports(), Reports(), 0.0, 10.0)
    assert found["fps"] == 0 and found["skipped"] == 1 and found["late_ms"] is None
    assert found["voice_per_s"] == 0 and found["longest_wait_ms"] == 10_000


@given(st.lists(st.integers(-30_000, 30_000), max_size=40), st.integers(0, (1 << 16) - 1))
def test_unwrapping_gives_back_what_was_wrapped(steps: list[int], first: int) -> None:
    truth = np.cumsum([first, *steps])
    ours = unwrapped([int(value) % (1 << 16) for value in truth], 16)
    assert np.array_equal(np.diff(ours), np.diff(truth))
