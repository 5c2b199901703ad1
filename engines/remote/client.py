"""An engine in another process, as a media worker or the front holds it.

One thread keeps the connection, and looks for the engine while it is away; another one hands over
pictures. When the engine's process dies, its sessions stay: see `session`.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from visavis.engines.client import EngineLoad, Frame, PersonInfo
from visavis.engines.errors import EngineAway, EngineError, UnknownLookahead, VisavisError
from visavis.engines.remote.knowledge import Knowledge, blob_of
from visavis.engines.remote.link import Link, connect
from visavis.engines.remote.reader import Reader
from visavis.engines.remote.seating import Seating
from visavis.engines.remote.session import RemoteSession

__all__ = ["Deadlines", "RemoteEngine", "RemoteState"]

logger = logging.getLogger(__name__)

MAX_PICTURE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a worker waits for an engine, and how often it looks, in seconds.

    Attributes:
        answer: of a question that takes no work. An engine that does not answer is given up, and
            its sessions are shown at rest.
        open: of a session whose person is prepared; a loop may be waiting for it.
        prepare: of a person's loading.
        look: between two looks at the engine.
        retry: before the first attempt to connect anew; each further one waits twice as long.
        longest_retry: what that waiting comes to at most.
    """

    answer: float = 3.0
    open: float = 2.0
    prepare: float = 120.0
    look: float = 1.0
    retry: float = 0.05
    longest_retry: float = 1.0


@dataclass(frozen=True, slots=True)
class RemoteState:
    """How a worker stands with its engine.

    Attributes:
        connected: the engine answers.
        connections: how often it was found; more than one says that it was lost meanwhile.
        resting: sessions that are shown at rest for want of an engine.
    """

    connected: bool
    connections: int
    resting: int


