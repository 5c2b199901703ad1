"""SDP that leads both peers to a relay, and nowhere else (RFC 8839)."""

from __future__ import annotations

import ipaddress
import re

from visavis.benchmarks.network.relay import Address

__all__ = ["server_address", "through", "without_candidates"]

CANDIDATE = re.compile(r"a=candidate:\S+ 1 udp \d+ (?P<host>\S+) (?P<port>\d+) typ host", re.I)


def without_candidates(offer: str) -> str:
    """An offer that tells nothing of the browser's addresses, so that the server cannot call."""
    kept = [
        line
        for line in offer.splitlines()
        if not line.startswith(("a=candidate:", "a=end-of-candidates"))
    ]
    return "\r\n".join(kept) + "\r\n"


def server_address(answer: str) -> Address:
    """Where the server listens: its first IPv4 address, one that others reach before 127.0.0.1.

    Raises:
        ValueError: the answer has none.
    """
    found = [
        (match["host"], int(match["port"]))
        for match in CANDIDATE.finditer(answer)
        if ipaddress.ip_address(match["host"]).version == 4
    ]
    if not found:
        raise ValueError("the answer has no IPv4 candidate over UDP")
    return min(found, key=lambda address: ipaddress.ip_address(address[0]).is_loopback)


def through(answer: str, relay: Address) -> str:
    """The answer with the relay as the only candidate of each section."""
    lines: list[str] = []
    told = False
    for line in answer.splitlines():
        if line.startswith("m="):
            told = False
        if not line.startswith("a=candidate:"):
            lines.append(line)
        elif not told:
            told = True
            lines.append(f"a=candidate:relay 1 udp 2130706431 {relay[0]} {relay[1]} typ host")
    return "\r\n".join(lines) + "\r\n"
