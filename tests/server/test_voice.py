"""The voice's line: delay, stalls, and that lips and voice see the same sound at the same time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.server.media.receive import MicrophoneStream
from visavis.server.media.voice import LATEST, LEAD, VoiceLine

RATE = 48_000
LOOKAHEAD_MS = 100
BUDGET_MS = 20


class Pcm:
    def decode(self, payload: bytes) -> NDArray[np.float32]:
        return np.frombuffer(payload, np.float32)


def noise(seconds: float) -> NDArray[np.float32]:
    return np.random.default_rng(2).normal(0, 0.1, int(seconds * RATE)).astype(np.float32)


class Run:
    """A session's pump with the clock in hand: what was said when, and what left when."""

    def __init__(self, pcm: NDArray[np.float32], *, lookahead_ms: int = LOOKAHEAD_MS) -> None:
        self.pcm = pcm
        self.microphone = MicrophoneStream(Pcm())
        self.line = VoiceLine(
            self.microphone, origin=0.0, lookahead_ms=lookahead_ms, budget_ms=BUDGET_MS
        )
        self.now = 0.0
        self.next_packet = 0
        self.sent: list[tuple[float, int, NDArray[np.float32]]] = []
        self.pushed: list[NDArray[np.float32]] = []

    def deliver(self) -> None:
        """Hand over every packet that has come by now."""
        while (self.next_packet + 1) * 480 / RATE + 0.001 <= self.now:
            n = self.next_packet
            part = self.pcm[n * 480 : (n + 1) * 480]
            if len(part) < 480:
                return
            self.microphone.add(n & 0xFFFF, n * 480, part.tobytes(), now=self.now)
            self.next_packet += 1

    def run(self, seconds: float) -> None:
        """In steps of a millisecond."""
        end = self.now + seconds
        while self.now < end:
            self.now += 0.001
            self.deliver()
            self.work()

    def stall(self, seconds: float) -> None:
        """Nothing runs; afterwards the sockets are read before the pump wakes."""
        self.now += seconds
        self.deliver()
        self.work()

    def work(self) -> None:
        if self.line.next_due > self.now:
            return
        pushed = self.line.pull(self.now)
        if len(pushed):
            self.pushed.append(pushed)
        self.sent += [(self.now, step.pts, step.pcm) for step in self.line.send(self.now)]

    def delays(self, first: int) -> list[float]:
        """For sent steps from ``first`` on: seconds from a sample's being said to its leaving."""
        out = []
        for at, _, pcm in self.sent[first:]:
            starts = np.flatnonzero(self.pcm == pcm[100])
            said = [s for s in starts if np.array_equal(self.pcm[s : s + 200], pcm[100:300])]
            if said:
                out.append(at - said[0] / RATE)
        return out


def test_the_delay_is_look_ahead_budget_less_the_head_start_and_little_else() -> None:
    run = Run(noise(4.0))
    run.run(3.5)
    delays = run.delays(50)
    assert len(delays) > 100
    # A packet of 10 ms, a margin of 6, and a 300th of a step for the filter; never two packets.
    least = (LOOKAHEAD_MS + BUDGET_MS) / 1000 - LEAD
    assert least < np.median(delays) < least + 0.025
    assert max(delays) - min(delays) < 0.005


def test_the_delay_is_the_same_after_a_stall_of_300_ms() -> None:
    run = Run(noise(7.0))
    run.run(2.0)
    before = np.median(run.delays(60))
    count = len(run.sent)
    pushed = sum(map(len, run.pushed))
    run.stall(0.3)
    assert len(run.sent) - count <= 1 + LATEST / 0.02  # skipped, not a burst
    assert run.line.skipped_steps >= 10
    # The engine's timeline goes on without a hole: all of it was pushed.
    assert sum(map(len, run.pushed)) - pushed == pytest.approx(0.3 * 16_000, abs=320)
    run.run(2.0)
    after = run.delays(len(run.sent) - 50)
    assert len(after) >= 45
    assert np.median(after) == pytest.approx(before, abs=0.004)
    pts = [p for _, p, _ in run.sent]
    assert pts == sorted(set(pts))


