"""Every frame of a clip: expression, pose and light of a person whose identity is known.

Every sweep goes through the clip once and takes one Gauss-Newton step in every frame, its
neighbours held where the sweep before left them (block Jacobi of one energy). So a frame knows what
comes as well as what was, nothing lags, and no more than one frame is in memory.

The picture is compared at points that stay on the face (P. Garrido et al., "Reconstruction of
personalized 3D face rigs from monocular video", 2016). Their colour is the model's albedo,
corrected by the mean of what key frames show there: brows, moles and nostrils, which no model has,
are what tells a turn of a tenth of a degree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from visavis.engines.raster import rasterize
from visavis.finetune.morphable.landmarks import outlier_weight
from visavis.finetune.morphable.pictures import sampled, shrunk
from visavis.finetune.morphable.surface import (
    POSE,
    Poses,
    Surface,
    pose_jacobian,
    shape_jacobian,
)
from visavis.finetune.morphable.synthesis import clip_space
from visavis.models.face_model import harmonics

__all__ = ["Motion", "Skin", "Yardsticks", "follow", "near", "sweep"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

FACING = 0.35  # a point is compared where its normal is so much towards the camera
BEHIND = 0.06  # distances of the eyes that a point may be behind what is drawn
GRID = 2  # how much smaller the picture is in which it is told what is behind
# Points that err alike count as one: their colours are off in patches.
ALIKE = 12.0
OWN_COLOUR = 2.0  # frames that the model's colour weighs against what the key frames show
# How far a frame's numbers are from the mean of its neighbours': expression in deviations, then
# turn in radians, log scale and shift in distances of the eyes; and light.
CALM = 0.6
CALM_POSE = (0.004, 0.002, 0.004)
CALM_LIGHT = 0.05
LIGHT_PRIOR = 0.15


@dataclass(frozen=True, slots=True)
class Yardsticks:
    """Deviations: of a tracked point in pixels, of a colour in levels."""

    tracked: float
    colour: float = 12.0


@dataclass(frozen=True, slots=True)
class Skin:
    """Q points of the person's skin at which pictures are compared.

    Attributes:
        surface: of the person, without identity.
        normal: f32[Q, 3], of the neutral face.
        albedo: f32[Q, 3], 0 to 255.
        shape: f32[V, 3], the neutral face; triangles: int32[T, 3].
    """

    surface: Surface
    normal: F32
    albedo: F32
    shape: F32
    triangles: I32


@dataclass(frozen=True, slots=True)
class Motion:
    """What was found in N frames; changed by sweeps.

    Attributes:
        expression: f64[N, E]; poses: of N frames; light: f64[N, 9, 3].
    """

    expression: F64
    poses: Poses
    light: F64

    def copy(self) -> Motion:
        """Return a motion that can be changed."""
        return Motion(self.expression.copy(), self.poses.copy(), self.light.copy())


def follow(
    points: Surface, weight: F64, tracked: F64, poses: Poses, deviation: float, *, rounds: int = 4
) -> F64:
    """Return expressions f64[N, E] that tracked points alone ask for; `poses` is changed.

    Args:
        points: the P tracked points on the person, without identity.
        weight: f64[P].
        tracked: f64[N, P, 2], pixels.
        poses: to begin with.
        deviation: of a point, in pixels.
    """
    expression = np.zeros((len(tracked), points.expression.shape[2]))
    for n in range(len(tracked)):
        for _ in range(rounds):
            matrix, right = _tracked(points, weight, tracked[n], expression[n], poses, n, deviation)
            _step(matrix, right, expression, poses, n)
    return expression


def sweep(
    motion: Motion,
    skin: Skin,
    points: Surface,
    weight: F64,
    frames: U8,
    tracked: F64,
    *,
    by: int,
    eyes: float,
    yardsticks: Yardsticks,
    joined: NDArray[np.bool_],
    key: I64,
) -> tuple[Motion, F64]:
    """Take a step in every frame.

    Args:
        motion: of the sweep before.
        skin: where pictures are compared.
        points, weight, tracked: as of `follow`.
        frames: uint8[N, H*3/2, W], I420; may be mapped from a file.
        by: the pictures are so much smaller than the frames.
        eyes: pixels between the eyes.
        yardsticks: deviations.
        joined: bool[N - 1], whether a frame goes on in the next one.
        key: frames from which the person's own colour is taken.

    Returns:
        the motion, and per frame the median absolute difference in levels, f64[N].
    """
    albedo = _own_colour(motion, skin, frames, by, eyes, key)
    out = motion.copy()
    errors = np.zeros(len(frames))
    for n in range(len(frames)):
        matrix, right = _tracked(
            points, weight, tracked[n], motion.expression[n], motion.poses, n, yardsticks.tracked
        )
        errors[n] = _photometric(
            matrix, right, out.light, motion, skin, albedo, frames[n], n, by, eyes, yardsticks,
            near(joined, n),
        )  # fmt: skip
        _calm(matrix, right, motion, n, near(joined, n), eyes)
        _step(matrix, right, out.expression, out.poses, n)
    return out, errors


def near(joined: NDArray[np.bool_], n: int) -> Sequence[int]:
    """Return the frames before and after one, where all three are of the same piece.

    Args:
        joined: bool[N - 1], whether a frame goes on in the next one.
    """
    inside = 0 < n < len(joined) and joined[n - 1] and joined[n]
    return (n - 1, n + 1) if inside else ()


def _tracked(
    points: Surface,
    weight: F64,
    tracked: F64,
    expression: F64,
    poses: Poses,
    frame: int,
    deviation: float,
) -> tuple[F64, F64]:
    """Normal equations of the tracked points and of the prior: f64[6 + E, 6 + E], f64[6 + E]."""
    turned = poses.turned(frame, points.mean + points.expression @ expression)
    error = tracked - turned[:, :2] - poses.shift[frame]
    far = outlier_weight(np.linalg.norm(error, axis=1) / deviation)
    jacobian = np.concatenate(
        [pose_jacobian(turned), shape_jacobian(points.expression, poses, frame)], axis=2
    )
    left = (jacobian * (weight * far / deviation**2)[:, None, None]).reshape(-1, jacobian.shape[2])
    matrix: F64 = left.T @ jacobian.reshape(left.shape)
    right: F64 = left.T @ error.reshape(-1)
    faces = np.arange(POSE, len(matrix))
    matrix[faces, faces] += 1.0
    right[faces] -= expression
    return matrix, right


def _step(matrix: F64, right: F64, expression: F64, poses: Poses, frame: int) -> None:
    """Solve, and change the frame's pose and expression."""
    step = np.asarray(np.linalg.solve(matrix, right), np.float64)
    poses.step(frame, step[:POSE])
    expression[frame] += step[POSE:]


