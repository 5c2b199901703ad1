"""The plate: what stood behind the person, as the frames themselves show it when the person moves.

Each pixel is the median over the frames in which the person is surely not there. What no frame
shows is filled in from around it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from visavis.engines.errors import PersonFileError
from visavis.finetune.matting.planes import blocks, filled, join, split

__all__ = ["Plate", "estimate_plate", "require_still"]

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
Bool = NDArray[np.bool_]

MOST_FRAMES = 96  # that the median is of: enough for it, and they fit into memory
HIDDEN = 256  # above every level
RARELY = 0.03  # of the frames: what so few show may be the person, overlooked once
# Of the camera: where the background of a frame differs from the plate by more than LEVELS, it has
# moved; a frame may have so large a share of that before it is counted, and a clip of such frames.
BLOCK = 4  # pixels that are averaged first, so that noise does not count
LEVELS = 6.0
SHARE_OF_FRAME, SHARE_OF_CLIP = 0.06, 0.1
LEAST_SEEN = 0.02  # of the picture must be background, or there is nothing to judge by


@dataclass(frozen=True, slots=True)
class Plate:
    """What stood behind the person.

    Attributes:
        i420: uint8[H*3/2, W].
        seen: bool[H, W], where some frame shows it; elsewhere it is filled in.
    """

    i420: U8
    seen: Bool


def estimate_plate(frames: U8, hides: Callable[[int], Bool]) -> Plate:
    """Return the plate of a clip.

    Args:
        frames: uint8[N, H*3/2, W], I420.
        hides: returns bool[H, W] of a frame: where the person may be.

    Raises:
        PersonFileError: the person fills the picture.
    """
    chosen = sampled(len(frames))
    rows, width = frames.shape[1:]
    height = rows * 2 // 3
    luma = np.empty((len(chosen), height, width), np.int16)
    chroma = np.empty((len(chosen), 2, height // 2, width // 2), np.int16)
    for row, index in enumerate(chosen):
        hidden = hides(index)
        full, half = split(frames[index])
        luma[row], chroma[row] = full, half
        luma[row][hidden] = HIDDEN
        chroma[row][:, blocks(hidden, 2).any(axis=(1, 3))] = HIDDEN
    luma_plate, seen = _median(luma[:, None])
    if seen.mean() < LEAST_SEEN:
        raise PersonFileError("The person fills the picture, so there is no background to know.")
    chroma_plate, chroma_seen = _median(chroma)
    i420 = join(filled(luma_plate, seen)[0], filled(chroma_plate, chroma_seen))
    return Plate(i420, seen)


def sampled(count: int) -> list[int]:
    """Return which frames of a clip are looked at, evenly spread."""
    return sorted(set(np.linspace(0, count - 1, min(count, MOST_FRAMES)).round().astype(int)))


def _median(values: NDArray[np.int16]) -> tuple[F32, Bool]:
    """Return the median f32[C, h, w] of what is not hidden in int16[S, C, h, w], and where any is.

    A place is seen where all its channels are, and not RARELY; they are hidden together.
    """
    ordered = np.sort(values, axis=0)
    count = (ordered < HIDDEN).sum(axis=0)
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0)[None], axis=0)[0]
    high = np.take_along_axis(ordered, np.minimum(count // 2, len(values) - 1)[None], axis=0)[0]
    high = np.where(count % 2, low, high)
    return (low + high).astype(np.float32) / 2.0, count[0] > RARELY * len(values)


def require_still(frames: U8, hides: Callable[[int], Bool], plate: Plate) -> None:
    """Refuse a clip whose camera moved, or whose background did.

    Args:
        frames, hides: as `estimate_plate` takes them.

    Raises:
        PersonFileError: the background does not stay what the plate shows.
    """
    moved = [
        _differs(frames[index], hides(index), plate) > SHARE_OF_FRAME
        for index in sampled(len(frames))
    ]
    share = float(np.mean(moved))
    if share > SHARE_OF_CLIP:
        raise PersonFileError(
            f"The background moves in {share:.0%} of the frames, so there is no one picture of it; "
            "film with a camera that stands still."
        )


def _differs(frame: U8, hidden: Bool, plate: Plate) -> float:
    """Return the share of the visible background that differs from the plate."""
    luma, behind = split(frame)[0], split(plate.i420)[0]
    clear = ~blocks(hidden | ~plate.seen, BLOCK).any(axis=(1, 3))
    if not clear.any():
        return 0.0
    difference = blocks(luma.astype(np.float32) - behind, BLOCK).mean(axis=(1, 3))
    # The exposure may drift: a level that all of it moved by says nothing of the camera.
    difference -= np.median(difference[clear])
    return float((np.abs(difference[clear]) > LEVELS).mean())


def grown(mask: Bool, pixels: int) -> Bool:
    """Return a mask with a margin of so many pixels, as a square."""
    out: Bool = ndimage.maximum_filter(mask, 2 * pixels + 1)
    return out
