"""Pinned memory that pictures are handed out in, and that comes back when nobody holds them.

A picture belongs to whoever receives it. To copy each into memory of its own would cost a third of
what the host may spend on a frame; so a batch lands in a block of its own, and the block is free
again when the last picture of the batch is let go. Blocks are few: when all are held, pictures are
copied after all, and counted.
"""

from __future__ import annotations

import threading
import weakref

import numpy as np
from numpy.typing import NDArray

from visavis.engines.cuda.device import Device, HostMemory

__all__ = ["Lease", "Leases"]

U8 = NDArray[np.uint8]


class Lease:
    """A block that a batch lands in.

    Args:
        block: the memory.
        lent: pictures are views of it; otherwise they are copies.
    """

    def __init__(self, block: HostMemory, *, lent: bool) -> None:
        self.block = block
        self.lent = lent
        self.__array_interface__ = block.array.__array_interface__

    def take(self, shape: tuple[int, ...]) -> U8:
        """Return the block's first bytes as an array that whoever receives it may keep."""
        count = int(np.prod(shape))
        if not self.lent:
            return self.block.array[:count].reshape(shape).copy()
        # numpy keeps this object alive for as long as there is any view of the array.
        return np.asarray(self)[:count].reshape(shape)


class Leases:
    """Blocks of one size. Several threads may use it.

    Args:
        device: which reads and writes them.
        nbytes: of a block.
        count: how many are lent at most.

    Attributes:
        copied: batches whose pictures had to be copied.
    """

    def __init__(self, device: Device, nbytes: int, count: int) -> None:
        self._free = [device.pin(nbytes) for _ in range(count)]
        self._lock = threading.Lock()
        self.copied = 0

    def lend(self, spare: HostMemory) -> Lease:
        """Return a block to land in; `spare`, to be copied from, where all are held."""
        with self._lock:
            if not self._free:
                self.copied += 1
                return Lease(spare, lent=False)
            block = self._free.pop()
        lease = Lease(block, lent=True)
        weakref.finalize(lease, self._free.append, block).atexit = False
        return lease

    def close(self) -> None:
        """Give back what nobody holds; what is held goes with its pictures."""
        with self._lock:
            while self._free:
                self._free.pop().close()
