"""Binary messages of the WebSocket path: a header of 16 bytes, then one packet.

::

    offset  bytes
    0       1      version, 1
    1       1      kind: 1 voice, 2 face, 3 microphone, 4 acknowledgement
    2       1      flags: 1 a key frame
    3       1      generation: grows by one, modulo 256, with every clear
    4       4      sequence number, one row for each direction; of an acknowledgement, the last
                   sequence number that came from the server
    8       8      pts in samples at 48 kHz, one clock for voice and face
    16             the packet as its codec made it

All numbers are unsigned, in network byte order. One WebSocket message holds one packet, so that
nothing has to be found again in a stream. Pure.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from visavis.server.errors import RequestError

__all__ = ["HEADER_BYTES", "KEY_FRAME", "MAX_MESSAGE_BYTES", "VERSION", "Kind", "Packet", "parse"]

VERSION = 1
KEY_FRAME = 1
MAX_MESSAGE_BYTES = 8 * 1024
"""From a browser; 60 ms of sound at 48 kHz are 5760 bytes."""
_HEADER = struct.Struct("!BBBBIQ")
HEADER_BYTES = _HEADER.size


class Kind(IntEnum):
    """What a message carries."""

    VOICE = 1
    FACE = 2
    MICROPHONE = 3
    ACKNOWLEDGEMENT = 4


@dataclass(frozen=True, slots=True)
class Packet:
    """One binary message."""

    kind: Kind
    sequence: int
    pts: int = 0
    payload: bytes = b""
    key: bool = False
    generation: int = 0

    def pack(self) -> bytes:
        """The message's bytes; counters wrap."""
        header = _HEADER.pack(
            VERSION,
            self.kind,
            KEY_FRAME if self.key else 0,
            self.generation % 256,
            self.sequence % (1 << 32),
            self.pts,
        )
        return header + self.payload


def parse(data: bytes) -> Packet:
    """The packet of one message.

    Raises:
        RequestError: it is none, or one of another version.
    """
    if len(data) < HEADER_BYTES:
        raise RequestError(f"A binary message has at least {HEADER_BYTES} bytes, not {len(data)}.")
    version, kind, flags, generation, sequence, pts = _HEADER.unpack_from(data)
    if version != VERSION:
        raise RequestError(f"This server speaks version {VERSION} of the framing, not {version}.")
    try:
        known = Kind(kind)
    except ValueError:
        raise RequestError(f"There is no binary message of kind {kind}.") from None
    return Packet(known, sequence, pts, data[HEADER_BYTES:], bool(flags & KEY_FRAME), generation)
