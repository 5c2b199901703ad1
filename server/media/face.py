"""The picture's way out: which frame is encoded, when it leaves, and which is left out.

A frame is due a fixed time after the first packet of its voice has left. One that is not ready
then may still leave within its tick; after that it is skipped, which is a gap in the pts and
nothing more; where every frame is late, one leaves all the same twice a second, because an old
picture is better than none. The decision is made before encoding: a frame that was encoded is
always sent, or the ones that follow could not be decoded. Pure: every call is given the time.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import Frame
from visavis.server.media.encoder import Encoded

__all__ = ["TICK_SECONDS", "FaceLine", "Job"]

TICK_SECONDS = 0.040
KEY_FRAME_SECONDS = 0.4
READY_LIMIT = 8
STARVED_SECONDS = 0.5


class Job:
    """A frame to encode now, and whether as a key frame."""

    __slots__ = ("alpha", "i420", "index", "key")

    def __init__(
        self,
        index: int,
        i420: NDArray[np.uint8],
        key: bool,
        alpha: NDArray[np.uint8] | None = None,
    ) -> None:
        self.index = index
        self.i420 = i420
        self.key = key
        self.alpha = alpha


class FaceLine:
    """Holds at most one frame that waits for the encoder (drop-oldest) and those that are ready."""

    def __init__(self) -> None:
        self._waiting: Frame | None = None
        self._encoding: int | None = None
        self._ready: deque[Encoded] = deque()
        self._generation = 0
        self._last = -1  # the last frame given to the encoder
        self._key_wanted = False
        self._key_time = -1e9
        self._renewed: float | None = None  # when a frame was last given to the encoder
        self.sent = 0
        self.distinct = 0
        self.skipped_late = 0
        self.skipped_busy = 0
        self.discarded = 0
        self.key_frame_requests = 0

    @property
    def ready(self) -> int:
        """Frames that are encoded and not due yet."""
        return len(self._ready)

    def clear(self, generation: int) -> None:
        """Frames of an older generation are worth nothing from now on."""
        self._generation = generation
        if self._waiting is not None and self._waiting.generation < generation:
            self._waiting = None
            self.discarded += 1

    def restart(self) -> None:
        """Forget what waits; the next frame stands alone. After a pause of the session."""
        self._waiting = None
        self._ready.clear()
        self._key_wanted = True

    def want_key_frame(self) -> None:
        """The peer lost the picture; a frame is soon made to stand alone."""
        self.key_frame_requests += 1
        self._key_wanted = True

    def offer(self, frame: Frame, *, due: float, now: float) -> bool:
        """Take a frame from the engine; False when it is too late for ``due``."""
        if frame.generation < self._generation or frame.index <= self._last:
            self.discarded += 1
            return True
        if self._renewed is None:
            self._renewed = now
        if self._too_late(due, now):
            self.skipped_late += 1
            return False
        if self._waiting is not None:
            self.skipped_busy += 1
        self._waiting = frame
        return True

    def next_job(self, *, due_of_first: float, now: float) -> Job | None:
        """What the encoder should do now; None when it is busy or there is nothing to do.

        Args:
            due_of_first: when frame 0 was due.
            now: the time, in the same clock.
        """
        frame = self._waiting
        if self._encoding is not None or frame is None or len(self._ready) >= READY_LIMIT:
            return None
        self._waiting = None
        if self._too_late(due_of_first + frame.index * TICK_SECONDS, now):
            self.skipped_late += 1
            return None
        self._renewed = now
        key = self._key_wanted and now - self._key_time >= KEY_FRAME_SECONDS
        if key:
            self._key_wanted = False
            self._key_time = now
        self._encoding = self._last = frame.index
        return Job(frame.index, frame.i420, key, frame.alpha)

    def _too_late(self, due: float, now: float) -> bool:
        starved = self._renewed is not None and now - self._renewed > STARVED_SECONDS
        return now > due + TICK_SECONDS and not starved

    def encoded(self, result: Encoded | None) -> None:
        """The encoder is done with the last job; None when it failed."""
        self._encoding = None
        if result is None:
            self._key_wanted = True
        elif result.data:
            self._ready.append(result)

    def send(self, *, due_of_first: float, now: float) -> list[Encoded]:
        """The frames that are due."""
        out = []
        while self._ready and due_of_first + self._ready[0].index * TICK_SECONDS <= now + 1e-4:
            encoded = self._ready.popleft()
            self.sent += 1
            self.distinct += encoded.distinct
            out.append(encoded)
        return out
