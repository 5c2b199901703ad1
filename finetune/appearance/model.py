"""The appearance model as `planes@2` draws it: a picture that is linear in the coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.appearance.layout import Layout, unwrapped

__all__ = ["Appearance", "fit_appearance", "ridge"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

RIDGE = 0.02  # of the coefficients' variance
CHUNK = 32  # frames that are held at once
FINEST = 1e-6  # levels in one step of a component that is hardly there


@dataclass(frozen=True, slots=True)
class Appearance:
    """A fitted model; every array is a picture in the layout, I420, levels.

    Attributes:
        layout: where the mesh lies in it.
        mean: float32[S*3/2, S], at coefficients of 0; basis: float32[C, S*3/2, S].
    """

    layout: Layout
    mean: F32
    basis: F32

    def parts(self) -> Mapping[str, NDArray[np.generic]]:
        """Return them as `planes@2` reads them, the components in 8 bits."""
        most = np.abs(self.basis).max(axis=(1, 2))
        scale = np.maximum(most / 127.0, FINEST).astype(np.float32)
        return {
            "appearance_mean": np.clip(np.rint(self.mean), 0, 255).astype(np.uint8),
            "appearance_basis": np.rint(self.basis / scale[:, None, None]).astype(np.int8),
            "appearance_scale": scale,
        }


def ridge(coefficients: F64, wanted: F64) -> tuple[F64, F64]:
    """Return mean float64[n] and basis float64[C, n] that explain float64[M, n] by float64[M, C].

    The mean is not held back, only what depends on the coefficients.
    """
    gram, mixed = _sums(coefficients, wanted)
    return _solved(gram, mixed, len(coefficients))


def _sums(coefficients: F64, wanted: NDArray[np.floating]) -> tuple[F64, F64]:
    design = np.concatenate([coefficients, np.ones((len(coefficients), 1))], axis=1)
    return np.asarray(design.T @ design), np.asarray(design.T @ wanted, np.float64)


def _solved(gram: F64, mixed: F64, count: int) -> tuple[F64, F64]:
    held = gram.copy()
    held[np.diag_indices(len(gram) - 1)] += RIDGE * count
    solved = np.asarray(np.linalg.solve(held, mixed), np.float64)
    return solved[-1], solved[:-1]


def fit_appearance(
    frames: Sequence[U8], points: Sequence[F32], coefficients: F32, layout: Layout
) -> Appearance:
    """Fit to frames whose coefficients are known.

    Args:
        frames: M of uint8[H*3/2, W], I420.
        points: M of f32[V, 2], the mesh in each.
        coefficients: f32[M, C].
        layout: of the model.
    """
    known = np.asarray(coefficients, np.float64)
    values = layout.size * layout.size * 3 // 2
    gram = np.zeros((known.shape[1] + 1,) * 2)
    mixed = np.zeros((known.shape[1] + 1, values))
    for first in range(0, len(frames), CHUNK):
        rows = slice(first, first + CHUNK)
        pictures = np.stack(
            [
                unwrapped(frame, mesh, layout).ravel()
                for frame, mesh in zip(frames[rows], points[rows], strict=True)
            ]
        )
        one, other = _sums(known[rows], pictures)
        gram += one
        mixed += other
    mean, basis = _solved(gram, mixed, len(frames))
    shape = (layout.size * 3 // 2, layout.size)
    return Appearance(
        layout, mean.reshape(shape).astype(np.float32), basis.reshape(-1, *shape).astype(np.float32)
    )
