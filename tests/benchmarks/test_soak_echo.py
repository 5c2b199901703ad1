"""Finding out how long a voice was under way."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.benchmarks.soak.echo import RATE, Heard, sound_delay


@pytest.fixture(scope="module")
def said() -> NDArray[np.int16]:
    noise = np.random.default_rng(0).normal(0, 3000, 3 * RATE)
    return np.convolve(noise, np.ones(24) / 24, "same").astype(np.int16) * 4


def hear(said: NDArray[np.int16], started: float, delay: float, at: float) -> Heard:
    """A second of what was said, coming back later, with packets up to 5 ms late."""
    random = np.random.default_rng(1)
    heard = Heard()
    for number in range(50):
        came = at + number * 0.02
        first = round((came - delay - started) * RATE)
        samples = said[np.arange(first, first + 960) % len(said)]
        heard.add(came + float(random.choice([0.0, 0.0, 0.0, 0.005])), samples)
    return heard


@pytest.mark.parametrize("delay", [0.02, 0.185, 0.7])
@pytest.mark.parametrize("at", [110.0, 3700.0])
def test_the_delay_is_found_to_a_millisecond(
    said: NDArray[np.int16], delay: float, at: float
) -> None:
    latest = hear(said, 100.0, delay, at).latest()
    assert latest is not None
    found = sound_delay(*latest, said, 100.0)
    assert found == pytest.approx(delay, abs=0.001)


def test_what_was_not_said_is_not_found(said: NDArray[np.int16]) -> None:
    other = np.random.default_rng(5).normal(0, 3000, RATE).astype(np.int16)
    assert sound_delay(110.0, other[:28_800], said, 100.0) is None
    assert sound_delay(110.0, np.zeros(28_800, np.int16), said, 100.0) is None
    assert Heard().latest() is None
