"""Makes the looks of a server's sessions: in threads of its own, with what they share kept."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import PersonInfo
from visavis.engines.errors import EngineError
from visavis.server.errors import RequestError, Unavailable
from visavis.server.look.choice import LookChoice, PictureName
from visavis.server.look.look import Look, filmed, make_look
from visavis.server.look.pictures import Pictures
from visavis.server.look.upload import read_picture

__all__ = ["Looks", "Plate"]

U8 = NDArray[np.uint8]
Outcome = TypeVar("Outcome")
Plate = Callable[[], bytes | None]
"""Asks the engine what stood behind a person; in a thread."""

THREADS = 2
MAX_WAITING = 32
"""Looks and pictures that are being made; who asks for one more is told to come again."""
MAX_KEPT = 32
"""Plates and pictures in memory; those asked for longest ago go."""
RETRY_SECONDS = 2


class Looks:
    """Of one server; its coroutines are for one event loop.

    Args:
        badge: whether pictures say that they are AI-generated.
        pictures: that visitors may choose as a background.
    """

    def __init__(self, *, badge: bool = True, pictures: Pictures | None = None) -> None:
        self._badge = badge
        self._pictures = pictures or Pictures({})
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="visavis-look")
        self._waiting = 0
        self._kept: OrderedDict[Hashable, U8] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the pictures."""
        return self._pictures.names

    def filmed(self, person: PersonInfo) -> Look:
        """The look of a session that chose nothing."""
        return filmed(person, badge=self._badge)

    async def make(
        self, person: PersonInfo, choice: LookChoice, *, plate: Plate, own: U8 | None
    ) -> Look:
        """Work out a look.

        Args:
            person: who is shown.
            choice: what is wanted of them.
            plate: asks for what stood behind them.
            own: the picture that the visitor sent.

        Raises:
            VisavisError: what it needs is not to be had.
            Unavailable: too many wait already.
        """
        return await self._run(lambda: self._make(person, choice, plate, own))

    async def read(self, data: bytes, person: PersonInfo) -> U8:
        """A visitor's picture, as I420 of the size of a person's frames.

        Raises:
            RequestError: it is no picture, or one that is not taken; see `read_picture`.
            Unavailable: too many wait already.
        """
        return await self._run(lambda: read_picture(data, person.width, person.height))

    async def aclose(self) -> None:
        """Wait for what is being made; may be called again."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    async def _run(self, work: Callable[[], Outcome]) -> Outcome:
        if self._waiting >= MAX_WAITING:
            raise Unavailable("Too many looks are being made.", retry_after=RETRY_SECONDS)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def _make(self, person: PersonInfo, choice: LookChoice, plate: Plate, own: U8 | None) -> Look:
        behind = picture = None
        if choice.wants_matte:
            behind = self._keep(("plate", person.id), partial(_plate, person, plate))
        if isinstance(choice.background, PictureName):
            name = choice.background.name
            picture = own if choice.is_own else self._picture(name, person)
        return make_look(person, choice, badge=self._badge, plate=behind, picture=picture)

    def _picture(self, name: str, person: PersonInfo) -> U8:
        size = person.width, person.height

        def read() -> U8:
            try:
                return read_picture(self._pictures.read(name), *size)
            except RequestError as error:
                # The visitor cannot help it.
                raise EngineError(f"The background picture {name!r}: {error}") from None

        return self._keep(("picture", name, size), read)

    def _keep(self, key: Hashable, get: Callable[[], U8]) -> U8:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        value = get()
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return value


def _plate(person: PersonInfo, ask: Plate) -> U8:
    data = ask()
    shape = person.height * 3 // 2, person.width
    if data is None or len(data) != shape[0] * shape[1]:
        raise EngineError(f"What stood behind {person.display_name} is not in their file.")
    return np.frombuffer(data, np.uint8).reshape(shape)
