"""The second opinion: exact frames of 20 ms, whatever the chunks and whoever else is there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.engines import reference_voice
from tests.engines.tiny_person import voice
from visavis.engines.voice_activity import VoiceActivity

F32 = NDArray[np.float32]
SOUND = np.concatenate([voice(3, 1), np.zeros(8000, np.float32), voice(2, 2)])
ACTIVITY = VoiceActivity(3)
WHOLE = reference_voice.voiced(SOUND)


def listen(pieces: list[F32]) -> NDArray[np.bool_]:
    state = ACTIVITY.initial_state()
    return np.concatenate([ACTIVITY.step(state, piece) for piece in pieces])


def test_it_says_yes_and_no() -> None:
    assert 0.1 < WHOLE.mean() < 0.9
    assert not listen([np.zeros(16000, np.float32)]).any()


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, len(SOUND)), max_size=60))
def test_chunks_do_not_matter(cuts: list[int]) -> None:
    assert np.array_equal(listen(np.split(SOUND, sorted(cuts))), WHOLE)


def test_sounds_are_quantised_together_as_alone() -> None:
    broken = np.array([np.nan, np.inf, -2.0, 2.0, 0.5], np.float32)
    sounds = [SOUND[:640], broken, SOUND[:0], SOUND[700:1400]]
    together = ACTIVITY.quantised(sounds)
    for found, sound in zip(together, sounds, strict=True):
        assert np.array_equal(found, ACTIVITY.quantised([sound])[0]) and found.dtype == np.int16
    assert together[1].tolist() == [0, 0, -32767, 32767, 16384]
    assert ACTIVITY.quantised([]) == []


def test_an_opinion_comes_with_the_last_sample_of_its_frame() -> None:
    state = ACTIVITY.initial_state()
    assert len(ACTIVITY.step(state, SOUND[:319])) == 0
    assert len(ACTIVITY.step(state, SOUND[319:320])) == 1
    assert len(ACTIVITY.step(state, SOUND[320 : 320 * 4 + 5])) == 3
    assert len(state.pending) == 5


def test_sessions_do_not_hear_each_other() -> None:
    one, two = ACTIVITY.initial_state(), ACTIVITY.initial_state()
    loud = np.random.default_rng(0).normal(0, 0.3, 640).astype(np.float32)
    found = []
    for start in range(0, len(SOUND) - 639, 640):
        found.append(ACTIVITY.step(one, SOUND[start : start + 640]))
        ACTIVITY.step(two, loud)
    assert np.array_equal(np.concatenate(found), WHOLE[: 2 * len(found)])


def test_values_that_are_no_sound_count_as_silence() -> None:
    broken = SOUND.copy()
    broken[1000:1100] = [np.nan, np.inf, -np.inf, np.nan] * 25
    silent = SOUND.copy()
    silent[1000:1100] = 0.0
    assert np.array_equal(listen([broken]), listen([silent]))
    assert len(listen([np.full(640, 1e30, np.float32)])) == 2


@pytest.mark.parametrize("mode", [-1, 4, 1.5, "3"])
def test_modes_that_do_not_exist_are_refused(mode: int) -> None:
    with pytest.raises(ValueError, match="modes 0 to 3"):
        VoiceActivity(mode)
