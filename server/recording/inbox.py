"""What waits to be written: bounded, and voice is worth more than pictures."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import Frame
from visavis.server.look.look import Look

__all__ = ["MAX_PICTURES", "MAX_VOICE", "Cleared", "Event", "Inbox", "Spoken", "Taken"]

MAX_PICTURES = 12
"""Pictures that wait; a newer one is dropped. Half a second, 5 MB at 512 x 512."""
MAX_VOICE = 1500
"""Steps of voice that wait, half a minute; newer ones are dropped, and are silence in the file."""
MAX_CLEARS = 256
"""Interruptions that wait; newer ones are left out, and at worst unsaid pictures are shown."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A frame, its tick of the session, and the look it is to be shown with."""

    tick: int
    frame: Frame
    look: Look


@dataclass(frozen=True, slots=True)
class Spoken:
    """Voice that was sent, ``f32[n]``; ``pts`` in samples at 48 kHz."""

    pts: int
    pcm: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was not said by now will not be; frames are of this generation from now on."""

    generation: int


Event = Taken | Spoken | Cleared


class Inbox:
    """From one thread to another. ``put`` never waits.

    Attributes:
        dropped_pictures, dropped_voice: for which there was no room.
    """

    def __init__(self) -> None:
        self.dropped_pictures = 0
        self.dropped_voice = 0
        self._waiting: deque[Event] = deque()
        self._counts = {Taken: 0, Spoken: 0, Cleared: 0}
        self._changed = threading.Condition()
        self._closed = False

    def put(self, event: Event) -> None:
        """Add it, unless there is no room or the inbox is closed."""
        kind = type(event)
        with self._changed:
            if self._closed:
                return
            if self._counts[kind] >= _MOST[kind]:
                self.dropped_pictures += kind is Taken
                self.dropped_voice += kind is Spoken
                return
            self._counts[kind] += 1
            self._waiting.append(event)
            self._changed.notify()

    def close(self) -> None:
        """Nothing is taken any more; what waits is still handed out."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def empty(self) -> None:
        """Throw away what waits, and take nothing more."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify()

    def take(self, seconds: float) -> Event | None:
        """The next event; None when none came in that time.

        Raises:
            EOFError: it is closed and empty.
        """
        with self._changed:
            if not self._waiting and not self._closed:
                self._changed.wait(seconds)
            if self._waiting:
                event = self._waiting.popleft()
                self._counts[type(event)] -= 1
                return event
            if self._closed:
                raise EOFError
            return None


_MOST: dict[type[Event], int] = {Taken: MAX_PICTURES, Spoken: MAX_VOICE, Cleared: MAX_CLEARS}
