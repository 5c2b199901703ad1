"""From a fitted clip to the parts that the picture stages read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.appearance.model import Appearance
from visavis.finetune.geometry import Geometry
from visavis.finetune.texture import FEATHER, crop_mask, face_texture, teeth_charts

__all__ = ["SIZE", "PictureParts", "crop_origins", "picture_parts"]

SIZE = 192  # S, pixels of the crop; lengths in pixels are those of such a crop, and grow with it
LIP_REACH = 12.0  # pixels, where the distance to the lips ends
ANCHOR = (0.0, 0.91, -0.1)  # head space: the crop's middle, between nose and collar


@dataclass(frozen=True, slots=True)
class PictureParts:
    """Parameters and arrays of the stages geometry, raster, composite and background, by role."""

    geometry: Mapping[str, NDArray[np.generic]]
    raster: Mapping[str, NDArray[np.generic]]
    raster_params: Mapping[str, Any]
    composite: Mapping[str, NDArray[np.generic]]
    walk_params: Mapping[str, Any]


def picture_parts(
    frames: NDArray[np.uint8],
    geometry: Geometry,
    appearance: Appearance,
    taught: NDArray[np.int64] | None = None,
) -> PictureParts:
    """Build everything of a person's picture that is not trained.

    Args:
        frames: uint8[N, H*3/2, W], I420.
        geometry: fitted to them.
        appearance: of the geometry's coefficients, in a picture as large as the crop.
        taught: the frames that may be learnt from; all where None.
    """
    if taught is None:
        taught = np.arange(len(frames))
    size = appearance.layout.size
    unit = size / SIZE
    texture = face_texture(frames, geometry, taught)
    charts = teeth_charts(frames, geometry, taught, unit)
    first = len(geometry.mean)
    quad = np.array([(0, 1, 2), (1, 3, 2)], np.int32)
    mask = crop_mask(geometry, ANCHOR, size, FEATHER * unit)
    return PictureParts(
        geometry={
            "mean": np.concatenate([geometry.mean, charts.mean]),
            "basis": np.concatenate([geometry.basis, charts.basis], axis=1),
        },
        raster={
            "triangles": texture.triangles,
            "uv": np.concatenate([texture.uv, charts.uv]),
            "texture": texture.picture,
            "upper": charts.upper,
            "upper_triangles": quad + first,
            "lower": charts.lower,
            "lower_triangles": quad + first + 4,
            "lips": geometry.lips,
            "mask": mask,
            **appearance.parts(),
            # The teeth's charts have corners here, too, and no triangles.
            "appearance_uv": np.concatenate(
                [appearance.layout.points[:, :2], np.zeros_like(charts.uv)]
            ),
        },
        raster_params={"lip_reach": LIP_REACH * unit},
        composite={"mask": mask},
        walk_params={"size": size, "anchor": list(ANCHOR)},
    )


def crop_origins(geometry: Geometry, parts: PictureParts) -> NDArray[np.int64]:
    """Return left and top of each frame's crop, int64[N, 2], even."""
    size = int(parts.walk_params["size"])
    anchor = np.array([*parts.walk_params["anchor"], 1.0])
    middle = geometry.pose[:, :2].astype(np.float64) @ anchor
    origins: NDArray[np.int64] = 2 * np.rint((middle - size / 2) / 2).astype(np.int64)
    return origins
