"""Flicker of the lips where they should be still: silence and held vowels, made and real."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.report.flicker import flicker, held_vowels, silences, stack
from visavis.finetune.report.footage import placed
from visavis.finetune.report.mouths import BESIDE, luma_of
from visavis.finetune.report.plane import grid_around
from visavis.finetune.report.rows import Scene
from visavis.finetune.report.studio import Studio

__all__ = ["flicker_figures"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

Stretches = Callable[[NDArray[np.floating], F64], list[tuple[int, int]]]


def flicker_figures(studio: Studio, scene: Scene) -> Mapping[str, Any]:
    """Return by "silence" and "vowels": frames that count, real energy, and ratios of what is made.

    A ratio is None where no stretch is long enough, or where the real lips have none.
    """
    clip, held = scene.clip, scene.held_out
    spoken = scene.spoken
    asked = studio.asked(spoken.coefficients[held]).opening
    gate = spoken.gate[held]

    def energy(
        frames: Sequence[U8], poses: F32, coefficients: F32, opening: F64, find: Stretches
    ) -> tuple[float | None, int]:
        stacks, count = [], 0
        for first, last in _runs(held, gate, opening, find):
            part = slice(first, last)
            shapes = studio.shapes(coefficients[part])
            iod = float(np.median(np.linalg.norm(poses[part, :, 0], axis=1)))
            grid = grid_around(shapes, BESIDE, iod)
            stacks.append(stack([luma_of(f) for f in frames[part]], poses[part], grid))
            count += last - first
        return flicker(stacks), count

    table: dict[str, Any] = {}
    for name, find in (("silence", silences), ("vowels", held_vowels)):
        own = clip.pose[held], clip.coefficients[held], clip.mouth.opening[held], find
        real, frames = energy([clip.frames[i] for i in held], *own)
        tracked, _ = energy(list(scene.tracked), *own)
        voice, voiced = energy(
            list(scene.voice), spoken.poses, spoken.coefficients[held], asked, find
        )
        table[name] = {
            "frames": frames,
            "voice_frames": voiced,
            "real_energy": real,
            "tracked": _over(tracked, real),
            "voice": _over(voice, real),
        }
    return table


def _over(made: float | None, real: float | None) -> float | None:
    return made / real if made is not None and real else None


def _runs(
    held: NDArray[np.int64], gate: F32, opening: F64, find: Stretches
) -> Sequence[tuple[int, int]]:
    """Stretches as positions in what is judged, none over a gap."""
    out = []
    for start, piece in placed(held):
        part = slice(start, start + len(piece))
        out += [(start + a, start + b) for a, b in find(gate[part], opening[part])]
    return out
