"""The structures of `kernels.cu` in numpy, and the numbers that both sides must agree on.

Every kernel takes the address of one `BATCH`, so all are launched alike, and a captured launch
stays true for as long as the buffers stay where they are. The sizes of the structures are handed to
the compiler, which refuses a layout other than its own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from visavis.engines.planes import PLANES
from visavis.engines.warp_kernels import CELL, FARTHEST, PHASES, STILL

__all__ = ["BATCH", "KERNELS", "MESHES", "PERSON", "SHOT", "defines", "source"]

MESHES = 3  # the face, the upper teeth, the lower teeth
KERNELS = (
    "head_field",
    "warp_picture",
    "place_vertices",
    "mix_looks",
    "clear_cover",
    "cover_pixels",
    "draw_planes",
    "paste_crop",
)

_ADDRESS, _FLOAT, _INT = "<u8", "<f4", "<i4"

PERSON = np.dtype(
    [
        *((name, _ADDRESS) for name in ("mean", "basis", "triangles", "uv", "open_uv")),
        ("pictures", _ADDRESS, (MESHES,)),
        *(
            (name, _ADDRESS)
            for name in (
                "appearance_mean",
                "appearance_basis",
                "appearance_scale",
                "lips",
                "hidden",
                "feather",
                "chroma_feather",
                "depth",
                "follow",
                "torso",
                "poses",
                "frames",
            )
        ),
        ("eyes", _FLOAT, (2, 5)),
        ("place", _FLOAT, (3,)),
        ("reach", _FLOAT),
        *((name, _INT) for name in ("vertices", "components", "contour")),
        ("faces", _INT, (MESHES,)),
        ("sizes", _INT, (MESHES, 2)),
        ("appearance", _INT, (2,)),
        ("grid", _INT, (2,)),
    ],
    align=True,
)

SHOT = np.dtype(
    [
        ("person", _ADDRESS),
        ("pose", _FLOAT, (12,)),
        ("breath", _FLOAT),
        ("eye_share", _FLOAT),
        ("frames", _INT, (2,)),
        ("share", _INT),
        ("eye_frame", _INT),
        ("eye_box", _INT, (4,)),
        ("origin", _INT, (2,)),
        ("coefficients", _INT),
    ],
    align=True,
)

BATCH = np.dtype(
    [
        *(
            (name, _ADDRESS)
            for name in (
                "shots",
                "coefficients",
                "phases",
                "field",
                "vertices",
                "cover",
                "looks",
                "planes",
                "y",
                "u",
                "v",
                "frames",
            )
        ),
        *(
            (name, _INT)
            for name in (
                "width",
                "height",
                "size",
                "field_rows",
                "field_columns",
                "vertex_room",
                "looks_room",
            )
        ),
    ],
    align=True,
)


def defines() -> dict[str, str]:
    """Return what the kernels' text leaves open, by name."""
    return {
        "MESHES": str(MESHES),
        "PLANES": str(PLANES),
        "CELL": str(CELL),
        "PHASES": str(PHASES),
        "FARTHEST": str(FARTHEST),
        "STILL": f"{STILL!r}f",
        "PERSON_BYTES": str(PERSON.itemsize),
        "SHOT_BYTES": str(SHOT.itemsize),
        "BATCH_BYTES": str(BATCH.itemsize),
    }


def source() -> str:
    """Return the kernels' text, CUDA C++."""
    return Path(__file__).with_name("kernels.cu").read_text()
