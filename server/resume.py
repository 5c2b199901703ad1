"""Resume tokens: who may take a session over on a new connection."""

from __future__ import annotations

import hmac
import secrets

from visavis.server.errors import WrongResumeToken

__all__ = ["ResumeToken"]

TOKEN_BYTES = 18
"""144 bits."""


class ResumeToken:
    """One session's token. Each can be used once; whoever used it is given the next one.

    The session's id alone opens nothing: it stands in addresses, and so in the logs of proxies.
    """

    def __init__(self) -> None:
        self._token = secrets.token_urlsafe(TOKEN_BYTES)
        self._taken = False

    @property
    def value(self) -> str:
        """What the peer must present."""
        return self._token

    @property
    def taken(self) -> bool:
        """Whether somebody is using it right now."""
        return self._taken

    def take(self, given: str) -> None:
        """Use the token; nobody else can until :meth:`renew` or :meth:`give_back`.

        Raises:
            WrongResumeToken: it is another one, an old one, or in use.
        """
        right = hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._token.encode())
        if not right or self._taken:
            raise WrongResumeToken
        self._taken = True

    def renew(self) -> None:
        """The session was taken over: the next time wants another token."""
        self._token = secrets.token_urlsafe(TOKEN_BYTES)
        self._taken = False

    def give_back(self) -> None:
        """It came to nothing: the same token may be tried again."""
        self._taken = False
