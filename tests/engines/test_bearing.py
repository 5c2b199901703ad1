"""Sway, nods and breath: small, slow, never in jerks."""

from __future__ import annotations

import numpy as np
import pytest

from visavis.engines.bearing import NOD_RISE, SWAY, WIDEST, Bearing, Hold, held
from visavis.engines.errors import PersonFileError


def run(
    bearing: Bearing, ticks: int, *, speaking: bool = False, stress: dict[int, float] | None = None
) -> np.ndarray:
    """What is held, float64[T, 6]."""
    random = np.random.default_rng(7)
    state = bearing.initial_state(random)
    holds = [
        bearing.step(state, random, speaking, (stress or {}).get(tick, 0.0))
        for tick in range(ticks)
    ]
    return np.array([(h.yaw, h.pitch, h.roll, h.x, h.y, h.breath) for h in holds])


def test_sway_is_as_wide_as_it_says_and_slow() -> None:
    sway = run(Bearing({"nod": 0.0, "breath": 0.0}), 20_000, speaking=True)[:, :5]
    assert (np.abs(sway) <= WIDEST * SWAY).all()
    assert sway[500:].std(axis=0) == pytest.approx(0.87 * SWAY, rel=0.2)
    power = np.abs(np.fft.rfft(sway - sway.mean(axis=0), axis=0)) ** 2
    fast = np.fft.rfftfreq(len(sway), 1 / 25) > 1.0
    assert (power[fast].sum(axis=0) < 2e-3 * power.sum(axis=0)).all()
    # As fast as a slow head, in degrees a second.
    assert np.abs(np.diff(sway[:, 0])).max() * 25 < 3.0


def test_listening_is_calmer() -> None:
    bearing = Bearing({"nod": 0.0})
    calm, lively = (run(bearing, 4000, speaking=s)[500:, 0].std() for s in (False, True))
    assert calm < 0.85 * lively


def test_a_stress_is_followed_by_one_nod_that_is_deepest_in_time() -> None:
    bearing = Bearing({"sway": 0.0, "breath": 0.0, "nod": 1.4})
    nods = run(bearing, 400, speaking=True, stress={tick: 1.0 for tick in range(50, 400, 3)})
    pitch = nods[:, 1]
    assert not pitch[:50].any() and 0.6 < pitch.max() <= 1.4
    peaks = 1 + np.flatnonzero((pitch[1:-1] > pitch[:-2]) & (pitch[1:-1] >= pitch[2:]))
    assert len(peaks) >= 8 and np.diff(peaks).min() > 20
    begin = int(np.flatnonzero(pitch)[0])
    assert peaks[0] - begin in range(NOD_RISE - 2, NOD_RISE + 2)
    # Silence stresses nothing.
    assert not run(bearing, 400, speaking=True)[:, 1].any()
    assert not nods[:, [0, 2, 3, 4, 5]].any()


def test_who_listens_nods_rarely_and_slowly() -> None:
    bearing = Bearing({"sway": 0.0, "breath": 0.0, "nod": 1.4})
    pitch = run(bearing, 10_000, stress={tick: 1.0 for tick in range(0, 10_000, 7)})[:, 1]
    peaks = np.flatnonzero(
        (pitch[1:-1] > pitch[:-2]) & (pitch[1:-1] >= pitch[2:]) & (pitch[1:-1] > 0.3)
    )
    assert 8 < len(peaks) < 50
    assert np.abs(np.diff(pitch)).max() * 25 < 5.0


def test_breath_is_two_to_three_in_ten_seconds_and_lifts_the_head_a_little() -> None:
    held = run(Bearing({"sway": 0.0, "nod": 0.0, "breath": 0.011}), 10_000)
    breath = held[:, 5]
    assert breath.min() >= 0.0 and 0.009 < breath.max() <= 0.011
    rest = 1 + np.flatnonzero((breath[1:-1] < breath[:-2]) & (breath[1:-1] <= breath[2:]))
    lengths = np.diff(rest) / 25
    assert 3.2 < lengths.min() < lengths.max() < 5.1 and lengths.std() > 0.2
    assert np.allclose(held[:, 4], -0.4 * breath)


def test_a_nod_is_down_and_a_turn_leaves_the_neck() -> None:
    pose = np.array([[100, 0, 0, 50], [0, 100, 0, 60], [0, 0, 100, 0]], np.float32)
    assert np.array_equal(held(pose, Hold()), pose)
    nose = np.array([0.0, 0.4, -0.5, 1.0])
    nodded = held(pose, Hold(pitch=1.5))
    assert (nodded @ nose)[1] - (pose @ nose)[1] == pytest.approx(
        100 * 1.1 * np.sin(0.02618), abs=0.1
    )
    neck = np.array([0.0, 1.2, 0.6, 1.0])
    for hold in (Hold(yaw=2), Hold(pitch=2), Hold(roll=2)):
        assert np.allclose(held(pose, hold) @ neck, pose @ neck, atol=1e-3)
    assert np.allclose(held(pose, Hold(x=0.02, y=0.01))[:2, 3], (52, 61))


@pytest.mark.parametrize("params", [{"sway": 3.0}, {"nod": -1.0}, {"breath": 0.5}])
def test_more_than_a_head_does_is_refused(params: dict[str, float]) -> None:
    with pytest.raises(PersonFileError, match="must be from 0 to"):
        Bearing(params)
    with pytest.raises(PersonFileError, match="must be from 0 to"):
        Bearing({"sway": float("nan")})
