"""Sounds of several sessions, each after what its session still had, as batches of one length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["joined"]

F32 = NDArray[np.float32]


def joined(pending: Sequence[F32], given: Sequence[F32]) -> list[tuple[list[int], F32]]:
    """Return groups: which sessions, and f32[N, n], what they had and what came.

    Args:
        pending: of each session, f32[k].
        given: likewise, what is new.
    """
    by_length: dict[int, list[int]] = {}
    for index, (had, samples) in enumerate(zip(pending, given, strict=True)):
        by_length.setdefault(len(had) + len(samples), []).append(index)
    groups = []
    for length, group in by_length.items():
        whole = np.empty((len(group), length), np.float32)
        for row, index in zip(whole, group, strict=True):
            had = pending[index]
            row[: len(had)] = had
            row[len(had) :] = given[index]
        groups.append((group, whole))
    return groups
