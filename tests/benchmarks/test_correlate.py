from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.benchmarks.live.correlate import RATE, align, resample


def speech(seconds: float, seed: int) -> NDArray[np.float64]:
    """Syllables of a buzzing voice with a wandering pitch and formants, and pauses between them."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    knots = np.arange(0, n + RATE // 10, RATE // 10)
    pitch = np.interp(np.arange(n), knots, 120 + 40 * rng.standard_normal(knots.size).cumsum() / 3)
    phase = np.cumsum(np.clip(pitch, 70, 250)) / RATE
    source = sum(np.sin(2 * np.pi * h * phase) / h for h in range(1, 12))
    formant = np.interp(np.arange(n), knots, rng.uniform(0.2, 1.0, knots.size))
    noise = rng.standard_normal(n) * np.interp(np.arange(n), knots, rng.uniform(0, 0.3, knots.size))
    loud = np.interp(
        np.arange(n), knots, rng.choice([0.0, 0.5, 1.0], knots.size, p=[0.2, 0.4, 0.4])
    )
    return 0.1 * (source * formant + noise) * loud


def later(samples: NDArray[np.float64], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each moment t of ``samples`` moved to t + seconds(t), for a lag that varies slowly."""
    t = np.arange(samples.size) / RATE
    fine = np.arange(8 * samples.size) / (8 * RATE)
    moved = fine + np.interp(fine, t, seconds)
    return np.interp(t, moved, resample(samples, RATE, 8 * RATE))


def test_resampling_keeps_a_tone_and_its_phase() -> None:
    t = np.arange(44_100) / 44_100
    there = resample(np.sin(2 * np.pi * 440 * t), 44_100, 16_000)
    expected = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert there.size == 16_000
    assert np.abs(there - expected).max() < 1e-6


def test_a_constant_lag_is_found_to_a_fraction_of_a_sample() -> None:
    voice = speech(12, 1)
    found = align(voice, later(voice, np.full(voice.size, 0.087_31)), search=(0, 2))
    assert found.found() > 0.95
    assert np.abs(found.lags[found.sure] - 0.087_31).max() < 0.000_1


def test_drift_noise_and_gain_do_not_hide_the_lag() -> None:
    voice = speech(30, 2)
    lag = 0.05 + 200e-6 * np.arange(voice.size) / RATE  # 200 ppm
    rng = np.random.default_rng(3)
    heard = 0.3 * later(voice, lag) + 0.001 * rng.standard_normal(voice.size)
    found = align(voice, heard, search=(0, 2))
    assert found.found() > 0.9
    wrong = (found.lags - 0.05 - 200e-6 * found.times)[found.sure]
    assert np.abs(wrong).max() < 0.000_3


def test_a_cut_is_seen_on_both_sides() -> None:
    voice = speech(20, 4)
    heard = np.concatenate((np.zeros(4_800), voice[:160_000], voice[160_000 + 1_920 :]))
    found = align(voice, heard, search=(0, 1))
    assert np.abs(found.lag_at(np.array([3.0, 5.0, 8.0])) - 0.3).max() < 0.000_5
    assert np.abs(found.lag_at(np.array([12.0, 15.0, 17.0])) - 0.18).max() < 0.000_5


def test_unrelated_or_silent_sound_is_not_found() -> None:
    voice = speech(15, 5)
    for other in (
        speech(15, 6),
        np.zeros(voice.size),
        np.random.default_rng(7).normal(0, 0.1, voice.size),
    ):
        found = align(voice, other, search=(0, 3))
        assert found.found() < 0.05
    silent = align(np.zeros(voice.size), voice, search=(0, 3))
    assert silent.found() == 0
    assert np.isnan(silent.lag_at(np.array([1.0]))).all()


def test_speech_that_repeats_is_told_apart_by_when_it_can_be_heard() -> None:
    once = speech(6, 8)
    loop = np.tile(once, 3)
    found = align(loop, later(loop, np.full(loop.size, 0.2)), search=(0, 3))
    assert np.abs(found.lags[found.sure] - 0.2).max() < 0.000_5


def test_no_lag_is_claimed_far_from_speech() -> None:
    voice = np.concatenate((speech(5, 9), np.zeros(5 * RATE)))
    found = align(voice, later(voice, np.full(voice.size, 0.1)), search=(0, 1))
    assert np.isnan(found.lag_at(np.array([8.0]))[0])
    assert found.lag_at(np.array([2.5]))[0] == pytest.approx(0.1, abs=1e-4)
