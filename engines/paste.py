"""Operation `paste@1`: the face's crop, laid into the frame where it was cut out, feathered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.engines.footage import FootageChoice
from visavis.engines.i420 import planes_of
from visavis.engines.paste_kernels import lay_in

__all__ = ["Paste"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]


class Paste:
    """The stage. It holds no state of a session.

    Args:
        params: none are used.
        parts: mask uint8[S, S], share of the crop in 255ths, 0 at its border; or
            masks uint8[T, M, M], one for each frame of the footage, which stand for the whole crop
            whatever their size.

    Raises:
        PersonFileError: a mask is not square.
    """

    def __init__(self, params: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        if params:
            raise PersonFileError("paste@1 has no parameters.")
        masks = parts["masks"] if "masks" in parts else parts["mask"][None]
        if masks.dtype != np.uint8 or masks.ndim != 3 or masks.shape[1] != masks.shape[2]:
            raise PersonFileError(f"A mask must be square and of bytes, not {masks.shape}.")
        self._masks: U8 = np.ascontiguousarray(masks)

    def paste(self, picture: U8, choice: FootageChoice, y: U8, u: U8, v: U8) -> None:
        """Blend a crop into `picture`, in place.

        Args:
            picture: uint8[H*3/2, W], I420.
            choice: says where the crop is.
            y: uint8[S, S].
            u, v: uint8[S/2, S/2].
        """
        mask = self._masks[choice.index if len(self._masks) > 1 else 0]
        luma, first, second = planes_of(picture)
        for plane, crop, step in ((luma, y, 1), (first, u, 2), (second, v, 2)):
            there = at_scale(choice.place, step)
            left, top, right, bottom = box_of(there, len(crop), *plane.shape)
            lay_in(plane, crop, mask, inverse(there), left, top, right, bottom)


def at_scale(place: F32, step: int) -> NDArray[np.float64]:
    """Return f64[2, 3] of planes whose pixels are `step` pixels wide, in both pictures."""
    scaled = place.astype(np.float64)
    # Centres: a chroma pixel c stands for luma pixels around 2 c + 1/2.
    middle = (step - 1) / 2.0
    shift = scaled[:, :2] @ np.full(2, middle) + scaled[:, 2] - middle
    scaled[:, 2] = shift / step
    return scaled


def inverse(place: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return f32[2, 3], from the frame to the crop."""
    turned = np.linalg.inv(place[:, :2])
    return np.asarray(np.column_stack((turned, -turned @ place[:, 2])), np.float32)


def box_of(
    place: NDArray[np.float64], size: int, height: int, width: int
) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the frame's pixels that a crop may cover."""
    edge = size - 1.0
    corners = np.array([[0.0, 0.0], [edge, 0.0], [0.0, edge], [edge, edge]])
    there = corners @ place[:, :2].T + place[:, 2]
    low, high = np.floor(there.min(0)), np.ceil(there.max(0)) + 1.0
    left, top = np.maximum(low, 0.0).astype(int)
    right, bottom = np.minimum(high, [width, height]).astype(int)
    return int(left), int(top), int(right), int(bottom)
