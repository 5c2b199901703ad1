"""What an agent framework hears, from events in every awkward order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from visavis.clients.errors import ClientError
from visavis.clients.session import Event, Picture, PlaybackFinished, PlaybackStarted, Voice
from visavis.clients.utterances import Utterances


def voice(number: int) -> Voice:
    return Voice(number * 0.02, np.zeros(960, np.float32), 0)


PICTURE = Picture(0.0, np.zeros((3, 2), np.uint8), 0)


class Session:
    """Says what it is told to, and notes what was asked of it."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.asked: list[str] = []
        self.segment = 1
        self.open = False
        self.on_speak: Any = None

    async def speak(self, pcm16: bytes) -> None:
        self.asked.append("speak")
        if self.on_speak is not None:
            hook, self.on_speak = self.on_speak, None
            await hook()
        self.open = True

    async def end_segment(self) -> int:
        self.asked.append("end")
        self.segment, self.open = self.segment + 1, False
        return self.segment - 1

    async def clear(self) -> None:
        self.asked.append("clear")
        self.segment, self.open = self.segment + self.open, False

    async def __aiter__(self) -> AsyncIterator[Event]:
        while self.events:
            yield self.events.pop(0)


def utterances(events: list[Event]) -> tuple[Utterances, Session]:
    session: Any = Session(events)
    return Utterances(session), session


async def heard(said: Utterances) -> list[Any]:
    out = []
    with pytest.raises(ClientError, match="ended the session"):
        async for event in said:
            out.append(round(event.pts_s * 50) if isinstance(event, Voice) else event)
    return out


async def test_silence_stays_out_and_the_first_20_ms_do_not() -> None:
    said, _ = utterances(
        [voice(0), voice(1), PlaybackStarted(1), PICTURE, voice(2)]
        + [PlaybackFinished(1, 0.04, False), voice(3), PICTURE]
    )
    finished = PlaybackFinished(1, 0.04, False)
    assert await heard(said) == [1, PICTURE, 2, finished, PICTURE]


async def test_utterances_without_a_pause_lose_and_double_nothing() -> None:
    one, two = PlaybackFinished(1, 0.04, False), PlaybackFinished(2, 0.02, False)
    said, session = utterances([voice(1), PlaybackStarted(1), voice(2), one, voice(3)])
    session.events += [PlaybackStarted(2), two]
    assert await heard(said) == [1, 2, one, 3, two]


async def test_nothing_of_before_a_clear_is_heard() -> None:
    said, session = utterances([])
    await said.say(b"\0\0")
    assert await said.end()
    await said.say(b"\0\0")  # the second is not ended
    await said.clear()
    assert not await said.end(), "a framework may end what it has cleared"
    await said.say(b"\0\0")
    assert await said.end() and session.segment == 4
    third = PlaybackFinished(3, 0.02, False)
    session.events += [PlaybackStarted(1), voice(1), PlaybackFinished(1, 0.02, True)]
    session.events += [PlaybackFinished(2, 0.0, True), voice(2), PlaybackStarted(3), voice(3)]
    session.events += [third]
    assert await heard(said) == [2, 3, third]
    assert session.asked == ["speak", "end", "speak", "clear", "speak", "end"]


async def test_a_clear_between_two_utterances_drops_neither_number_nor_voice() -> None:
    said, session = utterances([])
    await said.clear()
    await said.say(b"\0\0")
    await said.end()
    first = PlaybackFinished(1, 0.02, False)
    session.events += [voice(1), PlaybackStarted(1), first]
    assert await heard(said) == [1, first]


async def test_what_waited_for_room_while_a_clear_came_is_cleared_too() -> None:
    said, session = utterances([])
    await said.say(b"\0\0")
    session.on_speak = said.clear
    await said.say(b"\0\0")
    assert session.asked == ["speak", "speak", "clear", "clear"]
    assert not await said.end()
    await said.say(b"\0\0")
    await said.end()
    third = PlaybackFinished(3, 0.02, False)
    session.events += [PlaybackFinished(2, 0.0, True), voice(1), PlaybackStarted(3), third]
    assert await heard(said) == [1, third]


async def test_nothing_is_no_utterance() -> None:
    said, session = utterances([])
    await said.say(b"")
    assert not await said.end()
    assert session.asked == []
