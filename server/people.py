"""Who can speak here: lists, pictures and loading, none of which may hold up the event loop.

An engine's answers may read a disk or take seconds, so they are asked for in threads of their own:
those that all share would be full of visitors who wait for somebody to be loaded.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal, TypeVar
from urllib.parse import quote

from visavis.engines.client import ControlNames, EngineClient, PersonInfo
from visavis.engines.errors import UnknownPerson
from visavis.server.config import ServerConfig
from visavis.server.errors import Unavailable
from visavis.server.look.choice import backgrounds_of
from visavis.server.look.framing import framings_of
from visavis.server.look.pictures import Pictures

__all__ = ["Listing", "People", "Picture", "offers_of"]

LIST_SECONDS = 1.0
"""How old a list may be."""
NOTICE_SECONDS = 1.0
"""After so long a visitor is told that it takes a while."""
LOAD_SECONDS = 60.0
"""How long a visitor waits for a person to be loaded."""
MAX_LOADS = 16
"""Persons that are asked for at once; who asks for one more is told to come again. Each has a
thread, so that nobody waits for an unloaded person on the way to a loaded one."""
MAX_WAITING = 64
"""Visitors who wait for persons to be loaded, likewise."""
RETRY_SECONDS = 5
PICTURE_BYTES = 32 << 20
MAX_PICTURES = 4096
"""Pictures that are kept in memory; those asked for longest ago go."""

Picture = Literal["poster", "preview"]
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of persons.

    Attributes:
        persons: by name, in the order of the engine.
        default: who speaks when nobody is named.
        body: the same as JSON, for ``/persons``.
        etag: of the body.
    """

    persons: dict[str, PersonInfo]
    default: str
    body: bytes
    etag: str

    def find(self, name: str | None) -> PersonInfo:
        """The person of that name, or the default one for None.

        Raises:
            UnknownPerson: there is none.
        """
        found = self.persons.get(self.default if name is None else name)
        if found is None:
            raise UnknownPerson(str(name), tuple(self.persons))
        return found


