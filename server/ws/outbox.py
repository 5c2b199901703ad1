"""What leaves over TCP, and what is left out so that the delay never grows. Pure.

TCP loses nothing: on a slow or broken network everything waits, in our buffers, in the kernel's and
in those of any proxy, and the picture falls behind for good. None of those buffers can be seen. So
the browser acknowledges what it has received, and what counts is *excess*: how long the oldest
message has been under way, beyond the quickest round trip of this connection.

* Over :data:`FACE_EXCESS` no further frame is encoded: the old one is replaced by the next, and
  nothing that was sent refers to what is missing.
* Frames that were already encoded are dropped with all that follow until a key frame.
* Over :data:`VOICE_EXCESS` voice is left out too: a gap in its pts.
* Over :data:`GIVE_UP` seconds the connection is useless and should be ended.
"""

from __future__ import annotations

from collections import deque

from visavis.server.ws.framing import Kind, Packet

__all__ = ["FACE_EXCESS", "GIVE_UP", "VOICE_EXCESS", "Outbox"]

FACE_EXCESS = 0.100
VOICE_EXCESS = 0.300
GIVE_UP = 20.0
ACK_SECONDS = 0.040
"""Browsers acknowledge every second packet of voice."""
UNKNOWN_TRIP = 0.500
TRIP_DRIFT = 0.001
"""Seconds a second by which the quickest round trip is forgotten: routes change."""
VOICE_LIMIT = 8
FACE_LIMIT = 4
TEXT_LIMIT = 16


class Outbox:
    """Queues, drop-oldest and counted: voice before face, texts before both."""

    def __init__(self) -> None:
        self._texts: deque[str] = deque(maxlen=TEXT_LIMIT)
        self._voice: deque[tuple[int, bytes]] = deque()
        self._face: deque[tuple[int, bytes, bool]] = deque()
        self._under_way: deque[tuple[int, float]] = deque()  # sequence number, when it was written
        self._sequence = 0
        self._generation = 0
        self._key_needed = False
        self._trip: float | None = None
        self._trip_time = 0.0
        self.shed_frames = 0
        """Frames that were encoded and not sent."""
        self.shed_voice = 0
        """Packets of voice that were not sent."""

    @property
    def round_trip(self) -> float | None:
        """The quickest round trip of late, in seconds."""
        return self._trip

    def excess(self, now: float) -> float:
        """How much longer than usual the oldest message is under way, in seconds; at least 0."""
        if not self._under_way:
            return 0.0
        trip = UNKNOWN_TRIP if self._trip is None else min(self._trip, UNKNOWN_TRIP)
        return max(0.0, now - self._under_way[0][1] - trip - ACK_SECONDS)

    def takes_face(self, now: float) -> bool:
        """Whether another frame would get through in time."""
        return len(self._face) < FACE_LIMIT and self.excess(now) < FACE_EXCESS

    def put_text(self, text: str) -> None:
        """A control message; of too many the oldest is dropped."""
        self._texts.append(text)

    def put_voice(self, packet: bytes, pts: int, now: float) -> None:
        """20 ms of voice."""
        if self.excess(now) > VOICE_EXCESS:
            self.shed_voice += 1
            return
        if len(self._voice) >= VOICE_LIMIT:
            self._voice.popleft()
            self.shed_voice += 1
        self._voice.append((pts, packet))

    def put_face(self, packet: bytes, pts: int, now: float, *, key: bool) -> bool:
        """One frame; False if it was dropped, or one that it refers to: a key frame is needed."""
        if key and len(self._face) >= FACE_LIMIT:
            self.shed_frames += len(self._face)
            self._face.clear()
        if self._key_needed and not key:
            self.shed_frames += 1
            return False
        if not self.takes_face(now):
            self.shed_frames += 1
            self._key_needed = True
            return False
        self._key_needed = False
        self._face.append((pts, packet, key))
        return True

    def clear(self, generation: int) -> bool:
        """Barge-in: what waits here is dropped, what left before is marked by the generation.

        False if a key frame is needed now.
        """
        self._generation = generation
        self.shed_voice += len(self._voice)
        self._voice.clear()
        if self._face:
            self.shed_frames += len(self._face)
            self._face.clear()
            self._key_needed = True
        return not self._key_needed

    def next(self, now: float) -> str | bytes | None:
        """What should be written now; None when there is nothing."""
        if self._texts:
            return self._texts.popleft()
        if self._voice:
            pts, packet = self._voice.popleft()
            return self._write(Packet(Kind.VOICE, self._sequence, pts, packet), now)
        if self._face:
            pts, packet, key = self._face.popleft()
            return self._write(Packet(Kind.FACE, self._sequence, pts, packet, key), now)
        return None

    def _write(self, packet: Packet, now: float) -> bytes:
        message = Packet(
            packet.kind,
            packet.sequence,
            packet.pts,
            packet.payload,
            packet.key,
            self._generation,
        ).pack()
        self._under_way.append((self._sequence, now))
        self._sequence += 1
        return message

    def _first(self) -> int:
        return self._under_way[0][0] if self._under_way else 0

    def acknowledged(self, sequence: int, now: float) -> None:
        """The browser has everything up to that sequence number."""
        written: float | None = None
        # A number that was never sent, or was acknowledged before, acknowledges nothing.
        while (sequence - self._first()) % (1 << 32) < len(self._under_way):
            written = self._under_way.popleft()[1]
        if written is None:
            return
        trip = now - written
        if self._trip is not None:
            trip = min(trip, self._trip + TRIP_DRIFT * (now - self._trip_time))
        self._trip, self._trip_time = trip, now
