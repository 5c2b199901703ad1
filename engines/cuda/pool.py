"""Batch objects of one shape, which the engine's threads use in turn.

There are two: while the device makes one batch, the host prepares the next.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from visavis.engines.cuda.buffers import FrameShape
from visavis.engines.cuda.device import Device
from visavis.engines.cuda.frames import FrameBatch
from visavis.engines.cuda.leases import Leases
from visavis.engines.cuda.resident import ResidentPerson

__all__ = ["SLOTS", "FramePool"]

SLOTS = 2
LEASES = 6  # batches whose pictures receivers may hold before they are copied


class FramePool:
    """All that makes frames of one shape on a device. Several threads may use it.

    Args:
        device: where.
        shape: of every frame.
        room: frames in a batch, at most.

    Attributes:
        room: as given.
        leases: memory that pictures are handed out in.
    """

    def __init__(self, device: Device, shape: FrameShape, room: int) -> None:
        self.room = room
        self.leases = Leases(device, room * shape.frame_bytes, LEASES)
        self._all = [FrameBatch(device, shape, room, self.leases) for _ in range(SLOTS)]
        self._idle = list(self._all)
        self._condition = threading.Condition()

    @property
    def nbytes(self) -> int:
        """Memory of the device that all batches take."""
        return sum(batch.nbytes for batch in self._all)

    def take(self, *, wait: bool = True) -> FrameBatch | None:
        """Return a batch object that nobody uses, or None where there is none and no waiting.

        Who has one already must not wait for another: two threads could wait for each other. They
        take turns, so that all of them are warm after a few batches.
        """
        with self._condition:
            while not self._idle:
                if not wait:
                    return None
                self._condition.wait()
            return self._idle.pop(0)

    def put(self, batch: FrameBatch) -> None:
        """Give a batch object back, its pictures collected."""
        with self._condition:
            self._idle.append(batch)
            self._condition.notify_all()

    def admit(self, person: ResidentPerson) -> None:
        """Make room for a person in every batch object.

        Raises:
            DeviceMemoryFull: the device has no room.
        """
        for batch in self._each():
            batch.admit(person)

    def close(self) -> None:
        """Wait until nobody uses them, and give everything back."""
        for batch in self._each():
            batch.close()
        self.leases.close()

    def _each(self) -> Iterator[FrameBatch]:
        """Take one batch object after the other, while the others go on making pictures."""
        for batch in self._all:
            with self._condition:
                while batch not in self._idle:
                    self._condition.wait()
                self._idle.remove(batch)
            try:
                yield batch
            finally:
                self.put(batch)
