"""A tracked person's own mesh in place of a licensed face model.

The published systems draw a Basel face with 64 expressions. Here the face is the tracked mesh of
one person, its expressions are the components that were found in the person's clip, padded with
expressions that do nothing, and its colours are the clip's. So nothing in it is anybody's but the
person's, and a program that takes a face model takes this one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import savemat
from scipy.ndimage import map_coordinates

from visavis.finetune.geometry import LIP_UPPER, TRACKED, Geometry
from visavis.finetune.mesh import loops
from visavis.models import points68
from visavis.models.face_model import FaceModel

__all__ = ["EXPRESSIONS", "IOD", "StandIn", "mirrored", "stand_in", "write_mat"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

EXPRESSIONS, IDENTITIES, COLOURS = 64, 80, 80
IOD = 0.95  # between the outer eye corners, in the unit of Basel's face: decimetres
SPLITS = 2  # times that every triangle becomes four
SAMPLED = 48  # frames that colours are the median of
WIDEST = -8.0  # of expression 0: what `audiodvp` takes for an open mouth
MARGIN = 1.1
LONGEST_EYE = 24  # vertices around an eye
SHUT = 40  # of so many frames one is taken, those whose mouth is most closed


@dataclass(frozen=True, slots=True)
class StandIn:
    """A face model of one person, and how the person moved it.

    Attributes:
        model: 80 identities and 80 colours that do nothing, 64 expressions.
        expressions: f32[N, 64], of the clip's frames.
        middle: f32[3], what was subtracted from head space, in its unit, before scaling.
    """

    model: FaceModel
    expressions: F32
    middle: F32


def stand_in(geometry: Geometry, frames: U8) -> StandIn:
    """Make the model.

    Args:
        geometry: of the clip, at most 64 components.
        frames: uint8[N, H, W, 3], RGB.
    """
    count = len(geometry.basis)
    if count > EXPRESSIONS:
        raise ValueError(f"A face model has {EXPRESSIONS} expressions, the person {count}.")
    mean = geometry.mean[:TRACKED].astype(np.float64)
    basis = geometry.basis[:, :TRACKED].astype(np.float64)
    triangles = geometry.triangles[(geometry.triangles < TRACKED).all(axis=1)].astype(np.int64)
    mean, basis, triangles = _with_eyes(mean, basis, triangles)
    for _ in range(SPLITS):
        mean, basis, triangles = split(mean, basis, triangles)
    # No expression is the person's own closed mouth, as it is a Basel face's.
    shut = np.argsort(geometry.aperture, kind="stable")[: max(1, len(frames) // SHUT)]
    neutral = geometry.coefficients[shut].astype(np.float64).mean(axis=0)
    coefficients = geometry.coefficients.astype(np.float64) - neutral
    mean = mean + np.tensordot(neutral, basis, 1)
    # Expression 0 opens the mouth where it is negative, as the systems expect of it.
    opens = np.corrcoef(coefficients[:, 0], geometry.aperture)[0, 1]
    sign = -1.0 if opens > 0.0 else 1.0
    extreme = float((sign * coefficients[:, 0]).min())
    factor = np.ones(count)
    factor[0] = sign * WIDEST / (MARGIN * extreme)
    colour = _colours(mean, basis, coefficients, geometry.pose, frames)

    middle = mean.mean(axis=0)
    expression = np.zeros((EXPRESSIONS, len(mean), 3))
    expression[:count] = basis / factor[:, None, None] * IOD
    expressions = np.zeros((len(coefficients), EXPRESSIONS), np.float32)
    expressions[:, :count] = coefficients * factor

    def tensor(array: F64) -> torch.Tensor:
        return torch.from_numpy(np.asarray(array, np.float32))

    model = FaceModel(
        mean=tensor((mean - middle) * IOD),
        identity=torch.zeros(IDENTITIES, len(mean), 3),
        expression=tensor(expression),
        colour=tensor(colour),
        colours=torch.zeros(COLOURS, len(mean), 3),
        triangles=torch.from_numpy(_outward(mean, triangles)),
        landmarks=torch.from_numpy(points68.TRACKED),
    )
    return StandIn(model, expressions, middle.astype(np.float32))


def mirrored(model: FaceModel) -> FaceModel:
    """Return the model seen in a mirror, its vertices in the same order.

    `audiodvp`'s camera mirrors, so its face has to be mirrored before.
    """
    flip = torch.tensor([-1.0, 1.0, 1.0])
    return replace(
        model,
        mean=model.mean * flip,
        identity=model.identity * flip,
        expression=model.expression * flip,
        triangles=model.triangles.flip(1),
        landmarks=model.landmarks[torch.from_numpy(points68.MIRRORED)],
    )


def split(
    mean: F64, basis: F64, triangles: NDArray[np.int64]
) -> tuple[F64, F64, NDArray[np.int64]]:
    """Make four triangles of each, with a vertex in the middle of every edge.

    Args:
        mean: f64[V, 3]; basis: f64[C, V, 3]; triangles: int64[T, 3].
    """
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, back = np.unique(edges, axis=0, return_inverse=True)
    ab, bc, ca = (len(mean) + back.reshape(-1, 3)).T
    a, b, c = triangles.T
    pieces = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    finer = np.concatenate([np.stack(piece, axis=1) for piece in pieces])
    return (
        np.concatenate([mean, mean[unique].mean(axis=1)]),
        np.concatenate([basis, basis[:, unique].mean(axis=2)], axis=1),
        finer,
    )


def _with_eyes(
    mean: F64, basis: F64, triangles: NDArray[np.int64]
) -> tuple[F64, F64, NDArray[np.int64]]:
    """Close the holes of the eyes, which a Basel face does not have; the mouth stays open."""
    for loop in loops(triangles.astype(np.int32)):
        ring = np.asarray(loop, np.int64)
        if LIP_UPPER in loop or len(ring) > LONGEST_EYE:
            continue
        middle = len(mean)
        mean = np.concatenate([mean, mean[ring].mean(axis=0)[None]])
        basis = np.concatenate([basis, basis[:, ring].mean(axis=1)[:, None]], axis=1)
        fan = np.stack([ring, np.roll(ring, -1), np.full(len(ring), middle)], axis=1)
        # Along the edge the other way round than its neighbour goes, so that both face out.
        edges = {(a, b) for t in triangles.tolist() for a, b in zip(t, t[1:] + t[:1], strict=True)}
        if (int(ring[0]), int(ring[1])) in edges:
            fan = fan[:, [1, 0, 2]]
        triangles = np.concatenate([triangles, fan])
    return mean, basis, triangles


def _outward(mean: F64, triangles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the triangles so that their normals look at the camera, where z is away from it."""
    a, b, c = mean[triangles].transpose(1, 0, 2)
    if np.cross(b - a, c - a)[:, 2].sum() > 0.0:
        triangles = triangles[:, ::-1]
    return np.ascontiguousarray(triangles)


