"""RTP payload for redundant audio (RFC 2198): each packet brings the one before it again.

Browsers offer it for Opus, and it makes good a lost packet 10 ms later with its very sound. (The
other way, Opus' own in-band error correction, needs a decoder call that neither PyAV nor libavcodec
has.) Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MAX_BLOCKS", "Block", "split_red"]

MAX_BLOCKS = 4


@dataclass(frozen=True, slots=True)
class Block:
    """One packet's worth of sound.

    ``age`` counts packets: 0 is the packet itself, 1 the one sent before. ``timestamp`` is 32-bit.
    """

    age: int
    timestamp: int
    payload: bytes


def split_red(payload: bytes, timestamp: int, *, payload_type: int) -> list[Block]:
    """The blocks of a redundant payload, oldest first; none where it is damaged.

    Args:
        payload: as it came.
        timestamp: of the RTP packet.
        payload_type: of the codec inside; blocks of others are left out.
    """
    headers: list[tuple[int, int, int]] = []  # payload type, timestamp offset, length
    position = 0
    while True:
        if position >= len(payload) or len(headers) > MAX_BLOCKS:
            return []
        kind = payload[position] & 0x7F
        if not payload[position] & 0x80:
            position += 1
            break
        if position + 4 > len(payload):
            return []
        packed = int.from_bytes(payload[position + 1 : position + 4], "big")
        headers.append((kind, packed >> 10, packed & 0x3FF))
        position += 4
    rest = len(payload) - position - sum(length for _, _, length in headers)
    if rest < 0:
        return []
    headers.append((kind, 0, rest))
    blocks = []
    for number, (kind, offset, length) in enumerate(headers):
        data = payload[position : position + length]
        position += length
        if kind == payload_type and data:
            age = len(headers) - 1 - number
            blocks.append(Block(age, (timestamp - offset) & 0xFFFFFFFF, data))
    return blocks
