"""What the benchmark of fan-out takes for a miss."""

from __future__ import annotations

from typing import Any

import pytest

from visavis.benchmarks.fanout import FIRST_PICTURE_LIMIT_MS, MOST, table, verdict

GOOD = {
    "viewers": 50,
    "cpu": 1.0,
    "extra_cpu": 0.6,
    "share": 1.2,
    "encodes_per_s": 25.0,
    "frames_per_s": 25.0,
    "first_picture_p95_ms": 400.0,
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": MOST + 0.1},
        {"first_picture_p95_ms": FIRST_PICTURE_LIMIT_MS + 1},
        {"encodes_per_s": 50 * 25.0},  # an encoder for each
    ],
)
def test_each_target_can_be_missed(wrong: dict[str, Any]) -> None:
    assert verdict([{**GOOD, "viewers": 1}, GOOD])
    rows = [{**GOOD, "viewers": 1}, {**GOOD, **wrong}]
    assert not verdict(rows)
    result = {
        "nobody": {"cpu": 0.4},
        "packet_stream_cpu": 0.01,
        "rows": rows,
        "most": MOST,
        "first_picture_limit_ms": FIRST_PICTURE_LIMIT_MS,
        "passed": False,
    }
    assert "MISSED" in table(result)


def test_few_viewers_may_cost_more_than_their_share() -> None:
    """One viewer's packets are less than what wakes the server for them."""
    assert verdict([{**GOOD, "viewers": 1, "share": 3.0}, GOOD])