def _calm(
    matrix: F64, right: F64, motion: Motion, frame: int, beside: Sequence[int], eyes: float
) -> None:
    """Add what holds a frame near the mean of its neighbours."""
    if not beside:
        return
    before, after = beside
    poses = motion.poses
    turns = (
        Rotation.from_matrix(poses.rotation[[before, after]])
        * Rotation.from_matrix(poses.rotation[frame]).inv()
    )
    ahead = np.concatenate(
        [
            turns.as_rotvec().mean(axis=0),
            [np.log(poses.scale[[before, after]] / poses.scale[frame]).mean()],
            poses.shift[[before, after]].mean(axis=0) - poses.shift[frame],
            motion.expression[[before, after]].mean(axis=0) - motion.expression[frame],
        ]
    )
    turn, grow, move = CALM_POSE
    deviation = np.full(len(ahead), CALM)
    deviation[:POSE] = [turn, turn, turn, grow, move * eyes, move * eyes]
    at = np.arange(len(ahead))
    matrix[at, at] += 1.0 / deviation**2
    right += ahead / deviation**2


def _visible(skin: Skin, turned: F64, normal: F64, poses: Poses, n: int, size: tuple[int, int],
             eyes: float) -> NDArray[np.bool_]:  # fmt: skip
    """Whether points bool[Q] of the skin are seen: towards the camera and not behind the face."""
    height, width = size[0] // GRID, size[1] // GRID
    mesh = poses.turned(n, skin.shape)
    middle = mesh[:, 2].mean()
    mesh -= [0.0, 0.0, middle]
    mesh[:, :2] += poses.shift[n]
    reach = 4.0 * eyes / GRID
    clip = clip_space(torch.from_numpy(mesh / GRID).float(), width, height, reach)
    depth = rasterize(clip.numpy(), skin.triangles, width, height)[2]
    at = (turned[:, :2] + poses.shift[n]) / GRID
    column, row = np.floor(at).astype(np.int64).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    drawn = depth[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)] * reach * GRID
    shown = turned[:, 2] - middle < drawn + BEHIND * eyes
    seen: NDArray[np.bool_] = inside & shown & (normal[:, 2] < -FACING)
    return seen


