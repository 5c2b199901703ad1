"""The two tracks that aiortc sends: packets that are already encoded, handed over when due.

aiortc then neither encodes nor queues nor paces; it adds the RTP header and sends at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from fractions import Fraction
from typing import Any

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

__all__ = ["PacketTrack"]


class PacketTrack(MediaStreamTrack):
    """A bounded hand-over from the session's pump to one RTP sender (drop-oldest, counted).

    Args:
        kind: ``audio`` or ``video``.
        clock_rate: of the pts, in Hz.
        limit: how many packets may wait; more than a few means that the sender is stuck.
    """

    def __init__(self, kind: str, clock_rate: int, *, limit: int = 8) -> None:
        super().__init__()
        self.kind = kind
        self._time_base = Fraction(1, clock_rate)
        self._packets: deque[av.Packet[Any]] = deque(maxlen=limit)
        self._arrived = asyncio.Event()
        self.dropped = 0
        self.media_seconds = 0.0
        """The media time of the last packet that was sent."""

    def put(self, data: bytes, pts: int) -> bool:
        """Send this now; False if an older packet had to be dropped for it."""
        packet = av.Packet(data)
        packet.pts = pts
        packet.time_base = self._time_base
        full = len(self._packets) == self._packets.maxlen
        self.dropped += full
        self._packets.append(packet)
        self._arrived.set()
        return not full

    async def recv(self) -> av.Packet[Any]:
        """aiortc's sender asks for the next packet."""
        while not self._packets:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        packet = self._packets.popleft()
        assert packet.pts is not None
        self.media_seconds = float(packet.pts * self._time_base)
        return packet

    def stop(self) -> None:
        """End the track; a sender that waits is told."""
        super().stop()
        self._arrived.set()
