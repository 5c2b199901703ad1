"""An appearance model in a file: npz, nothing pickled."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from visavis.finetune.appearance.layout import Layout
from visavis.finetune.appearance.model import Appearance

__all__ = ["load_appearance", "save_appearance"]


def save_appearance(appearance: Appearance, path: Path) -> None:
    """Write a model, at once or not at all."""
    layout = appearance.layout
    partial = path.with_suffix(".partial.npz")
    np.savez(
        partial,
        points=layout.points,
        triangles=layout.triangles,
        lips=layout.lips,
        size=layout.size,
        iod=layout.iod,
        mean=appearance.mean,
        basis=appearance.basis.astype(np.float16),
    )
    partial.replace(path)


def load_appearance(path: Path) -> Appearance:
    """Read what `save_appearance` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        layout = Layout(
            arrays["points"],
            arrays["triangles"],
            arrays["lips"],
            int(arrays["size"]),
            float(arrays["iod"]),
        )
        return Appearance(layout, arrays["mean"], arrays["basis"].astype(np.float32))