def _shares(skin: Skin, poses: Poses, n: int) -> tuple[F64, F64]:
    """Normals f64[Q, 3] in the camera's axes, and their nine shares of light f64[Q, 9]."""
    normal = skin.normal @ poses.rotation[n].T
    return normal, harmonics(torch.from_numpy(normal)).numpy()


def _own_colour(motion: Motion, skin: Skin, frames: U8, by: int, eyes: float, key: I64) -> F64:
    """Return the albedo f64[Q, 3] that key frames show, the model's where they show none."""
    top = OWN_COLOUR * skin.albedo.astype(np.float64)
    bottom = np.full(top.shape, OWN_COLOUR)
    for n in key:
        shape = skin.surface.mean + skin.surface.expression @ motion.expression[n]
        turned = motion.poses.turned(n, shape)
        normal, shares = _shares(skin, motion.poses, n)
        size = (frames.shape[1] * 2 // 3, frames.shape[2])
        seen = _visible(skin, turned, normal, motion.poses, n, size, eyes)
        points = turned[:, :2] + motion.poses.shift[n]
        colour, _ = sampled(shrunk(frames[n], by), points, by)
        shading = np.clip(shares @ motion.light[n], 0.05, None)
        top += seen[:, None] * shading * colour
        bottom += seen[:, None] * shading**2
    own: F64 = top / bottom
    return own


def _photometric(
    matrix: F64,
    right: F64,
    light: F64,
    motion: Motion,
    skin: Skin,
    albedo: F64,
    picture: U8,
    n: int,
    by: int,
    eyes: float,
    yardsticks: Yardsticks,
    beside: Sequence[int],
) -> float:
    """Add the picture to the normal equations and set the frame's light; the median difference."""
    shape = skin.surface.mean + skin.surface.expression @ motion.expression[n]
    turned = motion.poses.turned(n, shape)
    normal, shares = _shares(skin, motion.poses, n)
    size = (len(picture) * 2 // 3, picture.shape[1])
    seen = np.flatnonzero(_visible(skin, turned, normal, motion.poses, n, size, eyes))
    turned, albedo, shares = turned[seen], albedo[seen], shares[seen]
    colour, change = sampled(shrunk(picture, by), turned[:, :2] + motion.poses.shift[n], by)
    light[n] = _light(motion.light, shares, albedo, colour, n, beside, yardsticks.colour)
    error = colour - albedo * (shares @ light[n])
    far = outlier_weight(np.linalg.norm(error, axis=1) / (np.sqrt(3.0) * yardsticks.colour))
    jacobian = np.concatenate(
        [
            pose_jacobian(turned).astype(np.float32),
            shape_jacobian(skin.surface.expression[seen], motion.poses, n),
        ],
        axis=2,
    )
    # The colour under a point changes as the point moves; the face's own stays.
    moved = -(change @ jacobian)
    weight = far / (ALIKE * yardsticks.colour**2)
    left = (moved * weight[:, None, None].astype(np.float32)).reshape(-1, moved.shape[2])
    matrix += left.T @ moved.reshape(left.shape)
    right += left.T @ error.reshape(-1).astype(np.float32)
    return float(np.median(np.abs(error))) if len(error) else float("nan")


def _light(
    light: F64,
    shares: F64,
    albedo: F64,
    colour: F32,
    n: int,
    beside: Sequence[int],
    deviation: float,
) -> F64:
    """Return the frame's light f64[9, 3], near its neighbours' and what it was."""
    held = light[list(beside)].mean(axis=0) if beside else light[n]
    out: F64 = held.copy()
    prior = np.eye(9) / (CALM_LIGHT if beside else LIGHT_PRIOR) ** 2
    for channel in range(3):
        design = shares * albedo[:, channel : channel + 1]
        error = colour[:, channel] - design @ held[:, channel]
        weight = outlier_weight(np.abs(error) / deviation) / (ALIKE * deviation**2)
        left = design * weight[:, None]
        out[:, channel] += np.linalg.solve(left.T @ design + prior, left.T @ error)
    return out
