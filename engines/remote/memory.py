"""Anonymous memory that two processes share, and messages too large for a packet.

All of it is a memfd (memfd_create(2), Linux 3.17): it has no name in a file system, so nothing is
left of it when its processes die, however they die. Sizes are sealed before anybody else sees it: a
shorter file under a mapping would kill whoever reads there. Pages are taken at once
(posix_fallocate), so a lack of memory is an error here and not a signal later.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import threading

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import EngineError

__all__ = [
    "create",
    "fence",
    "map_readable",
    "map_writable",
    "read_blob",
    "seal_forever",
    "seal_output",
    "share",
]

U8 = NDArray[np.uint8]

_SIZE_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
# Linux 5.1; Python has a name for it from 3.13 on.
_SEAL_FUTURE_WRITE = 0x0010
_first, _second = threading.Lock(), threading.Lock()


def create(name: str, size: int) -> int:
    """Return a memfd of `size` zero bytes that can neither shrink nor grow.

    Args:
        name: shown in /proc, for people.

    Raises:
        MemoryError: there is no memory for it.
    """
    fd = os.memfd_create(f"visavis-{name}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.posix_fallocate(fd, 0, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SIZE_SEALS)
    except OSError as error:
        os.close(fd)
        if error.errno in (errno.ENOMEM, errno.ENOSPC):
            raise MemoryError(f"{size} bytes") from error
        raise
    return fd


def seal_output(fd: int) -> None:
    """Let nobody map the memory for writing any more; mappings that exist stay as they are."""
    try:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # Before Linux 5.1 a worker could scribble on its own pictures, and on nothing else.
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL)


def seal_forever(fd: int) -> None:
    """Let nobody change the memory any more; nobody may have mapped it for writing."""
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL)


def map_writable(fd: int, size: int) -> U8:
    """Map the memory, uint8[size]; the mapping lives as long as an array of it does.

    Raises:
        EngineError: it has another size, or could change it.
    """
    _check(fd, size)
    return np.frombuffer(mmap.mmap(fd, size), np.uint8)


def map_readable(fd: int, size: int) -> U8:
    """As `map_writable`, for reading only."""
    _check(fd, size)
    return np.frombuffer(mmap.mmap(fd, size, prot=mmap.PROT_READ), np.uint8)


def _check(fd: int, size: int) -> None:
    seals = 0
    with contextlib.suppress(OSError):  # not a memfd
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    if seals & _SIZE_SEALS != _SIZE_SEALS:
        raise EngineError("The shared memory may change its size.")
    if (actual := os.fstat(fd).st_size) != size:
        raise EngineError(f"The shared memory has {actual} bytes, not {size}.")


def share(name: str, data: bytes) -> int:
    """Return a memfd that holds `data` and can never change.

    Raises:
        MemoryError: there is no memory for it.
    """
    # Nothing to allocate for an empty one, and posix_fallocate refuses that.
    fd = create(name, max(1, len(data)))
    try:
        done = 0
        while done < len(data):
            done += os.pwrite(fd, memoryview(data)[done:], done)
        seal_forever(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_blob(fd: int, size: int, limit: int) -> bytes:
    """Return the `size` bytes that were shared.

    Raises:
        EngineError: they are more than `limit`, or are not all there.
    """
    if not 0 <= size <= limit:
        raise EngineError(f"A message of {size} bytes is larger than any honest one.")
    pieces = []
    done = 0
    while done < size:
        piece = os.pread(fd, size - done, done)
        if not piece:
            raise EngineError(f"A message of {size} bytes ends after {done}.")
        pieces.append(piece)
        done += len(piece)
    return b"".join(pieces)


def fence() -> None:
    """Let nobody see what is stored after this before what was stored before it.

    x86 keeps the order of stores and of loads by itself, other processors do not, and Python has no
    fence. To give one lock back (a release) and then take another one (an acquire) is one on ARMv8.
    """
    with _first:
        pass
    with _second:
        pass
