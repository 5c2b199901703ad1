"""The troubles that a path goes through, each for a while."""

from __future__ import annotations

from dataclasses import dataclass, replace

from visavis.benchmarks.network.link import Conditions

__all__ = ["SCENARIOS", "Scenario"]

QUIET = Conditions()


@dataclass(frozen=True, slots=True)
class Scenario:
    """One trouble.

    Attributes:
        conditions: of both directions while it lasts; before and after, 10 ms of delay alone.
        lasts_s: where the trouble itself says so; else the benchmark's own length.
        rebinds: whether the path to the server changes its address as the trouble begins.
    """

    conditions: Conditions
    lasts_s: float | None = None
    rebinds: bool = False


SCENARIOS: dict[str, Scenario] = {
    "clean": Scenario(QUIET),
    "loss-2": Scenario(replace(QUIET, loss=0.02)),
    "loss-5": Scenario(replace(QUIET, loss=0.05)),
    "loss-10": Scenario(replace(QUIET, loss=0.10)),
    "jitter-50": Scenario(replace(QUIET, jitter_s=0.050)),
    "reordering": Scenario(replace(QUIET, reorder=0.05)),
    "blackout": Scenario(replace(QUIET, dark=True), lasts_s=1.0),
    "rate-300k": Scenario(replace(QUIET, rate_bps=300_000)),
    "address": Scenario(QUIET, rebinds=True),
}
