"""The face of an `audiodvp` person: the mesh of its lower half, and where it may be seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.raster import RasterRule, rasterize
from visavis.export.face_model_file import MICROMETRES, PORTRAIT_MICROMETRES
from visavis.export.imports.audiodvp_track import Track
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.face_graph import FaceMesh, Light, surface_of
from visavis.export.imports.face_model import read_face
from visavis.export.imports.request import Request
from visavis.models.face_model import FaceModel
from visavis.models.points68 import MIRRORED
from visavis.models.systems.audiodvp import composite, face
from visavis.models.systems.bfm import turned

__all__ = ["RULE", "Mesh", "landmarks", "masks_of", "mesh_of", "read_model"]

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]

RULE = RasterRule(inside_tolerance=1e-5, later_wins=True)
OPEN_MOUTH = -8.0  # of the first expression
SMALLEST_SHARE = 0.01  # of the crop that the lower face covers
MOST_MASK_BYTES = 32 << 20

Mesh = tuple[FaceMesh, I32]


def read_model(request: Request) -> tuple[FaceModel, str | None]:
    """Return the face model in the unit of this system, and why it must not be given on.

    Raises:
        ImportRefused: there is none, or it cannot be read.
    """
    model, licensed = read_face(request)
    # Its program divides by another number than the one that everybody else's files went through.
    unit = MICROMETRES / PORTRAIT_MICROMETRES
    return (
        replace(
            model,
            mean=model.mean * unit,
            identity=model.identity * unit,
            expression=model.expression * unit,
        ),
        licensed,
    )


def mesh_of(model: FaceModel, track: Track) -> Mesh:
    """Return the network of `mesh@1` for the person of a track, and its triangles int32[T, 3].

    Raises:
        ImportRefused: the track is of another model.
    """
    for what, given, there in (
        ("identity (alpha)", track.alpha.size, len(model.identity)),
        ("albedo (beta)", track.beta.size, len(model.colours)),
        ("expression (delta)", track.delta.shape[1], len(model.expression)),
    ):
        if given != there:
            raise ImportRefused(
                f"The coefficients have {given} numbers of {what}, the face model {there}."
            )
    still = model.shape(torch.from_numpy(track.alpha), torch.zeros(len(model.expression)))
    surface = surface_of(
        turned(still), turned(model.expression), model.triangles, face.lower_triangles(model)
    )
    light = Light(
        albedo=model.albedo(torch.from_numpy(track.beta))[surface.used],
        ambient=face.AMBIENT,
        harmonic_major=True,
    )
    mesh = FaceMesh(surface, face.CAMERA, light, moved_first=True).eval()
    return mesh, surface.triangles.numpy().astype(np.int32)


def landmarks(model: FaceModel, track: Track, frame: int) -> F32:
    """Return the 68 points of a frame in its crop f32[68, 2], pixels, centres at integers.

    They have the names that a tracker gives them in the picture: this system's camera sees its face
    as in a mirror, so the model's left is the picture's right.
    """
    marks = model.landmarks
    alpha, delta = torch.from_numpy(track.alpha), torch.from_numpy(track.delta[frame])
    own = replace(
        model,
        mean=model.mean[marks],
        identity=model.identity[:, marks],
        expression=model.expression[:, marks],
    )
    pose = torch.from_numpy(track.pose[frame])
    there = face.placed(turned(own.shape(alpha, delta)), pose[:3], pose[3:6])
    points = face.pixels(face.clip_space(there)).numpy() - np.float32(0.5)
    return np.ascontiguousarray(points[MIRRORED])


def masks_of(mesh: Mesh, track: Track) -> U8:
    """Return where every frame's lower face may be seen: uint8[S, M, M], softened.

    Raises:
        ImportRefused: the coefficients put no face into a crop.
    """
    network, triangles = mesh
    count = len(track.pose)
    size = face.SIZE // (1 if count * face.SIZE**2 <= MOST_MASK_BYTES else 2)
    masks = np.empty((count, size, size), np.uint8)
    for frame, pose in enumerate(track.pose):
        deltas = np.zeros((2, track.delta.shape[1]), np.float32)
        deltas[0] = track.delta[frame]
        deltas[0, 0] = OPEN_MOUTH
        vertices = network(torch.from_numpy(deltas), torch.from_numpy(pose).expand(2, -1)).numpy()
        covered = [
            rasterize(seen[:, :4], triangles, face.SIZE, face.SIZE, RULE)[0] >= 0
            for seen in vertices
        ]
        if covered[1].mean() < SMALLEST_SHARE:
            raise ImportRefused(
                f"The coefficients of frame {frame + 1} put no face into the crop; are they of "
                "this clip and this face model?"
            )
        mask = composite.softened(composite.covering(*covered))
        step = face.SIZE // size
        small = mask.reshape(size, step, size, step).mean(axis=(1, 3))
        masks[frame] = np.rint(small).astype(np.uint8)
    return masks
