"""What a bridge between a speech model and a session wants done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from visavis.clients.session import AvatarSession

__all__ = ["Action", "Clear", "EndSegment", "Send", "Speak", "perform"]


@dataclass(frozen=True, slots=True)
class Speak:
    """Say this, PCM16 of the session's rate."""

    pcm16: bytes


@dataclass(frozen=True, slots=True)
class EndSegment:
    """The answer is complete."""


@dataclass(frozen=True, slots=True)
class Clear:
    """The user interrupts."""


@dataclass(frozen=True, slots=True)
class Send:
    """Tell the model."""

    event: Mapping[str, Any]


Action = Speak | EndSegment | Clear | Send


async def perform(
    actions: Sequence[Action],
    session: AvatarSession,
    send: Callable[[Mapping[str, Any]], Awaitable[None]],
) -> None:
    """Do what a bridge returned.

    Args:
        actions: in their order.
        session: who speaks.
        send: tells the model.
    """
    for action in actions:
        match action:
            case Speak(pcm16):
                await session.speak(pcm16)
            case EndSegment():
                await session.end_segment()
            case Clear():
                await session.clear()
            case Send(event):
                await send(event)
