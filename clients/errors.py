"""What may go wrong between a client and a server."""

from __future__ import annotations

__all__ = ["ClientError", "Refused"]


class ClientError(Exception):
    """The server cannot be reached, or does not speak as it should."""


class Refused(ClientError):
    """The server said no.

    Args:
        status: as over HTTP.
        detail: its sentence.
        retry_after: seconds after which it is worth trying again, or None.
    """

    def __init__(self, status: int, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.retry_after = retry_after
