"""The face of a person of `style_avatar`: where it lies in the picture, its mesh and its texture.

The original resizes and cuts the picture so that five points of the face come to lie where a mean
face has them, and finds the coefficients in that crop. With the coefficients at hand, the crop is
found again: it is where the drawn face lies on the real one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.raster import rasterize
from visavis.export.imports.crops import crop, inverted
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.face_graph import FaceMesh, surface_of
from visavis.export.imports.face_model import read_face
from visavis.export.imports.request import Request
from visavis.models.face_model import FaceModel
from visavis.models.systems.bfm import turned
from visavis.models.systems.headpose.face import SIZE, clip_space, pixels, posed, shape, split
from visavis.models.systems.style_avatar import drawing, texture

__all__ = [
    "EXPRESSIONS",
    "Face",
    "Unfolded",
    "landmarks",
    "mesh_of",
    "placed",
    "pose_of",
    "texture_of",
    "unfolded_model",
]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

EXPRESSIONS = slice(80, 144)  # of 257 coefficients
ANGLES, TRANSLATION = slice(224, 227), slice(254, 257)
MODEL_FILES = ("BFM_model_front.mat", "01_MorphableModel.mat")
UV_FILE = "uv.npy"
MOST_UV_BYTES = 8 << 20
SMALLEST_SHARE = 0.05  # of the crop that a face covers
FARTHEST = 0.15  # of the crop, that a point of the picture may be from the drawn face's


@dataclass(frozen=True, slots=True)
class Unfolded:
    """A face model and where its vertices lie in the texture.

    Attributes:
        uv: f32[V, 2], 0 to 1. licensed: why it must not be given on, or None.
    """

    model: FaceModel
    uv: F32
    licensed: str | None


@dataclass(frozen=True, slots=True)
class Face:
    """A picture's face.

    Attributes:
        crop: u8[224, 224, 3], red, green, blue.
        place: f32[2, 3], from (x, y, 1) in the crop to the frame, pixels, centres at integers.
    """

    crop: U8
    place: F32


def unfolded_model(request: Request) -> Unfolded:
    """Read the face model of a request, and `uv.npy` beside it.

    Args:
        request: `face_model` is the model's file, or its folder, as `deep_3drecon/BFM` of the
            original.

    Raises:
        ImportRefused: there is none, no uv.npy, or they are of different models.
    """
    path = request.face_model
    if path is not None and path.is_dir():
        there = [path / name for name in MODEL_FILES if (path / name).is_file()]
        if not there:
            raise ImportRefused(f"{path} holds neither {MODEL_FILES[0]} nor {MODEL_FILES[1]}.")
        path = there[0]
    model, licensed = read_face(replace(request, face_model=path))
    assert path is not None
    return Unfolded(model, _uv(path.with_name(UV_FILE), len(model.mean)), licensed)


def landmarks(model: FaceModel, coefficients: F32) -> F32:
    """Return the 68 points of a face f32[257] in its crop, pixels, centres at integers."""
    face = posed(model, torch.from_numpy(coefficients))
    return pixels(face.vertices[model.landmarks]).numpy() - np.float32(0.5)


def pose_of(coefficients: F32) -> F32:
    """Return angles and translation, f32[..., 6], of f32[..., 257]."""
    return np.concatenate((coefficients[..., ANGLES], coefficients[..., TRANSLATION]), -1)


def placed(frame: U8, points: NDArray[np.floating], drawn: F32) -> Face:
    """Cut the crop out of a frame.

    Args:
        frame: u8[H, W, 3], red, green, blue. One of 224 pixels square is a crop already.
        points: f[68, 2] or f[5, 2] (eyes, nose, corners of the mouth), in pixels of the frame; [0,
            2] for a frame that is a crop.
        drawn: f32[68, 2], of `landmarks`.

    Raises:
        ImportRefused: there are no such points, or they do not lie as the coefficients' face does.
    """
    if not len(points):
        if frame.shape[:2] != (SIZE, SIZE):
            raise ImportRefused(
                f"No face is known in the picture of {frame.shape[1]} by {frame.shape[0]} pixels: "
                "give the points of the face, or the crop that the original's program made, "
                f"{SIZE} pixels square."
            )
        return Face(np.ascontiguousarray(frame), np.eye(2, 3, dtype=np.float32))
    seen = np.asarray(points, np.float64)
    if seen.shape not in ((68, 2), (5, 2)) or not np.isfinite(seen).all():
        raise ImportRefused(
            "A face has 68 points, or 5 (eyes, nose, corners of the mouth); here are numbers of "
            f"shape {seen.shape}."
        )
    wanted = np.asarray(drawn, np.float64)
    if len(seen) == 5:
        wanted = _five(wanted)
    scale, move = _fitted(seen, wanted)
    worst = float(np.abs(seen * scale + move - wanted).max()) if scale > 0.0 else np.inf
    if worst > FARTHEST * SIZE:
        raise ImportRefused(
            "The coefficients are of another picture: their face does not lie on the face in this "
            f"one, {worst:.0f} pixels of {SIZE} away at worst."
        )
    to_crop = np.array([[scale, 0.0, move[0]], [0.0, scale, move[1]]])
    return Face(crop(frame, to_crop, SIZE), np.asarray(inverted(to_crop), np.float32))


def mesh_of(unfolded: Unfolded, coefficients: F32) -> tuple[FaceMesh, NDArray[np.int32]]:
    """Return the network of `mesh@1` for the identity in f32[257], and its triangles.

    Its vertices carry their place in the texture, times 255.
    """
    model = unfolded.model
    identity = split(torch.from_numpy(coefficients)).identity
    still = shape(model, identity, torch.zeros(len(model.expression)))
    surface = surface_of(still, turned(model.expression), model.triangles)
    carried = torch.from_numpy(unfolded.uv * drawing.LEVEL)[surface.used]
    mesh = FaceMesh(surface, drawing.CAMERA, carried).eval()
    return mesh, surface.triangles.numpy().astype(np.int32)


def texture_of(unfolded: Unfolded, face: Face, coefficients: F32) -> U8:
    """Return what the crop shows of the face as a texture u8[256, 256, 3], blue, green, red.

    Raises:
        ImportRefused: the coefficients put no face into the crop.
    """
    model = unfolded.model
    vertices = posed(model, torch.from_numpy(coefficients)).vertices
    clip = clip_space(vertices, drawing.CAMERA).float().numpy()
    triangles = model.triangles.numpy().astype(np.int32)
    ids, barycentric, _ = rasterize(clip, triangles, SIZE, SIZE)
    if (ids >= 0).mean() < SMALLEST_SHARE:
        raise ImportRefused("The coefficients put no face into the picture; are they of this one?")
    levels = drawing.levels(drawing.drawn(ids, barycentric, triangles, unfolded.uv))
    return texture.scattered(np.ascontiguousarray(face.crop[..., ::-1]), levels)


def _five(points: F64) -> F64:
    """Eyes, nose and corners of the mouth of the usual 68."""
    eyes = [points[36:42].mean(0), points[42:48].mean(0)]
    return np.stack([*eyes, points[30], points[48], points[54]])


def _fitted(points: F64, wanted: F64) -> tuple[float, F64]:
    """Scale and move that bring points nearest to others; the original does not turn pictures."""
    spread, there = points - points.mean(0), wanted - wanted.mean(0)
    power = float((spread * spread).sum())
    scale = float((spread * there).sum()) / power if power > 0.0 else 0.0
    return scale, wanted.mean(0) - scale * points.mean(0)


def _uv(path: Path, vertices: int) -> F32:
    try:
        if path.stat().st_size > MOST_UV_BYTES:
            raise ImportRefused(f"{path} is larger than places in a texture are.")
        values = np.load(path, allow_pickle=False)
    except OSError as error:
        raise ImportRefused(
            f"{path} cannot be read: {(error.strerror or '').lower()}; style_avatar's repository "
            "has it beside the face model."
        ) from None
    except (ValueError, EOFError, SyntaxError):
        raise ImportRefused(f"{path} is no array of numbers.") from None
    if values.dtype.kind != "f" or values.ndim != 2 or values.shape[1] not in (2, 3):
        raise ImportRefused(f"{path} is of shape {values.shape}, not [V, 2] or [V, 3].")
    if len(values) != vertices:
        raise ImportRefused(f"{path} is of {len(values)} vertices, the face model has {vertices}.")
    uv = np.asarray(values[:, :2], np.float32)
    if not (uv >= 0.0).all() or not (uv <= 1.0).all():
        raise ImportRefused(f"{path} has numbers outside 0 to 1.")
    return np.ascontiguousarray(uv)
