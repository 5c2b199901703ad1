"""STUN and TURN servers as visitors get them, with passwords that expire.

A TURN server that shares a secret with us takes any name of the form ``EXPIRY:NAME`` with
``base64(HMAC-SHA1(secret, EXPIRY:NAME))`` as its password (draft-uberti-behave-turn-rest-00, which
coturn calls ``use-auth-secret``). The secret never leaves this process; what a visitor is given is
soon worth nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

from visavis.server.config import IceServer, ServerConfig, parse_ice_server

__all__ = ["IceServers", "turn_password"]


def turn_password(secret: str, username: str) -> str:
    """The password that belongs to a name with an expiry in it."""
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


class IceServers:
    """The configured servers.

    Args:
        config: names them, and the secret shared with the TURN servers that have no password.
        clock: the wall clock, in seconds: the expiry is an absolute time.
    """

    def __init__(self, config: ServerConfig, *, clock: Callable[[], float] = time.time) -> None:
        self._servers = [parse_ice_server(server) for server in config.ice_servers]
        self._secret = config.turn_secret
        self._seconds = config.turn_seconds
        self._clock = clock

    def fresh(self) -> list[IceServer]:
        """All servers; those with the shared secret under a new name that expires."""
        return [self._with_password(server) for server in self._servers]

    def _with_password(self, server: IceServer) -> IceServer:
        if not server.is_turn or server.username is not None or self._secret is None:
            return server
        expiry = int(self._clock()) + self._seconds
        username = f"{expiry}:{secrets.token_hex(6)}"
        return replace(server, username=username, credential=turn_password(self._secret, username))
