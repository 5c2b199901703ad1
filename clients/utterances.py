"""What an agent framework says and hears over a session: whole utterances, and no silence.

LiveKit and Pipecat take every sample that they are given for speech, and may not be told of an
utterance that they have cleared. So the voice comes out while an utterance is said, and after a
clear nothing of before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from visavis.clients.errors import ClientError
from visavis.clients.session import (
    AvatarSession,
    Picture,
    PlaybackFinished,
    PlaybackStarted,
    Voice,
)

__all__ = ["Utterances"]


class Utterances:
    """See the module.

    Args:
        session: open, and not live; whoever opened it closes it. One task at a time says and ends;
            any may clear.
    """

    def __init__(self, session: AvatarSession) -> None:
        self._session = session
        self._open = False  # something of the present segment was sent
        self._segment = 1  # the number of the present one
        self._clears = 0
        self._first = 1  # what belongs to earlier segments was cleared
        self._heard = False  # a segment is being said

    async def say(self, pcm16: bytes) -> None:
        """Say more of the present utterance; waits while the server has enough.

        Raises:
            ClientError: the session has ended.
        """
        if not pcm16:
            return
        clears = self._clears
        self._open = True
        await self._session.speak(pcm16)
        if clears != self._clears:  # it waited for room meanwhile, and is out of date
            await self._clear(sent=True)

    async def end(self) -> bool:
        """End the utterance; False where there is none, as after a clear.

        Raises:
            ClientError: the session has ended.
        """
        if not self._open:
            return False
        self._open = False
        self._segment = await self._session.end_segment() + 1
        return True

    async def clear(self) -> None:
        """Barge-in. Nothing that was said before comes out of the iterator from now on.

        Raises:
            ClientError: the session has ended.
        """
        self._clears += 1
        await self._clear(sent=self._open)

    async def _clear(self, *, sent: bool) -> None:
        # A segment that was begun has its number, though it was never ended.
        self._segment += sent
        self._first, self._heard, self._open = self._segment, False, False
        await self._session.clear()

    async def __aiter__(self) -> AsyncIterator[Picture | Voice | PlaybackFinished]:
        """The face all the time; the voice while an utterance is said, and that it was said.

        Raises:
            ClientError: the session has ended.
        """
        # That a segment began is said after its first 20 ms: they wait here.
        held: Voice | None = None
        async for event in self._session:
            match event:
                case Picture():
                    yield event
                case Voice() if self._heard:
                    yield event
                case Voice():
                    held = event
                case PlaybackStarted(segment) if segment >= self._first:
                    if held is not None and not self._heard:
                        yield held
                    self._heard, held = True, None
                case PlaybackFinished(segment) if segment >= self._first:
                    self._heard = False
                    yield event
                case _:
                    pass
        raise ClientError("The server has ended the session.")
