"""The face model of the parity cases, as our face model."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.export.parity.case import Case
from visavis.models.face_model import FaceModel
from visavis.models.systems.bfm import turned

__all__ = ["face_model"]


def face_model(case: Case, dtype: torch.dtype = torch.float64) -> FaceModel:
    """Return the stand-in for the licensed model, in our axes; it has no real landmarks' names."""
    stored = case.face_model()

    def floats(array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.asarray(array)).to(dtype)

    def basis(name: str) -> Tensor:
        columns = floats(stored[name])
        return columns.T.reshape(columns.shape[1], -1, 3).contiguous()

    return FaceModel(
        mean=turned(floats(stored["meanshape"])),
        identity=turned(basis("idBase")),
        expression=turned(basis("exBase")),
        colour=floats(stored["meantex"]),
        colours=basis("texBase"),
        triangles=torch.from_numpy(stored["triangles"]),
        landmarks=torch.from_numpy(stored["keypoints"]),
    )
