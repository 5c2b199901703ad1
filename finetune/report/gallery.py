"""What a reader looks at: faces and mouths, filmed and made, and the blind test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.lips.yardstick.clips import FPS
from visavis.finetune.report.blind import FRAMES as BLIND_FRAMES
from visavis.finetune.report.blind import choose, write_blind
from visavis.finetune.report.footage import placed, stretches
from visavis.finetune.report.images import FACE, faces, mouths, png
from visavis.finetune.report.rows import TRACKED, VOICE, Scene

__all__ = ["Strip", "blind_test", "face_sheet", "mouth_strips"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

COLUMNS = 7
STRIPS, STRIP_FRAMES = 3, 6
GAP = 1  # pixels between mouths
SEED = 0
Source = tuple[str, Sequence[U8], F32]


@dataclass(frozen=True, slots=True)
class Strip:
    """Pictures of the same moments below each other.

    Attributes:
        title: when they are.
        rows: what each row is, and a JPEG or PNG of `width` x `height` pixels.
    """

    title: str
    rows: Sequence[tuple[str, bytes]]
    width: int
    height: int


def _sources(scene: Scene) -> list[Source]:
    """Frames and poses of what is filmed, what is tracked-driven and what is voice-driven."""
    poses = scene.clip.pose[scene.held_out]
    real = [scene.clip.frames[i] for i in scene.held_out]
    return [
        ("real", real, poses),
        (TRACKED, list(scene.tracked), poses),
        (VOICE, list(scene.voice), scene.spoken.poses),
    ]


def _iod(scene: Scene) -> float:
    return float(np.median(np.linalg.norm(scene.clip.pose[scene.held_out, :, 0], axis=1)))


def face_sheet(scene: Scene) -> Strip:
    """Return faces from the middles of equal parts of what is judged."""
    total = len(scene.held_out)
    count = min(COLUMNS, total)
    at = ((np.arange(count) + 0.5) * total / count).astype(np.int64)
    iod = _iod(scene)
    made = [
        (name, faces([frames[i] for i in at], poses[at], iod))
        for name, frames, poses in _sources(scene)
    ]
    width, height = FACE.size(iod)
    times = " s, ".join(f"{t:.1f}" for t in (scene.held_out[at] / FPS).tolist())
    return Strip(f"{times} s", made, width * count, height)


def mouth_strips(scene: Scene) -> list[Strip]:
    """Return the stretches in which the filmed mouth moves most, apart from each other."""
    opening = scene.clip.mouth.opening[scene.held_out]
    moved = {
        start + k: float(np.abs(np.diff(opening[start + k : start + k + STRIP_FRAMES])).sum())
        for start, piece in placed(scene.held_out)
        for k in range(len(piece) - STRIP_FRAMES + 1)
    }
    chosen: list[int] = []
    for start in sorted(moved, key=lambda s: (-moved[s], s)):
        if all(abs(start - other) >= 2 * STRIP_FRAMES for other in chosen):
            chosen.append(start)
        if len(chosen) == STRIPS:
            break
    iod = _iod(scene)
    strips = []
    for start in sorted(chosen):
        part = slice(start, start + STRIP_FRAMES)
        pictures = [
            (name, mouths(frames[part], poses[part], iod, GAP))
            for name, frames, poses in _sources(scene)
        ]
        height, width = pictures[0][1].shape[:2]
        strips.append(
            Strip(
                f"{STRIP_FRAMES} frames from {scene.held_out[start] / FPS:.2f} s",
                [(name, png(picture)) for name, picture in pictures],
                width,
                height,
            )
        )
    return strips


def blind_test(scene: Scene, folder: Path) -> Mapping[str, Any]:
    """Write the blind test of `blind` and return what its key holds."""
    names = ("real", "tracked", "voice")
    sources = dict(zip(names, _sources(scene), strict=True))
    iod = _iod(scene)

    def strip(kind: str, first: int) -> U8:
        _, frames, poses = sources[kind]
        row = int(np.searchsorted(scene.held_out, first))
        part = slice(row, row + BLIND_FRAMES)
        return mouths(frames[part], poses[part], iod, GAP)

    return write_blind(folder, choose(stretches(scene.held_out), SEED), strip, SEED)
