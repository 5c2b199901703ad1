"""Where the face is in the user's picture: as they say, or as a tracker finds it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.request import Request

__all__ = ["landmarks_of"]


def landmarks_of(request: Request, picture: NDArray[np.uint8], what: str) -> NDArray[np.float64]:
    """Return the points of the face in a picture.

    Args:
        request: its `points`, which are of `image`, come before its `find_points`.
        picture: RGB uint8[H, W, 3], `request.image` as `read_image` gives it.
        what: the picture, for messages.

    Returns:
        float64[K, 2], (x, y) in pixels: 68 of a tracker, as many as were given otherwise.

    Raises:
        ImportRefused: there is no face, nobody to find it, or a point lies outside of the picture.
    """
    if request.points:
        points = np.asarray(request.points, np.float64)
        height, width = picture.shape[:2]
        if (
            not (np.isfinite(points).all() and (points >= -0.5).all())
            or (points > (width - 0.5, height - 0.5)).any()
        ):
            raise ImportRefused(
                f"The points given do not lie in {what}, which is {width}x{height}."
            )
        return points
    if request.find_points is None:
        raise ImportRefused(
            f"Where the face is in {what} is not known: give its points with --points, or the face "
            "tracker with --tracker (`make finetune-env` makes it)."
        )
    found = request.find_points(picture[None])[0]
    if found is None:
        raise ImportRefused(
            f"No face was found in {what}; give one that shows a face from the front."
        )
    return np.asarray(found, np.float64)
