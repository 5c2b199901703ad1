"""The baseline to beat: an appearance model, which is a mean picture and what moves it linearly.

Mouths of frames that are not judged, the head held still; their mean and twelve principal
components; the components by linear regression on the coefficients (T. Cootes et al., "Active
appearance models", PAMI 2001, with tracked coefficients in place of the search).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from visavis.finetune.report.mouths import Window
from visavis.finetune.report.plane import Grid, look

__all__ = ["COMPONENTS", "Appearance", "fit_appearance"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

COMPONENTS = 12
_RIDGE = 1e-3  # of the coefficients' variance, for those that do not vary


@dataclass(frozen=True, slots=True)
class Appearance:
    """A fitted model.

    Attributes:
        grid: where its pixels are.
        mean: float32[rows, columns], levels.
        components: float32[K, rows, columns].
        map: float64[C + 1, K], from coefficients and 1 to components.
    """

    grid: Grid
    mean: F32
    components: F32
    map: F64

    def picture(self, coefficients: F32) -> F32:
        """Return float32[rows, columns] for f32[C]."""
        scores = np.append(coefficients.astype(np.float64), 1.0) @ self.map
        return np.asarray(self.mean + np.tensordot(scores, self.components, 1), np.float32)

    def in_frame(self, coefficients: F32, pose: NDArray[np.floating], where: Window) -> F32:
        """Return the picture in a window of a frame, float32[h, w]."""
        turn = np.asarray(pose, np.float64)
        x, y = np.meshgrid(
            np.arange(where.columns.start, where.columns.stop) + 0.5,
            np.arange(where.rows.start, where.rows.stop) + 0.5,
        )
        shift = turn[:2, 2] * self.grid.depth + turn[:2, 3]
        flat = (np.stack([x, y], axis=-1) - shift) @ np.linalg.inv(turn[:2, :2]).T
        at = [
            (flat[..., 1] - self.grid.top) / self.grid.step,
            (flat[..., 0] - self.grid.left) / self.grid.step,
        ]
        seen = ndimage.map_coordinates(self.picture(coefficients), at, order=3, mode="nearest")
        return np.asarray(seen, np.float32)


def fit_appearance(
    lumas: Sequence[U8],
    poses: NDArray[np.floating],
    coefficients: F32,
    grid: Grid,
    components: int = COMPONENTS,
) -> Appearance:
    """Fit to frames.

    Args:
        lumas: M of uint8[H, W].
        poses: float[M, 3, 4]; coefficients: f32[M, C].
        grid: covers the windows that will be asked for.
        components: K; fewer where M is smaller.
    """
    pictures = np.stack(
        [look(luma, pose, grid).ravel() for luma, pose in zip(lumas, poses, strict=True)]
    )
    mean = pictures.mean(axis=0)
    centred = pictures - mean
    # Of M pictures of many more pixels: the eigenvectors of M x M give the same components.
    values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    keep = values[::-1][:components] > 1e-6 * max(float(values[-1]), 1e-12)
    axes = centred.T @ vectors[:, ::-1][:, :components][:, keep].astype(np.float32)
    axes /= np.maximum(np.linalg.norm(axes, axis=0), 1e-9)
    scores = (centred @ axes).astype(np.float64)
    design = np.concatenate([coefficients, np.ones((len(coefficients), 1))], axis=1)
    gram = design.T @ design
    gram[np.diag_indices(len(gram) - 1)] += _RIDGE * len(design)
    return Appearance(
        grid=grid,
        mean=mean.reshape(grid.rows, grid.columns),
        components=np.ascontiguousarray(axes.T.reshape(-1, grid.rows, grid.columns)),
        map=np.linalg.solve(gram, design.T @ scores),
    )
