"""Stressed syllables, by the level of the voice alone."""

from __future__ import annotations

import numpy as np

from visavis.engines.stress import StressState, levels, listen


def syllables(levels: list[float], apart: int = 6) -> np.ndarray:
    """A tone that swells for every level, `apart` ticks each, f32[n]."""
    ticks = np.concatenate([a * np.hanning(apart + 1)[:-1] for a in levels])
    return (np.repeat(ticks, 640) * np.sin(np.arange(640 * len(ticks)) / 5)).astype(np.float32)


def run(pcm: np.ndarray) -> list[float]:
    state = StressState()
    return [listen(state, pcm[begin : begin + 640]) for begin in range(0, len(pcm), 640)]


def test_the_loud_ones_are_stressed_and_a_tick_after_their_peak() -> None:
    levels = [0.05] * 24
    levels[18] = 0.3
    told = np.array(run(syllables(levels)))
    assert np.flatnonzero(told).tolist() == [18 * 6 + 3 + 1] and told.max() == 1.0


def test_silence_and_nonsense_stress_nothing() -> None:
    random = np.random.default_rng(0)
    assert not any(run((1e-4 * random.normal(0, 1, 64_000)).astype(np.float32)))
    assert not any(run(np.full(6400, np.nan, np.float32)))
    assert listen(StressState(), np.zeros(0, np.float32)) == 0.0
    # What was not finite has not spoilt the mean.
    pcm = syllables([0.05] * 6 + [0.3] + [0.05] * 3)
    pcm[640:1280] = np.inf
    assert max(run(pcm)) > 0.5


def test_levels_of_a_batch_are_those_of_each() -> None:
    random = np.random.default_rng(1)
    for sizes in ([640] * 5, [640, 0, 1600, 3]):
        sounds = [
            random.normal(0, 0.1 * n, size).astype(np.float32) for n, size in enumerate(sizes)
        ]
        sounds[1][:1] = np.nan
        assert levels(sounds) == [levels([sound])[0] for sound in sounds]
    assert levels([]) == []


def test_a_louder_microphone_stresses_the_same() -> None:
    quiet = syllables([0.05, 0.06, 0.12, 0.05, 0.04, 0.1, 0.05] * 4)
    assert np.allclose(run(quiet), run(3 * quiet), atol=1e-6)
