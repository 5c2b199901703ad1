"""Where a tracked head is to the cameras of the published systems.

The tracker's camera is weak perspective, theirs is a pinhole; so a head is put where its points
fall nearest to the tracked ones, by least squares over six numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["fit_poses"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_ROUNDS = 12
_DAMPING = 1e-6


def fit_poses(project: Callable[[Tensor], Tensor], wanted: F64, start: F64) -> tuple[F32, F64]:
    """Fit poses by Gauss-Newton, all frames at once.

    Args:
        project: from poses f64[N, 6] (three angles in radians, three numbers of a translation) to
            pixels f64[N, P, 2]; every frame on its own.
        wanted: f64[N, P, 2], pixels.
        start: f64[6], of every frame.

    Returns:
        poses f32[N, 6], and how far off the points are, f64[N], RMS pixels.
    """
    target = torch.from_numpy(np.ascontiguousarray(wanted))
    poses = torch.from_numpy(np.repeat(start[None], len(wanted), axis=0))
    step = 1e-5
    for _ in range(_ROUNDS):
        here = project(poses)
        columns = []
        for k in range(6):
            moved = poses.clone()
            moved[:, k] += step
            columns.append((project(moved) - here) / step)
        jacobian = torch.stack(columns, dim=-1).flatten(1, 2)
        error = (target - here).flatten(1)[..., None]
        normal = jacobian.mT @ jacobian
        scale = normal.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
        normal = normal + _DAMPING * scale * torch.eye(6, dtype=normal.dtype)
        poses = poses + torch.linalg.solve(normal, jacobian.mT @ error)[..., 0]
    off = (target - project(poses)).square().sum(-1).mean(-1).sqrt()
    return poses.numpy().astype(np.float32), np.asarray(off.numpy(), np.float64)