class RemoteEngine:
    """An engine in another process; see `client.EngineClient`.

    `persons`, `capacity` and `load` answer from what the engine said within the last second, or
    before it was lost. While it is away, everything that needs it raises `EngineAway` at once.

    Args:
        address: path of the engine's socket.
        slots: how many sessions this worker may have; 0 for the front, which only asks.
        wait_seconds: how long the engine may take to appear.
        deadlines: see `Deadlines`.

    Raises:
        EngineAway: the engine has not appeared.
    """

    def __init__(
        self,
        address: str,
        *,
        slots: int,
        wait_seconds: float = 60.0,
        deadlines: Deadlines | None = None,
        _connect: Callable[[str], socket.socket] = connect,
    ) -> None:
        self._address = address
        self._slots = slots
        self._deadlines = deadlines or Deadlines()
        self._connect = _connect
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._connections = 0
        self._closed = False
        self._look = threading.Event()
        self._found = threading.Event()
        self._knowledge = Knowledge(self._deadlines.answer)
        self._reader = Reader(self._all_sessions)
        self._seating = Seating(slots, self._reader.wake)
        self._keeper = threading.Thread(target=self._keep, name="visavis-keeper", daemon=True)
        self._keeper.start()
        if not self._found.wait(wait_seconds):
            self.close()
            raise EngineAway

    def persons(self) -> tuple[PersonInfo, ...]:
        """Return who can be shown; the first is the default."""
        return self._knowledge.persons

    def capacity(self) -> int:
        """Return how many sessions the engine alone carries."""
        return self._knowledge.capacity

    def load(self) -> EngineLoad:
        """Return what the engine was measured to make."""
        return self._knowledge.load

    def state(self) -> RemoteState:
        """Return how it stands with the engine."""
        resting = sum(session.place is None for session in self._seating.all())
        return RemoteState(self._link is not None, self._connections, resting)

    def poster(self, person: str) -> bytes:
        """Return a JPEG; see `client.EngineClient.poster`."""
        data = self._picture("poster", person)
        if data is None:
            raise EngineError("The engine sent no poster.")
        return data

    def preview(self, person: str) -> bytes | None:
        """Return an mp4, or None; see `client.EngineClient.preview`."""
        return self._picture("preview", person)

    def plate(self, person: str) -> bytes | None:
        """Return an I420 picture, or None; see `client.EngineClient.plate`."""
        return self._picture("plate", person)

    def prepare(self, person: str) -> None:
        """Load a person; see `client.EngineClient.prepare`."""
        self._present().call("prepare", self._deadlines.prepare, person=person).close()

    def open(
        self,
        person: str,
        on_frame: Callable[[Frame], None],
        *,
        lookahead_ms: int | None = None,
        seed: int | None = None,
        on_error: Callable[[EngineError], None] | None = None,
    ) -> RemoteSession:
        """Begin a session; see `client.EngineClient.open`.

        Raises:
            EngineAway: the engine is away, or has not answered in time.
        """
        link = self._present()
        info = self._knowledge.find(person, link)
        if lookahead_ms is None:
            lookahead_ms = info.lookahead_ms
        elif lookahead_ms not in info.lookaheads_ms:
            raise UnknownLookahead(person, lookahead_ms, info.lookaheads_ms)
        session = self._seating.new(info, lookahead_ms, seed, on_frame, on_error)
        self._seating.seat(session, link, self._deadlines.open)
        if self._closed:
            session.close()
        self._look.set()  # for its strip
        return session

    def close(self) -> None:
        """End every session and the connection, not the engine; calling it again does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            link = self._link
        for session in self._seating.all():
            session.close()
        self._look.set()
        if link is not None:
            link.cut()
        self._keeper.join()
        self._reader.close()

    def _picture(self, operation: str, person: str) -> bytes | None:
        with self._present().call(operation, self._deadlines.answer, person=person) as answer:
            nothing = answer.body.get("size") is None
            return None if nothing else blob_of(answer, MAX_PICTURE_BYTES)

    def _present(self) -> Link:
        link = self._link
        if self._closed:
            raise EngineError("The engine is closed; make a new one.")
        if link is None:
            raise EngineAway
        return link

    def _all_sessions(self) -> list[RemoteSession]:
        return self._seating.all()

    # -- the keeper -------------------------------------------------------------------------

    def _keep(self) -> None:
        pause = self._deadlines.retry
        while not self._closed:
            try:
                link = self._new_link()
            except (OSError, VisavisError) as error:
                logger.debug("no engine at %s: %s", self._address, error)
                self._look.clear()
                if not self._closed:
                    self._look.wait(pause)
                pause = min(2 * pause, self._deadlines.longest_retry)
                continue
            pause = self._deadlines.retry
            try:
                self._tend(link)
            except Exception as error:
                if not self._closed:
                    logger.error("the engine is given up: %s", error)
            finally:
                self._part(link)

    def _new_link(self) -> Link:
        link = Link(
            self._connect(self._address),
            self._slots,
            self._seating.on_event,
            self._look.set,
            hello_seconds=self._deadlines.answer,
        )
        try:
            self._knowledge.learn(link, link.state, anew=True)
            with self._lock:
                if self._closed:
                    raise EngineAway
                self._link = link
        except BaseException:
            link.close()
            for bell in link.to_worker:
                bell.close()
            raise
        self._connections += 1
        self._seating.arrive(link)
        self._reader.listen(link.to_worker)
        if self._connections > 1:
            logger.warning("the engine is back")
        self._found.set()
        return link

    def _tend(self, link: Link) -> None:
        """Look after everything until the engine is gone."""
        while not self._closed and not link.ended:
            self._look.clear()
            with link.call("ping", self._deadlines.answer) as answer:
                state = answer.body
            self._knowledge.learn(link, state)
            self._seating.seat_again(link)
            self._seating.fetch_strips(link)
            if not self._closed and not link.ended:
                self._look.wait(self._deadlines.look)

    def _part(self, link: Link) -> None:
        with self._lock:
            self._link = None
        left = self._seating.depart()
        link.close()
        self._reader.listen(())
        if left and not self._closed:
            logger.error("the engine is lost; %d sessions are shown at rest", left)
