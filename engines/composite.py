"""Operation `feather@1`: the renderer's crop, blended into the person's frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.engines.i420 import planes_of
from visavis.engines.raster_kernels import blend_crop
from visavis.engines.walk import FrameChoice

__all__ = ["Feather"]

U8 = NDArray[np.uint8]


class Feather:
    """The stage. It holds no state of a session.

    The mask belongs to the crop, so it follows the head and knows nothing of the mouth.

    Args:
        params: none are used.
        parts: mask uint8[S, S], share of the crop in 255ths, 0 at its border.

    Attributes:
        masks: uint8[S, S] for luma and uint8[S/2, S/2] for chroma.

    Raises:
        PersonFileError: the mask is not square or of odd size.
    """

    def __init__(self, params: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        mask: U8 = parts["mask"]
        if mask.ndim != 2 or mask.shape[0] != mask.shape[1] or len(mask) % 2:
            raise PersonFileError(f"The mask must be square and even, not {mask.shape}.")
        half = len(mask) // 2
        blocks = mask.reshape(half, 2, half, 2).astype(np.uint16).sum(axis=(1, 3))
        chroma = ((blocks + 2) // 4).astype(np.uint8)
        self.masks: tuple[U8, U8] = np.ascontiguousarray(mask), chroma

    def paste(self, picture: U8, choice: FrameChoice, y: U8, u: U8, v: U8) -> None:
        """Blend a crop into `picture`, in place.

        Args:
            picture: uint8[H*3/2, W], I420.
            choice: says where the crop is.
            y: uint8[S, S].
            u, v: uint8[S/2, S/2].
        """
        left, top = choice.origin
        luma, first, second = planes_of(picture)
        whole, half = self.masks
        blend_crop(luma, left, top, whole, y)
        blend_crop(first, left // 2, top // 2, half, u)
        blend_crop(second, left // 2, top // 2, half, v)
