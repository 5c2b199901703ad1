"""`style_avatar`'s style codes and windows, and the filter behind them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from visavis.models.systems import lowpass
from visavis.models.systems.style_avatar import motion, style


@given(st.integers(28, 200), st.floats(0.1, 0.8), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_the_filter_is_scipys(rows: int, cutoff: float, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(rows, 2)).cumsum(0)
    b, a = scipy.signal.butter(8, cutoff)
    np.testing.assert_allclose(lowpass.butterworth(cutoff), (b, a), rtol=1e-6, atol=1e-12)
    wanted = scipy.signal.filtfilt(b, a, x, axis=0)
    np.testing.assert_allclose(lowpass.smoothed(x, cutoff), wanted, atol=1e-5 * np.abs(x).max())


def test_a_clip_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="28 rows"):
        lowpass.smoothed(np.zeros((27, 1)), 0.3)
    with pytest.raises(ValueError, match="32 frames"):
        motion.starts(31)


def clip(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    smooth = scipy.signal.savgol_filter(rng.normal(size=(60, 70)), 9, 2, axis=0)
    return smooth[:, :64], 0.3 * smooth[:, 64:67], smooth[:, 67:]


def test_the_average_pose_is_taken_out() -> None:
    _, angles, translation = clip()
    wanted = style.without_average(angles, translation)
    # Another head that is turned otherwise in the picture moves the same.
    turned = Rotation.from_euler("XYZ", angles) * Rotation.from_euler("XYZ", [0.2, -0.4, 0.3])
    found = style.without_average(turned.as_euler("XYZ"), translation + [1.0, 2.0, 3.0])
    np.testing.assert_allclose(found[0], wanted[0], atol=1e-10)
    np.testing.assert_allclose(found[1], wanted[1], atol=1e-10)
    assert np.abs(found[1].mean(0)).max() < 0.05


def test_rotations_are_scipys() -> None:
    angles = np.random.default_rng(1).uniform(-1.4, 1.4, (20, 3))
    rows = style.pose_rows(angles, np.zeros((20, 3)))
    wanted = Rotation.from_euler("XYZ", angles).as_quat(scalar_first=True)
    sign = np.sign((rows[:, :4] * wanted).sum(1, keepdims=True))
    np.testing.assert_allclose(rows[:, :4], sign * wanted, atol=1e-12)
    small = style.pose_rows(np.full((1, 3), 0.01), np.zeros((1, 3)))
    assert small[0, 0] < -0.99  # the original's sign


def test_a_code_is_spreads_measured_in_spreads() -> None:
    expression, angles, translation = clip()
    plain = style.Spread(np.zeros(135), np.ones(135))
    code = style.style_code(expression, angles, translation, plain)
    assert code.shape == (135,)
    np.testing.assert_allclose(code[:64], expression.std(0))
    np.testing.assert_allclose(code[64:128], (expression[1:] - expression[:-1]).std(0))
    filtered = style.pose_rows(*style.without_average(angles, translation))
    np.testing.assert_allclose(code[128:], np.diff(filtered, axis=0).std(0))
    again = style.style_code(3.0 * expression + 5.0, angles, translation, plain)
    np.testing.assert_allclose(again[:128], 3.0 * code[:128])
    spread = style.Spread(np.arange(135.0), np.arange(1.0, 136.0))
    found = style.style_code(expression, angles, translation, spread)
    np.testing.assert_allclose(found, (code - np.arange(135)) / np.arange(1, 136))


@given(st.integers(32, 200))
@settings(max_examples=40, deadline=None)
def test_every_frame_is_told_by_windows_that_lie_in_the_clip(frames: int) -> None:
    starts = motion.starts(frames)
    assert len(starts) == -(-frames // 8) and starts == sorted(starts)
    assert starts[0] == 0 and starts[-1] == frames - 32
    # What a window says of a frame is the frame's number plus the window's; their mean is known.
    count = np.zeros(frames)
    total = np.zeros(frames)
    windows = []
    for index, start in enumerate(starts):
        row = np.arange(start, start + 32, dtype=np.float32) + 100 * index
        windows.append((start, np.tile(row, (64, 1))))
        count[start : start + 32] += 1
        total[start : start + 32] += row
    found = motion.averaged(frames, iter(windows))
    np.testing.assert_allclose(found, np.tile((total / count)[:, None], (1, 64)), rtol=1e-6)


@given(st.integers(32, 60), st.integers(-1, 1))
@settings(max_examples=20, deadline=None)
def test_a_window_hears_eight_rows_around_it(frames: int, more: int) -> None:
    rows = np.arange(2 * frames + more, dtype=np.float32)[:, None] * [1, 10]
    for start in {0, frames - 32}:
        heard = motion.heard(rows.astype(np.float32), start)
        wanted = [min(max(row, 0), len(rows) - 1) for row in range(2 * start - 8, 2 * start + 72)]
        np.testing.assert_array_equal(heard, np.outer([1, 10], wanted))
