"""The send rate over simulated links, with a real delay-based receiver behind them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.link import Controller, Link, Outcome
from visavis.server.media.feedback import ReportReader
from visavis.server.rate.controller import LEAST, MOST, RateController, Report
from visavis.server.rate.pacing import FREE_SECONDS, MOST_SECONDS, SPEED, BurstPacer
from visavis.server.rate.plan import SendPlan
from visavis.server.rate.sizes import SIZE_STEPS, SizeLadder, bitrate_for

USUAL = bitrate_for(512, 512)


def ours() -> RateController:
    return RateController(USUAL)


class IgnoresLoss:
    """A toy: always the same."""

    def sent(self, size: int, now: float) -> None: ...

    def remb(self, bits_per_second: int, now: float) -> None: ...

    def report(self, now: float, report: Report) -> None: ...

    def target(self, now: float) -> int:
        return USUAL


class HalvesAtAnyLoss(IgnoresLoss):
    """A toy: half at any loss, a twentieth more each second without."""

    def __init__(self) -> None:
        self._target = float(USUAL)

    def report(self, now: float, report: Report) -> None:
        self._target *= 0.5 if report.lost else 1.05
        self._target = max(LEAST, min(USUAL, self._target))

    def target(self, now: float) -> int:
        return int(self._target)


class ObeysEveryEstimate(IgnoresLoss):
    """A toy: sends what the last estimate said."""

    def __init__(self) -> None:
        self._target = USUAL

    def remb(self, bits_per_second: int, now: float) -> None:
        self._target = max(LEAST, min(USUAL, bits_per_second))

    def target(self, now: float) -> int:
        return self._target


CUT = (10.0, 20.0)


def survives_a_cut(make: Callable[[], Controller], *, estimates: bool, seed: int) -> Outcome:
    """300 kbit/s for ten seconds: under it soon, steadily, and back soon."""
    begin, end = CUT

    def capacity(now: float) -> float:
        return 300e3 if begin <= now < end else 5e6

    outcome = Link(capacity=capacity, estimates=estimates, seed=seed).run(make(), 32.0)
    # Reports alone come up to 1.5 s apart, and the first may be about the time before.
    converged = begin + (2.0 if estimates else 4.0)
    during = outcome.between(converged, end)
    assert max(during) < 1.1 * 300e3
    # The queue has drained, and stays so.
    assert max(outcome.between(converged + 2.5, end, "queue")) < 0.15
    # No swing: what is sent changes by little, and slowly.
    settled = outcome.between(converged + 2.0, end)
    assert max(settled) < 2.0 * min(settled)
    widths = outcome.between(begin, end, "width")
    assert widths[-1] == 256
    assert sum(a != b for a, b in zip(widths, widths[1:], strict=False)) <= 2
    assert outcome.between(end + 9.0, end + 10.0, "width")[-1] == 512
    assert outcome.between(end + 9.5, end + 10.0)[-1] > 0.7 * USUAL
    return outcome


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("estimates", [True, False])
def test_a_path_cut_to_300_kbit_s(estimates: bool, seed: int) -> None:
    survives_a_cut(ours, estimates=estimates, seed=seed)


def test_the_test_of_the_cut_is_not_passed_by_toys() -> None:
    for toy in (IgnoresLoss, HalvesAtAnyLoss):
        for estimates in (True, False):
            with pytest.raises(AssertionError):
                survives_a_cut(toy, estimates=estimates, seed=1)


def bears_random_loss(make: Callable[[], Controller], *, estimates: bool) -> None:
    outcome = Link(loss=lambda now: 0.05, estimates=estimates).run(make(), 20.0)
    assert min(outcome.target) > 0.8 * USUAL


@pytest.mark.parametrize("estimates", [True, False])
def test_five_percent_random_loss_is_no_reason_to_send_less(estimates: bool) -> None:
    bears_random_loss(ours, estimates=estimates)
    with pytest.raises(AssertionError):
        bears_random_loss(HalvesAtAnyLoss, estimates=estimates)


def bears_a_still_face(make: Callable[[], Controller]) -> None:
    """A picture that needs few bits teaches the receiver a low estimate."""

    def content(now: float) -> float:
        return 0.15 if now < 20.0 else 0.9

    outcome = Link(content=content).run(make(), 24.0)
    assert set(outcome.width) == {512}
    assert min(outcome.target) > 0.8 * USUAL


def test_a_still_face_is_not_taken_for_a_narrow_path() -> None:
    bears_a_still_face(ours)
    with pytest.raises(AssertionError):
        bears_a_still_face(ObeysEveryEstimate)


def test_a_machine_that_stalls_does_not_blur_a_still_face() -> None:
    """30 kbit/s are sent; three times the round trip says that something stood still."""
    plan, now = SendPlan(512, 512), 0.0
    for frame in range(25 * 30):
        now += 0.04
        plan.ask(now)
        plan.sent(150, now, key=False)
        if frame % 25 == 24:
            stalled = frame // 25 in (10, 15, 20)
            plan.remb(20_000 if stalled else 45_000, now)
            plan.report(Report(0.0, 0.4 if stalled else 0.02, 0.002, 30e3), now)
        assert plan.size == (512, 512)
    assert plan.target > 0.8 * USUAL


def test_jitter_is_not_taken_for_a_queue() -> None:
    outcome = Link(jitter=0.05, estimates=False).run(ours(), 20.0)
    assert min(outcome.target) > 0.8 * USUAL


@pytest.mark.parametrize("capacity", [300e3, 700e3])
def test_a_narrow_path_is_used_and_not_filled(capacity: float) -> None:
    outcome = Link(capacity=lambda now: capacity).run(ours(), 40.0)
    settled = outcome.between(8.0, 40.0)
    assert 0.75 * capacity < sum(settled) / len(settled) < capacity
    queues = sorted(outcome.between(8.0, 40.0, "queue"))
    assert queues[len(queues) // 2] < 0.06  # a frame of these takes 40 ms by itself
    assert queues[-1] < 0.2
    widths = outcome.between(8.0, 40.0, "width")
    assert len(set(widths)) == 1


def test_a_blackout_of_a_second_does_not_cost_ten() -> None:
    def loss(now: float) -> float:
        return 1.0 if 10.0 <= now < 11.0 else 0.0

    for estimates in (True, False):
        outcome = Link(loss=loss, estimates=estimates).run(ours(), 20.0)
        assert outcome.between(16.0, 17.0)[-1] > 0.7 * USUAL


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("remb"), st.integers(0, 1 << 40)),
            st.tuples(st.just("report"), st.floats(0, 1)),
            st.tuples(st.just("sent"), st.integers(0, 50_000)),
            st.tuples(st.just("wait"), st.floats(0, 20)),
        ),
        max_size=60,
    )
)
def test_whatever_comes_the_target_is_within_bounds(events: list[tuple[str, float]]) -> None:
    plan, now = SendPlan(512, 512), 0.0
    for what, value in events:
        if what == "remb":
            plan.remb(int(value), now)
        elif what == "report":
            plan.report(Report(value, round_trip=value * 3, jitter=value, arrived=value * 1e6), now)
        elif what == "sent":
            plan.sent(int(value), now, key=False)
        else:
            now += value
        target, size = plan.ask(now)
        assert LEAST <= target <= min(MOST, USUAL)
        assert size in {(512, 512), (384, 384), (256, 256)}


def test_no_news_no_growth() -> None:
    """A peer that went silent is not sent more and more."""
    controller = ours()
    for number in range(50):
        controller.sent(6000, number * 0.04)
    controller.report(2.0, Report(0.9, 0.05, 0.0))
    low = controller.target(2.1)
    assert low < 0.6 * USUAL
    assert controller.target(60.0) <= low * 1.35**5


@pytest.mark.parametrize(("width", "height"), [(512, 512), (256, 256), (720, 1280), (130, 98)])
def test_sizes_are_even_and_shrink(width: int, height: int) -> None:
    ladder = SizeLadder(width, height)
    sizes = [ladder.choose(0, 0.0)]
    for second in range(1, 30):
        size = ladder.choose(10_000_000, float(second))
        if size != sizes[-1]:
            sizes.append(size)
    assert len(sizes) == len(SIZE_STEPS)
    assert sizes[-1] == (width, height)
    assert all(w % 2 == h % 2 == 0 for w, h in sizes)
    assert sizes == sorted(sizes)


def test_the_size_goes_down_at_once_and_comes_up_after_a_while() -> None:
    ladder = SizeLadder(512, 512)
    assert ladder.choose(USUAL, 0.0) == (512, 512)
    assert ladder.choose(250_000, 1.0) == (256, 256)
    assert ladder.choose(USUAL, 2.0) == (256, 256)
    assert ladder.choose(250_000, 3.0) == (256, 256)  # the wait begins anew
    assert ladder.choose(USUAL, 4.0) == (256, 256)
    assert ladder.choose(USUAL, 6.1) == (384, 384)
    assert ladder.changes == 2


@settings(max_examples=60)
@given(st.lists(st.integers(150_000, 1_200_000), min_size=2, max_size=200))
def test_a_rate_that_wavers_by_a_tenth_never_swings_the_size(rates: list[int]) -> None:
    base = rates[0]
    ladder = SizeLadder(512, 512)
    widths = [
        ladder.choose(int(base * (0.95 + 0.1 * (rate % 100) / 100)), number * 0.5)[0]
        for number, rate in enumerate(rates)
    ]
    assert widths == sorted(widths, reverse=True)


def frame_waits(pacer: BurstPacer, size: int, now: float) -> list[float]:
    """When each packet of a frame leaves, counted from ``now``."""
    at = now
    out = []
    for sent in range(0, size, 1200):
        at += pacer.wait(min(1200, size - sent), at)
        out.append(at - now)
    return out


def test_usual_frames_are_not_held_up_and_key_frames_spread() -> None:
    pacer = BurstPacer()
    pacer.rate = USUAL
    frame = USUAL // 25 // 8
    assert frame_waits(pacer, frame, 0.0)[-1] == 0.0
    waits = frame_waits(pacer, 3 * frame, 0.04)
    assert waits[0] == 0.0
    assert 0.005 < waits[-1] < 0.015
    assert waits == sorted(waits)
    assert frame_waits(pacer, frame, 0.08)[-1] == 0.0


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 200_000), st.floats(0, 0.1)), max_size=20))
def test_no_frame_waits_for_long(frames: list[tuple[int, float]]) -> None:
    pacer, now = BurstPacer(), 0.0
    for size, pause in frames:
        now += pause
        assert 0 <= pacer.wait(size, now) <= MOST_SECONDS + 1e-9
    assert SPEED * FREE_SECONDS < 0.1


def test_reports_are_read_as_what_happened_between_them() -> None:
    reader = ReportReader()
    fixed = {"jitter": 900, "clock_rate": 90_000, "round_trip": 0.05}
    first = reader.read(
        10.0,
        fraction_lost=0,
        packets_lost=0,
        highest=1100,
        sent_bytes=100_000,
        sent_packets=100,
        **fixed,
    )
    assert first == Report(0.0, 0.05, 0.01, None)
    second = reader.read(
        12.0,
        fraction_lost=64,
        packets_lost=50,
        highest=1300,
        sent_bytes=300_000,
        sent_packets=300,
        **fixed,
    )
    assert second.lost == 0.25
    assert second.arrived == pytest.approx(150 * 1000 * 8 / 2.0)


@settings(max_examples=50)
@given(st.lists(st.tuples(*[st.integers(-(2**23), 2**32 - 1)] * 4), max_size=20))
def test_no_report_upsets_the_reader(reports: list[tuple[int, int, int, int]]) -> None:
    reader, now = ReportReader(), 0.0
    for fraction, lost, highest, jitter in reports:
        now += 0.3
        report = reader.read(
            now,
            fraction_lost=fraction,
            packets_lost=lost,
            highest=highest,
            jitter=abs(jitter),
            clock_rate=90_000,
            round_trip=None,
            sent_bytes=1000,
            sent_packets=10,
        )
        assert 0 <= report.lost < 1
        assert report.arrived is None or 0 <= report.arrived < 1e9
