"""Lines and their intervals, against answers known from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from visavis.benchmarks.soak.regression import LEAST, slope, t_975

ANSCOMBE_X = np.array([4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14], float)
ANSCOMBE_Y = np.array([4.26, 5.68, 7.24, 4.82, 6.95, 8.81, 8.04, 8.33, 10.84, 7.58, 9.96])


@pytest.mark.parametrize(
    ("freedom", "known"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (9, 2.262), (30, 2.042), (120, 1.980)],
)
def test_students_t_is_that_of_the_tables(freedom: int, known: float) -> None:
    assert t_975(freedom) == pytest.approx(known, abs=0.02 if freedom == 3 else 0.003)


def test_anscombes_first_line_is_the_published_one() -> None:
    """Slope 0.5001 with a standard error of 0.1179 (Anscombe 1973)."""
    found = slope(ANSCOMBE_X, ANSCOMBE_Y)
    assert found is not None
    assert found.value == pytest.approx(0.50009, abs=1e-5)
    assert found.effective == 11  # its residuals are not alike from one to the next
    assert (found.high - found.low) / 2 == pytest.approx(2.262 * 0.1179, abs=0.001)


def test_a_straight_line_is_found_exactly() -> None:
    found = slope(np.arange(20), 3 * np.arange(20) - 7.0)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((3, 3, 3))


def test_what_is_not_known_is_left_out() -> None:
    y = 2.0 * np.arange(20)
    y[3:9] = np.nan
    found = slope(np.arange(20), y)
    assert found is not None
    assert found.samples == 14
    assert found.value == pytest.approx(2)


def test_too_little_says_nothing() -> None:
    assert slope(np.arange(LEAST - 1), np.arange(LEAST - 1)) is None
    assert slope(np.ones(20), np.arange(20)) is None
    assert slope([], []) is None


@pytest.mark.parametrize("likeness", [0.0, 0.5, 0.8])
def test_the_interval_holds_the_truth_nineteen_times_in_twenty(likeness: float) -> None:
    """The toy that fails at 0.8: taking each sample for news holds it one time in two."""
    rng = np.random.default_rng(1)
    x = np.arange(300.0)
    held = 0
    for _ in range(300):
        noise = np.zeros(300)
        shocks = rng.standard_normal(300)
        for i in range(1, 300):
            noise[i] = likeness * noise[i - 1] + shocks[i]
        found = slope(x, 0.01 * x + noise)
        assert found is not None
        held += found.low <= 0.01 <= found.high
    assert 0.90 <= held / 300 <= 0.99


def test_the_interval_is_narrow_enough_to_be_of_use() -> None:
    rng = np.random.default_rng(2)
    minutes = np.arange(1800) / 60
    found = slope(minutes, 180 + 3 * rng.standard_normal(1800))
    assert found is not None
    assert -0.05 < found.low < 0 < found.high < 0.05
