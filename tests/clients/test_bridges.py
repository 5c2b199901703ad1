"""Speech models' event streams, as recorded, and what a face makes of them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from visavis.clients.actions import Action, Clear, EndSegment, Send, Speak, perform
from visavis.clients.gemini_live import LiveBridge
from visavis.clients.openai_realtime import RealtimeBridge
from visavis.clients.session import PlaybackFinished, PlaybackStarted

STREAMS = Path(__file__).parent / "streams"


def events(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (STREAMS / name).read_text().splitlines()]


def pcm(actions: list[Action]) -> bytes:
    return b"".join(action.pcm16 for action in actions if isinstance(action, Speak))


@pytest.mark.parametrize("name", ["openai_realtime.jsonl", "openai_realtime_beta.jsonl"])
def test_an_answer_of_the_realtime_api(name: str) -> None:
    bridge = RealtimeBridge()
    actions = [action for event in events(name) for action in bridge.from_model(event)]
    assert pcm(actions) == bytes(range(12))
    assert [type(action) for action in actions] == [Speak, Speak, EndSegment]
    assert bridge.from_session(PlaybackStarted(1)) == []
    assert bridge.from_session(PlaybackFinished(1, 0.5, interrupted=False)) == []


def test_an_interruption_tells_the_model_what_was_heard() -> None:
    """The second answer is interrupted while it still comes; what was heard of it is told."""
    bridge = RealtimeBridge()
    actions: list[Action] = []
    for event in events("openai_realtime_interrupted.jsonl"):
        actions += bridge.from_model(event)
    assert [type(action) for action in actions] == [
        *(Speak, EndSegment),
        *(Speak, EndSegment, Clear),
        *(Speak, EndSegment),
    ]
    assert bridge.from_session(PlaybackFinished(1, 1.0, interrupted=False)) == []
    assert bridge.from_session(PlaybackFinished(2, 0.4567, interrupted=True)) == [
        Send(
            {
                "type": "conversation.item.truncate",
                "item_id": "item_2",
                "content_index": 0,
                "audio_end_ms": 456,
            }
        )
    ]
    assert bridge.from_session(PlaybackFinished(2, 0.4567, interrupted=True)) == [], "once"
    assert bridge.from_session(PlaybackFinished(3, 0.1, interrupted=False)) == []


def test_an_answer_that_was_said_long_ago_is_not_cleared() -> None:
    bridge = RealtimeBridge()
    for event in events("openai_realtime.jsonl"):
        bridge.from_model(event)
    bridge.from_session(PlaybackFinished(1, 0.5, interrupted=False))
    assert bridge.from_model({"type": "input_audio_buffer.speech_started"}) == []


def test_an_answer_of_gemini_live() -> None:
    bridge = LiveBridge()
    actions = [action for e in events("gemini_live.jsonl") for action in bridge.from_model(e)]
    assert pcm(actions) == bytes(range(8))
    kinds = [type(action) for action in actions]
    assert kinds == [Speak, Speak, EndSegment, Speak, EndSegment, Clear]


@pytest.mark.parametrize("delta", ["no base64!", base64.b64encode(b"odd").decode()])
def test_damaged_sound_is_refused(delta: str) -> None:
    with pytest.raises(ValueError, match="the model's sound"):
        RealtimeBridge().from_model({"type": "response.output_audio.delta", "delta": delta})
    part = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": delta}}
    with pytest.raises(ValueError, match="the model's sound"):
        LiveBridge().from_model({"serverContent": {"modelTurn": {"parts": [part]}}})


def test_sound_of_another_rate_is_refused() -> None:
    part = {"inlineData": {"mimeType": "audio/pcm;rate=16000", "data": "AAAA"}}
    with pytest.raises(ValueError, match="16000 Hz, not 24000"):
        LiveBridge().from_model({"serverContent": {"modelTurn": {"parts": [part]}}})


@pytest.mark.parametrize("event", [{}, {"type": "session.created"}, {"type": 7}])
def test_other_events_ask_for_nothing(event: dict[str, Any]) -> None:
    assert RealtimeBridge().from_model(event) == []
    assert LiveBridge().from_model(event) == []


async def test_actions_are_done_in_their_order() -> None:
    done: list[Any] = []

    class Session:
        async def speak(self, pcm16: bytes) -> None:
            done.append(pcm16)

        async def end_segment(self) -> int:
            done.append("end")
            return 1

        async def clear(self) -> None:
            done.append("clear")

    async def send(event: Any) -> None:
        done.append(event)

    actions: list[Action] = [Speak(b"ab"), EndSegment(), Clear(), Send({"type": "x"})]
    await perform(actions, Session(), send)  # type: ignore[arg-type]
    assert done == [b"ab", "end", "clear", {"type": "x"}]
