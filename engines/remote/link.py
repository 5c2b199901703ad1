"""A worker's connection to an engine's process: questions with deadlines, and the doorbells."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Any

from visavis.engines.client import PHASES
from visavis.engines.errors import EngineAway, EngineError
from visavis.engines.remote.channel import Channel, Packet, decode_error
from visavis.engines.remote.doorbell import Doorbell
from visavis.engines.remote.layout import VERSION

__all__ = ["Answer", "Link", "connect"]

logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 2.0


class Answer:
    """What an engine answered: a JSON object, and descriptors that the answer owns."""

    def __init__(self, packet: Packet) -> None:
        value = packet.body.get("ok")
        self.body: dict[str, Any] = value if isinstance(value, dict) else {}
        self.fds = packet.fds

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *what: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptors back."""
        for fd in self.fds:
            os.close(fd)
        self.fds = ()


def connect(path: str) -> socket.socket:
    """Return a socket that is connected to an engine's process.

    Raises:
        OSError: nobody listens there.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.settimeout(_CONNECT_SECONDS)
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


class Link:
    """One connection, from hello to its end.

    Args:
        sock: connected; it belongs to the link.
        slots: how many sessions the worker may have.
        on_event: takes what the engine says unasked; on the link's thread.
        on_end: called on the link's thread when the engine is gone.
        hello_seconds: deadline of the first answer.

    Attributes:
        to_engine, to_worker: doorbells, one for each phase.
        state: what the engine said of itself last.

    Raises:
        EngineError: the engine does not answer, or is of another version.
    """

    def __init__(
        self,
        sock: socket.socket,
        slots: int,
        on_event: Callable[[dict[str, Any]], None],
        on_end: Callable[[], None],
        *,
        hello_seconds: float,
    ) -> None:
        self._channel = Channel(sock, take_fds=True)
        self._on_event = on_event
        self._on_end = on_end
        self._lock = threading.Lock()
        self._questions: dict[int, Future[Answer]] = {}
        self._asked = 0
        self._ended = False
        self.to_engine: tuple[Doorbell, ...] = ()
        self.to_worker: tuple[Doorbell, ...] = ()
        self._thread = threading.Thread(target=self._run, name="visavis-link", daemon=True)
        self._thread.start()
        try:
            with self.call("hello", hello_seconds, version=VERSION, slots=slots) as answer:
                if len(answer.fds) != 2 * PHASES or answer.body.get("version") != VERSION:
                    raise EngineError("The worker and the engine are of different versions.")
                bells = [Doorbell(fd) for fd in answer.fds]
                answer.fds = ()
                self.to_engine, self.to_worker = tuple(bells[:PHASES]), tuple(bells[PHASES:])
                self.state = answer.body
        except BaseException:
            self.close()
            raise

    @property
    def ended(self) -> bool:
        """The engine is gone."""
        return self._ended

    def ask(self, operation: str, **fields: object) -> Future[Answer]:
        """Send a question; the answer comes on the link's thread.

        The future fails with `EngineAway` where the engine is gone, and with what it answered
        otherwise.
        """
        future: Future[Answer] = Future()
        with self._lock:
            self._asked += 1
            number = self._asked
            ended = self._ended
            if not ended:
                self._questions[number] = future
        if ended:
            future.set_exception(EngineAway())
            return future
        try:
            self._channel.send({"op": operation, "id": number, **fields})
        except OSError:
            self._channel.shut()  # the end of the link answers the question
        except EngineError as error:
            with self._lock:
                self._questions.pop(number, None)
            future.set_exception(error)
        return future

    def call(self, operation: str, seconds: float, **fields: object) -> Answer:
        """Ask and wait for the answer.

        Raises:
            EngineAway: the engine is gone, or has not answered in that time.
            VisavisError: what the engine answered.
        """
        future = self.ask(operation, **fields)
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.cancel():
                raise EngineAway from None
            return future.result(seconds)  # it came at the last moment

    def tell(self, operation: str, **fields: object) -> None:
        """Send something that has no answer."""
        try:
            self._channel.send({"op": operation, **fields})
        except OSError:
            self._channel.shut()

    def cut(self) -> None:
        """End the connection; `on_end` follows. From any thread."""
        self._channel.shut()

    def close(self) -> None:
        """End the connection, wait for its thread, and close the doorbells to the engine.

        Those to the worker are the reader's to close.
        """
        self._channel.shut()
        if self._thread is not threading.current_thread():
            self._thread.join()
        self._channel.close()
        for bell in self.to_engine:
            bell.close()

    def _run(self) -> None:
        try:
            while (packet := self._channel.receive()) is not None:
                self._take(packet)
        except Exception:
            logger.exception("the engine's messages cannot be read; the connection is given up")
        with self._lock:
            self._ended = True
            questions = list(self._questions.values())
            self._questions.clear()
        self._channel.shut()
        for future in questions:
            with contextlib.suppress(InvalidStateError):
                future.set_exception(EngineAway())
        self._on_end()

    def _take(self, packet: Packet) -> None:
        body = packet.body
        if "event" in body:
            packet.close()
            self._on_event(body)
            return
        number = body.get("id")
        with self._lock:
            future = self._questions.pop(number, None) if isinstance(number, int) else None
        # False where whoever asked has stopped waiting.
        if future is None or not future.set_running_or_notify_cancel():
            packet.close()
        elif "error" in body:
            packet.close()
            future.set_exception(decode_error(body["error"]))
        else:
            future.set_result(Answer(packet))
