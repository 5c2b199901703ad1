"""A worker's session: it outlives the engine that makes its pictures.

`push` and `clear` come from the worker's loop, pictures leave on the reader's thread, and places in
an engine come and go on the keeper's. While there is no place, the session is shown at rest: each
tick whose sound is complete gets the next picture of a strip, so whoever pairs pictures with voice
sees no difference but the mouth. Where an engine is back, it hears from the next whole tick on;
what was said meanwhile is not shown later.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import Frame, PersonInfo, SessionStats
from visavis.engines.errors import EngineAway, EngineError
from visavis.engines.remote.counters import Counters
from visavis.engines.remote.place import Place
from visavis.engines.remote.requests import object_of
from visavis.engines.remote.strip import IdlePlayer, Strip
from visavis.engines.timeline import TICK_SAMPLES

__all__ = ["RemoteSession"]

logger = logging.getLogger(__name__)

_TICK_MS = 40
_CONTROL_SECONDS = 2.0  # that an engine may take to answer a choice


class RemoteSession:
    """A session of a `RemoteEngine`; see `client.EngineSession`.

    Args:
        number: its name towards engines.
        person: who is shown.
        lookahead_ms: what was asked for, or the person's own.
        seed: of the idle movement.
        on_frame, on_error: see `client.EngineClient.open`.
        strip: returns the person at rest, or None where there is no strip yet.
        wake: lets the reader look at the session.
        on_close: called once, when the session ends for whatever reason.

    Attributes:
        changes: all that was chosen, as the visitor said it; the next engine is told, too.
    """

    def __init__(
        self,
        number: int,
        person: PersonInfo,
        lookahead_ms: int,
        seed: int | None,
        on_frame: Callable[[Frame], None],
        on_error: Callable[[EngineError], None] | None,
        *,
        strip: Callable[[], Strip | None],
        wake: Callable[[], None],
        on_close: Callable[[RemoteSession], None],
    ) -> None:
        self.number = number
        self.person = person
        self.lookahead_ms = lookahead_ms
        self.seed = seed
        self.changes: dict[str, Any] = {}
        self._controlling = threading.Lock()  # choices are made one after the other
        self._pace = 0.0
        self._on_frame = on_frame
        self._on_error = on_error
        self._strip = strip
        self._wake = wake
        self._on_close = on_close
        self._lock = threading.Lock()
        self._place: Place | None = None
        self._left: Place | None = None  # a place that is gone and may hold pictures
        self._phase: int | None = None
        self._pushed = 0
        self._generation = 0
        self._closed = False
        self._failure: EngineError | None = None
        self._failed: str | None = None
        self._past = Counters()
        self._missed = 0
        # The reader's own.
        self._last_index = -1
        self._player: IdlePlayer | None = None
        self._rendered = 0
        self._overtaken = 0
        self.idle_frames = 0

    @property
    def generation(self) -> int:
        """How often `clear` was called."""
        return self._generation

    @property
    def phase(self) -> int:
        """Group of the session, as its first engine gave it."""
        return self._phase or 0

    @property
    def pace(self) -> float:
        """See `client.EngineSession.pace`; as its last engine measured it."""
        return self._pace

    @property
    def seated_before(self) -> bool:
        """It has had a place in some engine."""
        return self._phase is not None

    @property
    def place(self) -> Place | None:
        """Where an engine makes its pictures, or None."""
        return self._place

    @property
    def closed(self) -> bool:
        """The session has ended."""
        return self._closed

    def push(self, pcm: NDArray[np.float32]) -> None:
        """Give the next samples; see `client.EngineSession.push`."""
        if pcm.dtype != np.float32 or pcm.ndim != 1:
            raise EngineError(
                f"Audio must be float32 of one dimension, not {pcm.dtype} of {pcm.ndim}."
            )
        with self._lock:
            if self._closed:
                return
            start, complete = self._pushed, self._complete_ticks()
            self._pushed += len(pcm)
            due = self._complete_ticks() > complete
            place = self._place
            if place is not None:
                # A place begins with a whole tick.
                skipped = max(0, place.first_tick * TICK_SAMPLES - start)
                if skipped < len(pcm):
                    place.ring.push(pcm[skipped:])
                if due:
                    place.bell.ring()
            idle = place is None or complete < place.first_tick
        if due and idle:
            self._wake()

    def clear(self) -> int:
        """Forget what was said and not yet shown; see `client.EngineSession.clear`."""
        with self._lock:
            self._generation += 1
            if self._place is not None:
                self._place.ring.clear()
                self._place.bell.ring()
            return self._generation

    def control(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Choose, from the next tick on; see `client.EngineSession.control`."""
        with self._controlling:
            place = self._place
            if self._closed:
                raise EngineError("The session has ended.")
            if place is None:
                raise EngineAway
            asked = dict(changes)
            with place.link.call(
                "control", _CONTROL_SECONDS, session=self.number, changes=asked
            ) as answer:
                choice = object_of(answer.body, "choice")
            self.changes = {**self.changes, **asked}
        return choice

    def stats(self) -> SessionStats:
        """Return the counters; those that the engine keeps are up to a second old."""
        with self._lock:
            place = self._place
            now = Counters() if place is None else place.counters.read()
            past = self._past
            missed = self._missed + (0 if place is None else place.slots.missed)
            return SessionStats(
                rendered=self._rendered,
                skipped=past.skipped + now.skipped,
                discarded=past.discarded + now.discarded + missed + self._overtaken,
                dropped_samples=past.dropped_samples + now.dropped_samples,
                engine_ms_p50=now.engine_ms_p50,
                engine_ms_p95=now.engine_ms_p95,
                failed=self._failed,
            )

    def close(self) -> None:
        """End the session; calling it again does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            place = self._place
            self._leave()
            self._left = None
        if place is not None:
            place.link.tell("close", session=self.number)
        self._on_close(self)

    # -- the keeper's -----------------------------------------------------------------------

    def take(self, place: Place) -> bool:
        """Go on in an engine; False where the session has ended. Nothing of the past is heard."""
        with self._lock:
            if self._closed:
                return False
            place.first_tick = -(-self._pushed // TICK_SAMPLES)
            place.first_generation = self._generation
            self._place = place
            self._pace = place.pace
            if self._phase is None:
                self._phase = place.phase
        self._wake()
        return True

    def leave(self) -> None:
        """The engine is gone: go on without it."""
        with self._lock:
            self._leave()
        self._wake()

    def fail(self, error: EngineError) -> None:
        """The engine cannot go on with this session; said on the reader's thread."""
        with self._lock:
            if self._closed:
                return
            self._failure = error
        self._wake()

    def _leave(self) -> None:
        place, self._place = self._place, None
        if place is None:
            return
        now, past = place.counters.read(), self._past
        self._past = Counters(
            skipped=past.skipped + now.skipped,
            discarded=past.discarded + now.discarded,
            dropped_samples=past.dropped_samples + now.dropped_samples,
        )
        self._left = place

    # -- the reader's -----------------------------------------------------------------------

    def read(self) -> None:
        """Hand over what is new; on the reader's thread, which nothing here may end."""
        try:
            self._read()
        except Exception as error:  # what the receiver raises ends its own session only
            logger.exception("a session of %s ended", self.person.name)
            self._end(EngineError(f"The session failed: {type(error).__name__}: {error}."))

    def _read(self) -> None:
        with self._lock:
            if self._closed:
                return
            left, self._left = self._left, None
            place, failure = self._place, self._failure
            newest = self._complete_ticks() - 1
        if left is not None:
            self._hand_over(left)
            with self._lock:
                self._missed += left.slots.missed
            self._rest(left)
        if place is not None:
            self._hand_over(place)
            newest = min(newest, place.first_tick - 1)
        if failure is not None:
            self._end(failure)
        elif newest > self._last_index and self._player is not None:
            # Policy 'skip oldest', as for every late picture.
            self.idle_frames += 1
            i420, alpha = self._player.next(self.changes.get("matte") is True)
            self._give(Frame(newest, self._generation, i420, 0.0, alpha))

    def _hand_over(self, place: Place) -> None:
        for frame in place.slots.take():
            index = frame.index + place.first_tick
            generation = frame.generation + place.first_generation
            if generation != self._generation or index <= self._last_index:
                self._overtaken += 1
                continue
            self._rendered += 1
            self._give(replace(frame, index=index, generation=generation))

    def _rest(self, left: Place) -> None:
        """Begin to be shown at rest, after the last picture of a place."""
        last = left.slots.newest()
        strip = self._strip()
        shape = (self.person.height * 3 // 2, self.person.width)
        if strip is None or strip.shape != shape:
            # Nobody has seen the person at rest yet: the last picture stands still.
            if last is None or last[0].shape != shape:
                return
            picture, alpha = last
            strip = Strip(picture[None], None if alpha is None else alpha[None])
        self._player = IdlePlayer(strip, None if last is None else last[0])

    def _give(self, frame: Frame) -> None:
        self._last_index = frame.index
        if not self._closed:
            self._on_frame(frame)

    def _end(self, error: EngineError) -> None:
        with self._lock:
            if self._closed:
                return
            self._failed = str(error)
        self.close()
        if self._on_error is not None:
            try:
                self._on_error(error)
            except Exception:
                logger.exception("the error handler of a session failed")

    def _complete_ticks(self) -> int:
        """How many ticks have all the sound that they may hear."""
        beyond = self._pushed - self.lookahead_ms * TICK_SAMPLES // _TICK_MS
        return 0 if beyond < 0 else beyond // TICK_SAMPLES + 1
