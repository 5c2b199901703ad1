"""The microphone's stream under reordering, loss, bursts, jitter and a foreign clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from visavis.server.media.arrivals import MAX_TARGET, DriftEstimate, Lateness
from visavis.server.media.depth import CHUNK
from visavis.server.media.receive import MicrophoneStream

RATE = 48_000
SETTLED = RATE // 4


class Pcm:
    """A codec that carries the samples as they are."""

    def decode(self, payload: bytes) -> NDArray[np.float32]:
        return np.frombuffer(payload, np.float32)


@dataclass
class Sent:
    sequence: int
    timestamp: int
    payload: bytes


def packets(pcm: NDArray[np.float32], samples: int = 480, first: int = 65_500) -> list[Sent]:
    return [
        Sent((first + n) & 0xFFFF, (n * samples) & 0xFFFFFFFF, part.tobytes())
        for n, part in enumerate(pcm.reshape(-1, samples))
    ]


def noise(seconds: float, level: float = 0.1) -> NDArray[np.float32]:
    """Never silent, never the same twice: every sample can be found again."""
    return np.random.default_rng(5).normal(0, level, int(seconds * RATE)).astype(np.float32)


@dataclass
class Played:
    pcm: NDArray[np.float32]
    slack: list[float]
    shift: float
    skipped: list[int]  # samples so far, by step
    concealed: list[int]


def play(
    stream: MicrophoneStream,
    arrivals: list[tuple[float, Sent]],
    seconds: float,
    origin: float = 0.0,
) -> Played:
    """Run the clock: packets as they come, a pull every 20 ms, moved as the stream asks."""
    arrivals = sorted(arrivals, key=lambda a: a[0])
    out, slack, skipped, concealed = [], [], [], []
    shift, index, step = 0.0, 0, 0
    while (due := origin + shift + 0.02 * (step + 1)) < seconds:
        while index < len(arrivals) and arrivals[index][0] <= due:
            when, sent = arrivals[index]
            stream.add(sent.sequence, sent.timestamp, sent.payload, now=when)
            index += 1
        out.append(stream.pull(due))
        assert out[-1].shape == (CHUNK,) and out[-1].dtype == np.float32
        slack.append(stream.depth_seconds)
        skipped.append(stream.skipped_samples)
        concealed.append(stream.concealed_samples)
        shift += stream.shift_seconds
        step += 1
    return Played(np.concatenate(out), slack, shift, skipped, concealed)


def on_time(sent: list[Sent], samples: int = 480, delay: float = 0.002) -> list[tuple[float, Sent]]:
    return [((n + 1) * samples / RATE + delay, s) for n, s in enumerate(sent)]


def find(needle: NDArray[np.float32], hay: NDArray[np.float32]) -> int:
    """Where ``needle`` begins in ``hay``, exactly; -1 when it is not there."""
    starts = np.flatnonzero(hay[: len(hay) - len(needle)] == needle[0])
    for start in starts:
        if np.array_equal(hay[start : start + len(needle)], needle):
            return int(start)
    return -1


@pytest.mark.parametrize("samples", [480, 960])
def test_what_comes_in_order_is_played_as_it_is(samples: int) -> None:
    pcm = noise(2.0)
    stream = MicrophoneStream(Pcm())
    played = play(stream, on_time(packets(pcm, samples), samples), 1.9)
    # The first tenth of a second finds the depth; from then on every sample is there, in order.
    begin = find(pcm[SETTLED : SETTLED + 2000], played.pcm)
    assert begin >= 0
    rest = played.pcm[begin:]
    np.testing.assert_array_equal(rest, pcm[SETTLED : SETTLED + len(rest)])
    assert stream.concealed_samples == 0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=70, max_size=70))
def test_any_reordering_within_the_depth_gives_the_same_sound(lateness: list[int]) -> None:
    """Packets are late by up to 12 ms, so neighbours of 10 ms change places."""
    pcm = noise(1.8)
    # The network is like that from the beginning, so the depth allows for it.
    late = [3, 0, 1, 3, 0] * 22 + lateness
    arrivals = [
        (when + 0.004 * n, s) for (when, s), n in zip(on_time(packets(pcm)), late, strict=True)
    ]
    stream = MicrophoneStream(Pcm())
    played = play(stream, arrivals, 1.75)
    begin = find(pcm[SETTLED : SETTLED + 960], played.pcm)
    assert begin >= 0
    heard = played.pcm[begin:]
    assert len(heard) > 1.4 * RATE
    np.testing.assert_array_equal(heard, pcm[SETTLED : SETTLED + len(heard)])
    assert stream.lost == 0


def test_one_lost_packet_is_made_up_for_and_costs_no_delay() -> None:
    pcm = np.tile(np.sin(2 * np.pi * 200 * np.arange(9600) / RATE), 20).astype(np.float32) * 0.3
    sent = on_time(packets(pcm, 960), 960)
    stream = MicrophoneStream(Pcm())
    played = play(stream, [a for n, a in enumerate(sent) if n != 60], 3.9)
    assert stream.lost == 1
    assert stream.concealed_samples == pytest.approx(960, abs=1)
    start, end = 61 * 960, 62 * 960 + 2000
    assert np.abs(played.pcm[start:end]).max() < 0.35
    assert np.sqrt(np.mean(played.pcm[start:end] ** 2)) > 0.15
    # The packet after the hole stands exactly where it would have stood.
    assert max(played.slack[100:]) - min(played.slack[20:55]) < 0.004
    assert stream.skipped_samples == played.skipped[50]


@pytest.mark.parametrize("loss", [0.02, 0.10])
def test_loss_does_not_let_the_delay_grow(loss: float) -> None:
    rng = np.random.default_rng(3)
    pcm = noise(20.0)
    sent = [a for a in on_time(packets(pcm)) if rng.random() > loss]
    stream = MicrophoneStream(Pcm())
    played = play(stream, sent, 19.9)
    assert stream.lost == pytest.approx(len(pcm) // 480 * loss, rel=0.5)
    assert max(played.slack[-100:]) < 0.020


@pytest.mark.parametrize("ppm", [-300, -100, 100, 300])
def test_a_foreign_clock_is_followed_without_loss(ppm: int) -> None:
    seconds = 60.0
    pcm = noise(seconds)
    rate = 1 + ppm * 1e-6
    sent = [(when / rate, s) for when, s in on_time(packets(pcm))]
    stream = MicrophoneStream(Pcm())
    played = play(stream, sent, seconds - 0.5)
    assert stream.concealed_samples == 0
    assert stream.skipped_samples == played.skipped[50]
    assert played.shift == pytest.approx(-seconds * ppm * 1e-6, abs=0.022)
    assert max(played.slack[100:]) < 0.022


def test_a_burst_at_the_start_does_not_stay() -> None:
    """Half a second of sound comes at once when the connection opens."""
    pcm = noise(6.0)
    sent = on_time(packets(pcm))
    sent = [(max(when, 0.5), s) for when, s in sent]
    stream = MicrophoneStream(Pcm())
    played = play(stream, sent, 5.9)
    assert played.slack[-1] < 0.025
    # And it was gone within the first second.
    assert max(played.slack[75:]) < 0.030
    assert stream.skipped_samples == pytest.approx(0.48 * RATE, abs=0.05 * RATE)


def test_surplus_is_skipped_in_a_pause_of_speech() -> None:
    speech = noise(26.0)
    pause = slice(int(24.0 * RATE), int(24.4 * RATE))
    speech[pause] *= 0.02  # a quiet room, not digital silence
    sent = on_time(packets(speech))
    # After 1.5 s the network holds everything back by 60 ms for a moment.
    held = [(max(when, 1.56) if 1.5 < when < 1.56 else when, s) for when, s in sent]
    held = [(when + 0.06 if 1.0 < when < 1.5 else when, s) for when, s in held]
    stream = MicrophoneStream(Pcm())
    played = play(stream, held, 25.9)
    before = min(played.slack[1185:1195])
    after = max(played.slack[1230:])
    assert before > 0.035
    assert after < before - 0.015
    assert stream.skipped_samples > played.skipped[150]
    assert stream.cuts == 1  # the one that found the depth at the start


def test_more_than_120_ms_are_cut_at_once_even_in_speech() -> None:
    pcm = noise(8.0)
    sent = on_time(packets(pcm))
    sent = [(max(when, 4.3) if 4.0 < when < 4.3 else when, s) for when, s in sent]
    stream = MicrophoneStream(Pcm())
    played = play(stream, sent, 7.9)
    assert stream.cuts >= 1
    assert max(played.slack[230:]) < 0.13
    assert played.slack[-1] < 0.10


def test_jitter_deepens_the_buffer_until_nothing_is_late_and_no_further() -> None:
    rng = np.random.default_rng(9)
    pcm = noise(30.0)
    sent = [(when + rng.uniform(0, 0.030), s) for when, s in on_time(packets(pcm))]
    stream = MicrophoneStream(Pcm())
    early = play(stream, sent, 10.0)
    made_up = stream.concealed_samples
    assert 0.010 < np.mean(early.slack[-50:]) < 0.080
    assert made_up < 0.3 * RATE


def test_a_silent_microphone_is_silence_and_comes_back_at_once() -> None:
    stream = MicrophoneStream(Pcm())
    pcm = noise(1.0)
    sent = packets(pcm)
    late = [(when + 3.0, s) for when, s in on_time(sent)]
    played = play(stream, late, 3.9)
    assert not played.pcm[: int(2.9 * RATE)].any()
    begin = find(pcm[2000:4000], played.pcm) - 2000
    assert begin / RATE - 3.0 < 0.045
    assert stream.concealed_samples == 0


@pytest.mark.parametrize("samples", [1, 14, 100])
def test_after_a_last_packet_of_a_few_samples_sound_begins_as_soon_as_ever(samples: int) -> None:
    """Counted in packets of one sample, a step is never there: the stream stayed deaf."""

    def begin(last: int) -> int:
        word = packets(noise(0.3, level=0.3), 960, 0)
        later = [Sent(1 + p.sequence, RATE + p.timestamp, p.payload) for p in word]
        tail = Sent(0, 0, np.full(last, 0.1, np.float32).tobytes())
        arrivals = [(0.0, tail), *((1.0 + 0.02 * n, p) for n, p in enumerate(later))]
        heard = np.abs(play(MicrophoneStream(Pcm()), arrivals, 2.0).pcm) > 0.15
        return int(np.flatnonzero(heard)[0])

    assert begin(samples) <= begin(960) + 960


def test_a_pause_of_the_sender_costs_no_delay() -> None:
    """DTX: no packets for a second, the timestamps go on."""
    pcm = noise(4.0)
    sent = on_time(packets(pcm))
    kept = [
        (when, Sent((s.sequence - (100 if n >= 250 else 0)) & 0xFFFF, s.timestamp, s.payload))
        for n, (when, s) in enumerate(sent)
        if not 150 <= n < 250
    ]
    stream = MicrophoneStream(Pcm())
    played = play(stream, kept, 3.9)
    assert stream.lost == 0
    assert played.slack[-1] < played.slack[70] + 0.010


def test_a_packet_that_missed_its_step_is_waited_for_at_once_and_forgotten_slowly() -> None:
    late = Lateness()
    for n in range(500):
        late.arrived(n * 0.01, n * 480)
    assert late.target(5.0) == pytest.approx(0.0, abs=1e-6)
    late.missed(5.0, 0.050)
    assert late.target(5.0) == pytest.approx(0.050)
    assert 0.015 < late.target(8.0) < 0.025
    assert late.target(40.0) < 0.001


@pytest.mark.parametrize("samples", [480, 960])
def test_the_target_is_the_95th_percentile_of_lateness(samples: int) -> None:
    rng = np.random.default_rng(1)
    late = Lateness()
    draws = rng.gamma(2.0, 0.006, 3000)
    for n, draw in enumerate(draws):
        late.arrived(n * samples / RATE + draw, n * samples)
    truth = np.quantile(draws[-500:], 0.95) - draws[-500:].min()
    assert late.target(1e3) == pytest.approx(truth, rel=0.15)
    assert 0 <= late.target(1e3) <= MAX_TARGET


def test_a_stall_of_the_network_is_not_waited_for() -> None:
    """300 ms every ten seconds: no buffer of ours would help, so none is kept."""
    late = Lateness()
    for n in range(6000):
        when = n * 0.01
        stalled = when % 10 < 0.3
        late.arrived(when - when % 10 + 0.3 if stalled else when, n * 480)
    assert late.target(60.0) < 0.030


@pytest.mark.parametrize("ppm", [-200, -20, 0, 20, 200, 450])
def test_the_drift_is_estimated_through_jitter(ppm: int) -> None:
    rng = np.random.default_rng(4)
    drift = DriftEstimate()
    for n in range(12_000):
        sent = n * 0.01 / (1 + ppm * 1e-6)
        drift.arrived(sent + rng.exponential(0.004) + (0.03 if n > 6000 else 0.0), n * 480)
        if n == 1000:
            assert drift.ppm is None
    assert drift.ppm == pytest.approx(ppm, abs=15)
