"""Who may use the server: one shared token, presented as ``Authorization: Bearer TOKEN``."""

from __future__ import annotations

import hmac

from starlette.requests import Request

from visavis.server.errors import NotAllowed

__all__ = ["is_allowed", "require_token"]


def is_allowed(header: str | None, token: str | None) -> bool:
    """Whether an ``Authorization`` header opens a server with that token; in constant time."""
    if token is None:
        return True
    scheme, _, credential = (header or "").partition(" ")
    given = credential.strip().encode("utf-8", "surrogateescape")
    return scheme.lower() == "bearer" and hmac.compare_digest(given, token.encode())


def require_token(request: Request) -> None:
    """Let the request pass, or raise.

    Raises:
        NotAllowed: the token is missing or wrong.
    """
    header = request.headers.get("authorization")
    if not is_allowed(header, request.app.state.config.token):
        what = "is wrong" if header else "is missing"
        raise NotAllowed(f"The token {what}; send it as 'Authorization: Bearer TOKEN'.")