def _colours(mean: F64, basis: F64, coefficients: F64, poses: F32, frames: U8) -> F64:
    """Return what the clip shows at every vertex, f64[V, 3], 0 to 255."""
    seen = np.unique(np.linspace(0, len(frames) - 1, SAMPLED).round().astype(int))
    found = np.empty((len(seen), len(mean), 3))
    for row, frame in enumerate(seen):
        shape = mean + np.tensordot(coefficients[frame], basis, 1)
        pose = poses[frame].astype(np.float64)
        x, y = pose[:2, :3] @ shape.T + pose[:2, 3:]
        for channel in range(3):
            found[row, :, channel] = map_coordinates(
                frames[frame, :, :, channel].astype(np.float64), [y, x], order=1, mode="nearest"
            )
    return np.asarray(np.median(found, axis=0))


def write_mat(model: FaceModel, path: Path, unit: float = 1.0) -> None:
    """Write a model as `BFM_model_front.mat`, the layout in which Deng et al. derive Basel's.

    Args:
        unit: what the model's is in decimetres.

    Arrays: meanshape, meantex [1, 3V], idBase, exBase, texBase [3V, K], tri, keypoints from 1.
    """
    turn = np.array([1.0, -1.0, -1.0], np.float32)

    def columns(basis: torch.Tensor, turned: bool) -> F32:
        array = basis.numpy() * turn * unit if turned else basis.numpy()
        return np.ascontiguousarray(array.reshape(len(array), -1).T, np.float32)

    partial = path.with_suffix(".partial.mat")
    savemat(
        partial,
        {
            "meanshape": (model.mean.numpy() * turn * unit).reshape(1, -1),
            "idBase": columns(model.identity, True),
            "exBase": columns(model.expression, True),
            "meantex": model.colour.numpy().reshape(1, -1),
            "texBase": columns(model.colours, False),
            "tri": (model.triangles.numpy() + 1).astype(np.float64),
            "keypoints": (model.landmarks.numpy() + 1).astype(np.float64).reshape(1, -1),
        },
    )
    partial.replace(path)
