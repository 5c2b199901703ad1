"""Figures in results and tables: finding them, writing them, and whether a target was met."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["at", "number", "verdict"]


def at(result: Mapping[str, Any], *path: str) -> float | None:
    """A number deep in the result; None where anything on the way is missing."""
    value: Any = result
    for name in path:
        if value is None:
            return None
        value = value.get(name)
    return None if value is None or not math.isfinite(value) else float(value)


def number(value: float | None, digits: int = 0) -> str:
    """A figure for people; a dash where it is not known."""
    return "-" if value is None else f"{value:.{digits}f}"


def verdict(row: Mapping[str, Any]) -> str:
    """Of a judged target: passed, failed, or failed because it could not be measured."""
    if row["passed"]:
        return "pass"
    return "FAIL" if row["trusted"] else "FAIL (not measurable)"
