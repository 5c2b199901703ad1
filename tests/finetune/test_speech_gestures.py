"""Gestures: what must be seen for each kind of phone, and when."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.engines.motion import CHANNELS
from visavis.finetune.speech.gestures import frame_times, gestures
from visavis.finetune.speech.phones import Phone

T = np.arange(0.0, 1.5, 0.005)
APERTURE, JAW, WIDTH, PROTRUSION, TUCK, TONGUE, CLOSED, LIPTOOTH, SPEECH = range(9)


def said(text: str, length: float = 0.1, start: float = 0.3) -> list[Phone]:
    return [
        Phone(name, start + i * length, start + (i + 1) * length, 1.0)
        for i, name in enumerate(text.split())
    ]


def channel(text: str, c: int, length: float = 0.1) -> NDArray[np.float32]:
    return gestures(said(text, length), T)[:, c]


@pytest.mark.parametrize("consonant", ["p", "b", "m"])
@pytest.mark.parametrize("length", [0.03, 0.06, 0.15])
def test_lips_shut_whatever_the_haste(consonant: str, length: float) -> None:
    g = gestures(said(f"aa {consonant} aa", length), T)
    shut = g[:, APERTURE] < 0.002
    middle = (T > 0.3) & (0.3 + 3 * length > T)
    assert 0.040 <= (shut & middle).sum() * 0.005 <= length + 0.08
    assert (shut[g[:, CLOSED] > 0.5]).mean() > 0.9
    centre = T[shut & middle].mean()
    assert abs(centre - (0.3 + 1.5 * length)) < 0.03


def test_open_vowels_open_and_the_mouth_is_open_on_both_sides_of_a_closure() -> None:
    aperture = channel("aa b aa", APERTURE, 0.2)
    assert aperture[(T > 0.35) & (T < 0.45)].max() > 0.12
    assert aperture[(T > 0.75) & (T < 0.85)].max() > 0.12


def test_lip_on_teeth() -> None:
    g = gestures(said("iy f iy"), T)
    during = (T > 0.42) & (T < 0.48)
    assert (g[during, TUCK] > 0.95).all() and (g[during, LIPTOOTH] == 1).all()
    assert (g[during, APERTURE] > 0.01).all() and (g[during, CLOSED] == 0).all()


def test_rounding_comes_before_the_sound() -> None:
    protrusion = channel("aa s w uw", PROTRUSION)
    half = T[np.argmax(protrusion > 0.5 * protrusion.max())]
    assert 0.03 <= 0.5 - half <= 0.16
    width = channel("aa s w uw", WIDTH)
    assert width.min() < -0.08 < channel("iy s iy iy", WIDTH).min()


@pytest.mark.parametrize(
    ("wide", "narrow"), [("aa", "iy"), ("ae", "uw"), ("ao", "w"), ("eh", "ax")]
)
def test_apertures_are_ordered(wide: str, narrow: str) -> None:
    at = np.searchsorted(T, 0.3 + 0.15)
    a, b = (gestures(said(f"t {p} t", 0.1), T)[at, APERTURE] for p in (wide, narrow))
    assert a > b


def test_short_vowels_fall_short() -> None:
    assert channel("t aa t", APERTURE, 0.05).max() < 0.85 * channel("t aa t", APERTURE, 0.2).max()


def test_stress_and_scale() -> None:
    strong, weak = [Phone("aa", 0.3, 0.5, 1.0)], [Phone("aa", 0.3, 0.5, 0.0)]
    assert gestures(weak, T)[:, 0].max() < 0.9 * gestures(strong, T)[:, 0].max()
    full = gestures(strong, T, vowel=1.0)[:, 0].max()
    assert gestures(strong, T, vowel=0.5)[:, 0].max() == pytest.approx(0.5 * full, rel=0.05)


def test_teeth_close_for_s() -> None:
    assert channel("aa s aa", JAW).min() < channel("aa k aa", JAW)[(T > 0.4) & (T < 0.5)].min()


def test_silence_is_still() -> None:
    assert not gestures([], T).any()
    everywhere = np.arange(0.0, 8.0, 0.02)
    late = [replace(p, start=p.start + 3.0, end=p.end + 3.0) for p in said("aa m aa")]
    g = gestures(late, everywhere)
    far = (everywhere < 2.4) | (everywhere > 5.8)
    assert np.abs(g[far]).max() < 0.01
    assert g[far, SPEECH].max() == 0


def test_lips_are_parted_in_a_short_pause_and_before_speech() -> None:
    said = [Phone("iy", 2.0, 2.2, 1.0), Phone("pau", 2.2, 2.7, 0.0), Phone("iy", 2.7, 2.9, 1.0)]
    at = np.array([1.2, 1.85, 2.45, 3.2, 5.2])
    aperture = gestures(said, at)[:, 0]
    assert (aperture[1:4] > 0.06).all()
    assert (aperture[[0, 4]] < 0.01).all()


def test_the_mouth_opens_before_it_is_heard_and_speech_covers_it() -> None:
    g = gestures(said("aa aa"), T)
    opens = T[np.argmax(g[:, APERTURE] > 0.5 * g[:, APERTURE].max())]
    assert 0.0 < 0.3 - opens < 0.10
    assert g[(T > 0.25) & (T < 0.5), SPEECH].all()


def test_short_pauses_do_not_end_speech_and_long_ones_do() -> None:
    def between(pause: float) -> NDArray[np.float32]:
        phones = [Phone("aa", 0.2, 0.4, 1.0), Phone("aa", 0.4 + pause, 0.6 + pause, 1.0)]
        return gestures(phones, T)[(T > 0.4) & (0.4 + pause > T), SPEECH]

    assert between(0.15).all()
    assert not between(0.5).all()


def test_times_are_free() -> None:
    phones = said("m aa p iy")
    every = gestures(phones, T)
    some = gestures(phones, T[7::9])
    assert np.allclose(every[7::9, :6], some[:, :6], atol=0.02)
    assert gestures(phones, np.zeros(0)).shape == (0, len(CHANNELS))


@pytest.mark.parametrize("steps", [1, 7, 50, 1499, 3363])
def test_frame_times_are_exact(steps: int) -> None:
    times = frame_times(steps / 50.0)
    assert len(times) == steps and times[0] == pytest.approx(0.01)