class People:
    """The persons of an engine, for a server. For use on one event loop.

    Args:
        engine: knows them.
        default: the name of who speaks when nobody is named; the engine's choice where that is
            None or nobody's.
        offers: what else the server has for visitors, said beside the list of persons.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        engine: EngineClient,
        default: str | None = None,
        *,
        offers: Mapping[str, object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._default = default
        self._offers = dict(offers or {})
        self._clock = clock
        self._listed: Sequence[PersonInfo] | None = None
        self._listing: Listing | None = None
        self._looked = 0.0
        self._looking = asyncio.Lock()
        self._pictures: OrderedDict[tuple[str, str, Picture], bytes | None] = OrderedDict()
        self._kept_bytes = 0
        self._loads: dict[str, asyncio.Future[None]] = {}
        self._waiting = 0
        self._closed = False
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="visavis-people")
        self._loaders = ThreadPoolExecutor(MAX_LOADS, thread_name_prefix="visavis-load")

    async def listing(self) -> Listing:
        """Who can speak; at most a second old.

        Raises:
            VisavisError: the engine does not answer, or there is nobody.
        """
        async with self._looking:
            if self._listing is None or self._clock() - self._looked >= LIST_SECONDS:
                self._listing = await self._call(self._readers, self._look)
                self._looked = self._clock()
            return self._listing

    async def find(self, name: str | None) -> PersonInfo:
        """The person of that name, or the default one for None.

        Raises:
            UnknownPerson: there is none.
        """
        return (await self.listing()).find(name)

    async def picture(self, person: PersonInfo, kind: Picture) -> bytes | None:
        """A person's JPEG or mp4; None where there is none.

        Raises:
            UnknownPerson, PersonFileError: the person's file is gone or damaged.
        """
        key = (person.name, person.id, kind)
        if key in self._pictures:
            self._pictures.move_to_end(key)
            return self._pictures[key]
        ask = self._engine.poster if kind == "poster" else self._engine.preview
        picture: bytes | None = await self._call(self._readers, ask, person.name)
        self._keep(key, picture)
        return picture

    async def prepare(
        self, name: str, on_wait: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Wait until a person is loaded; everybody who waits for one waits for the same load.

        Args:
            name: of a person.
            on_wait: called once, where it takes longer than ``NOTICE_SECONDS``.

        Raises:
            UnknownPerson, PersonFileError, NoRoom: the person cannot be loaded.
            Unavailable: too many persons or visitors wait already, it takes too long, or the server
                is being stopped.
        """
        if self._closed:
            raise Unavailable("The server is being stopped.", retry_after=RETRY_SECONDS)
        load = self._loads.get(name)
        full = load is None and len(self._loads) >= MAX_LOADS
        if full or self._waiting >= MAX_WAITING:
            raise Unavailable("Too many persons are being loaded.", retry_after=RETRY_SECONDS)
        if load is None:
            load = asyncio.ensure_future(self._call(self._loaders, self._engine.prepare, name))
            self._loads[name] = load
            load.add_done_callback(partial(self._loaded, name))
        self._waiting += 1
        try:
            await self._wait(load, name, on_wait)
        finally:
            self._waiting -= 1

    def _loaded(self, name: str, load: asyncio.Future[None]) -> None:
        self._loads.pop(name, None)
        if not load.cancelled():
            load.exception()  # it was looked at, even if nobody waits any more

    async def _wait(
        self,
        load: asyncio.Future[None],
        name: str,
        on_wait: Callable[[], Awaitable[None]] | None,
    ) -> None:
        # Never cancelled from here: others may be waiting for it.
        done, _ = await asyncio.wait([load], timeout=NOTICE_SECONDS)
        if not done:
            if on_wait is not None:
                await on_wait()
            done, _ = await asyncio.wait([load], timeout=LOAD_SECONDS)
        if not done:
            raise Unavailable(f"{name} is still being loaded.", retry_after=RETRY_SECONDS)
        if load.cancelled():
            raise Unavailable("The server is being stopped.", retry_after=RETRY_SECONDS)
        load.result()

    async def aclose(self) -> None:
        """Tell everybody who waits that it ends; may be called again.

        A thread in which the engine is asked to load somebody ends with the engine at the latest.
        """
        self._closed = True
        for load in list(self._loads.values()):
            load.cancel()
        self._loaders.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._readers.shutdown, cancel_futures=True)

    async def _call(
        self, pool: Executor, function: Callable[..., Outcome], *arguments: object
    ) -> Outcome:
        if self._closed:
            raise Unavailable("The server is being stopped.", retry_after=RETRY_SECONDS)
        return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)

    def _look(self) -> Listing:
        """Ask the engine; in a thread. A list that has not changed is not written again."""
        persons = self._engine.persons()
        if self._listing is not None and persons is self._listed:
            return self._listing
        self._listed = persons
        by_name = {person.name: person for person in persons}
        default = self._default if self._default in by_name else next(iter(by_name), None)
        if default is None:
            raise Unavailable("There is nobody who can be shown.", retry_after=RETRY_SECONDS)
        entries = [_entry(person) for person in persons]
        document = {"default": default, "persons": entries, **self._offers}
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        return Listing(by_name, default, body, etag)

    def _keep(self, key: tuple[str, str, Picture], picture: bytes | None) -> None:
        size = len(picture or b"")
        if key in self._pictures or size > PICTURE_BYTES // 4:
            return
        self._pictures[key] = picture
        self._kept_bytes += size
        while self._kept_bytes > PICTURE_BYTES or len(self._pictures) > MAX_PICTURES:
            _, gone = self._pictures.popitem(last=False)
            self._kept_bytes -= len(gone or b"")


def offers_of(config: ServerConfig, pictures: Pictures) -> dict[str, object]:
    """What a server has for visitors beside its persons: background pictures, recordings."""
    return {
        "pictures": list(pictures.names),
        "recordings": config.recordings is not None,
        "record_all": config.record_all,
    }


def _controls(person: PersonInfo) -> dict[str, object] | None:
    """What can be chosen by name; None where there is nothing."""
    if person.controls == ControlNames() and not person.has_matte and person.face is None:
        return None
    return {
        **asdict(person.controls),
        "backgrounds": list(backgrounds_of(person)),
        "framings": list(framings_of(person)),
    }


def _entry(person: PersonInfo) -> dict[str, object]:
    folder = f"/persons/{quote(person.name)}"
    return {
        "name": person.name,
        "display_name": person.display_name,
        "width": person.width,
        "height": person.height,
        "fps": person.fps,
        "lookahead_ms": person.lookahead_ms,
        "lookaheads_ms": list(person.lookaheads_ms),
        "controls": _controls(person),
        "poster": f"{folder}/poster.jpg",
        "preview": f"{folder}/preview.mp4" if person.has_preview else None,
    }
