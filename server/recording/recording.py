"""One recording: what a session gives it, and the thread that writes it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import Frame
from visavis.server.look.look import Look
from visavis.server.media.mp4 import Movie
from visavis.server.recording.inbox import Cleared, Inbox, Spoken, Taken
from visavis.server.recording.store import Store, describe_os_error
from visavis.server.recording.tally import Tally
from visavis.server.recording.timeline import Item, Shown, Timeline

__all__ = ["Paint", "Recording", "RecordingLimits"]

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""So often the folder and the disk are looked at."""
STOP_SECONDS = 10.0
"""A disk that does not answer is waited for so long."""
NICENESS = 5

Paint = Callable[[Look, Frame], NDArray[np.uint8]]
"""A frame as it was shown with a look: ``u8[height * 3 // 2, width]`` of the person's own size."""


@dataclass(frozen=True, slots=True)
class RecordingLimits:
    """How long one recording may be."""

    hours: float = 4.0


class Recording:
    """Of one session. :meth:`frame`, :meth:`voice` and :meth:`clear` never wait.

    The file is made when the first picture comes; its thread begins at once.

    Args:
        name: of the file.
        store: the folder.
        limits: after which it ends.
        open_movie: writes to that file, of whatever size the pictures are.
        paint: see :data:`Paint`; called in the recording's thread, for one picture at a time.
        tally: what all recordings add up to.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        limits: RecordingLimits,
        *,
        open_movie: Callable[[BinaryIO], Movie],
        paint: Paint,
        tally: Tally,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.started = clock()
        self._store = store
        self._limits = limits
        self._open_movie = open_movie
        self._paint = paint
        self._tally = tally
        self._timeline: Timeline[Taken] = Timeline()
        self._inbox = Inbox()
        self._file: BinaryIO | None = None
        self._movie: Movie | None = None
        self._painted: tuple[Taken, NDArray[np.uint8]] | None = None
        self._looked = 0.0
        self._bytes = 0
        self._seconds = 0.0
        self._failed: str | None = None
        self._ended = threading.Event()
        tally.begun()
        # A disk that never answers must not keep the process.
        self._thread = threading.Thread(target=self._run, name="visavis-record", daemon=True)
        self._thread.start()

    # -- from the session -------------------------------------------------------------------

    def frame(self, tick: int, frame: Frame, look: Look) -> None:
        """Take a frame, by its tick of the session, and the look it is shown with."""
        self._inbox.put(Taken(tick, frame, look))

    def voice(self, pts: int, pcm: NDArray[np.float32]) -> None:
        """Take voice that was sent, ``f32[n]``; ``pts`` in samples at 48 kHz."""
        self._inbox.put(Spoken(pts, pcm))

    def clear(self, generation: int) -> None:
        """Barge-in: frames are of that generation from now on."""
        self._inbox.put(Cleared(generation))

    @property
    def running(self) -> bool:
        """Whether it still takes what the session gives."""
        return not self._ended.is_set()

    def status(self) -> dict[str, Any]:
        """What ``GET /sessions/ID/recording`` says."""
        return {
            "recording": self.running,
            "name": self.name,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(self._seconds, 2),
            "bytes": self._bytes,
            "dropped_frames": self._inbox.dropped_pictures + self._timeline.dropped,
            "failed": self._failed,
        }

    async def stop(self) -> None:
        """End it and wait until the file is whole; may be called again."""
        self._inbox.close()
        await asyncio.to_thread(self._ended.wait, STOP_SECONDS)
        if not self._ended.is_set():
            self._failed = "The disk does not answer; the end of the recording may be missing."
            logger.error("a recording could not be ended: %s", self._failed)
            return
        await asyncio.to_thread(self._thread.join)

    # -- in its thread ----------------------------------------------------------------------

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            # The live picture goes first.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            self._write_all()
            self._finish()
        except _CannotGoOn as error:
            self._fail(str(error))
        except OSError as error:
            self._fail(f"It could not be written: {describe_os_error(error)}.")
        except Exception:
            logger.exception("a recording failed")
            self._fail("It failed; the server's log says why.")
        finally:
            self._inbox.empty()
            self._let_go()
            self._tally.ended(self._inbox.dropped_pictures + self._timeline.dropped)
            self._ended.set()

    def _write_all(self) -> None:
        timeline = self._timeline
        while self._failed is None:
            try:
                event = self._inbox.take(LOOK_SECONDS)
            except EOFError:
                self._write(timeline.end())
                return
            match event:
                case Taken(tick, frame):
                    self._write(timeline.picture(tick, frame.generation, event))
                case Spoken(pts, pcm):
                    self._write(timeline.voice(pts, pcm))
                case Cleared(generation):
                    timeline.clear(generation)
                case None:
                    pass
            self._look()

    def _write(self, items: list[Item[Taken]]) -> None:
        for item in items:
            movie = self._movie or self._open()
            if isinstance(item, Shown):
                movie.picture(item.tick, self._picture(item.picture))
            else:
                movie.voice(item.pcm)
        self._seconds = self._timeline.seconds
        self._count_bytes()

    def _picture(self, taken: Taken) -> NDArray[np.uint8]:
        """Painted once, however often it is written."""
        if self._painted is None or self._painted[0] is not taken:
            self._painted = taken, self._paint(taken.look, taken.frame)
        return self._painted[1]

    def _open(self) -> Movie:
        if (lack := self._store.lack_of_room()) is not None:
            raise _CannotGoOn(lack)
        self._file = self._store.create(self.name)
        self._movie = self._open_movie(self._file)
        return self._movie

    def _count_bytes(self) -> None:
        if self._file is not None:
            written, self._bytes = self._bytes, self._file.tell()
            self._tally.wrote(self._bytes - written)

    def _look(self) -> None:
        """Once a second: whether it may and can go on."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        if self._file is not None and not self._store.is_there(self.name, self._file):
            raise _CannotGoOn("The file or its folder was removed.")
        if self._seconds >= self._limits.hours * 3600:
            self._failed = f"It ended after {self._limits.hours:g} h, the most there may be."
            logger.warning("a recording has ended: %s", self._failed)
        elif self._file is not None and (lack := self._store.lack_of_room()) is not None:
            self._failed = lack
            logger.error("a recording has ended: %s", lack)
            self._tally.failed()

    def _finish(self) -> None:
        movie, self._movie = self._movie, None
        if movie is not None:
            movie.close()
            self._count_bytes()
        elif self._failed is None:
            self._failed = "Nothing was recorded: there was no picture."

    def _fail(self, sentence: str) -> None:
        self._failed = sentence
        self._tally.failed()
        logger.error("a recording has ended: %s", sentence)

    def _let_go(self) -> None:
        movie, self._movie = self._movie, None
        if movie is not None:
            # It failed before: what is there stays, and nothing more is to be said.
            with contextlib.suppress(Exception):
                movie.close()
        if self._file is not None:
            self._store.close(self.name, self._file)
        self._painted = None
        self._timeline.forget()


class _CannotGoOn(Exception):
    """Why a recording ends, as a sentence."""
