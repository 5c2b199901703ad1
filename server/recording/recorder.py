"""What all recordings of a server have in common, and how one begins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import Frame, PersonInfo
from visavis.server.config import ServerConfig
from visavis.server.errors import RequestError
from visavis.server.look.look import Look
from visavis.server.look.painter import Painter
from visavis.server.media.mp4 import Movie, Mp4
from visavis.server.recording.recording import Paint, Recording, RecordingLimits
from visavis.server.recording.store import Store, describe_os_error, new_name, open_store
from visavis.server.recording.tally import Tally

__all__ = ["OpenMovie", "Recorder", "open_recorder"]

INSUFFICIENT_STORAGE = 507

OpenMovie = Callable[[BinaryIO, PersonInfo], Movie]


def _open_mp4(file: BinaryIO, person: PersonInfo) -> Movie:
    return Mp4(file, person.width, person.height, title=person.display_name)


class _Paint:
    """As visitors see it, but for transparency, which a recording cannot have."""

    def __init__(self) -> None:
        self._painter = Painter()
        self._looks: tuple[Look, Look] | None = None

    def __call__(self, look: Look, frame: Frame) -> NDArray[np.uint8]:
        if self._looks is None or self._looks[0] is not look:
            self._looks = look, look.flat()
        return self._painter.paint(self._looks[1], frame.i420, frame.alpha)


class Recorder:
    """Begins recordings.

    Args:
        store: where they lie.
        limits: of each.
        every: whether each session is recorded from its first picture on.
        open_movie: writes to a file, for pictures of a person.
        open_paint: makes what paints the pictures of one recording.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        limits: RecordingLimits,
        *,
        every: bool = False,
        open_movie: OpenMovie = _open_mp4,
        open_paint: Callable[[], Paint] = _Paint,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.every = every
        self.tally = Tally()
        self._limits = limits
        self._open_movie = open_movie
        self._open_paint = open_paint
        self._clock = clock

    async def require_room(self) -> None:
        """See to it that a recording could be written now.

        Raises:
            RequestError: 507, it could not.
        """
        try:
            lack = await asyncio.to_thread(self.store.lack_of_room)
        except OSError as error:
            lack = f"Nothing can be recorded: {describe_os_error(error)}."
        if lack is not None:
            raise RequestError(lack, status=INSUFFICIENT_STORAGE)

    def begin(self, person: PersonInfo) -> Recording:
        """Begin a recording of a session with that person."""
        return Recording(
            new_name(self._clock()),
            self.store,
            self._limits,
            open_movie=lambda file: self._open_movie(file, person),
            paint=self._open_paint(),
            tally=self.tally,
            clock=self._clock,
        )


def open_recorder(config: ServerConfig) -> Recorder | None:
    """What a configuration asks for; None where nothing may be recorded.

    Raises:
        ConfigError: nothing can be written to the folder.
    """
    store = open_store(config)
    if store is None:
        return None
    return Recorder(store, RecordingLimits(config.recording_hours), every=config.record_all)
