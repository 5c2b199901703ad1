"""The sound of a video: in step, loud enough, with speech and with pauses."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.finetune import presenter_clip
from tests.finetune.made_clips import scene, write
from visavis.engines.errors import AudioInputError
from visavis.finetune.check.sound import RATE, read_sound, sound_findings, spoken
from visavis.finetune.check.source import Facts, read_facts


@functools.cache
def speech() -> np.ndarray:
    """The presenter's own voice, f32[n]."""
    return read_sound(read_facts(presenter_clip.CLIP))


@functools.cache
def frames(count: int) -> list[np.ndarray]:
    return scene(count)


def clip(folder: Path, sound: np.ndarray | None, seconds: float, start: float = 0.0) -> Facts:
    path = folder / "clip.mkv"
    return read_facts(write(path, frames(int(seconds * 25)), sound=sound, sound_start=start))


def levels(facts: Facts) -> dict[str, str]:
    return {finding.kind: finding.level for finding in sound_findings(facts)}


def test_no_sound_and_silence_are_refused(tmp_path: Path) -> None:
    assert levels(clip(tmp_path, None, 2)) == {"no-sound": "refused"}
    assert levels(clip(tmp_path, np.full(32000, 1e-4), 2)) == {"silent": "refused"}
    with pytest.raises(AudioInputError):
        read_sound(clip(tmp_path, None, 2))


def test_sound_stays_in_step_with_the_pictures(tmp_path: Path) -> None:
    click = 0.01 * np.random.default_rng(0).normal(size=RATE)
    click[8000] = 0.9
    late = clip(tmp_path, click, 2, start=0.3)
    heard = read_sound(late)
    assert len(heard) == 2 * RATE or len(heard) == round(1.3 * RATE)
    assert int(np.abs(heard).argmax()) == pytest.approx(8000 + 0.3 * RATE, abs=20)
    assert levels(late)["sound-start"] == "note"
    early = read_sound(replace(late, sound_start_s=-0.2))
    assert int(np.abs(early).argmax()) == pytest.approx(8000 - 0.2 * RATE, abs=20)


def test_sound_that_stops_early(tmp_path: Path) -> None:
    facts = clip(tmp_path, speech()[: 5 * RATE], 8)
    found = {finding.kind: finding for finding in sound_findings(facts)}
    assert found["sound-short"].level == "warning"
    assert "5.0 s and the pictures at 8.0 s" in found["sound-short"].text


def test_there_is_nothing_to_say_of_enough_speech_with_a_pause(tmp_path: Path) -> None:
    facts = clip(tmp_path, np.concatenate([speech(), speech()]), 2 * len(speech()) / RATE)
    assert levels(facts) == {}


def test_too_little_speech(tmp_path: Path) -> None:
    hiss = 1e-3 * np.random.default_rng(0).normal(size=8 * RATE)
    facts = clip(tmp_path, np.concatenate([speech()[RATE : 3 * RATE], hiss]), 10)
    found = {finding.kind: finding for finding in sound_findings(facts)}
    assert set(found) == {"little-speech"} and "4 are needed" in found["little-speech"].text


def test_no_pause(tmp_path: Path) -> None:
    voiced = np.repeat(spoken(speech()), 320)
    said = speech()[: len(voiced)][voiced]
    facts = clip(tmp_path, np.concatenate([said, said]), 2 * len(said) / RATE)
    assert levels(facts) == {"no-pause": "warning"}


def test_speech_is_told_from_silence() -> None:
    whole = spoken(speech())
    assert 0.6 < whole.mean() < 0.95
    assert not spoken(np.zeros(RATE, np.float32)).any()
    assert spoken(np.zeros(0, np.float32)).shape == (0,)
