"""Which part of the pictures is used, and how it is scaled: what `ingest` needs to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from visavis.finetune.check.look import Sample, eye_distance, view_of
from visavis.finetune.check.source import Facts
from visavis.finetune.geometry import EYE_LEFT, EYE_RIGHT
from visavis.finetune.video import View

__all__ = ["CROP", "CROPS", "LARGEST_SCALE", "WANTED_EYES", "Plan", "make_plan"]

CROP = 192  # pixels of the renderer's crop, by which what follows grows
CROPS = (CROP, 256, 384)
WANTED_EYES = 128.0  # pixels between the outer eye corners
LARGEST_SCALE = 1.8  # beyond it a face is only blur
_LEFT_ALONE = 0.1  # a scale so near to 1 costs more than it brings
_SIDE = 512  # pixels of the window at most, a multiple of 8
# How far the window's middle lies under the eyes, in their distance: head and shoulders fit in.
_UNDER_EYES = 0.24


@dataclass(frozen=True, slots=True)
class Plan:
    """How a video is read in.

    Attributes:
        coded: width and height of the pictures as they are decoded, to tell a foreign video.
        view: what is taken of each, and its size.
        scale: pixels that are made of one shown pixel.
        left, top, right, bottom: the window in pixels of the shown picture.
        eyes: pixels between the eyes in what is made.
        frames: how many there will be, about.
    """

    coded: tuple[int, int]
    view: View
    scale: float
    left: float
    top: float
    right: float
    bottom: float
    eyes: float
    frames: int


def make_plan(facts: Facts, samples: Sequence[Sample], crop: int = CROP) -> Plan | None:
    """Return the plan for a video; None where no face was seen.

    The window lies around where the face usually is, as far as the picture reaches.

    Args:
        facts: of the video.
        samples: what was looked at.
        crop: pixels of the renderer's crop; face and window are as large as it takes.
    """
    faces = [sample.faces[0] for sample in samples if sample.faces]
    if not faces:
        return None
    eyes = float(np.median([eye_distance(face) for face in faces]))
    middle = np.median([(face[EYE_RIGHT, :2] + face[EYE_LEFT, :2]) / 2 for face in faces], axis=0)
    scale = min(LARGEST_SCALE, WANTED_EYES * crop / CROP / eyes)
    if abs(scale - 1.0) < _LEFT_ALONE:
        scale = 1.0
    most = _SIDE * crop // CROP // 8 * 8
    size = [min(most, max(8, int(side * scale) // 8 * 8)) for side in facts.shown]
    first = []
    for centre, side, shown in zip(
        (middle[0], middle[1] + _UNDER_EYES * eyes), size, facts.shown, strict=True
    ):
        first.append(float(np.clip(centre - side / scale / 2, 0.0, shown - side / scale)))
    left, top = first
    right, bottom = left + size[0] / scale, top + size[1] / scale
    frames = round(facts.used_s * 25)
    view = view_of(facts, left, top, right, bottom, (size[0], size[1]))
    return Plan(facts.coded, view, scale, left, top, right, bottom, eyes * scale, frames)
