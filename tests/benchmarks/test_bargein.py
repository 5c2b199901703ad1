"""What the benchmark of barge-in takes for heard."""

from __future__ import annotations

import numpy as np
import pytest

from visavis.benchmarks.bargein import LIMIT_MS, heard_for, table


def packet(level: float, samples: int = 960) -> np.ndarray:
    pcm = np.zeros(960, np.float32)
    pcm[:samples] = level
    return pcm


def test_the_last_loud_sample_counts_when_it_is_played() -> None:
    came = [(9.99, packet(0.5)), (10.01, packet(0.5, 480)), (10.03, packet(0.0))]
    assert heard_for(came, 10.0) == pytest.approx(0.02)


def test_a_click_much_later_is_found() -> None:
    came = [(10.01 + 0.02 * n, packet(0.3 if n == 4 else 0.0, 24)) for n in range(10)]
    assert heard_for(came, 10.0) == pytest.approx(0.0905)


def test_silence_is_no_time_at_all_and_noise_is_none() -> None:
    assert heard_for([(10.01, packet(0.0)), (10.03, packet(0.01))], 10.0) == 0.0


def test_a_server_that_does_not_listen_misses() -> None:
    came = [(10.0 + 0.02 * n, packet(0.3)) for n in range(75)]
    assert 1000 * heard_for(came, 10.0) > LIMIT_MS
    row = {"median": 1500.0, "p95": 1500.0, "worst": 1500.0}
    result = {
        "repetitions": [{}],
        "voice_ms": row,
        "face_ms": row,
        "position_error_ms": row,
        "limit_ms": LIMIT_MS,
        "passed": False,
    }
    assert "MISSED" in table(result)
