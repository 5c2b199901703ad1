"""What the listing of persons asks for, in a front: it stands where other servers have sessions."""

from __future__ import annotations

from dataclasses import dataclass

from visavis.server.people import People

__all__ = ["Roster"]


@dataclass(frozen=True, slots=True)
class Roster:
    """Who can be shown.

    Attributes:
        people: asks the engine process.
    """

    people: People
