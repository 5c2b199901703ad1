"""The Pipecat video service in real pipelines, against a real server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.foreign_calls import calls_of

pytestmark = pytest.mark.long  # its environment has 640 MB


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return calls_of("pipecat", "Pipecat")


def test_speech_comes_out_whole_with_a_face(told: dict[str, Any]) -> None:
    whole = told["whole"]
    assert whole["rates"] == [48_000]
    assert abs(whole["loud_s"] - 1.5) < 0.05 and whole["gap"] < 480
    assert abs(whole["voice_s"] - 1.5) <= 0.06, "silence is no speech"
    width, height, pixels, size = whole["image"]
    assert pixels == "RGB" and size == width * height * 3
    assert whole["images"] > 10
    # The fake engine's picture is as bright as the sound is loud.
    assert max(whole["levels"]) > 100, "in silence it is 30"
    assert whole["errors"] == 0


def test_an_utterance_stops_when_it_was_said(told: dict[str, Any]) -> None:
    names = ["TTSStartedFrame", "TTSAudioRawFrame", "TTSStoppedFrame"]
    assert told["whole"]["names"] == names
    two = told["two"]
    assert two["names"].count("TTSStoppedFrame") == 2 and two["names"][-1] == "TTSStoppedFrame"
    assert two["names"].index("TTSAudioRawFrame") < two["names"].index("TTSStoppedFrame")
    assert abs(two["voice_s"] - 0.6) <= 0.12


def test_an_interruption_clears_and_the_next_utterance_is_said(told: dict[str, Any]) -> None:
    interrupted = told["interrupted"]
    assert interrupted["names"] == [
        "TTSStartedFrame",
        "TTSAudioRawFrame",
        "InterruptionFrame",
        "TTSStartedFrame",
        "TTSAudioRawFrame",
        "TTSStoppedFrame",
    ]
    assert 0.8 < interrupted["voice_s"] < 8


def test_a_refusal_is_told_and_the_voice_passes(told: dict[str, Any]) -> None:
    refused = told["refused"]
    assert refused["errors"] == 1 and refused["images"] == 0
    assert refused["rates"] == [24_000]
    assert refused["names"] == ["TTSStartedFrame", "TTSAudioRawFrame", "TTSStoppedFrame"]
