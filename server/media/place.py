"""A session's place in the engine: taken, given back while the peer is silent, and taken again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace

from visavis.engines.client import EngineClient, EngineSession, Frame
from visavis.engines.errors import EngineError
from visavis.server.errors import NoSuchSession

__all__ = ["EnginePlace"]

logger = logging.getLogger(__name__)


class _Line:
    """From an engine's session to a place, until it is cut; engines outlive their sessions."""

    def __init__(self, place: EnginePlace) -> None:
        self.place: EnginePlace | None = place

    def frame(self, frame: Frame) -> None:
        if self.place is not None:
            self.place.on_frame(frame)

    def end(self) -> None:
        if self.place is not None:
            self.place.on_end()


class EnginePlace:
    """Of one session. All calls come on its event loop.

    Args:
        engine: where places are.
        person: who is shown, by name.
        lookahead_ms: one that the person offers.
        on_frame: takes each frame on the loop. Its generation is the session's, its index the
            place's own.
        on_end: the engine has failed.
        choose_again: returns what tells a place of all that was chosen before, in a thread.

    Attributes:
        session: the engine's; None while there is no place.
        generation: how often the session was cleared; the engine's count begins anew in each place.
    """

    def __init__(
        self,
        engine: EngineClient,
        person: str,
        lookahead_ms: int,
        *,
        on_frame: Callable[[Frame], None],
        on_end: Callable[[], None],
        choose_again: Callable[[], Callable[[EngineSession], None]],
    ) -> None:
        self.session: EngineSession | None = None
        self.generation = 0
        self.on_frame = on_frame
        self.on_end = on_end
        self._choose_again = choose_again
        self._engine = engine
        self._person = person
        self._lookahead_ms = lookahead_ms
        self._line: _Line | None = None
        self._closed = False

    async def take(self) -> None:
        """Take it. An engine in another process must be asked, so it is done in a thread.

        Raises:
            EngineFull: there is none.
            NoSuchSession: the session ended meanwhile, or got a place by another way.
        """
        line = _Line(self)
        opening = asyncio.create_task(asyncio.to_thread(self._opener(line)))
        try:
            session = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_unwanted)  # a thread cannot be cancelled
            raise
        if self._closed or self.session is not None:
            line.place = None
            session.close()
            raise NoSuchSession
        self.session, self._line = session, line

    def give_back(self) -> None:
        """Nothing comes from it any more."""
        if self._line is not None:
            self._line.place = None
        if self.session is not None:
            self.session.close()
        self.session = self._line = None

    def clear(self) -> None:
        """Frames of older generations are worth nothing; only while there is a place."""
        assert self.session is not None
        self.session.clear()
        self.generation += 1

    def close(self) -> None:
        """Give it back for good."""
        self._closed = True
        self.give_back()
        # They lead back to the session, which would otherwise wait for the collector.
        self.on_frame, self.on_end, self._choose_again = _nobody, _nothing, _no_choice

    def _opener(self, line: _Line) -> Callable[[], EngineSession]:
        """What opens a session, in a thread."""
        loop = asyncio.get_running_loop()
        before = self.generation
        engine, person, lookahead_ms = self._engine, self._person, self._lookahead_ms
        choose_again = self._choose_again()

        def on_frame(frame: Frame) -> None:
            # The loop may be gone when the engine finishes its last frame.
            with contextlib.suppress(RuntimeError):
                count = before + frame.generation
                loop.call_soon_threadsafe(line.frame, replace(frame, generation=count))

        def on_error(error: EngineError) -> None:
            logger.error("a session's engine failed: %s", error)
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(line.end)

        def open_session() -> EngineSession:
            session = engine.open(person, on_frame, lookahead_ms=lookahead_ms, on_error=on_error)
            try:
                choose_again(session)
            except BaseException:
                session.close()
                raise
            return session

        return open_session


def _unwanted(opening: asyncio.Task[EngineSession]) -> None:
    """Nobody waits for this place any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _nobody(frame: Frame) -> None:
    """Nobody looks any more."""


def _nothing() -> None:
    """The session has ended already."""


def _no_choice() -> Callable[[EngineSession], None]:
    raise NoSuchSession
