"""What a visitor chose of a session: the engine's part asked of it and kept for the next place in
one, the look's part made here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from visavis.engines.client import EngineSession
from visavis.engines.errors import ControlError, VisavisError
from visavis.server.errors import NoSuchSession, RequestError
from visavis.server.look.choice import KEYS
from visavis.server.look.look import Look
from visavis.server.look.session_look import SessionLook
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
        look: makes the session's looks.
        show: shows what comes from now on in another way.
    """

    def __init__(
        self,
        engine: Callable[[], EngineSession],
        look: SessionLook,
        show: Callable[[Look], None],
    ) -> None:
        self._engine = engine
        self._look = look
        self._show = show
        self._chosen: Message = {}
        self._asking = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def change(self, changes: Mapping[str, Any]) -> Message:
        """Choose; returns the whole choice. An engine in another process is waited for in a thread.

        Raises:
            ControlError: the person does not offer it; everything stays as it was.
            VisavisError: there is no engine to ask, or a look cannot be made; likewise.
        """
        ours = {name: value for name, value in changes.items() if name in KEYS}
        theirs = {name: value for name, value in changes.items() if name not in KEYS}
        async with self._asking:  # refusals too: answers come in the order of the questions
            if "matte" in changes:
                raise ControlError(
                    "There is no control 'matte'."
                )  # the look says when it is needed
            self._engine()  # without a place there is nothing to choose
            look = await self._look.changed(ours)
            asked = theirs
            if look.wants_matte != self._look.look.wants_matte:
                asked = {**theirs, "matte": look.wants_matte}
            choice = await asyncio.to_thread(self._engine().control, asked)
            self._chosen.update(theirs)
            self._take(look)
            return {**{k: v for k, v in choice.items() if k != "matte"}, **look.said()}

    async def take_picture(self, data: bytes) -> None:
        """Keep a picture that the visitor sent, JPEG or PNG; shown at once where one is already.

        Raises:
            ControlError: the person is shown as filmed only.
            RequestError: it is no picture, or one that is not taken; the one before stays.
        """
        picture = await self._look.read(data)
        async with self._asking:
            self._take(await self._look.with_own(picture))

    def _take(self, look: Look) -> None:
        if look is not self._look.look:
            self._look.look = look
            self._show(look)

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
        matte = {"matte": True} if self._look.look.wants_matte else {}

        def tell(session: EngineSession) -> None:
            for part in (chosen, matte):
                if part:
                    with contextlib.suppress(ControlError):
                        session.control(part)

        return tell

    async def aclose(self) -> None:
        """Wait for the answers that are under way; nothing can be chosen any more."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        # It leads back to the session, which would otherwise wait for the collector.
        self._engine, self._show = _gone, _unseen

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


def _unseen(look: Look) -> None:
    """Nothing is shown any more."""


def _refusal(status: int, detail: str) -> Message:
    return {"type": "controls_refused", "status": status, "detail": detail}
