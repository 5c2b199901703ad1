"""ICE servers in `Link` headers (RFC 9725 section 4.6, RFC 8288). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["IceServer", "ice_servers"]

MOST = 8
SCHEMES = ("stun:", "turn:", "turns:")
_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))*)')
_PARAMETER = re.compile(r';\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))')


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server, and what opens it."""

    url: str
    username: str | None = None
    credential: str | None = None


def ice_servers(headers: Iterable[str]) -> tuple[IceServer, ...]:
    """Return the ICE servers that are named; other links and what is not understood are left out.

    Args:
        headers: values of `Link`, each with one link or several.
    """
    found = []
    for header in headers:
        for link in _LINK.finditer(header):
            values = {
                name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
                for name, quoted, plain in _PARAMETER.findall(link[2])
            }
            url = link[1].strip()
            if values.get("rel") == "ice-server" and url.startswith(SCHEMES):
                found.append(IceServer(url, values.get("username"), values.get("credential")))
    return tuple(found[:MOST])
