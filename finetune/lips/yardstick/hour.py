"""Does an hour of talk end as it began: the same minute over and over, pass against pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.lips.yardstick.clips import FPS, TICK
from visavis.finetune.lips.yardstick.listener import Lips

__all__ = ["hour"]

F32 = NDArray[np.float32]


def hour(lips: Lips, sound: F32, seconds: float = 3600.0) -> dict[str, Any]:
    """Play a sound for so long in one session, and compare its passes.

    Args:
        sound: float32[640 K].

    Returns:
        passes; mean and largest difference in opening, IOD, and r, of the last pass to the second:
        in the first the session still gets to know the voice; and the first pass's mean difference.
    """
    frames = len(sound) // TICK
    passes = max(3, round(seconds * FPS / frames))
    shown = lips.show([np.tile(sound[: frames * TICK], passes)])[0]
    curves = shown.mouth.opening[: passes * frames].reshape(passes, frames)
    # The end of a pass hears the next one, the end of the last one silence.
    whole = curves[:, : frames - FPS]
    difference = np.abs(whole[-1] - whole[1])
    still = whole[-1].std() < 1e-9 or whole[1].std() < 1e-9
    return {
        "passes": passes,
        "seconds": passes * frames / FPS,
        "mean_difference_iod": float(difference.mean()),
        "largest_difference_iod": float(difference.max()),
        "r": None if still else float(np.corrcoef(whole[-1], whole[1])[0, 1]),
        "first_pass_difference_iod": float(np.abs(whole[-1] - whole[0]).mean()),
    }
