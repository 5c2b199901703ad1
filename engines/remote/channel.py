"""Requests and answers between an engine and a worker: small JSON packets, with descriptors.

The socket is AF_UNIX, SOCK_SEQPACKET (unix(7)): a packet comes whole, with the descriptors that
were sent with it, or not at all, and the other end's death is an end of file at once. What does not
fit into a packet travels as the descriptor of a memfd. Nothing here is pickled.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from visavis.engines import errors
from visavis.engines.errors import EngineError, PersonFileError, VisavisError
from visavis.engines.strict_json import parse_json

__all__ = ["MAX_DESCRIPTORS", "MAX_PACKET", "Channel", "Packet", "decode_error", "encode_error"]

MAX_PACKET = 32 << 10
MAX_DESCRIPTORS = 16
_ROOM = socket.CMSG_SPACE(MAX_DESCRIPTORS * array("i").itemsize)
_MAX_TEXT = 2000
_MAX_KNOWN = 50


@dataclass(frozen=True, slots=True)
class Packet:
    """What came.

    Attributes:
        body: the JSON object.
        fds: descriptors that came with it; they belong to whoever has the packet.
    """

    body: dict[str, Any]
    fds: tuple[int, ...] = ()

    def close(self) -> None:
        """Give the descriptors back."""
        for fd in self.fds:
            os.close(fd)


class Channel:
    """One end. Any thread may send; one receives.

    Args:
        sock: connected; it belongs to the channel.
        take_fds: descriptors may come with a packet; otherwise the kernel drops them.
    """

    def __init__(self, sock: socket.socket, *, take_fds: bool = False) -> None:
        self._sock = sock
        self._take_fds = take_fds
        self._sending = threading.Lock()
        sock.setblocking(True)

    def send(self, body: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Send a packet; never waits. Descriptors stay the caller's.

        Raises:
            EngineError: the packet is too large.
            OSError: the other end is gone, or has stopped reading: either way it is given up.
        """
        data = json.dumps(body, separators=(",", ":")).encode()
        if len(data) > MAX_PACKET:
            raise EngineError(f"A message of {len(data)} bytes does not fit into a packet.")
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        with self._sending:
            self._sock.sendmsg([data], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def receive(self) -> Packet | None:
        """Wait for a packet; None where the other end is gone.

        Raises:
            EngineError: it is not a packet of ours.
        """
        try:
            data, rights, flags, _ = self._sock.recvmsg(
                MAX_PACKET, _ROOM if self._take_fds else 0, socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            return None
        fds = array("i")
        for level, kind, numbers in rights:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(numbers[: len(numbers) - len(numbers) % fds.itemsize])
        packet = Packet({}, tuple(fds))
        try:
            # Only an end of file is empty: no packet of ours is.
            if not data:
                packet.close()
                return None
            if flags & socket.MSG_TRUNC or (self._take_fds and flags & socket.MSG_CTRUNC):
                raise EngineError("A message is larger than any of ours.")
            try:
                return Packet(parse_json("A message", data), packet.fds)
            except PersonFileError as error:
                raise EngineError(str(error)) from None
        except BaseException:
            packet.close()
            raise

    def shut(self) -> None:
        """End the conversation: both ends receive an end of file. From any thread."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back; when nobody receives any more."""
        self._sock.close()


def encode_error(error: BaseException) -> dict[str, Any]:
    """Return an exception as JSON: its class and arguments where it is ours, else its text."""
    if isinstance(error, VisavisError) and type(error).__name__ in errors.__all__:
        return {"kind": type(error).__name__, "args": [_plain(item) for item in error.args]}
    if isinstance(error, MemoryError):
        return {"kind": "EngineError", "args": ["The engine has no memory left for this."]}
    text = f"{type(error).__name__}: {error}"[:_MAX_TEXT]
    return {"kind": "EngineError", "args": [f"The engine failed: {text}."]}


def decode_error(value: Any) -> VisavisError:
    """Return the exception that `encode_error` wrote; an `EngineError` where that is not clear."""
    unclear = EngineError("The engine refused, and did not say why.")
    if not isinstance(value, dict) or value.get("kind") not in errors.__all__:
        return unclear
    kind = getattr(errors, value["kind"])
    arguments = value.get("args")
    if not isinstance(arguments, list) or not all(map(_is_plain, arguments)):
        return unclear
    try:
        error = kind(*(tuple(item) if isinstance(item, list) else item for item in arguments))
        str(error)
    except Exception:
        return unclear
    assert isinstance(error, VisavisError)
    return error


def _plain(value: Any) -> Any:
    """Return an argument as a whole number, a text, or a short list of these."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value[:_MAX_KNOWN] if not isinstance(item, (list, tuple))]
    return value if isinstance(value, int) else str(value)[:_MAX_TEXT]


def _is_plain(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return all(isinstance(item, (int, str)) for item in items)
