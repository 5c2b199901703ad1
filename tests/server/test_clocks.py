"""Foreign clocks, jumps and stalls, in simulated time: the delay stays where it started."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.server.media.depth import CHUNK
from visavis.server.media.receive import MicrophoneStream

RATE = 48_000
PACKET = 960


def vowel(samples: int) -> NDArray[np.float32]:
    t = np.arange(samples) / RATE
    return (0.2 * sum(np.sin(2 * np.pi * 125 * h * t + h) / h for h in range(1, 9))).astype(
        np.float32
    )


class Talk:
    """A decoder whose payload says which sound it is: speech or the quiet of a room."""

    def __init__(self) -> None:
        self._speech = vowel(PACKET)  # whole periods of 125 Hz: pieces fit together
        self._room = np.random.default_rng(0).normal(0, 1e-4, PACKET).astype(np.float32)

    def decode(self, payload: bytes) -> NDArray[np.float32]:
        return self._room if payload == b"q" else self._speech


@dataclass
class Delays:
    """By step: when it was due, how long packets waited for it, and what was done to the sound."""

    at: list[float] = field(default_factory=list)
    depth: list[float] = field(default_factory=list)
    concealed: list[int] = field(default_factory=list)

    def mean(self, begin: float, end: float) -> float:
        return float(
            np.mean([d for t, d in zip(self.at, self.depth, strict=True) if begin <= t < end])
        )


class Call:
    """A microphone with a clock of its own, a network, and steps that follow.

    Args:
        ppm: how much faster than ours the microphone's clock is.
        pauses: whether the talk has a pause of 0.8 s in every 4 s.
        delay: the network's, by the time of sending.
    """

    def __init__(self, *, ppm: float = 0.0, pauses: bool = True, seed: int = 0) -> None:
        self.stream = MicrophoneStream(Talk())
        self.outcome = Delays()
        self.rng = np.random.default_rng(seed)
        self.ppm = ppm
        self.pauses = pauses
        self.extra = 0.0  # the network's delay beyond 2 ms and its jitter
        self.jump = 0  # added to the timestamps
        self._sent = 0
        self._arrival = 0.0
        self._shift = 0.0
        self._step = 0

    def _deliver(self, until: float, *, at: float | None = None) -> None:
        """All packets that have come by then; ``at`` is when they are read."""
        while True:
            said = (self._sent + 1) * PACKET / RATE / (1 + self.ppm * 1e-6)
            if said + self.extra + 0.002 > until:
                return
            when = said + self.extra + 0.002 + abs(float(self.rng.normal(0, 0.001)))
            self._arrival = max(self._arrival, when)
            quiet = self.pauses and said % 4 > 3.2
            timestamp = (self._sent * PACKET + self.jump) & 0xFFFFFFFF
            self.stream.add(
                self._sent & 0xFFFF,
                timestamp,
                b"q" if quiet else b"s",
                now=self._arrival if at is None else at,
            )
            self._sent += 1

    def run(self, end: float) -> None:
        while (due := self._shift + 0.02 * (self._step + 1)) < end:
            self._deliver(due)
            self._pull(due)

    def _pull(self, due: float) -> None:
        assert self.stream.pull(due).shape == (CHUNK,)
        self._shift += self.stream.shift_seconds
        self._step += 1
        self.outcome.at.append(due)
        self.outcome.depth.append(self.stream.depth_seconds)
        self.outcome.concealed.append(self.stream.concealed_samples)

    def stall(self, seconds: float, *, read: float) -> None:
        """Nothing runs; then ``read`` seconds of what came are read, steps are made up, and only
        then the rest is read."""
        begin = self._shift + 0.02 * (self._step + 1)
        end = begin + seconds
        self.stream.stalled(end + 0.02)
        self._deliver(begin + read, at=end)
        while self._shift + 0.02 * (self._step + 1) <= end:
            self._pull(self._shift + 0.02 * (self._step + 1))
        self._deliver(end, at=end + 0.005)


def follow(ppm: int, minutes: int) -> None:
    """Let a microphone whose clock is off by so much talk; nothing is heard of it."""
    call = Call(ppm=ppm)
    call.run(60.0 * minutes)
    stream, outcome = call.stream, call.outcome
    assert stream.drift_ppm == pytest.approx(ppm, abs=10)
    assert stream.concealed_samples == 0
    assert stream.cuts <= 1  # the one that found the depth at the start
    depths = [outcome.mean(60.0 * m, 60.0 * (m + 1)) * 1000 for m in range(1, minutes)]
    slope, _ = np.polyfit(np.arange(len(depths)), depths, 1)
    assert abs(slope) < 0.01  # milliseconds a minute; the aim is 1
    assert max(outcome.depth[100:]) < 0.020
    # Not by leaving sound out: the steps followed.
    assert stream.skipped_samples <= 2 * CHUNK
    assert call._shift == pytest.approx(-60 * minutes * ppm * 1e-6, abs=0.03)


@pytest.mark.parametrize("ppm", [-200, 200])
def test_ten_minutes_of_a_foreign_clock(ppm: int) -> None:
    follow(ppm, 10)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("ppm", [-200, 200])
def test_an_hour_of_a_foreign_clock(ppm: int) -> None:
    follow(ppm, 60)


@pytest.mark.parametrize("ppm", [-900, 900])
def test_a_clock_that_is_off_by_more_than_we_follow_is_still_bounded(ppm: int) -> None:
    call = Call(ppm=ppm)
    call.run(200.0)
    assert max(call.outcome.depth[100:]) < 0.060
    assert call.stream.cuts <= 1
    if ppm > 0:
        assert call.stream.skips > 3  # in pauses, or a period of speech


@pytest.mark.parametrize("pauses", [True, False])
@pytest.mark.parametrize("jump", [0.3, -0.3])
def test_a_route_that_becomes_slower_or_faster_by_300_ms(jump: float, pauses: bool) -> None:
    call = Call(pauses=pauses)
    call.extra = max(0.0, -jump)
    call.run(20.0)
    before = call.outcome.mean(18.0, 20.0)
    call.extra = max(0.0, jump)
    call.run(35.0)
    assert call.outcome.mean(25.0, 35.0) < before + 0.010
    assert call.stream.cuts <= (1 if jump > 0 else 3)


@pytest.mark.parametrize("jump", [0.3, 5.0, -5.0])
def test_a_microphone_whose_timestamps_jump(jump: float) -> None:
    call = Call()
    call.run(20.0)
    before = call.outcome.mean(18.0, 20.0)
    call.jump = int(jump * RATE)
    call.run(35.0)
    assert call.outcome.mean(25.0, 35.0) < before + 0.010


@pytest.mark.parametrize("pauses", [True, False])
@pytest.mark.parametrize("read", [0.0, 0.1, 0.2, 0.3])
def test_a_stall_of_ours_of_300_ms_is_forgotten_within_five_seconds(
    read: float, pauses: bool
) -> None:
    call = Call(pauses=pauses)
    call.run(20.0)
    before = call.outcome.mean(18.0, 20.0)
    call.stall(0.3, read=read)
    call.run(40.0)
    assert call.outcome.mean(25.3, 40.0) < before + 0.005
    assert call.stream.target_seconds < 0.020


def test_ten_stalls_in_a_row_leave_no_trace() -> None:
    call = Call()
    call.run(20.0)
    before = call.outcome.mean(18.0, 20.0)
    for number in range(10):
        call.stall(0.2, read=0.1)
        call.run(22.0 + number)
    call.run(45.0)
    assert call.outcome.mean(36.0, 45.0) < before + 0.005
