"""Operation `linear@1`: the person's mesh, moved by coefficients and posed like the frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.engines.walk import FrameChoice

__all__ = ["LinearGeometry"]

F32 = NDArray[np.float32]


class LinearGeometry:
    """The stage. It holds no state of a session.

    Head space: origin between the outer eye corners, their distance is 1, x right in the picture,
    y down, z away from the camera.

    Args:
        params: none are used.
        parts: mean f32[V, 3] and basis f32[C, V, 3], in head space.

    Raises:
        PersonFileError: the parts do not fit together.
    """

    def __init__(self, params: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        mean, basis = parts["mean"], parts["basis"]
        if mean.ndim != 2 or mean.shape[1] != 3 or basis.ndim != 3 or basis.shape[1:] != mean.shape:
            raise PersonFileError(
                f"The person's basis {basis.shape} does not fit its mean {mean.shape}."
            )
        self._mean: F32 = np.ascontiguousarray(mean, np.float32)
        self._basis: F32 = np.ascontiguousarray(basis.reshape(len(basis), -1), np.float32)

    def vertices(self, coefficients: F32, choices: Sequence[FrameChoice]) -> F32:
        """Return where the vertices are in the crop.

        Args:
            coefficients: f32[N, C].
            choices: N, with the pose of each frame and where its crop is.

        Returns:
            f32[N, V, 3], pixels from the crop's top left corner; z in the same unit.
        """
        moved = (coefficients @ self._basis).reshape(len(coefficients), *self._mean.shape)
        moved += self._mean
        pose = np.stack([choice.pose for choice in choices])
        shift = pose[:, None, :, 3].copy()
        shift[:, 0, :2] -= np.array([choice.origin for choice in choices], np.float32)
        posed = moved @ pose[:, :, :3].transpose(0, 2, 1) + shift
        return np.ascontiguousarray(posed, np.float32)
