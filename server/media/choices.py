"""What a visitor chose of a session: asked of the engine, kept for the next place in one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from visavis.engines.client import EngineSession
from visavis.engines.errors import ControlError, VisavisError
from visavis.server.errors import NoSuchSession, RequestError
from visavis.server.problems import describe

__all__ = ["MAX_WAITING", "Choices", "no_place"]

MAX_WAITING = 8
"""Choices of one session that wait for an answer; who makes one more is told to wait."""

Message = dict[str, Any]


def no_place() -> RequestError:
    """The refusal of a session that has no engine to ask."""
    return RequestError("The session is suspended; choose when it goes on.", status=409)


class Choices:
    """Of one session; for use on its event loop.

    Args:
        engine: returns the session's place in the engine, or raises.
    """

    def __init__(self, engine: Callable[[], EngineSession]) -> None:
        self._engine = engine
        self._chosen: Message = {}
        self._asking = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def change(self, changes: Mapping[str, Any]) -> Message:
        """Choose; returns the whole choice. An engine in another process is waited for in a thread.

        Raises:
            ControlError: the person does not offer it; everything stays as it was.
            VisavisError: there is no engine to ask.
        """
        async with self._asking:
            choice = await asyncio.to_thread(self._engine().control, changes)
            self._chosen.update(changes)
            return choice

    def ask(self, changes: Message, answer: Callable[[Message], None]) -> None:
        """As `change`, for a peer that sends messages: a refusal is one, too."""
        if len(self._tasks) >= MAX_WAITING:
            answer(_refusal(429, "Wait for an answer before you choose again."))
            return
        task = asyncio.create_task(self._answered(changes, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def again(self) -> Callable[[EngineSession], None]:
        """Return what tells a new place of all that was chosen, in whatever thread.

        What is not offered any more is let go: better shown as by default than not at all.
        """
        chosen = dict(self._chosen)

        def tell(session: EngineSession) -> None:
            if chosen:
                with contextlib.suppress(ControlError):
                    session.control(chosen)

        return tell

    async def aclose(self) -> None:
        """Wait for the answers that are under way; nothing can be chosen any more."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        # It leads back to the session, which would otherwise wait for the collector.
        self._engine = _gone

    async def _answered(self, changes: Message, answer: Callable[[Message], None]) -> None:
        try:
            choice = await self.change(changes)
        except VisavisError as error:
            status, sentence, _ = describe(error)
            answer(_refusal(status, sentence))
        else:
            answer({"type": "controls", **choice})


def _gone() -> EngineSession:
    raise NoSuchSession


def _refusal(status: int, detail: str) -> Message:
    return {"type": "controls_refused", "status": status, "detail": detail}
