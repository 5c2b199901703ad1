"""What may be wrong with a request, as exceptions that carry their HTTP status.

::

    VisavisError
    └── RequestError
        ├── OfferError         the SDP cannot be answered
        ├── NotAllowed         no token, or a wrong one
        ├── WrongResumeToken   the session belongs to somebody else
        ├── NoSuchSession      the session does not exist, or no longer
        ├── TooLarge           the body is larger than any honest one
        ├── TooMany            more requests than a person makes
        ├── TooMuchSpeech      a speech model is too far ahead
        └── Unavailable        not loaded yet, or being stopped

ServerFull stands beside the engine's own EngineFull: all places are taken.
"""

from __future__ import annotations

from visavis.engines.errors import EngineFull, VisavisError

__all__ = [
    "NoSuchSession",
    "NotAllowed",
    "OfferError",
    "RequestError",
    "ServerFull",
    "TooLarge",
    "TooMany",
    "TooMuchSpeech",
    "Unavailable",
    "WrongResumeToken",
]


class RequestError(VisavisError):
    """A request that is refused.

    Args:
        message: one sentence that says what to do.
        status: the HTTP status; by default the class's own.
        retry_after: seconds after which it is worth trying again, or None.
    """

    status = 400

    def __init__(
        self, message: str, *, status: int | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status
        self.retry_after = retry_after


class OfferError(RequestError):
    """The SDP offer or fragment cannot be read (400) or cannot be answered (422)."""

    status = 422


class NotAllowed(RequestError):
    """The token is missing or wrong."""

    status = 401


class WrongResumeToken(RequestError):
    """A session was to be resumed without its present token."""

    status = 403

    def __init__(self) -> None:
        super().__init__("The resume token is wrong or was used already; open a new session.")


class NoSuchSession(RequestError):
    """There is no session of that id."""

    status = 404

    def __init__(self) -> None:
        super().__init__("There is no such session; it may have ended.")


class TooLarge(RequestError):
    """The body is larger than the server reads."""

    status = 413


class TooMany(RequestError):
    """Requests come faster than a person makes them."""

    status = 429


class TooMuchSpeech(RequestError):
    """More speech would wait than may; what was taken before stays.

    Args:
        seconds: how much may wait.
    """

    status = 413

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"At most {seconds:g} s of speech may wait; send more when some of it was said."
        )


class Unavailable(RequestError):
    """The server cannot take a session now."""

    status = 503


SCARCE = {
    "engine": "the engine draws no more",
    "encode": "no more pictures can be compressed",
    "packets": "no more packets can be sent",
    "asked": "it was started with so many",
}


class ServerFull(EngineFull):
    """All places of the server are taken (503).

    Args:
        capacity: how many there are.
        limit: what there is too little of, a key of ``SCARCE``; empty where it was not measured.
    """

    def __init__(self, capacity: int, limit: str = "") -> None:
        super().__init__(capacity)
        self.limit = limit

    def __str__(self) -> str:
        reason = SCARCE.get(self.limit)
        if reason is None:
            return super().__str__()
        return f"{self.taken}, for {reason}; try again when somebody has left."
