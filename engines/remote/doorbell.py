"""A doorbell between processes: an eventfd (eventfd(2)).

Rings add up until somebody listens, so ten sessions that get work at once wake their reader once.
"""

from __future__ import annotations

import contextlib
import os
import threading

__all__ = ["Doorbell"]


class Doorbell:
    """One eventfd. Any thread may ring; one listens.

    Args:
        fd: of a doorbell that another process made; it belongs to this one now. A new one for None.
    """

    def __init__(self, fd: int | None = None) -> None:
        # Somebody may ring while it is closed, and its number may belong to somebody else then.
        self._lock = threading.Lock()
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) if fd is None else fd

    def fileno(self) -> int:
        """Return the descriptor; readable when somebody has rung."""
        return self._fd

    def ring(self) -> None:
        """Wake who listens; never waits. Where it is closed already, nobody listens."""
        with self._lock:
            if self._fd >= 0:
                # Full only if nobody has listened to 2**64 - 1 rings: it is ringing then.
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_write(self._fd, 1)

    def hush(self) -> None:
        """Forget the rings so far. Look for work after this, not before it."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fd)

    def close(self) -> None:
        """Give the descriptor back; calling it again does nothing."""
        with self._lock:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
