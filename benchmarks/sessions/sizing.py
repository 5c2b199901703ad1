"""What a session costs and how many fit on so many cores, from a result of `bench sessions`. Pure.

The rule is the server's own (`server/capacity.py`): LOAD of the cores, divided by what a session
takes of them. Costs are those at the knee, where caches and batches are as full as they get.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from visavis.benchmarks.figures import at
from visavis.server.capacity import LOAD

__all__ = ["CORES", "costs", "sizing"]

CORES = (2, 4, 8, 16, 32, 64)


def costs(result: Mapping[str, Any]) -> dict[str, float | None]:
    """What a session takes.

    Returns:
        cores a session: "engine", "encode" and "packets" alone, and "whole"; "memory_mib" of the
        server with one session; "memory_mib_a_session" and "memory_mib_a_person" for each one more;
        "mbit_per_s" to the visitor. None where it was not measured.
    """
    found: dict[str, float | None] = {
        part: at(_best(made), "cores", "per_session") for part, made in result["parts"].items()
    }
    nobody: Mapping[str, Any] = {"persons": 0, "steps": [], "knee": 0}
    curves = {curve["persons"]: curve for curve in result["curves"]}
    few = curves[min(curves)] if curves else nobody
    many = curves[max(curves)] if curves else few
    best = _best(few)
    found["whole"] = at(best, "cores", "per_session")
    bits = at(best, "bits_per_s")
    found["mbit_per_s"] = None if bits is None else bits / 1e6
    opened = {step["opened"]: sum(step["memory_mib"].values()) for step in few["steps"]}
    found["memory_mib"] = opened.get(1)
    found["memory_mib_a_session"] = None
    if len(opened) > 1 and 1 in opened:
        last = max(opened)
        found["memory_mib_a_session"] = (opened[last] - opened[1]) / (last - 1)
    found["memory_mib_a_person"] = None
    more = {step["opened"]: sum(step["memory_mib"].values()) for step in many["steps"]}
    shared = set(opened) & set(more)
    if many is not few and shared:
        count = max(shared)
        apart = many["persons"] - few["persons"]
        found["memory_mib_a_person"] = (more[count] - opened[count]) / apart
    return {name: None if value is None else round(value, 4) for name, value in found.items()}


def sizing(
    cost: Mapping[str, float | None], cores: Sequence[int] = CORES
) -> list[dict[str, float]]:
    """How many sessions fit on a processor alone: LOAD of the cores by what a session takes.

    Returns:
        rows of "cores", "sessions" and "mbit_per_s"; none where the cost of a session is not known.
    """
    whole = cost.get("whole")
    if not whole:
        return []
    bits = cost.get("mbit_per_s") or 0.0
    rows = []
    for count in cores:
        sessions = max(1, math.floor(LOAD * count / whole))
        row: dict[str, float] = {"cores": count, "sessions": sessions}
        rows.append({**row, "mbit_per_s": round(sessions * bits, 1)})
    return rows


def _best(made: Mapping[str, Any]) -> Mapping[str, Any]:
    """The step at the knee; of what was never carried, nothing."""
    return next((step for step in made["steps"] if step["sessions"] == made["knee"]), {})
