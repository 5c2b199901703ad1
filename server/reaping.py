"""When a session whose peer has fallen silent loses its place, and when it is forgotten. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Action", "Silence", "SilencePolicy"]

Action = Literal["keep", "suspend", "resume", "end"]


@dataclass(frozen=True, slots=True)
class SilencePolicy:
    """How long silence is borne, in seconds."""

    connect: float = 15.0
    suspend: float = 4.0
    resume: float = 30.0


class Silence:
    """Watches the count of packets from one peer.

    Args:
        policy: how long silence is borne.
        now: when the session was opened.
    """

    def __init__(self, policy: SilencePolicy, now: float) -> None:
        self._policy = policy
        self._opened = now
        self._heard = now
        self._packets = 0
        self._suspended: float | None = None

    def lost(self, packets: int, now: float) -> None:
        """The session was suspended at once, because its connection broke."""
        self._packets = packets
        self._suspended = now

    def look(self, state: str, packets: int, now: float) -> Action:
        """What to do with a session in that state that has heard so many packets by now."""
        news = packets != self._packets
        self._packets = packets
        if news:
            self._heard = now
        if state == "closed":
            return "end"
        if state == "connecting":
            return "end" if now - self._opened > self._policy.connect else "keep"
        if state == "suspended":
            if news:
                self._suspended = None
                return "resume"
            if self._suspended is None:
                self._suspended = now
            return "end" if now - self._suspended > self._policy.resume else "keep"
        return "suspend" if now - self._heard > self._policy.suspend else "keep"
