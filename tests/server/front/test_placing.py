"""The front's counting, against workers that know better."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from visavis.server.front.placing import Placement, prefix_of, worker_of
from visavis.server.front.sharing import quotas, wants_workers, worker_count


def placement(*quota: int) -> Placement:
    made = Placement(len(quota))
    for number, places in enumerate(quota):
        made.set_quota(number, places)
        made.came_up(number)
    return made


@pytest.mark.parametrize("worker", [0, 7, 12])
def test_an_id_leads_to_its_worker(worker: int) -> None:
    assert worker_of(prefix_of(worker) + "h0sVb.x-_") == worker


@pytest.mark.parametrize(
    "foreign", ["", "abc", ".abc", "1.", "-1.a", "1a.b", "٣.a", "99999.a", "../0.a", " 1.a"]
)
def test_what_no_worker_made_leads_nowhere(foreign: str) -> None:
    assert worker_of(foreign) is None


def test_the_least_loaded_worker_is_taken_and_nobody_twice() -> None:
    workers = placement(2, 1)
    assert [workers.take() for _ in range(4)] == [(0, 1), (1, 1), (0, 2), None]
    assert not workers.has_room()
    workers.give_back(0)
    assert workers.take(refused=[0]) is None
    assert workers.take() == (0, 3)


def test_a_worker_that_is_away_gets_nothing_and_comes_back_empty() -> None:
    workers = placement(1, 1)
    assert workers.take() == (0, 1)
    workers.went_down(0)
    assert (workers.places, workers.taken, workers.up) == (1, 0, 1)
    assert workers.take() == (1, 1) and workers.take() is None
    workers.report(0, taken=5, seen=9)  # it was under way when the worker died
    workers.came_up(0)
    assert (workers.places, workers.taken) == (2, 1)
    assert workers.take() == (0, 1)


def test_a_report_counts_no_offer_twice_and_misses_none() -> None:
    workers = placement(3)
    first, second = workers.take(), workers.take()
    assert first is not None and second is not None
    workers.report(0, taken=1, seen=first[1])  # the second one is on its way
    assert workers.taken == 2
    workers.report(0, taken=2, seen=second[1])
    assert workers.taken == 2
    workers.report(0, taken=0, seen=second[1])  # both have left by themselves
    assert workers.taken == 0


class Offers(RuleBasedStateMachine):
    """Two workers, with offers under way in any order, and sessions that end unseen."""

    QUOTAS = (3, 2)

    def __init__(self) -> None:
        super().__init__()
        self.front = placement(*self.QUOTAS)
        self.live = [0, 0]
        self.seen = [0, 0]
        self.coming: list[tuple[int, int]] = []
        self.answers: list[tuple[int, bool]] = []

    @rule()
    def ask(self) -> None:
        taken = self.front.take()
        if taken is not None:
            self.coming.append(taken)

    @precondition(lambda self: self.coming)
    @rule(data=st.data())
    def arrives(self, data: st.DataObject) -> None:
        number, offer = self.coming.pop(data.draw(st.integers(0, len(self.coming) - 1)))
        self.seen[number] = max(self.seen[number], offer)
        opened = self.live[number] < self.QUOTAS[number] and data.draw(st.booleans())
        self.live[number] += opened
        self.answers.append((number, opened))

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def answered(self, data: st.DataObject) -> None:
        number, opened = self.answers.pop(data.draw(st.integers(0, len(self.answers) - 1)))
        if not opened:
            self.front.give_back(number)

    @rule(number=st.sampled_from([0, 1]))
    def ends_unseen(self, number: int) -> None:
        self.live[number] = max(0, self.live[number] - 1)

    @rule(number=st.sampled_from([0, 1]))
    def ends_by_request(self, number: int) -> None:
        if self.live[number]:
            self.live[number] -= 1
            self.front.give_back(number)

    @rule(number=st.sampled_from([0, 1]))
    def reports(self, number: int) -> None:
        self.front.report(number, self.live[number], self.seen[number])

    @invariant()
    def nobody_is_overbooked(self) -> None:
        assert all(live <= quota for live, quota in zip(self.live, self.QUOTAS, strict=True))

    @precondition(lambda self: not self.coming and not self.answers)
    @rule()
    def at_rest_a_report_is_the_truth(self) -> None:
        for number in (0, 1):
            self.reports(number)
        assert self.front.taken == sum(self.live)
        assert self.front.has_room() == (sum(self.live) < sum(self.QUOTAS))


TestOffers = Offers.TestCase


@given(st.integers(1, 500), st.integers(1, 40))
def test_quotas_are_the_whole_and_equal(sessions: int, workers: int) -> None:
    shares = quotas(sessions, workers)
    assert sum(shares) == sessions and len(shares) == workers
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize(
    ("sessions", "cores", "workers"),
    [(1, 16, 1), (20, 16, 1), (21, 16, 2), (200, 16, 10), (99, 4, 4)],
)
def test_a_worker_for_twenty_and_a_core_for_each(sessions: int, cores: float, workers: int) -> None:
    assert worker_count(sessions, cores) == workers


@pytest.mark.parametrize(
    ("cores", "asked", "split"),
    [(2, None, False), (8, None, False), (16, None, True), (16, 20, False), (16, 21, True)],
)
def test_one_process_is_enough_for_few(cores: float, asked: int | None, split: bool) -> None:
    assert wants_workers(cores, asked) == split
