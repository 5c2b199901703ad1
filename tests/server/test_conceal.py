from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.server.media.conceal import FADE_SAMPLES, Concealer

RATE = 48_000


def voice(samples: int, pitch: float, start: int = 0) -> NDArray[np.float32]:
    """Something like a vowel: harmonics of a steady pitch."""
    t = (start + np.arange(samples)) / RATE
    parts = [np.sin(2 * np.pi * pitch * h * t + h) / h for h in range(1, 12)]
    return (0.2 * np.sum(parts, 0)).astype(np.float32)


@pytest.mark.parametrize("pitch", [82.0, 120.0, 210.0, 330.0])
def test_ten_lost_milliseconds_of_a_vowel_are_hardly_missed(pitch: float) -> None:
    concealer = Concealer()
    concealer.good(voice(9600, pitch))
    made = concealer.conceal(480)
    truth = voice(480, pitch, 9600)
    error = np.sqrt(np.mean((made - truth) ** 2) / np.mean(truth**2))
    assert error < 0.35  # silence would be 1.0


@pytest.mark.parametrize("pitch", [95.0, 180.0])
def test_there_is_no_click_at_either_joint(pitch: float) -> None:
    concealer = Concealer()
    before = voice(9600, pitch)
    concealer.good(before)
    made = concealer.conceal(960)
    after = concealer.good(voice(960, pitch, 9600 + 960 + 137))
    steps = np.abs(np.diff(np.concatenate([before[-200:], made, after])))
    usual = np.abs(np.diff(before)).max()
    assert steps.max() < 1.6 * usual


def test_it_fades_to_silence_in_sixty_milliseconds() -> None:
    concealer = Concealer()
    concealer.good(voice(9600, 150.0))
    made = np.concatenate([concealer.conceal(960) for _ in range(5)])
    loud = np.sqrt(np.mean(made[:480] ** 2))
    assert loud > 0.1
    assert np.sqrt(np.mean(made[FADE_SAMPLES - 480 : FADE_SAMPLES] ** 2)) < 0.3 * loud
    assert not made[FADE_SAMPLES:].any()


def test_silence_is_continued_as_silence() -> None:
    concealer = Concealer()
    assert not concealer.heard
    assert not concealer.conceal(2000).any()
    concealer.good(np.zeros(960, np.float32))
    assert not concealer.conceal(960).any()


def test_good_sound_passes_untouched() -> None:
    concealer = Concealer()
    pcm = voice(960, 100.0)
    assert concealer.good(pcm) is pcm
    assert concealer.made == 0


def test_pieces_of_a_concealment_fit_together() -> None:
    one, many = Concealer(), Concealer()
    for concealer in (one, many):
        concealer.good(voice(9600, 130.0))
    whole = one.conceal(1500)
    parts = np.concatenate([many.conceal(n) for n in (1, 99, 400, 1000)])
    np.testing.assert_array_equal(whole, parts)
