"""A fit as the person's geometry: the tracker's mesh, moved and posed by the model.

The fitted surface is taken where the tracked points are on it, so everything after works as without
a model, and no more than these points of one person leave this room: no basis, no mean face.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.geometry import (
    COMPONENTS,
    Geometry,
    assemble,
    head_frame,
    similarity,
    smooth_pieces,
)
from visavis.finetune.mesh import loops
from visavis.finetune.morphable.fit import Fit
from visavis.finetune.track import Track

__all__ = ["geometry_of"]

F64 = NDArray[np.float64]

UPPER, LOWER = 13, 14  # middle of the inner contour of the lips, of MediaPipe's mesh
SHUT = 0.1  # share of the frames, those with the lips nearest together


def geometry_of(
    fit: Fit,
    track: Track,
    *,
    cuts: Sequence[int] = (),
    components: int = COMPONENTS,
) -> Geometry:
    """Return the geometry of a fitted clip.

    Args:
        fit: of N frames.
        track: that it was fitted to.
        cuts: frames with which something new begins.
        components: C.
    """
    points, motion = fit.points, fit.motion
    moved = np.tensordot(motion.expression, points.expression, (1, 2)) + points.mean
    moved += _shut(fit, moved, track)
    usual = np.median(moved, axis=0)
    mean = head_frame(usual)
    # Model space = size * turn @ head space + origin.
    size, turn, origin = similarity(mean, usual)
    poses = motion.poses
    rotation = poses.rotation @ turn
    shift = poses.scale[:, None] * (poses.rotation @ origin)
    shift[:, :2] += poses.shift
    pose = smooth_pieces(poses.scale * size, rotation, shift, cuts)
    still = (moved - origin) @ turn / size
    return assemble(mean, still, pose, track.triangles, components=components)


def _shut(fit: Fit, moved: F64, track: Track) -> F64:
    """Return f64[P, 3], what the inner lips are moved by so that they shut where they were tracked.

    The lips of a model meet where its own mouth is cut, which need not be where somebody's lips
    meet: without this a slit of a pixel stays between closed lips, and a slit is seen.
    """
    gap = np.linalg.norm(track.landmarks[:, UPPER, :2] - track.landmarks[:, LOWER, :2], axis=1)
    frames = np.argsort(gap / fit.motion.poses.scale, kind="stable")
    frames = frames[: max(1, round(SHUT * len(frames)))]
    lips = next(loop for loop in loops(track.triangles) if UPPER in loop)
    poses, out = fit.motion.poses, np.zeros(moved.shape[1:])
    for n in frames:
        missed = np.zeros((len(lips), 3))
        missed[:, :2] = track.landmarks[n, lips, :2] - poses.shift[n]
        missed[:, :2] -= poses.turned(n, moved[n, lips])[:, :2]
        out[lips] += missed @ poses.rotation[n] / poses.scale[n] / len(frames)
    return out
