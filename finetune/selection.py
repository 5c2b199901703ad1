"""Which frames of a clip are learnt from, and which the person is shown before.

A clip of five minutes has 7500 frames. The renderer learns as much from the most different ones,
and what is shown when nobody speaks need not be longer than half a minute. So memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visavis.engines.walk import LEAD
from visavis.finetune.background import BLEND, unrest
from visavis.finetune.geometry import Geometry

__all__ = ["MOST_LEARNT", "MOST_SHOWN", "held_out", "learnt", "shown", "stretches"]

MOST_LEARNT = 1500
MOST_SHOWN = 750
BLOCK = 25  # frames: neighbours stay together, so that the tracker's noise can be told
LEAST_SHOWN = 3 * (LEAD + BLEND)
HELD_OUT_SHARE = 0.15


def stretches(count: int, cuts: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first frame and the one after the last of each part without a cut."""
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < count}), count]
    return list(zip(edges, edges[1:], strict=False))


def shown(geometry: Geometry, cuts: Sequence[int], *, most: int = MOST_SHOWN) -> slice:
    """Return the part of the clip that the person is shown before: the calmest of the longest.

    Args:
        geometry: of the clip.
        cuts: frames with which something new begins; the part holds none.
        most: frames.

    Raises:
        ValueError: no part is long enough to be walked through.
    """
    begin, end = max(stretches(len(geometry.pose), cuts), key=lambda part: part[1] - part[0])
    length = min(most, end - begin)
    if length < LEAST_SHOWN:
        raise ValueError(
            f"The longest part without a cut has {length} frames; it needs {LEAST_SHOWN}."
        )
    calm = np.convolve(unrest(geometry)[begin:end].astype(np.float64), np.ones(length), "valid")
    first = begin + int(calm.argmin())
    return slice(first, first + length)


def learnt(
    geometry: Geometry, parts: Sequence[tuple[int, int]], *, most: int = MOST_LEARNT
) -> NDArray[np.int64]:
    """Return the frames to learn from, int[M], rising: seconds that differ most from one another.

    Farthest points first (T. Gonzalez, 1985), over what opening, width and pose of each second are.

    Args:
        geometry: of the clip.
        parts: first frame and frame after the last of what may be used.
        most: frames.
    """
    allowed = np.zeros(len(geometry.pose), np.bool_)
    for begin, end in parts:
        allowed[begin:end] = True
    if allowed.sum() <= most:
        return np.flatnonzero(allowed)
    count = len(allowed)
    place = geometry.pose[:, :2, 3] / np.linalg.norm(geometry.pose[:, :1, :3], axis=2)
    turn = geometry.pose[:, :2, 2] / np.linalg.norm(geometry.pose[:, :1, :3], axis=2)
    looks = np.column_stack([geometry.aperture, geometry.jaw, geometry.width, place, turn])
    looks = (looks - looks.mean(axis=0)) / (looks.std(axis=0) + 1e-9)
    blocks = looks[: count // BLOCK * BLOCK].reshape(-1, BLOCK, looks.shape[1])
    features = np.concatenate([blocks.mean(axis=1), blocks.max(axis=1), blocks.min(axis=1)], axis=1)
    features[~allowed[: len(blocks) * BLOCK].reshape(-1, BLOCK).all(axis=1)] = np.nan
    usual = np.nanmean(features, axis=0)
    chosen = [int(np.nanargmin(np.abs(features - usual).sum(axis=1)))]
    distance = np.where(np.isnan(features).any(axis=1), -1.0, np.inf)
    while len(chosen) < most // BLOCK:
        step = ((features - features[chosen[-1]]) ** 2).sum(axis=1)
        distance = np.fmin(distance, step)
        if distance.max() <= 0.0:
            break
        chosen.append(int(distance.argmax()))
    first = np.sort(np.array(chosen, np.int64)) * BLOCK
    return (first[:, None] + np.arange(BLOCK)).ravel()


def held_out(geometry: Geometry, cuts: Sequence[int]) -> NDArray[np.int64]:
    """Return the frames that the report judges by, int[K]: the latest piece that is spoken in.

    Neighbouring frames would be too kind: what is left out is said in one piece. It begins with a
    cut where there is one near.
    """
    count = len(geometry.pose)
    length = max(1, round(count * HELD_OUT_SHARE))
    moves = np.abs(np.gradient(geometry.aperture.astype(np.float64)))
    moving = np.convolve(moves, np.ones(length) / length, "valid")
    first = int(np.flatnonzero(moving >= min(moves.mean(), moving.max()))[-1])
    near = [cut for cut in cuts if abs(cut - first) < 0.05 * count]
    first = min(near, key=lambda cut: abs(cut - first), default=first)
    return np.arange(first, min(count, first + length))
