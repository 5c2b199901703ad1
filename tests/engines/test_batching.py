"""Who runs when: a simulated engine thread over the policy, with persons, turns and windows."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.engines.batching import Choice, Ready, choose


def ready(session: str, since: float, key: str = "one", phase: int = 0) -> Ready[str]:
    return Ready(session, key, phase, since)


def names(choice: Choice[str]) -> list[str]:
    return [item.session for item in choice.batch]


def test_nothing_ready_is_nothing_to_do() -> None:
    assert choose([], 5.0, limit=4) == Choice((), None)


def test_the_oldest_goes_first_and_takes_its_own_along() -> None:
    ticks = [ready("d", 4), ready("b", 2, "two"), ready("a", 3), ready("c", 1)]
    assert names(choose(ticks, 9.0, limit=8)) == ["c", "a", "d"]
    assert names(choose(ticks, 9.0, limit=2)) == ["c", "a"]
    assert names(choose(ticks[:3], 9.0, limit=8)) == ["b"]


def test_equal_ages_keep_their_order() -> None:
    ticks = [ready(name, 1.0) for name in "hcaz"]
    assert names(choose(ticks, 1.0, limit=3)) == ["h", "c", "a"]


def test_a_window_waits_for_the_rest_of_a_group_and_no_longer() -> None:
    members = {("one", 0): 3, ("one", 1): 5}
    two = [ready("a", 10.0), ready("b", 10.002)]
    waiting = choose(two, 10.002, limit=8, window=0.005, members=members)
    assert not waiting.batch and waiting.wait is not None
    assert abs(waiting.wait - 0.003) < 1e-9
    # Its time is over; or it is complete; or full.
    assert names(choose(two, 10.006, limit=8, window=0.005, members=members)) == ["a", "b"]
    three = [*two, ready("c", 10.003)]
    assert names(choose(three, 10.003, limit=8, window=0.005, members=members)) == ["a", "b", "c"]
    assert names(choose(two, 10.002, limit=2, window=0.005, members=members)) == ["a", "b"]
    # Of another group somebody may come along, but does not complete it.
    other = [*two, ready("x", 10.003, phase=1)]
    assert not choose(other, 10.003, limit=8, window=0.005, members=members).batch


def test_while_one_group_waits_another_person_runs() -> None:
    members = {("one", 0): 2, ("two", 0): 1}
    ticks = [ready("a", 10.0), ready("b", 10.001, "two")]
    assert names(choose(ticks, 10.001, limit=8, window=0.005, members=members)) == ["b"]


@dataclass
class Person:
    sessions: int
    cost: float


@given(
    persons=st.lists(
        st.builds(Person, sessions=st.integers(1, 5), cost=st.floats(0.001, 0.1)),
        min_size=1,
        max_size=5,
    ),
    limit=st.integers(1, 6),
    window=st.sampled_from([0.0, 0.004]),
    busy=st.floats(0.0, 1.0),
    seed=st.integers(0, 1 << 32),
)
@settings(deadline=None, max_examples=60)
def test_nobody_waits_for_two_turns_of_somebody_else(
    persons: list[Person], limit: int, window: float, busy: float, seed: int
) -> None:
    """Whatever comes when: between a tick's coming and its turn, each other session has one turn
    that it was given for its age, and no batch leaves behind an older tick than one it takes.
    """
    chance = random.Random(seed)
    key_of = {f"{p}.{s}": p for p, person in enumerate(persons) for s in range(person.sessions)}
    phase_of = {name: chance.randrange(4) for name in key_of}
    members = Counter((key_of[name], phase_of[name]) for name in key_of)
    since: dict[str, float] = {}
    heads: dict[str, Counter[str]] = {}
    now = 0.0
    for _ in range(120):
        for name in key_of:
            if name not in since and chance.random() < busy:
                since[name], heads[name] = now, Counter()
        ticks = [Ready(name, key_of[name], phase_of[name], at) for name, at in since.items()]
        choice = choose(ticks, now, limit=limit, window=window, members=members)
        if not choice.batch:
            assert (choice.wait is None) == (not ticks)
            if choice.wait is not None:
                assert 0 < choice.wait <= window + 1e-9
                now += choice.wait
            now += 1e-6
            continue
        taken = [item.session for item in choice.batch]
        assert len({key_of[name] for name in taken}) == 1 and len(taken) <= limit
        left = [at for name, at in since.items() if key_of[name] == key_of[taken[0]]]
        assert sorted(left)[: len(taken)] == [since[name] for name in taken]
        for name in since:
            if name not in taken:
                heads[name][taken[0]] += 1
                assert heads[name][taken[0]] <= 1 + (window > 0)
        now += persons[key_of[taken[0]]].cost
        for name in taken:
            del since[name]
            # It may always have more to do: then it is as old as this turn.
            if chance.random() < busy:
                since[name], heads[name] = now, Counter()
