"""How much a person's head must sway for its clip not to be recognised: found by trying.

The shorter a clip is and the more its head moves, the more sway it takes to make two seconds of it
unlike the last time. The least that is enough is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.walk import Cue, Walk
from visavis.finetune.report.idle import places, repeats

__all__ = ["least_sway"]

LEVELS = (1.0, 1.3, 1.6, 2.0)  # of `bearing.Bearing`
SEEDS = 6
TICKS = 3000  # two minutes of silence


def least_sway(params: Mapping[str, Any], parts: Mapping[str, NDArray[np.generic]]) -> float:
    """Return the "sway" with which least comes again; the lower one of two that are as good.

    Args:
        params, parts: of `walk.Walk`.
    """
    found = []
    for level in LEVELS:
        walk = Walk({**params, "sway": level}, parts)
        again = sum(_again(walk, seed) for seed in range(SEEDS))
        found.append((again, level))
        if not again:
            break
    return min(found)[1]


def _again(walk: Walk, seed: int) -> int:
    state = walk.initial_state(seed)
    shown = np.stack([walk.step(state, Cue()).pose for _ in range(TICKS)])
    return repeats(places(shown)).again
