"""`cepstra@1`: what the published systems hear, exact under chunking."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.engines.test_audio import voice
from visavis.engines.cepstra import DEEPSPEECH, RATE, SPEECH_FEATURES, SYNCNET, Cepstra
from visavis.models.systems import mfcc
from visavis.models.systems.davs import sound

F32 = NDArray[np.float32]

VOICE = (np.round(voice(3.0) * 32768.0) / 32768.0).astype(np.float32)
RECIPES: dict[str, dict[str, Any]] = {
    "speech features": dict(SPEECH_FEATURES),
    "syncnet": dict(SYNCNET),
    "deepspeech": {**DEEPSPEECH, "energy": True},
}


def hear(cepstra: Cepstra, pcm: F32) -> F32:
    return cepstra.step(cepstra.initial_state(), pcm)


WHOLE = {name: hear(Cepstra(params), VOICE) for name, params in RECIPES.items()}


@pytest.mark.parametrize("name", RECIPES)
@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=60))
def test_rows_do_not_depend_on_chunks(name: str, sizes: list[int]) -> None:
    cepstra = Cepstra(RECIPES[name])
    state = cepstra.initial_state()
    rows = []
    at = 0
    for size in sizes:
        rows.append(cepstra.step(state, VOICE[at : at + size]))
        at = min(at + size, len(VOICE))
    got = np.concatenate(rows)
    assert len(got) == at // RECIPES[name]["hop"]
    assert np.array_equal(got, WHOLE[name][: len(got)])


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(st.sampled_from([640, 640, 0, 77, 1600]), min_size=5, max_size=5)))
def test_a_batch_is_each_session_alone(sizes: list[list[int]]) -> None:
    cepstra = Cepstra(RECIPES["deepspeech"])
    sounds = [VOICE[3000 * n :] * np.float32(0.1 + n) for n in range(len(sizes))]
    together = [cepstra.initial_state() for _ in sizes]
    alone = [cepstra.initial_state() for _ in sizes]
    for tick in range(5):
        ends = [sum(row[: tick + 1]) for row in sizes]
        pcm = [
            samples[end - row[tick] : end]
            for samples, end, row in zip(sounds, ends, sizes, strict=True)
        ]
        many = cepstra.step_many(together, pcm)
        for rows, state, other, samples in zip(many, together, alone, pcm, strict=True):
            assert np.array_equal(rows, cepstra.step(other, samples))
            assert np.array_equal(state.pending, other.pending)


def test_it_is_what_headpose_and_audiodvp_hear() -> None:
    """Row j is row j - 2 of the original, counted from the stream's first sample."""
    original = mfcc.mfcc(VOICE)[:, 1:]
    rows = WHOLE["speech features"]
    assert rows.shape == (300, 12) and rows.dtype == np.float32
    np.testing.assert_allclose(rows[2:], original[:298], atol=2e-5)


def test_a_stream_begins_as_a_clip_after_silence() -> None:
    """The originals put 120 ms of silence before a clip; frame k hears rows 4k - 10 to 4k + 17."""
    windows = mfcc.clip_windows(VOICE)
    rows = np.concatenate((np.zeros((10, 12), np.float32), WHOLE["speech features"]))
    for k in (0, 1, 2, 3, 40):
        np.testing.assert_allclose(rows[4 * k : 4 * k + 28], windows[k], atol=2e-5)


def test_it_is_what_davs_hears() -> None:
    original = sound.mfcc(VOICE)
    rows = WHOLE["syncnet"]
    np.testing.assert_allclose(rows[2:], original[:298, 1:], atol=2e-5)
    # Frame k hears rows 4k - 6 to 4k + 13: it can be made 140 ms after its begin.
    for frame in (2, 17, 60):
        np.testing.assert_allclose(
            rows[4 * frame - 6 : 4 * frame + 14], sound.window(original, frame), atol=2e-5
        )


