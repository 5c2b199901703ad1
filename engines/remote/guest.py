"""One worker, on the engine's side: its connection, and what it may ask for.

What a worker asks is not trusted further than it makes sense: a request that does not is answered
with a sentence, and a packet that is none of ours ends the connection. When a worker dies, its
socket says so at once, and everything that it had is freed.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

from visavis.engines.client import PHASES, EngineClient, PersonInfo
from visavis.engines.errors import ControlError, DeviceLost, EngineError, UnknownPerson
from visavis.engines.remote.channel import Channel, encode_error
from visavis.engines.remote.doorbell import Doorbell
from visavis.engines.remote.guest_sessions import GuestSessions
from visavis.engines.remote.hosted import HostedSession
from visavis.engines.remote.layout import VERSION
from visavis.engines.remote.memory import share
from visavis.engines.remote.pump import Pump
from visavis.engines.remote.requests import name_of, object_of, optional_whole, whole
from visavis.engines.remote.strip_maker import StripMaker

__all__ = ["MAX_SLOTS", "Guest", "House"]

logger = logging.getLogger(__name__)

MAX_SLOTS = 1024
MAX_PENDING = 2 * MAX_SLOTS  # a worker whose engine is new asks for all its sessions at once
_MAX_LOOKAHEAD_MS = 10_000

Answer = tuple[dict[str, Any], tuple[int, ...]]
Request = dict[str, Any]


class House(Protocol):
    """What all guests share."""

    engine: EngineClient
    pump: Pump
    strips: StripMaker
    quick: ThreadPoolExecutor  # for what reads a disk or opens a session
    slow: ThreadPoolExecutor  # for what loads a person

    def lose_device(self, error: DeviceLost) -> None:
        """The engine cannot go on in this process."""

    def persons_version(self) -> int:
        """How often the list of persons has changed."""

    def session_count(self) -> int:
        """How many sessions all guests have."""


class Guest:
    """A worker's connection.

    Args:
        channel: to the worker; it belongs to the guest.
        house: what guests share.
        on_gone: called when everything of the worker is freed.
    """

    def __init__(self, channel: Channel, house: House, on_gone: Callable[[Guest], None]) -> None:
        self._channel = channel
        self._house = house
        self._on_gone = on_gone
        self._sessions: GuestSessions | None = None  # until it has said hello
        self._lock = threading.Lock()
        self._pending = 0
        self._from_worker: tuple[Doorbell, ...] = ()
        self._to_worker: tuple[Doorbell, ...] = ()
        # What a session is told comes in the order in which it was said.
        self._at_once = {"hello": self._hello, "ping": self._ping, "control": self._control}
        self._later: dict[str, tuple[ThreadPoolExecutor, Callable[[Request], Answer]]] = {
            "persons": (house.quick, self._persons),
            "poster": (house.quick, self._poster),
            "preview": (house.quick, self._preview),
            "plate": (house.quick, self._plate),
            "strip": (house.quick, self._strip),
            "open": (house.quick, self._open),
            "prepare": (house.slow, self._prepare),
        }
        self._thread = threading.Thread(target=self._run, name="visavis-guest", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """Show the worker out and wait until everything of it is freed."""
        self._channel.shut()
        self._thread.join()

    def sessions(self) -> tuple[HostedSession, ...]:
        """Return the sessions that are open."""
        return () if self._sessions is None else self._sessions.all()

    # -- the connection ---------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (packet := self._channel.receive()) is not None:
                self._take(packet.body)
        except Exception as error:
            logger.error("a worker is cut off: %s", error)
        finally:
            self._leave()

    def _leave(self) -> None:
        if self._sessions is not None:
            self._sessions.close_all()
        # Nobody rings these any more: the sessions are closed.
        for bell in self._to_worker:
            bell.close()
        self._house.pump.remove(self._from_worker)
        self._channel.shut()
        self._channel.close()
        self._on_gone(self)

    def _send(self, body: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        try:
            self._channel.send(body, fds)
        except OSError:
            # Policy 'cut off': a worker that does not read its answers gets no more of them.
            self._channel.shut()

    def _take(self, body: Request) -> None:
        operation = body.get("op")
        if self._sessions is None and operation != "hello":
            raise EngineError("A worker must say hello first.")
        if operation == "close":
            if self._sessions is not None:
                self._sessions.close(whole(body, "session"))
            return
        number = whole(body, "id")
        if operation in self._at_once:
            self._answer(number, partial(self._at_once[operation], body))
        elif operation in self._later:
            executor, act = self._later[operation]
            with self._lock:
                full = self._pending >= MAX_PENDING
                self._pending += not full
            if full:
                error = encode_error(EngineError("The worker asks for too much at once."))
                self._send({"id": number, "error": error})
            else:
                executor.submit(self._answer_later, number, partial(act, body))
        else:
            raise EngineError("A worker asks for something unknown.")

    def _answer_later(self, number: int, act: Callable[[], Answer]) -> None:
        try:
            self._answer(number, act)
        finally:
            with self._lock:
                self._pending -= 1

    def _answer(self, number: int, act: Callable[[], Answer]) -> None:
        """Send what `act` returns, or why it does not; its descriptors are closed here."""
        fds: tuple[int, ...] = ()
        try:
            answer, fds = act()
            self._send({"id": number, "ok": answer}, fds)
        except DeviceLost as error:
            self._house.lose_device(error)
        except Exception as error:
            logger.info("a worker is refused: %s: %s", type(error).__name__, error)
            self._send({"id": number, "error": encode_error(error)})
        finally:
            for fd in fds:
                os.close(fd)

    def _failed(self, session: HostedSession, error: EngineError) -> None:
        if isinstance(error, DeviceLost):
            # Said to nobody: the workers go on by themselves until another process is there.
            self._house.lose_device(error)
        elif self._sessions is not None and self._sessions.fail(session):
            failed = {"event": "failed", "session": session.number, "error": encode_error(error)}
            self._send(failed)

    # -- what a worker may ask --------------------------------------------------------------

    def _hello(self, body: Request) -> Answer:
        if body.get("version") != VERSION:
            raise EngineError("The worker and the engine are of different versions.")
        if self._sessions is not None:
            raise EngineError("A worker says hello once.")
        slots = whole(body, "slots", MAX_SLOTS)
        self._from_worker = tuple(Doorbell() for _ in range(PHASES))
        self._to_worker = tuple(Doorbell() for _ in range(PHASES))
        self._sessions = sessions = GuestSessions(
            self._house.engine,
            slots,
            self._to_worker,
            make_way=self._house.strips.make_way,
            count_all=self._house.session_count,
            on_failed=self._failed,
        )
        for phase, bell in enumerate(self._from_worker):
            self._house.pump.add(bell, partial(sessions.group, phase))
        fds = tuple(os.dup(bell.fileno()) for bell in self._from_worker + self._to_worker)
        return {"version": VERSION, **self._state()}, fds

    def _ping(self, body: Request) -> Answer:
        return self._state(), ()

    def _state(self) -> dict[str, Any]:
        return {
            "capacity": self._house.engine.capacity(),
            "load": dataclasses.asdict(self._house.engine.load()),
            "persons": self._house.persons_version(),
        }

    def _persons(self, body: Request) -> Answer:
        version = self._house.persons_version()
        persons = [dataclasses.asdict(person) for person in self._house.engine.persons()]
        data = json.dumps(persons, separators=(",", ":")).encode()
        return {"version": version, "size": len(data)}, (share("persons", data),)

    def _poster(self, body: Request) -> Answer:
        data = self._house.engine.poster(name_of(body))
        return {"size": len(data)}, (share("poster", data),)

    def _preview(self, body: Request) -> Answer:
        return _shared("mp4", self._house.engine.preview(name_of(body)))

    def _plate(self, body: Request) -> Answer:
        return _shared("plate", self._house.engine.plate(name_of(body)))

    def _prepare(self, body: Request) -> Answer:
        name = name_of(body)
        self._house.engine.prepare(name)
        self._house.strips.want(self._person(name))
        return {}, ()

    def _strip(self, body: Request) -> Answer:
        person = self._person(name_of(body))
        fd = self._house.strips.get(person)
        if fd is None:
            self._house.strips.want(person)
        return {"ready": fd is not None}, () if fd is None else (fd,)

    def _open(self, body: Request) -> Answer:
        assert self._sessions is not None
        person = self._person(name_of(body))
        changes = {} if body.get("controls") is None else object_of(body, "controls")
        session = self._sessions.open(
            whole(body, "session"),
            person,
            optional_whole(body, "lookahead_ms", _MAX_LOOKAHEAD_MS),
            optional_whole(body, "seed"),
        )
        if changes:
            try:
                session.control(changes)
            except ControlError as error:
                # The file was changed since: better shown as by default than not at all.
                logger.warning("a choice is no longer offered by %s: %s", person.name, error)
        answer = {
            "phase": session.phase,
            "width": person.width,
            "height": person.height,
            "matte": person.has_matte,
            "pace": session.pace,
        }
        return answer, session.hand_over()

    def _control(self, body: Request) -> Answer:
        assert self._sessions is not None
        session = self._sessions.find(whole(body, "session"))
        return {"choice": session.control(object_of(body, "changes"))}, ()

    def _person(self, name: str) -> PersonInfo:
        persons = self._house.engine.persons()
        for person in persons:
            if person.name == name:
                return person
        raise UnknownPerson(name, tuple(person.name for person in persons))


def _shared(name: str, data: bytes | None) -> Answer:
    """Return an answer of bytes, or of nothing."""
    if data is None:
        return {"size": None}, ()
    return {"size": len(data)}, (share(name, data),)
