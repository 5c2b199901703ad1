"""The fit of a morphable model to a tracked clip, coarse to fine.

A rough fit to the points that model and tracker share; places of all tracked points on the surface;
the same key frames by analysis by synthesis, which settles identity, albedo and light; then every
frame of the clip, with less and less blur.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.engines.raster import rasterize
from visavis.finetune.geometry import Geometry, fit_geometry
from visavis.finetune.mesh import loops
from visavis.finetune.morphable.correspond import KNOWN, TRACKED, places
from visavis.finetune.morphable.landmarks import Faces, lay_on, start_poses
from visavis.finetune.morphable.nvdiffrast import best_rasterizer
from visavis.finetune.morphable.surface import Surface, on_surface
from visavis.finetune.morphable.sweeps import Motion, Skin, Yardsticks, follow, sweep
from visavis.finetune.morphable.synthesis import Look, Seen, clip_space, covered, synthesise
from visavis.finetune.track import Track
from visavis.models.face_model import FaceModel, normals

__all__ = ["Fit", "fit_model"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]

KEY_FRAMES = 8
# Deviations in distances of the eyes: of points that two kinds of landmarks share, and of tracked
# points in their places; larger than their noise, because a point errs the same in every frame.
ROUGH, FINE = 0.04, 0.04
LIP_WEIGHT = 8.0  # of the inner lips, whose opening the priors would make smaller
OUTLINE_WEIGHT = 0.2  # the tracked outline goes along with the view
SKIN_POINTS = 2500
SWEEPS = (8, 4, 2, 2)  # how much smaller the pictures are
LONG, LONG_SWEEPS = 1500, (4, 2)  # frames, of which more would take too long


@dataclass(frozen=True, slots=True)
class Fit:
    """A person and a clip of N frames in a model's terms.

    Attributes:
        identity: f64[I]; look: albedo, and light of the key frames.
        motion: expression, pose and light of every frame.
        points: the tracked points on the person's surface, without identity.
        key: int64[K], the key frames.
        figures: by name, for people: "landmarks, px", the median over frames of the root mean
            square distance of fitted and tracked points; "photometric, levels", the median absolute
            difference in the last sweep; "synthesised, levels", the same of the model's colours
            alone in the key frames; "followed, share of frames".
    """

    identity: F64
    look: Look
    motion: Motion
    points: Surface
    key: I64
    figures: dict[str, float]


def fit_model(
    model: FaceModel,
    frames: U8,
    track: Track,
    *,
    cuts: Sequence[int] = (),
    device: str = "cpu",
    say: Callable[[str], None] = lambda sentence: None,
) -> Fit:
    """Fit a model to a clip.

    Args:
        model: the model, on the CPU.
        frames: uint8[N, H*3/2, W], I420; may be mapped from a file.
        track: of these frames.
        cuts: frames with which something new begins.
        device: where key frames are synthesised.
        say: called with sentences on the way.

    Raises:
        PersonFileError: the model cannot be laid onto the face.
    """
    if device == "cpu":
        torch.set_num_threads(1)  # as the renderer's training: equal runs give equal sums
    rough = fit_geometry(track, cuts=cuts)
    tracked = track.landmarks[..., :2].astype(np.float64)
    eyes = float(np.median(np.linalg.norm(rough.pose[:, 0, :3], axis=1)))
    key = _key_frames(rough)
    weight = _weights(track, rough)
    say(f"Laying the face model onto {len(key)} frames.")
    faces = _start(model, track, key, eyes)
    triangle, barycentric = places(model, faces, tracked[key])
    everywhere = on_surface(model, triangle, barycentric)
    faces = lay_on(everywhere, tracked[key], FINE * eyes, faces)
    # Once more: the places were those of a rough face.
    triangle, barycentric = places(model, faces, tracked[key])
    everywhere = on_surface(model, triangle, barycentric)
    faces = lay_on(everywhere, tracked[key], FINE * eyes, faces)
    say("Finding shape, skin and light by synthesis.")
    seen = Seen(
        np.stack([frames[k] for k in key]), tracked[key], track.triangles, triangle, barycentric,
        weight, FINE * eyes,
    )  # fmt: skip
    faces, look, error = synthesise(
        model, seen, faces, device=device, rasterizer=best_rasterizer(device)
    )
    if not all(np.isfinite(a).all() for a in (faces.identity, faces.expression, look.light)):
        raise PersonFileError("The face model cannot be laid onto the face of this clip.")
    points = everywhere.of_person(faces.identity)
    skin = _skin(model, faces, look, seen)
    neutral = points.mean.astype(np.float64)
    poses = start_poses(neutral, track.landmarks.astype(np.float64))
    say(f"Following the face model through {len(frames)} frames.")
    expression = follow(points, weight, tracked, poses, FINE * eyes)
    motion = Motion(
        expression, poses, np.repeat(look.light.mean(axis=0)[None], len(frames), axis=0)
    )
    joined = np.ones(len(frames) - 1, np.bool_)
    joined[[cut - 1 for cut in cuts if 0 < cut < len(frames)]] = False
    errors = np.zeros(len(frames))
    sweeps = SWEEPS if len(frames) <= LONG else LONG_SWEEPS
    for count, by in enumerate(sweeps):
        say(f"Sweep {count + 1} of {len(sweeps)}, pictures at 1/{by}.")
        motion, errors = sweep(
            motion, skin, points, weight, frames, tracked, by=by, eyes=eyes,
            yardsticks=Yardsticks(FINE * eyes), joined=joined, key=key,
        )  # fmt: skip
    distance = _distances(points, motion, tracked)
    followed = np.isfinite(errors) & (distance < 3.0 * FINE * eyes)
    return Fit(
        faces.identity,
        look,
        motion,
        points,
        key,
        {
            "landmarks, px": round(float(np.median(distance)), 3),
            "photometric, levels": round(float(np.nanmedian(errors)), 2),
            "synthesised, levels": round(error, 2),
            "followed, share of frames": round(float(followed.mean()), 4),
        },
    )


def _key_frames(rough: Geometry) -> I64:
    """Return frames that differ most, rising (farthest points first; T. Gonzalez, 1985)."""
    turn = rough.pose[:, :2, 2] / np.linalg.norm(rough.pose[:, :1, :3], axis=2)
    looks = np.column_stack([rough.aperture, rough.width, turn])
    looks = (looks - looks.mean(axis=0)) / (looks.std(axis=0) + 1e-9)
    chosen = [int(np.square(looks).sum(axis=1).argmin())]
    distance = np.full(len(looks), np.inf)
    while len(chosen) < min(KEY_FRAMES, len(looks)):
        distance = np.minimum(distance, np.square(looks - looks[chosen[-1]]).sum(axis=1))
        chosen.append(int(distance.argmax()))
    return np.unique(np.array(chosen, np.int64))


def _weights(track: Track, rough: Geometry) -> F64:
    """Return how much each tracked point counts."""
    weight = np.ones(track.landmarks.shape[1])
    weight[rough.lips] = LIP_WEIGHT
    weight[max(loops(track.triangles), key=len)] = OUTLINE_WEIGHT
    return weight


def _start(model: FaceModel, track: Track, key: I64, eyes: float) -> Faces:
    """Lay the model onto the points that both name."""
    vertex = model.landmarks.numpy()[KNOWN]
    surface = Surface(
        model.mean.numpy()[vertex],
        np.ascontiguousarray(model.identity.numpy()[:, vertex].transpose(1, 2, 0)),
        np.ascontiguousarray(model.expression.numpy()[:, vertex].transpose(1, 2, 0)),
    )
    tracked = track.landmarks[key][:, TRACKED].astype(np.float64)
    start = Faces(
        np.zeros(len(model.identity)),
        np.zeros((len(key), len(model.expression))),
        start_poses(surface.mean.astype(np.float64), tracked),
    )
    return lay_on(surface, tracked[..., :2], ROUGH * eyes, start)


def _skin(model: FaceModel, faces: Faces, look: Look, seen: Seen) -> Skin:
    """Choose points on a grid of the key frame that is the most frontal, inside the outline."""
    n = int(faces.poses.rotation[:, 2, 2].argmax())
    frames = seen.frames
    height, width = frames.shape[1] * 2 // 3, frames.shape[2]
    identity = torch.from_numpy(faces.identity).float()
    face = torch.from_numpy(faces.expression[n]).float()
    shape = model.shape(identity, face).double().numpy()
    turned = faces.poses.turned(n, shape)
    turned[:, 2] -= turned[:, 2].mean()
    turned[:, :2] += faces.poses.shift[n]
    mask = covered(seen.tracked[n], seen.outline, height, width, 1)
    triangles = model.triangles.numpy().astype(np.int32)
    clip = clip_space(torch.from_numpy(turned).float(), width, height, 4.0 * float(np.ptp(turned)))
    ids, shares, _ = rasterize(clip.numpy(), triangles, width, height)
    mask &= ids >= 0
    step = max(1, round(np.sqrt(mask.sum() / SKIN_POINTS)))
    rows, columns = np.nonzero(mask)
    chosen = (rows % step == 0) & (columns % step == 0)
    triangle = ids[rows[chosen], columns[chosen]].astype(np.int64)
    barycentric = shares[rows[chosen], columns[chosen]]
    neutral = model.shape(identity, torch.zeros(len(model.expression)))
    facing = normals(neutral, model.triangles).numpy()
    albedo = model.albedo(torch.from_numpy(look.colours).float()).numpy()
    corners = triangles[triangle]
    normal = np.einsum("pk,pkc->pc", barycentric, facing[corners])
    return Skin(
        on_surface(model, triangle, barycentric).of_person(faces.identity),
        normal / np.linalg.norm(normal, axis=1, keepdims=True),
        np.clip(np.einsum("pk,pkc->pc", barycentric, albedo[corners]), 1.0, 255.0),
        neutral.numpy(),
        triangles,
    )


def _distances(points: Surface, motion: Motion, tracked: F64) -> F64:
    """Return the root mean square distance of fitted and tracked points, f64[N], pixels."""
    out = np.zeros(len(tracked))
    for n, wanted in enumerate(tracked):
        turned = motion.poses.turned(n, points.mean + points.expression @ motion.expression[n])
        error = turned[:, :2] + motion.poses.shift[n] - wanted
        out[n] = np.sqrt(np.square(error).sum(axis=1).mean())
    return out
