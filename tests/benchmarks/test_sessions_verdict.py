"""When so many sessions are carried, where the knee lies, and what is read from a server's word."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.benchmarks.sessions.census import Taken, role_of, spent
from visavis.benchmarks.sessions.exposition import between, parse, percentile, promised, total
from visavis.benchmarks.sessions.sizing import costs, sizing
from visavis.benchmarks.sessions.verdict import knee, next_count, reasons
from visavis.server.capacity import LOAD

GOOD: dict[str, Any] = {
    "sessions": 4,
    "opened": 4,
    "least_fps": 25.0,
    "most_skipped": 0.0,
    "worst_late_p95_ms": 5.0,
    "most_budget_ms": 30.0,
}


def test_good_sessions_are_carried() -> None:
    assert reasons(GOOD) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"opened": 3}, "not let in"),
        ({"opened": 0}, "not let in"),
        ({"least_fps": 24.4}, "24.40 frames/s"),
        ({"most_skipped": 0.011}, "1.1 %"),
        ({"worst_late_p95_ms": 41.0}, "41 ms late"),
        ({"worst_late_p95_ms": None}, "never"),
        ({"most_budget_ms": 90.0}, "90 ms"),
    ],
)
def test_each_failing_is_named(change: dict[str, Any], words: str) -> None:
    """The toy: a verdict by the median session, or by those that were let in."""
    (reason,) = reasons({**GOOD, **change})
    assert words in reason


@given(st.integers(0, 300), st.integers(1, 300))
def test_the_search_finds_the_knee(truth: int, most: int) -> None:
    carried: dict[int, bool] = {}
    while (count := next_count(carried, most)) is not None:
        assert count not in carried and 1 <= count <= most
        carried[count] = count <= truth
        assert len(carried) < 24
    found, best = knee(carried), min(truth, most)
    assert found <= best <= found + max(1, found // 16)


def test_a_number_above_a_failure_says_nothing() -> None:
    """The toy: the largest number that was carried, after a smaller one was not."""
    assert knee({1: True, 2: False, 3: True}) == 1
    assert knee({1: False}) == 0 and knee({}) == 0


TEXT = """\
# HELP late how late
# TYPE late histogram
late_bucket{le="-0.01"} 10.0
late_bucket{le="0.0"} 50.0
late_bucket{le="0.04"} 90.0
late_bucket{le="+Inf"} 100.0
late_count 100.0
visavis_capacity_sessions 3.0
visavis_capacity_by{kind="engine"} 3.0
visavis_capacity_limit{part="engine"} 1.0
visavis_capacity_limit{part="encode"} 0.0
visavis_capacity_by{kind="packets",worker="1"} 20.0
visavis_capacity_by{kind="packets",worker="2"} 22.0
visavis_sessions{state="live"} 2.0
visavis_sessions{state="connecting"} 1.0
"""


def test_a_server_word_is_read() -> None:
    samples = parse(TEXT)
    assert total(samples, "visavis_sessions") == 3
    assert total(samples, "nothing") is None
    assert promised(samples) == {
        "visavis_capacity_sessions": 3,
        "visavis_capacity_by.engine": 3,
        "visavis_capacity_limit.engine": 1,
        "visavis_capacity_by.packets": 22,
    }


def test_a_percentile_is_that_of_the_window() -> None:
    """The toy: the percentile since the server's start."""
    before = parse(TEXT)
    after = {
        key: value + (100.0 if key[1] in ('{le="0.04"}', '{le="+Inf"}') else 0.0)
        for key, value in before.items()
    }
    buckets = between(before, after, "late")
    assert percentile(buckets, 0.5) == pytest.approx(0.02)
    assert percentile(between({}, before, "late"), 0.5) == pytest.approx(0.0)
    assert percentile(between({}, before, "late"), 0.99) == 0.04  # beyond the last edge
    assert percentile({}, 0.5) is None and percentile(between(before, before, "late"), 0.5) is None


def whole(sessions: int, cores: float, memory: float) -> dict[str, Any]:
    return {
        "sessions": sessions,
        "opened": sessions,
        "cores": {"per_session": cores},
        "memory_mib": {"front": 50.0, "media": memory - 50.0},
        "bits_per_s": 1.25e6,
    }


def test_a_machine_is_sized_by_what_a_session_takes_at_the_knee() -> None:
    """The toy: the cost of the first session, which has the caches to itself."""
    one = [whole(1, 0.6, 400), whole(2, 0.5, 430), whole(3, 0.5, 460), whole(4, 0.3, 490)]
    eight = [whole(1, 0.6, 820), whole(2, 0.5, 850)]
    result = {
        "parts": {"packets": {"knee": 2, "steps": [whole(2, 0.04, 100)]}},
        "curves": [
            {"persons": 1, "knee": 3, "steps": one},
            {"persons": 8, "knee": 2, "steps": eight},
        ],
    }
    found = costs(result)
    assert found["whole"] == 0.5 and found["packets"] == 0.04
    assert found["memory_mib_a_session"] == 30 and found["memory_mib_a_person"] == 60
    rows = {row["cores"]: row["sessions"] for row in sizing(found)}
    assert rows[2] == int(LOAD * 2 / 0.5) and rows[64] == int(LOAD * 64 / 0.5)
    nothing = costs({"parts": {}, "curves": []})
    assert set(nothing.values()) == {None} and sizing(nothing) == []


def test_cores_are_counted_by_what_a_process_is_for() -> None:
    before = Taken({("front", 1): 10.0, ("engine", 2): 5.0})
    after = Taken({("front", 1): 11.0, ("engine", 2): 9.0, ("media", 3): 2.0, ("media", 4): 2.0})
    assert spent(before, after, 2.0) == {"engine": 2.0, "front": 0.5, "media": 2.0}


def test_a_process_that_gets_children_is_the_same_process() -> None:
    """The toy: the time since its start, counted anew because it now has another name."""
    assert spent(Taken({("server", 1): 50.0}), Taken({("front", 1): 51.0}), 1.0) == {"front": 1.0}


def test_processes_are_named() -> None:
    serving = ["python", "-m", "visavis.engines.remote.serving", "--socket", "x"]
    assert role_of(serving, root=False, alone=False) == "engine"
    assert role_of(["python", "-m", "visavis.server.front.worker"], root=False, alone=False) == (
        "media"
    )
    assert role_of(["python", "-m", "visavis", "serve"], root=True, alone=True) == "server"
    assert role_of(["python", "-m", "visavis", "serve"], root=True, alone=False) == "front"