def test_pts_are_steps_of_20_ms_and_leave_on_time() -> None:
    run = Run(noise(2.0))
    run.run(1.5)
    for at, pts, pcm in run.sent:
        assert pts % 960 == 0 and len(pcm) == 960
        due = run.line.due(pts / 960) - LEAD
        assert at == pytest.approx(due, abs=0.022)  # moved once, at the start
    gaps = np.diff([at for at, _, _ in run.sent[20:]])
    assert abs(gaps - 0.02).max() < 0.0021


def test_engine_and_voice_share_one_timeline() -> None:
    """Sample i at 16 kHz is sample 3 i of the voice: the filter's delay is made good."""
    run = Run(noise(3.0))
    run.run(2.5)
    engine = np.concatenate(run.pushed)
    voice = np.zeros(int(2.6 * RATE), np.float32)
    for _, pts, pcm in run.sent:
        voice[pts : pts + 960] = pcm
    low = np.convolve(voice, np.ones(9) / 9, "same")[::3]
    window = slice(16_000, 32_000)
    scores = [
        float(np.dot(engine[window], low[window.start + lag : window.stop + lag]))
        for lag in range(-20, 21)
    ]
    assert int(np.argmax(scores)) - 20 == 0


def test_the_engine_gets_all_a_frame_needs_before_it_is_due() -> None:
    run = Run(noise(2.0))
    samples = 0
    for _ in range(1500):
        run.now += 0.001
        run.deliver()
        run.work()
        samples = sum(map(len, run.pushed))
        # BUDGET_MS before the frame is due at the latest; checked with what is there then.
        tick = math.floor((run.now - run.line.due(0)) / 0.04)
        if tick >= 0:
            assert samples >= tick * 640 + LOOKAHEAD_MS * 16


def test_clear_silences_what_waits_and_time_goes_on() -> None:
    run = Run(noise(3.0))
    run.run(1.5)
    count = len(run.sent)
    run.line.clear()
    run.run(0.5)
    later = run.sent[count:]
    waiting = int(LOOKAHEAD_MS + BUDGET_MS - 1000 * LEAD - 20) // 20
    assert later[0][2][:100].any()  # faded, not clicked
    assert all(not pcm[240:].any() for _, _, pcm in later[:waiting])
    assert all(pcm.any() for _, _, pcm in later[waiting + 1 :])
    assert np.diff([pts for _, pts, _ in run.sent]).tolist() == [960] * (len(run.sent) - 1)


def test_delaying_the_voice_moves_its_leaving_and_not_its_pts() -> None:
    run = Run(noise(3.0))
    run.run(1.5)
    before = np.median(run.delays(30))
    run.line.delay_more(0.015)
    run.run(1.0)
    assert np.median(run.delays(len(run.sent) - 40)) == pytest.approx(before + 0.015, abs=0.003)
    assert np.diff([pts for _, pts, _ in run.sent]).tolist() == [960] * (len(run.sent) - 1)


@pytest.mark.parametrize("lookahead_ms", [40, 60, 100, 200])
def test_the_head_start_never_asks_for_sound_that_has_not_come(lookahead_ms: int) -> None:
    run = Run(noise(3.0), lookahead_ms=lookahead_ms)
    run.run(1.0)
    run.line.delay_more(-0.010)  # as small as the budget becomes
    run.run(1.5)
    assert run.line.skipped_steps == 0
    assert np.diff([pts for _, pts, _ in run.sent]).tolist() == [960] * (len(run.sent) - 1)


def test_after_a_clear_nothing_of_what_was_said_comes_later() -> None:
    """What the line lags behind the microphone once came out 90 ms after a barge-in, a click."""

    class Cleared:
        shift_seconds = 0.0
        loud = True

        def pull(self, due: float) -> NDArray[np.float32]:
            return np.full(960, 0.5 if self.loud else 0.0, np.float32)

    source = Cleared()
    line = VoiceLine(source, origin=0.0, lookahead_ms=LOOKAHEAD_MS, budget_ms=BUDGET_MS)
    sent: list[NDArray[np.float32]] = []
    for tick in range(60):
        if tick == 30:
            line.clear()
            source.loud = False
            sent.clear()
        line.pull(tick * 0.02)
        sent += [step.pcm for step in line.send(tick * 0.02)]
    assert not np.concatenate(sent)[240:].any()
