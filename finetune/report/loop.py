"""The finished picture, tracked again: does it show the mouth that was asked for?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.finetune.closed_loop import compare
from visavis.finetune.lips.yardstick.mouth import mouth_of, without_pose
from visavis.finetune.track import track_faces

__all__ = ["Loop", "close_loop"]

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Loop:
    """What was asked and what is seen.

    Attributes:
        figures: of `closed_loop.compare`; None where nothing was tracked.
        opening: float64[K], IOD, as the tracker sees it, or None.
        why: why nothing was tracked, or "".
    """

    figures: Mapping[str, float | None] | None
    opening: F64 | None
    why: str = ""


def close_loop(pictures: U8, asked: F64, tracker: Path | None) -> Loop:
    """Track pictures and compare.

    Args:
        pictures: uint8[K, H*3/2, W], I420, composites.
        asked: float64[K], opening that was asked for, IOD.
        tracker: Python with MediaPipe; None for none.
    """
    if tracker is None:
        return Loop(None, None, "no tracker was given")
    try:
        mesh = without_pose(track_faces(pictures, tracker).landmarks)
    except PersonFileError as error:
        # A picture in which no face is found is a finding, not a reason to lose all others.
        return Loop(None, None, str(error))
    opening = mouth_of(mesh).opening
    return Loop(compare(asked, opening), opening)
