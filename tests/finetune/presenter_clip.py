"""The end of the presenter's clip, "Let us begin." and silence, and the track of it."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.appearance.layout import Layout, open_layout
from visavis.finetune.appearance.model import Appearance, fit_appearance
from visavis.finetune.geometry import Geometry, fit_geometry
from visavis.finetune.parts import ANCHOR, SIZE
from visavis.finetune.texture import posed, visible_triangles
from visavis.finetune.track import Track
from visavis.finetune.video import read_clip

CLIP = Path(__file__).resolve().parents[2] / "persons" / "presenter" / "presenter.mp4"
TRUTH = CLIP.with_suffix(".npz")
FRAMES = slice(480, 582)


@functools.cache
def track() -> Track:
    with np.load(Path(__file__).parent / "golden" / "track.npz") as arrays:
        steps = np.concatenate([arrays["first"][None], arrays["steps"].astype(np.int32)])
        landmarks = np.cumsum(steps, axis=0).astype(np.float32) / 64
        return Track(landmarks, arrays["triangles"].astype(np.int32))


@functools.cache
def frames() -> NDArray[np.uint8]:
    return read_clip(CLIP)[FRAMES]


@functools.cache
def geometry(components: int = 6) -> Geometry:
    return fit_geometry(track(), components=components)


@functools.cache
def layout(components: int = 6, size: int = SIZE) -> Layout:
    fitted = geometry(components)
    return open_layout(fitted, visible_triangles(fitted), ANCHOR, size)


@functools.cache
def points(components: int = 6) -> list[NDArray[np.float32]]:
    """The tracked mesh in each frame, float32[V, 2]."""
    fitted = geometry(components)
    return [posed(fitted, i)[:, :2].astype(np.float32) for i in range(len(fitted.pose))]


@functools.cache
def appearance() -> Appearance:
    """The look of the tracked coefficients, every second frame's: the search takes long."""
    rows = slice(None, None, 2)
    return fit_appearance(frames()[rows], points()[rows], geometry().coefficients[rows], layout())
