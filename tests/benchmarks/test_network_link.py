"""The link of the network benchmark, in simulated time."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from visavis.benchmarks.network.link import Conditions, Link
from visavis.benchmarks.network.scenarios import SCENARIOS

CLEAN = Conditions()


def feed(
    link: Link, *, count: int = 5000, size: int = 1000, every: float = 0.010
) -> list[tuple[int, float, float]]:
    """Send numbered packets; (number, sent, arrived) of those that arrive, as they arrive."""
    arrived = []
    for number in range(count):
        now = number * every
        packet = number.to_bytes(4, "big") + bytes(size - 4)
        for at, data in link.send(packet, now):
            assert len(data) == size
            arrived.append((int.from_bytes(data[:4], "big"), now, at))
    return sorted(arrived, key=lambda row: row[2])


def test_a_clean_link_delays_and_does_nothing_else() -> None:
    arrived = feed(Link(1, CLEAN))
    assert [number for number, _, _ in arrived] == list(range(5000))
    assert all(at - sent == pytest.approx(CLEAN.delay_s) for _, sent, at in arrived)


@pytest.mark.parametrize("loss", [0.02, 0.05, 0.10])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_share_that_vanishes_is_the_one_asked_for(loss: float, seed: int) -> None:
    link = Link(seed, replace(CLEAN, loss=loss))
    arrived = feed(link, count=20_000)
    assert 1 - len(arrived) / 20_000 == pytest.approx(loss, abs=0.006)
    assert link.counters.lost == 20_000 - len(arrived)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_the_same_seed_gives_the_same_fates_and_another_seed_others(name: str) -> None:
    conditions = SCENARIOS[name].conditions
    assert feed(Link(7, conditions)) == feed(Link(7, conditions))
    if conditions.loss or conditions.jitter_s or conditions.reorder:
        assert feed(Link(7, conditions)) != feed(Link(8, conditions))


def test_a_packets_fate_depends_on_its_number_alone() -> None:
    """Not on when it comes, how large it is, or what else is wrong: both stacks meet the same."""
    calm = feed(Link(1, replace(CLEAN, loss=0.05)), size=100, every=0.003)
    rough = feed(Link(1, replace(CLEAN, loss=0.05, jitter_s=0.050)), size=900, every=0.020)
    assert [row[0] for row in calm] == [row[0] for row in rough]


def test_jitter_spreads_packets_over_its_width_and_keeps_their_order() -> None:
    arrived = feed(Link(1, replace(CLEAN, jitter_s=0.050)), every=0.1)
    assert [number for number, _, _ in arrived] == list(range(5000))
    delays = [at - sent - CLEAN.delay_s for _, sent, at in arrived]
    assert min(delays) < 0.002
    assert 0.048 < max(delays) <= 0.050 + 1e-9
    assert sum(delays) / len(delays) == pytest.approx(0.025, abs=0.002)


def test_order_is_kept_whatever_changes_unless_it_is_to_be_disturbed() -> None:
    rng = random.Random(1)
    link = Link(1)
    last = 0.0
    for number in range(5000):
        link.conditions = Conditions(
            delay_s=rng.uniform(0, 0.2),
            jitter_s=rng.uniform(0, 0.1),
            loss=rng.uniform(0, 0.3),
            rate_bps=rng.choice([None, 1e5, 1e6]),
        )
        now = number * 0.004
        for at, _ in link.send(bytes(rng.randrange(1, 1400)), now):
            assert at >= now
            assert at >= last
            last = at


def test_reordering_lets_the_share_asked_for_be_overtaken_and_loses_nothing() -> None:
    link = Link(1, replace(CLEAN, reorder=0.05))
    arrived = feed(link)
    numbers = [number for number, _, _ in arrived]
    assert sorted(numbers) == list(range(5000))
    overtaken = sum(
        any(later < number for later in numbers[i + 1 : i + 8])
        for i, number in enumerate(numbers)
        if i + 1 < len(numbers)
    )
    assert link.counters.overtaken == pytest.approx(250, abs=50)
    assert overtaken > 250  # each that comes late was passed by more than one


def test_a_bottleneck_is_not_exceeded_over_any_while() -> None:
    conditions = replace(CLEAN, rate_bps=300_000)
    arrived = feed(Link(1, conditions), size=1200, every=0.010)  # 960 kbit/s are offered
    times = [at for _, _, at in arrived]
    for width in (10, 50, 200):
        for first in range(0, len(times) - width, 7):
            took = times[first + width] - times[first]
            assert width * 1200 * 8 <= 300_000 * took + 8 * (conditions.burst_bytes + 1200)
    assert len(times) * 1200 * 8 / times[-1] == pytest.approx(300_000, rel=0.02)


def test_the_queue_before_it_is_bounded_and_drains() -> None:
    conditions = replace(CLEAN, rate_bps=300_000, queue_s=0.3)
    link = Link(1, conditions)
    arrived = feed(link, size=1200, every=0.010)
    worst = max(at - sent for _, sent, at in arrived)
    assert worst <= 0.3 + CLEAN.delay_s + 1200 * 8 / 300_000 + 1e-9
    assert worst > 0.25
    assert link.counters.overflowed == 5000 - len(arrived)
    ((at, _),) = link.send(bytes(1200), 60.0)
    assert at == pytest.approx(60.0 + CLEAN.delay_s)


def test_what_a_bottleneck_can_take_is_not_held_up() -> None:
    arrived = feed(Link(1, replace(CLEAN, rate_bps=300_000)), size=200, every=0.010)
    assert len(arrived) == 5000
    assert max(at - sent for _, sent, at in arrived) < CLEAN.delay_s + 0.006


def test_in_the_dark_nothing_comes_and_afterwards_everything_does() -> None:
    link = Link(1, replace(CLEAN, dark=True))
    assert feed(link, count=100) == []
    assert link.counters.dark == 100
    link.conditions = CLEAN
    assert len(link.send(b"x", 1.0)) == 1
