"""A face for a speech model that speaks the Gemini Live protocol. Pure: messages in, actions out.

Google, "Live API" (`serverContent.modelTurn.parts[].inlineData`, PCM16 at 24 kHz;
`serverContent.interrupted`; `turnComplete`). When the user interrupts, the model says so itself and
keeps in mind what it had sent; nothing has to be reported back.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from visavis.clients.actions import Action, Clear, EndSegment, Speak

__all__ = ["RATE", "LiveBridge"]

RATE = 24_000
_PCM = re.compile(r"audio/pcm(?:;\s*rate=(\d+))?", re.IGNORECASE)


class LiveBridge:
    """Give it the model's messages; do what it returns, in order."""

    def __init__(self) -> None:
        self._speaking = False

    def from_model(self, message: Mapping[str, Any]) -> list[Action]:
        """Return what a message asks for.

        Raises:
            ValueError: its sound is damaged or of another rate.
        """
        content = message.get("serverContent")
        if not isinstance(content, Mapping):
            return []
        if content.get("interrupted"):
            ended = self._speaking
            self._speaking = False
            return [*([EndSegment()] if ended else []), Clear()]
        actions: list[Action] = []
        turn = content.get("modelTurn")
        parts = turn.get("parts", []) if isinstance(turn, Mapping) else []
        for part in parts:
            data = part.get("inlineData") if isinstance(part, Mapping) else None
            if isinstance(data, Mapping) and (pcm := _sound(data)):
                self._speaking = True
                actions.append(Speak(pcm))
        if self._speaking and (content.get("turnComplete") or content.get("generationComplete")):
            self._speaking = False
            actions.append(EndSegment())
        return actions


def _sound(data: Mapping[str, Any]) -> bytes:
    found = _PCM.fullmatch(str(data.get("mimeType", "")))
    if found is None:
        return b""
    if found[1] is not None and int(found[1]) != RATE:
        raise ValueError(f"the model's sound has {found[1]} Hz, not {RATE}")
    try:
        pcm = base64.b64decode(data.get("data", ""), validate=True)
    except (binascii.Error, TypeError) as error:
        raise ValueError("the model's sound is no base64") from error
    if len(pcm) % 2:
        raise ValueError("the model's sound has half a sample")
    return pcm
