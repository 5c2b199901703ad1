"""What loaded persons take, and who has to go for another one. No threads, no clock."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from visavis.engines.client import PersonInfo
from visavis.engines.clip import BUDGET_BYTES
from visavis.engines.memory import available_bytes
from visavis.engines.pipeline import Runner

__all__ = ["Resident", "default_budget", "idle", "resident_bytes", "who_goes"]

BUDGET_SHARE = 0.75
SMALLEST_BUDGET = 1 << 30

# What a person takes, measured with the built-in one: the file and its arrays; the networks, whose
# runtime copies and reorders the weights; pictures that are decoded; and what the largest batch
# needs between its layers.
_COPIES = 8
_DECODED_BYTES = BUDGET_BYTES
_BATCH_BYTES_PER_PIXEL = 64


def resident_bytes(
    file_bytes: int, width: int, height: int, max_batch: int, has_matte: bool = False
) -> int:
    """Return an estimate of the memory that a loaded person takes at most.

    Args:
        file_bytes: of the person file.
        width, height: of a frame.
        max_batch: sessions in the largest batch.
        has_matte: its pictures are decoded too, two bytes for three of the others.
    """
    pixels = width * height
    decoded = _DECODED_BYTES * 5 // 3 if has_matte else _DECODED_BYTES
    return _COPIES * file_bytes + decoded + _BATCH_BYTES_PER_PIXEL * pixels * max_batch


def default_budget() -> int:
    """Return three quarters of what the machine has left: encoders and sessions have the rest."""
    available = available_bytes()
    return SMALLEST_BUDGET if available is None else int(available * BUDGET_SHARE)


@dataclass(slots=True, eq=False)
class Resident:
    """A person that is loaded.

    Attributes:
        info: what people and pages need to know.
        version: of the file that was read; see `catalogue.Entry`.
        bytes: that the person counts for in the budget.
        runners: one for each engine thread.
        sessions: how many show the person now.
        used: seconds; when a session last began or ended.
        kept_until: seconds; not unloaded before.
    """

    info: PersonInfo
    version: Hashable
    bytes: int
    runners: tuple[Runner, ...]
    sessions: int = 0
    used: float = 0.0
    kept_until: float = 0.0


def idle(loaded: Mapping[str, Resident], now: float, but: str = "") -> list[str]:
    """Return who can be unloaded, those used longest ago first.

    Args:
        loaded: persons by name.
        now: seconds, of the clock that `Resident` is kept in.
        but: somebody who is not meant.
    """
    names = [
        name
        for name, resident in loaded.items()
        if name != but and not resident.sessions and resident.kept_until <= now
    ]
    return sorted(names, key=lambda name: loaded[name].used)


def who_goes(
    loaded: Mapping[str, Resident],
    retired: Sequence[Resident],
    name: str,
    wanted: int,
    *,
    budget: int,
    now: float,
) -> list[str] | None:
    """Return who has to be unloaded for a person; None where even that would not do.

    Args:
        loaded: persons by name.
        retired: those that are shown and no longer on the list.
        name: of the person. If they are loaded and idle, the new one takes the old one's place.
        wanted: bytes that the person will take.
        budget: bytes that all may take. One person alone may take more.
        now: seconds.
    """
    old = loaded.get(name)
    replaced = old is not None and not old.sessions
    over = sum(resident.bytes for resident in (*loaded.values(), *retired)) + wanted - budget
    if old is not None and replaced:
        over -= old.bytes
    going: list[str] = []
    for candidate in idle(loaded, now, but=name):
        if over <= 0:
            break
        going.append(candidate)
        over -= loaded[candidate].bytes
    alone = len(going) + replaced == len(loaded) and not retired
    return going if over <= 0 or alone else None
