"""Which sites may use the server from a browser (CORS), and OPTIONS for every path.

The rule stands in :attr:`visavis.server.config.ServerConfig.any_origin`. Where other sites may not,
the server also answers to local names only: a foreign name that is made to point at this machine
(DNS rebinding) would make a foreign page one of ours.
"""

from __future__ import annotations

import ipaddress
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from visavis.server.problems import problem

__all__ = ["Origins", "is_local_name", "is_same_origin"]

EXPOSED = "ETag, Link, Location, Retry-After, Visavis-Resume, Visavis-View"
OFFERED = re.compile(r".*/sessions/?|/whip(/[^/]+)?/?|/whep/[^/]+/?")
"""Where an SDP offer is posted."""
LOCAL_ONLY = (
    "This server answers to localhost only; for other names, or behind a proxy, "
    "start it with --token SECRET or --open."
)
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match, Visavis-Resume",
    "Access-Control-Max-Age": "600",
}


def is_local_name(host: str) -> bool:
    """Whether a ``Host`` header names this machine: localhost or a loopback address."""
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_same_origin(origin: str, host: str) -> bool:
    """Whether an ``Origin`` header names the host that was asked, port included."""
    scheme, separator, place = origin.partition("://")
    return bool(separator) and scheme in ("http", "https") and place.lower() == host.lower()


class Origins:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, any_origin: bool) -> None:
        self._app = app
        self._any_origin = any_origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._admit_socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_origin(message: Message) -> None:
            if message["type"] == "http.response.start" and self._any_origin:
                headers = MutableHeaders(scope=message)
                headers["Access-Control-Allow-Origin"] = "*"
                headers["Access-Control-Expose-Headers"] = EXPOSED
            await send(message)

        if not self._any_origin and not is_local_name(Headers(scope=scope).get("host", "")):
            await problem(421, LOCAL_ONLY)(scope, receive, send)
            return
        if scope["method"] == "OPTIONS":
            headers = dict(PREFLIGHT) if self._any_origin else {}
            if OFFERED.fullmatch(scope["path"]):
                headers["Accept-Post"] = "application/sdp"
            response = Response(status_code=204, headers=headers)
            await response(scope, receive, send_with_origin)
            return
        await self._app(scope, receive, send_with_origin)

    async def _admit_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Browsers let any page open a WebSocket anywhere: here alone its origin is looked at."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        refusal = None
        if not self._any_origin and not is_local_name(host):
            refusal = problem(421, LOCAL_ONLY)
        elif not self._any_origin and origin is not None and not is_same_origin(origin, host):
            refusal = problem(
                403,
                "Pages of other sites may use this server only if it was started with "
                "--token SECRET or --open.",
            )
        if refusal is not None:
            await WebSocket(scope, receive, send).send_denial_response(refusal)
            return
        await self._app(scope, receive, send)
