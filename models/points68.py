"""The usual 68 points of a face (C. Sagonas et al., "300 faces in-the-wild challenge", 2013), and
which points of MediaPipe's mesh they are.

0 to 16 run along the jaw from the right ear over the chin (8), 17 to 26 are the brows, 27 to 35
the nose, 36 to 47 the eyes, 48 to 59 the outer and 60 to 67 the inner contour of the lips.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CHIN",
    "EYE_LEFT",
    "EYE_RIGHT",
    "INNER_LOWER",
    "INNER_UPPER",
    "MIRRORED",
    "MOUTH",
    "MOUTH_LEFT",
    "MOUTH_RIGHT",
    "TRACKED",
]

I64 = NDArray[np.int64]

CHIN = 8
EYE_RIGHT, EYE_LEFT = 36, 45  # outer corners
MOUTH = slice(48, 68)
MOUTH_RIGHT, MOUTH_LEFT = 48, 54
INNER_UPPER, INNER_LOWER = (61, 62, 63), (67, 66, 65)  # from right to left, one above the other

# The jaw's go along with the view in one and with the mesh in the other, so they are near at best.
TRACKED: I64 = np.array([
    127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 81, 13, 311, 308, 402, 14, 178,
])  # fmt: skip

# Which point is where a point was, when the face is seen in a mirror.
MIRRORED: I64 = np.array([
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65,
])  # fmt: skip
