"""`logmel@1`: exact under chunking, causal, and deaf to gain and colour."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from visavis.engines.audio import HOP, RATE, LogMel

F32 = NDArray[np.float32]


def voice(seconds: float, seed: int = 0) -> F32:
    """A buzz through two moving resonances, in syllables with gaps, over faint noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 15 * np.sin(2 * np.pi * 0.7 * t)) / RATE
    out = np.zeros_like(t)
    for k in range(1, 40):
        hz = 120 * k
        for centre in (500 + 200 * np.sin(2 * np.pi * 1.1 * t), 1500 + 500 * np.sin(3.1 * t)):
            out += np.sin(k * phase) * np.exp(-(((hz - centre) / 150) ** 2))
    syllables = np.clip(np.sin(2 * np.pi * 2.3 * t) * 3, 0, 1) * (
        np.sin(2 * np.pi * 0.3 * t) > -0.5
    )
    out = out / np.abs(out).max() * syllables + rng.normal(0, 1e-4, len(t))
    return (0.3 * out).astype(np.float32)


VOICE = voice(3.0)
WHOLE = LogMel().step(LogMel().initial_state(), VOICE)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=60))
def test_rows_do_not_depend_on_chunks(sizes: list[int]) -> None:
    mel = LogMel()
    state = mel.initial_state()
    rows = []
    at = 0
    for size in sizes:
        rows.append(mel.step(state, VOICE[at : at + size]))
        at = min(at + size, len(VOICE))
    got = np.concatenate(rows)
    assert len(got) == at // HOP
    assert np.array_equal(got, WHOLE[: len(got)])


def test_a_row_hears_its_window_and_nothing_later() -> None:
    mel = LogMel()
    j = 150
    later = VOICE.copy()
    later[HOP * (j + 1) :] = 0.5
    assert np.array_equal(mel.step(mel.initial_state(), later)[: j + 1], WHOLE[: j + 1])
    within = VOICE.copy()
    within[HOP * (j + 1) - 120 :] = 0.5
    assert not np.array_equal(mel.step(mel.initial_state(), within)[j], WHOLE[j])


@pytest.mark.parametrize("hz", [200.0, 1000.0, 3000.0, 6500.0])
def test_a_tone_lights_its_band(hz: float) -> None:
    mel = LogMel({"mean_strength": 0.0, "mean_low": 0.0, "mean_high": 0.0})
    tone = 0.1 * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE).astype(np.float32)
    band = int(mel.step(mel.initial_state(), tone)[60, :64].argmax())
    scale = 2595 * np.log10(1 + np.array([60.0, 7600.0, hz]) / 700)
    expected = (scale[2] - scale[0]) / (scale[1] - scale[0]) * 65 - 1
    assert abs(band - expected) <= 1.0


def test_gain_is_forgotten() -> None:
    sound = voice(12.0)
    mel = LogMel()
    loud = mel.step(mel.initial_state(), sound)
    quiet = mel.step(mel.initial_state(), sound * np.float32(10 ** (-18 / 20)))
    start, end = slice(20, 60), slice(900, 1200)
    assert np.abs(loud[start] - quiet[start]).mean() > 0.2
    assert np.abs(loud[end, :64] - quiet[end, :64]).mean() < 0.12


def test_half_of_a_microphones_colour_is_removed() -> None:
    sound = voice(20.0)
    spectrum = np.fft.rfft(sound)
    hz = np.fft.rfftfreq(len(sound), 1 / RATE)
    tilted = np.fft.irfft(spectrum * np.where(hz > 900, 0.3, 1.0), len(sound)).astype(np.float32)

    def change(strength: float) -> float:
        mel = LogMel({"mean_strength": strength, "floor_db": -90.0})
        a, b = (mel.step(mel.initial_state(), x)[1500:, 30:60] for x in (sound, tilted))
        speech = a.mean(1) > np.quantile(a.mean(1), 0.6)
        return float((a - b)[speech].mean())

    assert change(0.5) == pytest.approx(0.5 * change(0.0), rel=0.25)


def test_what_is_not_a_number_counts_as_silence() -> None:
    broken, silent = VOICE.copy(), VOICE.copy()
    broken[8000:8640] = np.nan
    broken[8640:8650] = np.inf
    silent[8000:8650] = 0.0
    mel = LogMel()
    assert np.array_equal(
        mel.step(mel.initial_state(), broken), mel.step(mel.initial_state(), silent)
    )


def test_silence_and_overload_stay_in_range() -> None:
    mel = LogMel()
    state = mel.initial_state()
    rng = np.random.default_rng(0)
    blocks = (np.zeros(RATE), rng.normal(0, 2, RATE), np.zeros(RATE), np.full(RATE, 1e6))
    for block in blocks:
        rows = mel.step(state, block.astype(np.float32))
        assert np.isfinite(rows).all() and np.abs(rows).max() < 12.0


def test_trackers_do_not_drift() -> None:
    mel = LogMel()
    state = mel.initial_state()
    sound = voice(10.0)
    turns = [mel.step(state, sound) for _ in range(18)]
    assert np.abs(turns[-1] - turns[5]).max() < 0.05


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="loudness"):
        LogMel({"loudness": 1.0})


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.sampled_from([640, 640, 0, 77, 1600]), min_size=6, max_size=6)))
def test_a_batch_is_each_session_alone(sizes: list[list[int]]) -> None:
    """To the last bit, whoever is in the batch: loud, silent, broken, of other lengths."""
    mel = LogMel()
    sounds = [VOICE[3000 * n :] * np.float32(0.1 + n) for n in range(len(sizes))]
    if len(sounds) > 1:
        sounds[1][1000:1010] = np.nan
    together = [mel.initial_state() for _ in sizes]
    alone = [mel.initial_state() for _ in sizes]
    for tick in range(6):
        ends = [sum(row[: tick + 1]) for row in sizes]
        pcm = [
            sound[end - row[tick] : end]
            for sound, end, row in zip(sounds, ends, sizes, strict=True)
        ]
        many = mel.step_many(together, pcm)
        for rows, state, other, samples in zip(many, together, alone, pcm, strict=True):
            assert np.array_equal(rows, mel.step(other, samples))
            assert np.array_equal(state.mean, other.mean) and state.level == other.level


def test_a_batch_that_fails_changes_nobody() -> None:
    mel = LogMel()
    states = [mel.initial_state(), mel.initial_state()]
    mel.step_many(states, [VOICE[:640], VOICE[:900]])
    before = [state.pending.copy() for state in states]
    with pytest.raises(ValueError):
        mel.step_many(states, [VOICE[640:1280], np.zeros((3, 640), np.float32)])
    assert all(map(np.array_equal, before, [state.pending for state in states]))
    rows = mel.step(states[0], VOICE[640:1280])
    assert np.array_equal(rows, WHOLE[4 : 4 + len(rows)]) and len(rows) == 4
