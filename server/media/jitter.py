"""The reorder buffer of the microphone's RTP stream: packets in any order in, in sequence out.

Pure: it knows sequence numbers and timestamps, no clock and no codec. It never waits by itself:
whoever needs sound asks (:meth:`JitterBuffer.pop`) and is told whether the next piece is there,
lost, or simply not yet sent. So a missing packet has exactly the time the playout can give it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["Gap", "JitterBuffer", "RtpPayload", "signed"]

# A jump of the timestamps larger than this is a new start of the sender, not a loss to fill.
MAX_GAP_SAMPLES = 48_000
RECENT = 16


@dataclass(frozen=True, slots=True)
class RtpPayload:
    """One audio packet: its timestamp is extended to never wrap, in samples at 48 kHz."""

    timestamp: int
    payload: bytes
    redundant: bool = False
    """Whether it came in a later packet."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Sound that will not come: ``samples`` at 48 kHz lie before the next packet.

    ``lost`` is how many packets went missing; 0 when the sender fell silent (DTX) on purpose.
    """

    samples: int
    lost: int


class JitterBuffer:
    """Bounded by ``capacity`` packets; when full, the oldest are given up (drop-oldest).

    Args:
        capacity: how many packets may wait, about 10 or 20 ms each.
    """

    def __init__(self, *, capacity: int = 64) -> None:
        self._capacity = capacity
        self._packets: dict[int, RtpPayload] = {}
        self._next: int | None = None  # extended sequence number that plays next
        self._highest: int | None = None
        self._timestamp: int | None = None  # extended; of the highest sequence number
        self._expected: int | None = None  # the timestamp at which the next packet should begin
        self.absorbed = 0
        """Samples of the last :meth:`pop`'s gap that the caller had already filled."""
        self.duplicates = 0
        self.late = 0
        self.overflowed = 0
        self.lost = 0
        self.recovered = 0
        self._given_up: deque[int] = deque(maxlen=RECENT)  # extended numbers of lost packets

    def __len__(self) -> int:
        return len(self._packets)

    @property
    def span(self) -> int:
        """Samples from the beginning of the first packet that waits to that of the last."""
        if not self._packets:
            return 0
        return (
            self._packets[max(self._packets)].timestamp
            - self._packets[min(self._packets)].timestamp
        )

    def restart(self) -> None:
        """Other numbers and timestamps come from now on; what was counted stays."""
        self._packets.clear()
        self._given_up.clear()
        self._next = self._highest = self._timestamp = self._expected = None

    def add(
        self, sequence: int, timestamp: int, payload: bytes, *, redundant: bool = False
    ) -> int | None:
        """Take a packet from the network.

        Args:
            sequence: the 16-bit RTP sequence number.
            timestamp: the 32-bit RTP timestamp, 48 kHz.
            payload: the codec's bytes.
            redundant: whether a later packet brought it again, as most do that were not lost.

        Returns:
            How many samples lie between what plays next and this packet; None when the packet is
            of no use: it was here before, or its time is over.
        """
        if self._highest is None or self._timestamp is None:
            extended, time = sequence, timestamp
            self._next = extended
        else:
            extended = self._highest + signed(sequence - self._highest, 16)
            time = self._timestamp + signed(timestamp - self._timestamp, 32)
            if abs(extended - self._highest) > 1000:
                # Not a reordering: the sender began again.
                self._packets.clear()
                self._next, self._expected, self._highest = extended, None, None
        assert self._next is not None
        if extended in self._packets:
            self.duplicates += not redundant
            return None
        if extended < self._next and not self._rewind(extended):
            self.late += not redundant or extended in self._given_up
            return None
        self._packets[extended] = RtpPayload(time, payload, redundant)
        if self._highest is None or extended > self._highest:
            self._highest, self._timestamp = extended, time
        while len(self._packets) > self._capacity:
            oldest = min(self._packets)
            del self._packets[oldest]
            self._next = oldest + 1
            self._expected = None
            self.overflowed += 1
        begin = self._expected
        if begin is None or not 0 <= time - begin <= MAX_GAP_SAMPLES:
            begin = self._packets[min(self._packets)].timestamp
        return max(0, time - begin)

    def _rewind(self, extended: int) -> bool:
        """Before anything was played, an earlier packet may still become the first."""
        if self._expected is None and self._next is not None and self._next - extended < 8:
            self._next = extended
            return True
        return False

    def pop(self, filled: int = 0) -> RtpPayload | Gap | None:
        """The next piece of the stream, or None when nothing has come.

        Args:
            filled: how many samples the caller has already put in place of what did not come;
                a gap is reported only as far as it exceeds them.
        """
        self.absorbed = 0
        if not self._packets or self._next is None:
            return None
        packet = self._packets.get(self._next)
        sequence = self._next if packet is not None else min(self._packets)
        packet = self._packets[sequence]
        lost = sequence - self._next
        self._given_up.extend(range(max(self._next, sequence - RECENT), sequence))
        self._next = sequence
        self.lost += lost
        missing = 0 if self._expected is None else packet.timestamp - self._expected
        self._expected = packet.timestamp
        self.absorbed = min(filled, max(0, missing))
        if missing - self.absorbed > 0 and missing <= MAX_GAP_SAMPLES:
            return Gap(missing - self.absorbed, lost)
        del self._packets[sequence]
        self._next = sequence + 1
        self.recovered += packet.redundant
        return packet

    def played(self, packet: RtpPayload, samples: int) -> None:
        """Tell how long a popped packet proved to be, so that the next gap can be measured."""
        self._expected = packet.timestamp + samples


def signed(difference: int, bits: int) -> int:
    """A difference of wrapping counters, as the nearest signed number."""
    half = 1 << (bits - 1)
    return ((difference + half) & ((1 << bits) - 1)) - half