def test_it_is_what_deepspeech_hears() -> None:
    """Against TensorFlow's mfcc, written again as loops over bins and bands."""
    pcm = VOICE[8000:10000].astype(np.float64)
    rows = hear(Cepstra(RECIPES["deepspeech"]), pcm.astype(np.float32))

    def mel(hz: float) -> float:
        return 1127.0 * math.log(1.0 + hz / 700.0)

    low, high, bands = mel(20.0), mel(8000.0), 40
    centres = [low + (high - low) / (bands + 1) * (i + 1) for i in range(bands + 1)]
    for row in (1, 2, 4):
        frame = pcm[320 * (row - 1) : 320 * (row - 1) + 512]
        hann = [0.5 - 0.5 * math.cos(2.0 * math.pi * i / 512) for i in range(512)]
        magnitude = np.abs(np.fft.fft(frame * hann)[:257])
        sums = [0.0] * bands
        for i in range(int(1.5 + 20.0 / 31.25), 257):
            at = mel(31.25 * i)
            band = sum(centre < at for centre in centres[:bands]) - 1
            first = centres[band] if band >= 0 else low
            share = (centres[band + 1] - at) / (centres[band + 1] - first)
            if band >= 0:
                sums[band] += magnitude[i] * share
            if band + 1 < bands:
                sums[band + 1] += magnitude[i] * (1.0 - share)
        logs = [math.log(max(value, 1e-12)) for value in sums]
        wanted = [
            math.sqrt(2.0 / bands)
            * sum(logs[j] * math.cos(math.pi / bands * k * (j + 0.5)) for j in range(bands))
            for k in range(26)
        ]
        np.testing.assert_allclose(rows[row, :26], wanted, atol=1e-4)
        assert rows[row, 26] == pytest.approx(math.sqrt(float(np.mean(frame**2))), rel=1e-5)


@pytest.mark.parametrize("name", RECIPES)
def test_silence_is_finite_and_steady(name: str) -> None:
    rows = hear(Cepstra(RECIPES[name]), np.zeros(RATE, np.float32))
    assert np.isfinite(rows).all()
    assert np.array_equal(rows, np.broadcast_to(rows[0], rows.shape))
    if RECIPES[name]["skip"]:
        assert np.abs(rows).max() < 1e-9


def test_what_is_not_a_number_counts_as_silence() -> None:
    broken, silent = VOICE.copy(), VOICE.copy()
    broken[8000:8640] = np.nan
    broken[8640:8650] = -np.inf
    silent[8000:8650] = 0.0
    cepstra = Cepstra(SYNCNET)
    assert np.array_equal(hear(cepstra, broken), hear(cepstra, silent))
    assert np.isfinite(hear(cepstra, np.full(RATE, 3e38, np.float32))).all()


def test_a_row_hears_its_window_and_the_sample_before_it() -> None:
    """Row 150 begins its window at 160 * 148 and ends it at 160 * 148 + 400."""
    cepstra, begin = Cepstra(), 160 * 148
    for sample, heard in ((begin - 2, False), (begin - 1, True), (begin + 399, True)):
        other = VOICE.copy()
        other[sample] += 0.25
        changed = not np.array_equal(hear(cepstra, other)[150], WHOLE["speech features"][150])
        assert changed == heard, sample
    later = VOICE.copy()
    later[begin + 400] += 0.25
    assert np.array_equal(hear(cepstra, later)[150], WHOLE["speech features"][150])


def test_a_tick_has_a_whole_number_of_rows() -> None:
    assert (Cepstra().rows, Cepstra().size) == (4, 12)
    assert (Cepstra(DEEPSPEECH).rows, Cepstra(DEEPSPEECH).size) == (2, 26)
    assert Cepstra({**DEEPSPEECH, "energy": True}).size == 27


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"loudness": 1.0}, "loudness"),
        ({"hop": 150}, "640"),
        ({"hop": 0}, "hop"),
        ({"window": 1024}, "transform"),
        ({"transform": 1 << 30}, "transform"),
        ({"filters": 10}, "filters"),
        ({"taper": "square"}, "taper"),
        ({"floor": 0.0}, "floor"),
        ({"scale": float("nan")}, "scale"),
        ({"low_hz": 5000.0, "high_hz": 400.0}, "low_hz"),
        ({"lifter": "high"}, "lifter"),
        ({"window": True}, "window"),
    ],
)
def test_senseless_parameters_are_refused(params: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Cepstra(params)
