"""What was compared in a case, and how near it came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Check", "agree", "exact", "largest", "share"]


@dataclass(frozen=True, slots=True)
class Check:
    """One number against one bound.

    Attributes:
        what: which output.
        measure: "max abs", "rel l2", "share" (of elements that are wrong) or "different" (count).
        error: how far off it is; not finite where it cannot be compared.
        most: how far it may be.
        reason: why it could not be compared; "" where it was.
    """

    what: str
    measure: str
    error: float
    most: float
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether it is near enough. What is not a number never is."""
        return not self.reason and self.error <= self.most


def agree(
    what: str, ours: ArrayLike, wanted: ArrayLike, tolerance: Mapping[str, Any]
) -> list[Check]:
    """Compare by every bound that a case states: "max_abs", "rel_l2" or both.

    Args:
        tolerance: other bounds in it are not looked at.
    """
    checks = []
    if "max_abs" in tolerance:
        checks += largest(what, ours, wanted, tolerance["max_abs"])
    if "rel_l2" in tolerance:
        checks += _relative(what, ours, wanted, tolerance["rel_l2"])
    return checks or [Check(what, "max abs", np.nan, np.nan, "the case states no tolerance")]


def largest(what: str, ours: ArrayLike, wanted: ArrayLike, most: float) -> list[Check]:
    """Compare by the largest difference."""
    pair = _pair(ours, wanted)
    if isinstance(pair, str):
        return [Check(what, "max abs", np.inf, most, pair)]
    a, b = pair
    return [Check(what, "max abs", float(np.abs(a - b).max()), most)]


def share(what: str, wrong: ArrayLike, most: float) -> list[Check]:
    """Compare by how many elements are wrong: a fraction of those in `wrong`, bool[...]."""
    flags = np.asarray(wrong, bool)
    if not flags.size:
        return [Check(what, "share", np.inf, most, "there is nothing to compare")]
    return [Check(what, "share", float(flags.mean()), most)]


def exact(what: str, ours: ArrayLike, wanted: ArrayLike, most: int = 0) -> list[Check]:
    """Compare element by element; `most` may differ."""
    pair = _pair(ours, wanted)
    if isinstance(pair, str):
        return [Check(what, "different", np.inf, most, pair)]
    a, b = pair
    return [Check(what, "different", float(np.count_nonzero(a != b)), most)]


def _relative(what: str, ours: ArrayLike, wanted: ArrayLike, most: float) -> list[Check]:
    pair = _pair(ours, wanted)
    if isinstance(pair, str):
        return [Check(what, "rel l2", np.inf, most, pair)]
    a, b = pair
    size = float(np.linalg.norm(b))
    if not size:
        return [Check(what, "rel l2", np.inf, most, "what is wanted is all zero")]
    return [Check(what, "rel l2", float(np.linalg.norm(a - b)) / size, most)]


def _pair(
    ours: ArrayLike, wanted: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | str:
    a, b = np.asarray(ours, np.float64), np.asarray(wanted, np.float64)
    if a.shape != b.shape:
        return f"its shape is {list(a.shape)} instead of {list(b.shape)}"
    if not a.size:
        return "there is nothing to compare"
    return a.ravel(), b.ravel()
