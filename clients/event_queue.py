"""Events that wait to be taken: bounded, the oldest picture or voice goes first."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from visavis.clients.errors import ClientError
from visavis.clients.events import CodedPicture, CodedVoice, Event, Picture, Voice

__all__ = ["EVENTS", "EventQueue"]

EVENTS = 400
"""Five seconds of pictures and voice."""


class EventQueue:
    """One task puts, another iterates. Playback events are never dropped.

    Attributes:
        dropped: pictures and pieces of voice that nobody took in time.
        ended: nothing more comes.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self.ended = False
        self._failure: ClientError | None = None
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._broken = False  # compressed pictures are left out until one stands alone
        self._asked = False  # for that one

    def put(self, event: Event) -> None:
        """Hand over an event."""
        if isinstance(event, CodedPicture):
            if self._broken and not event.key:
                self.dropped += 1
                return
            self._broken = self._asked = False
        self._events.append(event)
        if len(self._events) > EVENTS:
            self._drop()
        self._news.set()

    def needs_key_frame(self) -> bool:
        """Whether one is to be asked for now: once for each gap in compressed pictures."""
        needed = self._broken and not self._asked
        self._asked = self._broken
        return needed

    def end(self, failure: ClientError | None) -> None:
        """What waits can be taken still; then the failure is raised, if there is one."""
        self.ended, self._failure = True, failure
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            while self._events:
                yield self._events.popleft()
            if self.ended:
                break
            self._news.clear()
            await self._news.wait()
        if self._failure is not None:
            raise self._failure

    def _drop(self) -> None:
        for place, old in enumerate(self._events):
            if isinstance(old, CodedPicture):
                # Those that refer to it are of no use.
                kept = [event for event in self._events if not isinstance(event, CodedPicture)]
                self.dropped += len(self._events) - len(kept)
                self._events = deque(kept)
                self._broken = True
                return
            if isinstance(old, Picture | Voice | CodedVoice):
                del self._events[place]
                self.dropped += 1
                return
