"""How much of a thing one visitor may ask for."""

from __future__ import annotations

import time
from collections import OrderedDict

from starlette.requests import HTTPConnection, Request

from visavis.server.errors import TooLarge, TooMany

__all__ = [
    "MAX_FRAGMENT_BYTES",
    "MAX_OFFER_BYTES",
    "RateLimit",
    "check_rate",
    "read_body",
    "read_bytes",
]

MAX_OFFER_BYTES = 64 * 1024
MAX_FRAGMENT_BYTES = 16 * 1024
MAX_ADDRESSES = 4096


class RateLimit:
    """A token bucket for each address; of too many addresses the least recent are forgotten.

    Args:
        per_second: how fast a bucket fills.
        burst: how much it holds.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, address: str, now: float) -> None:
        """Take one from the address's bucket.

        Raises:
            TooMany: it is empty.
        """
        level, since = self._buckets.pop(address, (self._burst, now))
        level = min(self._burst, level + (now - since) * self._per_second)
        allowed = level >= 1
        self._buckets[address] = (level - 1 if allowed else level, now)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = int((1 - level) / self._per_second) + 1
            raise TooMany(f"Too many requests; wait {wait} s.", retry_after=wait)


def check_rate(connection: HTTPConnection, limit: RateLimit) -> None:
    """Take one from the bucket of whoever asks, over HTTP or a WebSocket.

    Raises:
        TooMany: it is empty.
    """
    limit.check(connection.client.host if connection.client else "", time.monotonic())


async def read_body(request: Request, limit: int) -> str:
    """The request's body as text, never reading more than ``limit`` bytes.

    Raises:
        TooLarge: there is more; the rest was not read.
    """
    return (await read_bytes(request, limit)).decode("utf-8", "replace")


async def read_bytes(request: Request, limit: int) -> bytes:
    """The request's body, never reading more than ``limit`` bytes.

    Raises:
        TooLarge: there is more; the rest was not read.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLarge(f"The body is larger than {limit} bytes.")
    return bytes(body)
