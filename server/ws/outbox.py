"""What leaves over TCP, and what is left out so that the delay never grows. Pure.

TCP loses nothing: on a slow or broken network everything waits, in our buffers, in the kernel's and
in those of any proxy, and the picture falls behind for good. None of those buffers can be seen. So
the browser acknowledges what it has received, and what counts is *excess*: how long the oldest
message has been under way, beyond the quickest round trip of this connection.

* Over :data:`FACE_EXCESS`, or while more is under way than goes through in that time, no further
  frame is encoded: the old one is replaced by the next, and nothing that was sent refers to what is
  missing.
* Over :data:`VOICE_EXCESS` frames that were already encoded are dropped, with all that follow until
  a key frame, and voice is left out: a gap in its pts.
* Over :data:`GIVE_UP` seconds the connection is useless and should be ended.

Before it comes to that, the encoder's bit rate follows what gets through (:meth:`Outbox.report`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from visavis.server.rate.controller import Report
from visavis.server.ws.framing import Kind, Packet

__all__ = ["FACE_EXCESS", "GIVE_UP", "VOICE_EXCESS", "Outbox"]

FACE_EXCESS = 0.100
VOICE_EXCESS = 0.300
GIVE_UP = 20.0
ACK_SECONDS = 0.040
"""Browsers acknowledge every second packet of voice."""
UNKNOWN_TRIP = 0.500
RATE_SECONDS = 5.0
"""The best delivery of so many seconds is taken for what the path can do."""
SIZE_SHARE = 0.1
STARVED_SECONDS = 1.0
TRIP_DRIFT = 0.001
"""Seconds a second by which the quickest round trip is forgotten: routes change."""
REPORT_SECONDS = 1.0
VOICE_LIMIT = 8
FACE_LIMIT = 4
TEXT_LIMIT = 16


@dataclass(frozen=True, slots=True)
class _Sent:
    """A message under way."""

    sequence: int
    at: float
    size: int
    picture: int
    """Bytes of picture in it."""
    delivered: int
    """Bytes that had been acknowledged when it was written."""
    delivered_at: float
    """When the last of them were; or when it was written, if nothing else was under way."""


class Outbox:
    """Queues, drop-oldest and counted: voice before face, texts before both."""

    def __init__(self) -> None:
        self._texts: deque[str] = deque(maxlen=TEXT_LIMIT)
        self._voice: deque[tuple[int, bytes]] = deque()
        self._face: deque[tuple[int, bytes, bool]] = deque()
        self._under_way: deque[_Sent] = deque()
        self._waiting = 0  # bytes of them
        self._pictures = 0  # how many of them are pictures
        self._picture_size = 0.0  # bytes, on average
        self._pictured = 0.0  # when the last one was written
        self._delivered = 0  # bytes that were acknowledged, ever
        self._delivered_at = 0.0
        self._rates: deque[tuple[float, float]] = deque()  # when, bytes per second; falling
        self._sequence = 0
        self._generation = 0
        self._key_needed = False
        self._trip: float | None = None
        self._trip_time = 0.0
        self._trips: list[float] = []  # since the last report
        self._arrived = 0  # bytes of picture since the last report
        self._reported: float | None = None
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
        return max(0.0, now - self._under_way[0].at - trip - ACK_SECONDS)

    def takes_face(self, now: float, ahead: int = 0) -> bool:
        """Whether another frame would get through in time.

        Args:
            now: the time.
            ahead: how many frames will be put before it.
        """
        if len(self._face) + ahead >= FACE_LIMIT or self.excess(now) >= FACE_EXCESS:
            return False
        alone = not self._pictures and not self._face and not ahead
        if self._trip is None or not self._rates:
            return alone  # one frame shows what the path can do
        usual = self._trip + ACK_SECONDS
        rate = self._rates[0][1]
        waiting = self._waiting + sum(len(data) for _, data, _ in self._face)
        through = (waiting + ahead * self._picture_size) / rate
        if through + self._picture_size / rate < usual + FACE_EXCESS:
            return True
        # A frame that takes longer by itself waits until the way is free, but not for ever.
        starved = now - self._pictured > STARVED_SECONDS
        return alone and through < (usual if starved else usual / 2)

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
        """One frame; False if it was dropped, or one that it refers to: a key frame is needed.

        Whether to encode one at all is asked before (:meth:`takes_face`); this drops what was
        encoded in vain.
        """
        if len(self._face) >= FACE_LIMIT and key:
            self.shed_frames += len(self._face)
            self._face.clear()
        full = len(self._face) >= FACE_LIMIT or self.excess(now) >= VOICE_EXCESS
        if full or (self._key_needed and not key):
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
        picture = 0
        if packet.kind is Kind.FACE:
            picture = len(packet.payload)
            self._pictures += 1
            self._pictured = now
            known = self._picture_size or picture
            self._picture_size = known + SIZE_SHARE * (picture - known)
        if not self._under_way:
            self._delivered_at = now
        sent = _Sent(
            self._sequence, now, len(message), picture, self._delivered, self._delivered_at
        )
        self._under_way.append(sent)
        self._waiting += len(message)
        self._sequence += 1
        return message

    def _first(self) -> int:
        return self._under_way[0].sequence if self._under_way else 0

    def acknowledged(self, sequence: int, now: float) -> None:
        """The browser has everything up to that sequence number."""
        last: _Sent | None = None
        # A number that was never sent, or was acknowledged before, acknowledges nothing.
        while (sequence - self._first()) % (1 << 32) < len(self._under_way):
            last = self._under_way.popleft()
            self._waiting -= last.size
            self._delivered += last.size
            self._arrived += last.picture
            self._pictures -= last.picture > 0
        if last is None:
            return
        trip = max(1e-4, now - last.at)
        self._delivered_at = now
        # As BBR does (Cardwell et al. 2016): by the time since the delivery before, not since the
        # sending, or what had long been on its way would count too.
        rate = (self._delivered - last.delivered) / max(1e-4, now - last.delivered_at)
        while self._rates and self._rates[-1][1] <= rate:
            self._rates.pop()
        self._rates.append((now, rate))
        while self._rates[0][0] < now - RATE_SECONDS:
            self._rates.popleft()
        self._trips.append(trip)
        if self._trip is not None:
            trip = min(trip, self._trip + TRIP_DRIFT * (now - self._trip_time))
        self._trip, self._trip_time = trip, now

    def report(self, now: float) -> Report | None:
        """Once a second, what got through; None in between and while nothing is acknowledged."""
        if self._reported is None:
            self._reported = now
        passed = now - self._reported
        if passed < REPORT_SECONDS or not self._trips:
            return None
        # The quickest trip of the second: a queue that stands, not one late packet.
        report = Report(lost=0.0, round_trip=min(self._trips), arrived=self._arrived * 8 / passed)
        self._trips, self._arrived, self._reported = [], 0, now
        return report
