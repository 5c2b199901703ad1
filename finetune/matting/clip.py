"""The matte of a whole clip: plate, each frame's alpha, and what steadies them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.finetune.matting.alpha import alpha_of, band_of, believed
from visavis.finetune.matting.plate import Plate, estimate_plate, grown, require_still, sampled
from visavis.finetune.matting.steady import steadied

__all__ = ["Matte", "matte_of"]

U8 = NDArray[np.uint8]

MARGIN = 0.015  # of the height: what a mask may overlook, when the plate is first estimated
CLOSE = 3  # pixels around the finished edge, when it is estimated again
SOFT = 25  # of 255: a mask says so much of what may be the person
# Of the picture. Less is no person; more leaves no background.
LEAST, MOST = 0.02, 0.95


@dataclass(frozen=True, slots=True)
class Matte:
    """What is the person, and what was behind.

    Attributes:
        alphas: uint8[N, H, W], 255 all person.
        plate: of the clip.
    """

    alphas: U8
    plate: Plate


def matte_of(
    frames: U8, masks: U8, folder: Path, *, tell: Callable[[float], None] = lambda share: None
) -> Matte:
    """Return the matte of a clip whose camera stood still.

    Args:
        frames: uint8[N, H*3/2, W], I420.
        masks: uint8[N, H, W], coarse: see `masks.person_masks`.
        folder: for files that hold what a long clip does not leave memory for.
        tell: called with the share of the work that is done.

    Raises:
        PersonFileError: there is no person, no background, or the background moves.
    """
    rough = [float((masks[index] >= 128).mean()) for index in sampled(len(frames))]
    if not LEAST <= float(np.median(rough)) <= MOST:
        raise PersonFileError(
            f"A person was seen in {np.median(rough):.0%} of the picture; "
            f"it must be {LEAST:.0%} to {MOST:.0%}."
        )
    margin = max(2, round(MARGIN * masks.shape[1]))

    def may_hide(index: int) -> NDArray[np.bool_]:
        return grown(believed(masks[index]) > SOFT, margin)

    plate = estimate_plate(frames, may_hide)
    require_still(frames, may_hide, plate)

    def hides(index: int) -> NDArray[np.bool_]:
        return grown(_alone(frames, masks, index, plate) > 0, CLOSE)

    # Again with edges that are known to the pixel: more of the plate is seen now.
    plate = estimate_plate(frames, hides)
    alone = np.lib.format.open_memmap(folder / "alone.npy", "w+", np.uint8, masks.shape)
    for index in range(len(frames)):
        alone[index] = _alone(frames, masks, index, plate)
        tell(index / len(frames))
    alphas = np.lib.format.open_memmap(folder / "alphas.npy", "w+", np.uint8, masks.shape)
    for index in range(len(frames)):
        alphas[index] = steadied(alone, frames, index)
    return Matte(alphas, plate)


def _alone(frames: U8, masks: U8, index: int, plate: Plate) -> U8:
    """Return the alpha of a frame by itself, uint8[H, W]."""
    mask = believed(masks[index])
    alpha = alpha_of(frames[index], mask, band_of(mask), plate)
    levels: U8 = np.rint(alpha * 255.0).astype(np.uint8)
    return levels
