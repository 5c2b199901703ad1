"""The engine's side of the house: it owns an engine and lets workers use it."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from visavis.engines.client import EngineClient
from visavis.engines.errors import DeviceLost
from visavis.engines.remote.channel import Channel
from visavis.engines.remote.guest import Guest
from visavis.engines.remote.pump import Pump
from visavis.engines.remote.strip_maker import STRIP_SECONDS, StripMaker

__all__ = ["MAX_GUESTS", "EngineHost"]

logger = logging.getLogger(__name__)

MAX_GUESTS = 128
_COUNTERS_SECONDS = 1.0


class EngineHost:
    """Serves an engine to workers over sockets and shared memory.

    Args:
        engine: loaded; it belongs to the host and is closed with it.
        on_device_lost: called once, on some thread, when the engine's device is gone.
        strip_seconds: how long persons at rest are recorded; 0 for not at all.
        counters_seconds: how often each session's counters are published.
    """

    def __init__(
        self,
        engine: EngineClient,
        *,
        on_device_lost: Callable[[DeviceLost], None] | None = None,
        strip_seconds: float = STRIP_SECONDS,
        counters_seconds: float = _COUNTERS_SECONDS,
        _strip_tick_seconds: float = 0.040,
    ) -> None:
        self.engine = engine
        self.pump = Pump()
        self.strips = StripMaker(engine, seconds=strip_seconds, tick_seconds=_strip_tick_seconds)
        # Apart, so that nobody's visit waits for somebody else's loading.
        self.quick = ThreadPoolExecutor(4, thread_name_prefix="visavis-requests")
        self.slow = ThreadPoolExecutor(2, thread_name_prefix="visavis-loading")
        self._on_device_lost = on_device_lost
        self._counters_seconds = counters_seconds
        self._lock = threading.Lock()
        self._guests: set[Guest] = set()
        self._persons = engine.persons()
        self._version = 1
        self._closed = threading.Event()
        self._lost = False
        self._listener: socket.socket | None = None
        self._door: threading.Thread | None = None
        self._counting = threading.Thread(
            target=self._publish_counters, name="visavis-counters", daemon=True
        )
        self._counting.start()

    def adopt(self, sock: socket.socket) -> None:
        """Serve whoever is at the other end; the socket belongs to the host."""
        guest = Guest(Channel(sock), self, self._forget)
        with self._lock:
            refused = self._closed.is_set() or len(self._guests) >= MAX_GUESTS
            if not refused:
                self._guests.add(guest)
        if refused:
            logger.error("a worker is not let in: the engine is closed, or has %d", MAX_GUESTS)
            sock.close()
            return
        guest.start()

    def listen(self, listener: socket.socket) -> None:
        """Serve whoever connects, on a thread; the listener belongs to the host."""
        self._listener = listener
        self._door = threading.Thread(target=self._let_in, name="visavis-door", daemon=True)
        self._door.start()

    def lose_device(self, error: DeviceLost) -> None:
        """Say once that the engine's device is gone."""
        with self._lock:
            first, self._lost = not self._lost, True
        if first:
            logger.critical("the engine's device is lost: %s", error)
            if self._on_device_lost is not None:
                self._on_device_lost(error)

    def persons_version(self) -> int:
        """How often the list of persons has changed."""
        persons = self.engine.persons()
        with self._lock:
            if persons is not self._persons and persons != self._persons:
                self._version += 1
            self._persons = persons
            return self._version

    def session_count(self) -> int:
        """How many sessions all workers have."""
        return sum(len(guest.sessions()) for guest in self._present())

    def close(self) -> None:
        """Show everybody out, end every thread and the engine; calling it again does nothing."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
        if self._door is not None:
            self._door.join()
        for guest in self._present():
            guest.close()
        self.strips.close()
        self.quick.shutdown(cancel_futures=True)
        self.slow.shutdown(cancel_futures=True)
        self._counting.join()
        self.pump.close()
        self.engine.close()

    def _present(self) -> list[Guest]:
        with self._lock:
            return list(self._guests)

    def _forget(self, guest: Guest) -> None:
        with self._lock:
            self._guests.discard(guest)

    def _let_in(self) -> None:
        listener = self._listener
        assert listener is not None
        with listener:
            while not self._closed.is_set():
                try:
                    sock, _ = listener.accept()
                except OSError as error:
                    if self._closed.is_set():
                        return
                    # No descriptors left, say: those who are here go on, and this may pass.
                    logger.error("nobody can be let in: %s", error)
                    self._closed.wait(0.5)
                    continue
                self.adopt(sock)

    def _publish_counters(self) -> None:
        """Session by session, evenly over the interval, so that no burst delays the sound."""
        while not self._closed.is_set():
            sessions = [session for guest in self._present() for session in guest.sessions()]
            pause = self._counters_seconds / max(1, len(sessions))
            for session in sessions:
                session.publish_counters()
                if self._closed.wait(pause):
                    return
            if not sessions:
                self._closed.wait(pause)
