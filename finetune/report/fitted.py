"""A few frames with the fitted mesh over them, and the face that the model synthesises."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.i420 import planes_of
from visavis.engines.raster import rasterize
from visavis.finetune.geometry import Geometry
from visavis.finetune.lips.yardstick.clips import FPS
from visavis.finetune.morphable.fit import Fit
from visavis.finetune.morphable.synthesis import clip_space
from visavis.finetune.report.gallery import Strip
from visavis.finetune.report.images import FACE, faces
from visavis.finetune.texture import posed
from visavis.models.face_model import FaceModel, normals, shade

__all__ = ["fit_strip", "read_strip", "write_strip"]

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]

COLUMNS = 4
LINE = 235  # level of the mesh's lines
ABOUT = "strip.json"


def fit_strip(model: FaceModel, fit: Fit, frames: U8, geometry: Geometry, triangles: I32) -> Strip:
    """Return key frames as they are, with the mesh over them, and synthesised.

    Args:
        model: the model.
        fit: of the clip; geometry: made of it.
        frames: uint8[N, H*3/2, W], I420.
        triangles: int32[T, 3], of the tracked points.
    """
    places = np.linspace(0, len(fit.key) - 1, min(COLUMNS, len(fit.key))).round().astype(int)
    at = fit.key[places]
    real = [np.asarray(frames[k]) for k in at]
    iod = float(np.median(np.linalg.norm(geometry.pose[at, :, 0], axis=1)))
    rows = [
        ("filmed", real),
        ("mesh", [_lined(f, posed(geometry, k), triangles) for f, k in zip(real, at, strict=True)]),
        (
            "synthesised",
            [_synthesised(f, model, fit, k) for f, k in zip(real, at.tolist(), strict=True)],
        ),
    ]
    width, height = FACE.size(iod)
    times = " s, ".join(f"{k / FPS:.1f}" for k in at.tolist())
    made = [(name, faces(pictures, geometry.pose[at], iod)) for name, pictures in rows]
    return Strip(f"{times} s", made, width * len(at), height)


def write_strip(strip: Strip, folder: Path) -> None:
    """Keep a strip in a folder that is there."""
    for name, data in strip.rows:
        (folder / f"{name}.jpg").write_bytes(data)
    about = {
        "title": strip.title,
        "rows": [name for name, _ in strip.rows],
        "width": strip.width,
        "height": strip.height,
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n", "utf-8")


def read_strip(folder: Path) -> Strip:
    """Read what `write_strip` wrote."""
    about = json.loads((folder / ABOUT).read_text("utf-8"))
    rows = [(name, (folder / f"{name}.jpg").read_bytes()) for name in about["rows"]]
    return Strip(about["title"], rows, about["width"], about["height"])


def _lined(frame: U8, points: F64, triangles: I32) -> U8:
    """Return a frame with the edges of triangles drawn over it."""
    out = frame.copy()
    luma, _, _ = planes_of(out)
    height, width = luma.shape
    sides = np.concatenate([triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
    edges = np.unique(np.sort(sides, axis=1), axis=0)
    begin, end = points[edges[:, 0], :2], points[edges[:, 1], :2]
    steps = int(np.ceil(np.abs(end - begin).max())) + 1
    along = np.linspace(0.0, 1.0, steps)[:, None, None]
    x, y = np.floor(begin + along * (end - begin)).astype(np.int64).reshape(-1, 2).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    luma[y[inside], x[inside]] = LINE
    return out


def _synthesised(frame: U8, model: FaceModel, fit: Fit, index: int) -> U8:
    """Return a frame with the model's face, as it was fitted, in its place."""
    height, width = len(frame) * 2 // 3, frame.shape[1]
    motion = fit.motion
    identity = torch.from_numpy(fit.identity).float()
    shape = model.shape(identity, torch.from_numpy(motion.expression[index]).float())
    turned = torch.from_numpy(motion.poses.turned(index, shape.double().numpy())).float()
    colour = shade(
        model.albedo(torch.from_numpy(fit.look.colours).float()),
        normals(turned, model.triangles),
        torch.from_numpy(motion.light[index]).float(),
    )
    shift = torch.tensor([*motion.poses.shift[index], -float(turned[:, 2].mean())])
    reach = float(turned.abs().max()) * 4.0
    clip = clip_space((turned + shift).float(), width, height, reach)
    triangles = model.triangles.numpy().astype(np.int32)
    ids, shares, _ = rasterize(clip.numpy(), triangles, width, height)
    there = ids >= 0
    corners = colour.numpy()[triangles[ids[there]]]
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[there] = np.clip(np.rint((corners * shares[there][..., None]).sum(axis=1)), 0, 255)
    drawn = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format="yuv420p")
    made = drawn.to_ndarray().astype(np.uint8)
    out = frame.copy()
    few = there[::2, ::2] & there[1::2, 1::2]
    for mine, new, where in zip(planes_of(out), planes_of(made), (there, few, few), strict=True):
        mine[where] = new[where]
    return out
