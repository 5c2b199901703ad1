"""Comparing what was asked for with what is shown."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest

from tests.engines import tiny_person
from visavis.finetune.closed_loop import compare, speak


def test_a_mouth_that_follows_and_one_that_does_not() -> None:
    random = np.random.default_rng(0)
    asked = np.concatenate([np.zeros(40), random.uniform(0, 0.25, 200)])
    good = compare(asked, 0.9 * asked + 0.002)
    assert good["r"] > 0.999 and good["gain"] == pytest.approx(0.9)
    assert good["shown_closed"] == good["shown_open"] == 1.0 and good["asked_closed"] >= 40
    still = compare(asked, np.full(240, 0.05) + random.normal(0, 0.001, 240))
    assert abs(still["r"]) < 0.2 and still["shown_closed"] == 0.0


def test_speaking_gives_a_frame_and_coefficients_a_tick(tmp_path: Path) -> None:
    pcm = (tiny_person.voice(1.5) * 20000).astype("<i2").tobytes()
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(pcm)
    (tmp_path / "voice.wav").write_bytes(buffer.getvalue())
    person = tiny_person.tiny_person()
    frames, coefficients = speak(person, tmp_path / "voice.wav", 1.0)
    assert frames.shape == (25, tiny_person.HEIGHT * 3 // 2, tiny_person.WIDTH)
    assert coefficients.shape == (25, tiny_person.COEFFICIENTS)
    assert coefficients.std(axis=0).max() > 0.01
