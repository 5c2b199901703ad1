"""An invented morphable model on the tracker's topology, its file, and a clip of one face."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import io
from scipy.spatial.transform import Rotation

from tests.finetune import presenter_clip
from visavis.engines.raster import rasterize
from visavis.finetune.morphable.correspond import KNOWN, TRACKED
from visavis.finetune.morphable.surface import Poses
from visavis.finetune.morphable.synthesis import clip_space
from visavis.finetune.track import Track
from visavis.models.face_model import FaceModel, normals, shade

__all__ = ["IDENTITIES", "SIZE", "Truth", "arrays", "clip", "mat", "model"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

SIZE = 192
EYES = 64.0  # pixels between them
IDENTITIES, EXPRESSIONS, COLOURS = 6, 5, 5
# The tracker's points nearest to the outline of the usual 68.
JAW = (127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356)


@dataclass(frozen=True)
class Truth:
    """What a clip was made of; see `sweeps.Motion`."""

    identity: F64
    expression: F64
    poses: Poses
    light: F64


def _finer(values: F64, triangles: NDArray[np.int32]) -> tuple[F64, NDArray[np.int32]]:
    """Cut every triangle in four; values f64[V, K]."""
    sides = np.sort(np.concatenate([triangles[:, p] for p in ([0, 1], [1, 2], [2, 0])]), axis=1)
    unique, index = np.unique(sides, axis=0, return_inverse=True)
    ab, bc, ca = index.reshape(3, -1) + len(values)
    a, b, c = triangles.T
    four = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    finer = np.concatenate([np.stack(t, axis=1) for t in four]).astype(np.int32)
    return np.concatenate([values, values[unique].mean(axis=1)]), finer


@functools.cache
def arrays() -> dict[str, NDArray[np.generic]]:
    """The model as arrays of `BFM_model_front.mat`: y up, z to the camera, numbers from 1."""
    geometry = presenter_clip.geometry(EXPRESSIONS)
    coarse = np.concatenate(
        [geometry.mean[None, :468], geometry.basis[:, :468]]
    ).astype(np.float64).transpose(1, 0, 2)  # fmt: skip
    flat, triangles = _finer(coarse.reshape(468, -1), presenter_clip.track().triangles)
    shapes = flat.reshape(len(flat), -1, 3) * [1.0, -1.0, -1.0]
    mean, expression = shapes[:, 0], shapes[:, 1:]
    # As large as each other, so that none is hidden by the tracker's noise.
    expression *= 0.07 / np.linalg.norm(expression, axis=2).max(axis=0)[None, :, None]
    x, y, z = mean.T
    zero = np.zeros_like(x)

    def bump(u: float, v: float, size: float) -> F64:
        return np.exp(-((x - u) ** 2 + (y - v) ** 2) / size**2)

    identity = 0.04 * np.stack(
        [
            np.stack([x, zero, zero], axis=-1),
            np.stack([zero, y, zero], axis=-1),
            np.stack([zero, zero, z - z.mean()], axis=-1),
            np.stack([zero, zero, bump(0.0, -0.5, 0.2)], axis=-1),
            np.stack([zero, bump(0.0, -1.1, 0.4), zero], axis=-1),
            np.stack([x * bump(0.0, -0.9, 0.5), zero, zero], axis=-1),
        ]
    )
    spots = np.sin(19.0 * x) * np.sin(23.0 * y) + np.sin(11.0 * x + 14.0 * y)
    skin = np.array([180.0, 130.0, 105.0]) + 14.0 * spots[:, None]
    lips, cheeks = bump(0.0, -0.8, 0.2), bump(0.4, -0.5, 0.25) + bump(-0.4, -0.5, 0.25)
    one = np.ones_like(x)
    colours = np.stack(
        [
            one[:, None] * [12.0, 0.0, 0.0],
            one[:, None] * [0.0, 12.0, 0.0],
            one[:, None] * [0.0, 0.0, 12.0],
            lips[:, None] * [8.0, -12.0, -8.0],
            cheeks[:, None] * [14.0, -4.0, -4.0],
        ]
    )
    landmarks = np.zeros(68, np.int64)
    landmarks[:17] = JAW
    landmarks[KNOWN] = TRACKED
    return {
        "meanshape": mean.reshape(1, -1),
        "idBase": identity.reshape(IDENTITIES, -1).T,
        "exBase": expression.transpose(0, 2, 1).reshape(-1, EXPRESSIONS),
        "meantex": skin.reshape(1, -1),
        "texBase": colours.reshape(COLOURS, -1).T,
        "tri": triangles + 1,
        "keypoints": landmarks[None] + 1,
    }


def mat(path: Path, **changed: object) -> Path:
    """Write the model to a file; what is None is left out."""
    kept = {**arrays(), **changed}
    io.savemat(path, {name: array for name, array in kept.items() if array is not None})
    return path


@functools.cache
def model() -> FaceModel:
    """The model in our axes, made without the code that reads files."""
    a = arrays()
    count = a["meanshape"].size // 3
    turn = np.array([1.0, -1.0, -1.0])

    def shapes(name: str) -> torch.Tensor:
        basis = np.asarray(a[name], np.float64).T.reshape(-1, count, 3)
        return torch.from_numpy(np.ascontiguousarray(basis * turn)).float()

    mean = np.asarray(a["meanshape"], np.float64).reshape(count, 3) * turn
    triangles = np.asarray(a["tri"], np.int64) - 1
    p, q, r = mean[triangles].transpose(1, 0, 2)
    backward = np.cross(q - p, r - p)[:, 2] > 0.0  # the tracker's triangles go either way
    triangles[backward] = triangles[backward][:, ::-1]
    return FaceModel(
        mean=torch.from_numpy(mean).float(),
        identity=shapes("idBase"),
        expression=shapes("exBase"),
        colour=torch.from_numpy(np.asarray(a["meantex"]).reshape(count, 3).copy()).float(),
        colours=torch.from_numpy(
            np.asarray(a["texBase"], np.float64).T.reshape(-1, count, 3).copy()
        ).float(),
        triangles=torch.from_numpy(triangles.copy()),
        landmarks=torch.from_numpy(np.asarray(a["keypoints"], np.int64)[0] - 1),
    )


def _drawn(points: F64, colour: F32, triangles: NDArray[np.int32]) -> U8:
    """Draw in I420 at twice the size, made smaller."""
    big = 2 * SIZE
    clip_points = clip_space(torch.from_numpy(points * 2.0).float(), big, big, 4.0 * big)
    ids, shares, _ = rasterize(clip_points.numpy(), triangles, big, big)
    rgb = np.full((big, big, 3), 90.0)
    there = ids >= 0
    rgb[there] = (colour[triangles[ids[there]]] * shares[there][..., None]).sum(axis=1)
    small = rgb.reshape(SIZE, 2, SIZE, 2, 3).mean(axis=(1, 3))
    picture = np.clip(np.rint(small), 0, 255).astype(np.uint8)
    return av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p").to_ndarray()


@functools.cache
def clip(count: int = 24, noise: float = 0.3) -> tuple[U8, Track, Truth]:
    """A face that turns and speaks: frames uint8[N, H*3/2, W], its track with noise, the truth.

    Args:
        count: N.
        noise: of the tracked points, pixels.
    """
    face = model()
    random = np.random.default_rng(7)
    time = np.arange(count)
    identity = np.array([0.8, -0.9, 0.7, 1.0, -0.8, 0.6])
    phase = random.uniform(0.0, 6.0, EXPRESSIONS)
    rate = np.array([0.9, 0.55, 0.7, 0.43, 0.8])
    expression = np.sin(time[:, None] * rate + phase) * [1.0, 0.9, 0.8, 0.7, 0.7]
    angles = np.stack(
        [6.0 * np.sin(0.21 * time), 9.0 * np.sin(0.17 * time + 1.0), 3.0 * np.sin(0.3 * time)], 1
    )
    rotation = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    scale = EYES * (1.0 + 0.02 * np.sin(0.15 * time))
    shift = np.stack([SIZE / 2 + 4.0 * np.sin(0.2 * time), 72.0 + 3.0 * np.cos(0.24 * time)], 1)
    poses = Poses(rotation, scale, shift)
    light = np.zeros((9, 3))
    light[0] = (0.85, 0.8, 0.75)
    light[2], light[3], light[1] = 0.14, -0.12, -0.08  # from the front, one side and above
    colours = torch.tensor([0.6, -0.4, 0.3, 1.0, 0.7])
    albedo = face.albedo(colours)
    shapes = face.shape(torch.from_numpy(identity).float(), torch.from_numpy(expression).float())
    frames, points = [], []
    triangles = face.triangles.numpy().astype(np.int32)
    for n, shape in enumerate(shapes.double().numpy()):
        turned = poses.turned(n, shape)
        facing = normals(torch.from_numpy(turned).float(), face.triangles)
        colour = shade(albedo, facing, torch.from_numpy(light).float()).numpy()
        placed = turned + [*shift[n], 0.0]
        frames.append(_drawn(placed, colour, triangles))
        points.append(placed[:468] + random.normal(0.0, noise, (468, 3)))
    track = Track(np.stack(points).astype(np.float32), presenter_clip.track().triangles)
    return np.stack(frames), track, Truth(identity, expression, poses, light)
