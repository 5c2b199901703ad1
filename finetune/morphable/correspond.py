"""Where the tracker's 468 points are on a model's surface.

A model names 68 of its vertices. The tracker's points nearest to these are known, so the model can
be laid on them roughly. Then every point is given the place on the surface that stays with it: the
one whose distance in the picture is the least over frames that differ. In one frame alone the
points of closed lips could go to either lip and depth would be a guess; over open and closed mouths
and turned heads they move like one lip only.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.finetune.morphable.landmarks import Faces
from visavis.models.face_model import FaceModel, normals

__all__ = ["KNOWN", "TRACKED", "places"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

# Of the usual 68 points those that both meshes have at the same place, and the tracker's of them.
# The outline is left out, whose points go along with the view, but for the chin.
KNOWN = np.array([8, *range(17, 68)])
TRACKED = np.array([
    152,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 81, 13, 311, 308, 402, 14, 178,
])  # fmt: skip
FACING = 0.0  # a vertex may be a place where its normal is so much towards the camera, in the mean
AT_ONCE = 32  # points that are compared with all vertices at once


def places(model: FaceModel, faces: Faces, tracked: F64) -> tuple[I64, F32]:
    """Return triangle int64[P] and barycentric coordinates f32[P, 3] of tracked points.

    Args:
        model: laid onto the frames by `faces`.
        faces: of N frames.
        tracked: f64[N, P, 2], pixels.
    """
    identity = torch.from_numpy(faces.identity).float()
    shapes = model.shape(identity, torch.from_numpy(faces.expression).float())
    facing = normals(shapes, model.triangles).double().numpy()
    towards = -np.einsum("nj,nvj->nv", faces.poses.rotation[:, 2], facing).mean(axis=0)
    pictures = np.stack(
        [
            faces.poses.turned(n, shape)[:, :2] + faces.poses.shift[n]
            for n, shape in enumerate(shapes.double().numpy())
        ]
    )
    shown = np.flatnonzero(towards > FACING)
    if not len(shown):
        raise ValueError("The model shows its back.")
    # Distances in all frames at once: rows of 2 N numbers.
    flat = pictures[:, shown].transpose(1, 0, 2).reshape(len(shown), -1)
    wanted = tracked.transpose(1, 0, 2).reshape(tracked.shape[1], -1)
    size = np.square(flat).sum(axis=1)
    vertex = np.concatenate(
        [
            shown[(size - 2.0 * part @ flat.T).argmin(axis=1)]
            for part in np.array_split(wanted, -(-len(wanted) // AT_ONCE))
        ]
    )
    triangles = model.triangles.numpy()
    triangle = np.zeros(len(vertex), np.int64)
    barycentric = np.zeros((len(vertex), 3), np.float32)
    for p, v in enumerate(vertex):
        around = np.flatnonzero((triangles == v).any(axis=1))
        fits = [_inside(pictures[:, triangles[t]], tracked[:, p]) for t in around]
        best = int(np.argmin([fit[0] for fit in fits]))
        triangle[p], barycentric[p] = around[best], fits[best][1]
    return triangle, barycentric


def _inside(corners: F64, point: F64) -> tuple[float, F64]:
    """Return the least sum of squared distances, and the place in the triangle that has it.

    Args:
        corners: f64[N, 3, 2]; point: f64[N, 2].
    """
    best, share = np.inf, np.array([1.0, 0.0, 0.0])
    # The least in the plane if it is inside, else on one of the sides or corners.
    for chosen in ((0, 1, 2), (0, 1), (1, 2), (2, 0), (0,), (1,), (2,)):
        origin = corners[:, chosen[0]]
        sides = (corners[:, chosen[1:]] - origin[:, None]).transpose(0, 2, 1)
        sides = sides.reshape(2 * len(corners), len(chosen) - 1)
        rest = (point - origin).reshape(-1)
        along, *_ = np.linalg.lstsq(sides, rest, rcond=None)
        if (along < 0.0).any() or along.sum() > 1.0:
            continue
        distance = float(np.square(rest - sides @ along).sum())
        if distance < best:
            best = distance
            share = np.zeros(3)
            share[list(chosen)] = [1.0 - along.sum(), *along]
    return best, share
