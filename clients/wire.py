"""Messages of the WebSocket path, as a client sees them; docs/network.md describes them. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from urllib.parse import urlsplit, urlunsplit

from visavis.clients.errors import ClientError

__all__ = ["Kind", "Message", "pack", "socket_address", "unpack"]

VERSION = 1
_HEADER = struct.Struct("!BBBBIQ")


class Kind(IntEnum):
    """What a binary message carries."""

    VOICE = 1
    FACE = 2
    MICROPHONE = 3
    ACKNOWLEDGEMENT = 4


@dataclass(frozen=True, slots=True)
class Message:
    """One packet: `kind`, `key` frame or not, `pts` in samples at 48 kHz, as its codec made it."""

    kind: Kind
    key: bool
    generation: int
    sequence: int
    pts: int
    payload: bytes


def pack(kind: Kind, sequence: int, pts: int = 0, payload: bytes = b"") -> bytes:
    """Return a binary message."""
    return _HEADER.pack(VERSION, kind, 0, 0, sequence % (1 << 32), pts) + payload


def unpack(data: bytes) -> Message:
    """Read a binary message.

    Raises:
        ClientError: it is none.
    """
    if len(data) < _HEADER.size:
        raise ClientError("The server sent a message that is too short.")
    version, kind, flags, generation, sequence, pts = _HEADER.unpack_from(data)
    if version != VERSION:
        raise ClientError(f"The server speaks version {version} of the framing, not {VERSION}.")
    try:
        known = Kind(kind)
    except ValueError:
        raise ClientError(f"The server sent a message of the kind {kind}.") from None
    return Message(known, bool(flags & 1), generation, sequence, pts, data[_HEADER.size :])


def socket_address(server: str) -> str:
    """Return where a server's WebSocket is: ws://host/ws for http://host.

    Raises:
        ClientError: it is no address of a server.
    """
    parts = urlsplit(server)
    schemes = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
    if parts.scheme not in schemes or not parts.netloc:
        raise ClientError(f"{server!r} is no address of a server, as in https://avatar.example.")
    path = parts.path.rstrip("/").removesuffix("/ws")
    return urlunsplit((schemes[parts.scheme], parts.netloc, f"{path}/ws", "", ""))
