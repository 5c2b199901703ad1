"""A face for a speech model that speaks OpenAI's Realtime protocol. Pure: events in, actions out.

OpenAI, "Realtime API" (server events `response.output_audio.delta`, in its beta
`response.audio.delta`; `response.output_audio.done`; `input_audio_buffer.speech_started`; client
event `conversation.item.truncate`). The model sends PCM16 at 24 kHz, faster than it is spoken. When
the user speaks meanwhile, what waits is dropped, and the model is told how much of its answer was
heard, so that it does not believe to have said the rest.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visavis.clients.actions import Action, Clear, EndSegment, Send, Speak
from visavis.clients.session import PlaybackFinished

__all__ = ["RATE", "RealtimeBridge"]

RATE = 24_000
_DELTAS = frozenset({"response.output_audio.delta", "response.audio.delta"})
_DONE = frozenset({"response.output_audio.done", "response.audio.done"})
_KEPT = 64  # answers of which it is remembered what they were


@dataclass(frozen=True, slots=True)
class _Answer:
    item: str
    part: int


class RealtimeBridge:
    """Give it the model's events and the session's; do what it returns, in order."""

    def __init__(self) -> None:
        self._answer: _Answer | None = None
        self._segment = 1
        self._answers: dict[int, _Answer] = {}
        self._speaking = False

    def from_model(self, event: Mapping[str, Any]) -> list[Action]:
        """Return what an event of the model asks for: nothing, where it means nothing here.

        Raises:
            ValueError: its sound is damaged.
        """
        kind = event.get("type")
        if kind in _DELTAS:
            return self._delta(event)
        if kind in _DONE:
            return self._end()
        if kind == "input_audio_buffer.speech_started" and (self._answers or self._speaking):
            self._answer = None
            ended = self._speaking
            self._speaking = False
            # The segment that is interrupted before its end still counts: numbers stay in step.
            return [*([EndSegment()] if ended else []), Clear()]
        return []

    def from_session(self, event: object) -> list[Action]:
        """Return what to tell the model of what was heard."""
        if not isinstance(event, PlaybackFinished):
            return []
        answer = self._answers.pop(event.segment, None)
        if answer is None or not event.interrupted:
            return []
        return [
            Send(
                {
                    "type": "conversation.item.truncate",
                    "item_id": answer.item,
                    "content_index": answer.part,
                    "audio_end_ms": int(event.position_s * 1000),
                }
            )
        ]

    def _delta(self, event: Mapping[str, Any]) -> list[Action]:
        try:
            pcm = base64.b64decode(event.get("delta", ""), validate=True)
        except (binascii.Error, TypeError) as error:
            raise ValueError("the model's sound is no base64") from error
        if len(pcm) % 2:
            raise ValueError("the model's sound has half a sample")
        answer = _Answer(str(event.get("item_id", "")), int(event.get("content_index", 0)))
        actions: list[Action] = []
        if self._speaking and answer != self._answer:
            actions += self._end()
        if not self._speaking:
            self._answers[self._segment] = answer
            while len(self._answers) > _KEPT:
                del self._answers[next(iter(self._answers))]
            self._answer, self._speaking = answer, True
            self._segment += 1
        return [*actions, Speak(pcm)] if pcm else actions

    def _end(self) -> list[Action]:
        if not self._speaking:
            return []
        self._speaking = False
        return [EndSegment()]
