"""The front's way to one worker: HTTP over its Unix socket. No state but the connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from visavis.server.errors import NoSuchSession, RequestError

__all__ = ["ANSWER_SECONDS", "OFFER", "Reply", "WorkerClient", "WorkerGone"]

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 75.0
"""A person may have to be loaded first, for which a worker waits a minute."""
MAX_REPLY_BYTES = 4 << 20
"""Metrics of twenty sessions are a hundredth of it."""
MAX_CONNECTIONS = 64
OFFER = "Visavis-Offer"
"""Header with the number of an offer, which the worker's reports quote."""


class WorkerGone(NoSuchSession):
    """The worker went away before it answered, and its sessions with it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a worker answered."""

    status: int
    headers: httpx.Headers
    body: bytes


class WorkerClient:
    """Requests to one life of one worker.

    Args:
        path: of its socket.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._http = httpx.AsyncClient(
            base_url="http://worker",
            transport=httpx.AsyncHTTPTransport(
                uds=path,
                verify=False,  # nothing is encrypted here; certificates would be read all the same
                limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
            ),
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS, pool=ANSWER_SECONDS),
            trust_env=False,
        )

    async def ask(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        seconds: float | None = None,
    ) -> Reply:
        """Ask, and read the whole answer.

        Args:
            method: of HTTP.
            target: path and query.
            headers: to send.
            body: to send.
            seconds: to wait for each step of it.

        Raises:
            WorkerGone: there is nobody, or no more.
            RequestError: it did not answer in time (504), or too much (502).
        """
        timeout = httpx.USE_CLIENT_DEFAULT if seconds is None else httpx.Timeout(seconds)
        try:
            async with self._http.stream(
                method, target, headers=headers, content=body, timeout=timeout
            ) as response:
                answer = bytearray()
                async for chunk in response.aiter_bytes():
                    answer += chunk
                    if len(answer) > MAX_REPLY_BYTES:
                        raise RequestError("A worker answered more than was read.", status=502)
                return Reply(response.status_code, response.headers, bytes(answer))
        except (httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout):
            raise RequestError("A worker did not answer in time; try again.", status=504) from None
        except httpx.TransportError as error:
            raise WorkerGone from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
