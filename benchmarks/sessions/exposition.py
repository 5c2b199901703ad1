"""Reading what ``/metrics`` says (the Prometheus text format). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["Samples", "between", "parse", "percentile", "promised", "total"]

Samples = dict[tuple[str, str], float]
"""Values by name and by label text, as in ``{worker="1"}``."""

LINE = re.compile(r"^([A-Za-z_:][A-Za-z0-9_:]*)(\{.*\})? (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def parse(text: str) -> Samples:
    """All samples of an exposition."""
    found: Samples = {}
    for line in text.splitlines():
        match = LINE.match(line)
        if match and not line.startswith("#"):
            found[match[1], match[2] or ""] = float(match[3])
    return found


def total(samples: Samples, name: str) -> float | None:
    """The sum of a metric over all its labels; None where there is none of that name."""
    values = [value for (other, _), value in samples.items() if other == name]
    return sum(values) if values else None


def promised(samples: Samples) -> dict[str, float]:
    """What the server says of its capacity: every ``visavis_capacity...``, the workers aside."""
    found: dict[str, float] = {}
    for (name, labels), value in samples.items():
        if name.startswith("visavis_capacity") and value > 0:  # of flags, those that are up
            kind = ",".join(part for key, part in LABEL.findall(labels) if key != "worker")
            key = f"{name}.{kind}" if kind else name
            found[key] = max(value, found.get(key, value))
    return found


def between(before: Samples, after: Samples, histogram: str) -> dict[float, float]:
    """How often each bucket of a histogram was met between two moments, cumulative, by its edge."""
    found: dict[float, float] = {}
    name = f"{histogram}_bucket"
    for (other, labels), value in after.items():
        if other == name:
            edge = float(dict(LABEL.findall(labels))["le"])
            found[edge] = found.get(edge, 0.0) + value - before.get((other, labels), 0.0)
    return dict(sorted(found.items()))


def percentile(buckets: Mapping[float, float], share: float) -> float | None:
    """Where a share of a histogram lies, by a straight line within its bucket; an end of the known
    range where it lies beyond it; None of an empty one."""
    edges = list(buckets)
    if not edges or not buckets[edges[-1]]:
        return None
    wanted = share * buckets[edges[-1]]
    for index, edge in enumerate(edges):
        if buckets[edge] < wanted:
            continue
        if index == 0 or edge == float("inf"):
            return edges[index - 1] if edge == float("inf") and index else edge
        low = buckets[edges[index - 1]]
        part = (wanted - low) / (buckets[edge] - low)
        return edges[index - 1] + part * (edge - edges[index - 1])
    return edges[-1]
