"""The LiveKit avatar against the real LiveKit libraries and a real server.

The room alone is a double: LiveKit's server is in no package registry of Python.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.foreign_calls import calls_of


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return calls_of("livekit", "LiveKit")


def test_an_answer_is_said_whole_and_the_agent_told(told: dict[str, Any]) -> None:
    position, interrupted, started = told["whole"]
    assert not interrupted and started == 1
    assert abs(position - 1.5) <= 0.045
    assert abs(told["loud_s"] - 1.5) < 0.05 and told["gap"] < 480
    assert told["pictures"] > 10
    # The fake engine's picture is as bright as the sound is loud.
    assert max(told["levels"]) > 100, "in silence it is 30"
    assert told["tracks"] == ["avatar_audio", "avatar_video"]


def test_silence_is_no_speech_and_the_face_goes_on(told: dict[str, Any]) -> None:
    voice, pictures = told["idle"]
    assert voice == 0 and pictures > 5


def test_barge_in_stops_the_voice_and_tells_what_was_heard(told: dict[str, Any]) -> None:
    position, interrupted, pushed = told["interrupted"]
    assert interrupted
    assert 0.5 <= position < 10 and abs(position - pushed) <= 0.045
    assert told["after"] <= 1
    position, interrupted = told["next"]
    assert not interrupted and abs(position - 0.5) <= 0.045


def test_it_joins_on_the_agents_behalf_and_leaves(told: dict[str, Any]) -> None:
    assert told["ticket"] == [
        "visavis-avatar-agent",
        "agent",
        "lobby",
        {"lk.publish_on_behalf": "agent-1"},
    ]
    assert told["left"]


def test_what_goes_wrong_is_raised(told: dict[str, Any]) -> None:
    assert told["errors"] == ["Refused", "ClientError", "ValueError"]
    assert told["rooms"] == 1
