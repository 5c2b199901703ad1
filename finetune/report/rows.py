"""The table of pictures: what the engine makes, and beside it what is good by some figure alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.engines.stages import Stages
from visavis.finetune.closed_loop import WIDE
from visavis.finetune.report.appearance import fit_appearance
from visavis.finetune.report.footage import Footage
from visavis.finetune.report.mouths import AROUND, BESIDE, Window, cut, luma_of, window
from visavis.finetune.report.octaves import energies
from visavis.finetune.report.plane import between, grid_around
from visavis.finetune.report.ring import ring_error
from visavis.finetune.report.scores import Scores, of_other_moments, score
from visavis.finetune.report.stand_ins import blurred_with_grain, half_resolution
from visavis.finetune.report.studio import Spoken, Studio

__all__ = ["BASELINE", "TRACKED", "VOICE", "Scene", "rows"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

TRACKED, VOICE = "tracked-driven", "voice-driven"
BASELINE = "appearance model"
DRAWN, NEXT = "drawn without a network", "next real frame, head held still"
GRAIN, HALF = "blur 1.4 and grain", "half resolution, up again"
LEAST_TRAINING, MOST_TRAINING = 50, 400  # frames that the appearance model learns from


@dataclass(frozen=True, slots=True)
class Scene:
    """What was filmed, and what the engine makes of it, K frames that are judged.

    Attributes:
        clip: all N frames.
        held_out: int[K], those that are judged, rising; training: int[M], of the baseline.
        tracked: uint8[K, H*3/2, W], made from the tracked coefficients.
        voice: uint8[K, H*3/2, W], made from the sound; spoken: how, for all N frames.
    """

    clip: Footage
    held_out: I64
    training: I64
    tracked: U8
    voice: U8
    spoken: Spoken


def _open(between_lips: Bools, opening: float) -> Bools:
    """What is between the lips where they are apart enough to show teeth."""
    return between_lips if opening > WIDE else np.zeros_like(between_lips)


def _windows(studio: Studio, coefficients: F32, poses: F32) -> list[Window]:
    height, width = studio.person.height, studio.person.width
    return [
        window(studio.lips(c, p), float(np.linalg.norm(p[:, 0])), height, width)
        for c, p in zip(coefficients, poses, strict=True)
    ]


def rows(studio: Studio, scene: Scene) -> Mapping[str, Scores]:
    """Return scores by the names of rows.

    Those that need what is not there are missing: the appearance model where there are too few
    frames to learn from, what is drawn without a network where planes are of another kind.
    """
    clip, held = scene.clip, scene.held_out
    real_frames = [clip.frames[i] for i in held]
    where = _windows(studio, clip.coefficients[held], clip.pose[held])
    real = [cut(frame, w) for frame, w in zip(real_frames, where, strict=True)]
    boxes = [w.box for w in where]
    teeth = [
        _open(w.between, opening)
        for w, opening in zip(where, clip.mouth.opening[held].tolist(), strict=True)
    ]
    origins = np.array([studio.origin(pose) for pose in clip.pose[held]])

    def row(made: Sequence[F32], ring: float | None = None) -> Scores:
        return score(made, real, boxes, teeth, ring)

    def windows_of(frames: Sequence[U8] | U8) -> list[F32]:
        return [cut(frame, w) for frame, w in zip(frames, where, strict=True)]

    table = {
        TRACKED: row(
            windows_of(scene.tracked), ring_error(scene.tracked, real_frames, studio.mask, origins)
        ),
        VOICE: _voice(studio, scene, real, boxes, teeth),
    }
    if len(scene.training) >= LEAST_TRAINING:
        table[BASELINE] = row(_baseline(studio, scene, where))
    if (stages := studio.without_network()) is not None:
        crops, ring = [], []
        for index, frame in enumerate(_drawn(studio, scene, stages)):
            crops.append(cut(frame, where[index]))
            ring.append(
                ring_error([frame], [real_frames[index]], studio.mask, origins[index : index + 1])
            )
        table[DRAWN] = row(crops, float(np.mean(ring)))
    table[NEXT] = row(_next(studio, scene, where))
    table[HALF] = row(half_resolution(real))
    table[GRAIN] = row(blurred_with_grain(real, boxes))
    return table


def _voice(
    studio: Studio, scene: Scene, real: list[F32], boxes: list[Bools], teeth: list[Bools]
) -> Scores:
    """Detail alone: the head is elsewhere, and the mouth need not do the same."""
    coefficients = scene.spoken.coefficients[scene.held_out]
    where = _windows(studio, coefficients, scene.spoken.poses)
    made = [cut(frame, w) for frame, w in zip(scene.voice, where, strict=True)]
    opening = studio.asked(coefficients).opening.tolist()
    own = [_open(w.between, gap) for w, gap in zip(where, opening, strict=True)]
    return Scores(
        psnr=None,
        ssim=None,
        mouth=of_other_moments(energies(made, [w.box for w in where]), energies(real, boxes)),
        teeth=of_other_moments(energies(made, own), energies(real, teeth)),
    )


def _baseline(studio: Studio, scene: Scene, where: list[Window]) -> list[F32]:
    clip, held = scene.clip, scene.held_out
    count = min(MOST_TRAINING, len(scene.training))
    chosen = scene.training[np.linspace(0, len(scene.training) - 1, count).astype(np.int64)]
    iod = float(np.median(np.linalg.norm(clip.pose[held, :, 0], axis=1)))
    reach = np.concatenate([studio.shapes(clip.coefficients[i]) for i in (chosen, held)])
    grid = grid_around(reach, BESIDE + (AROUND + 4) / iod, iod)
    model = fit_appearance(
        [luma_of(clip.frames[i]) for i in chosen],
        clip.pose[chosen],
        clip.coefficients[chosen],
        grid,
    )
    return [
        model.in_frame(clip.coefficients[i], clip.pose[i], w)
        for i, w in zip(held, where, strict=True)
    ]


def _drawn(studio: Studio, scene: Scene, stages: Stages) -> Iterator[U8]:
    clip = scene.clip
    for i in scene.held_out:
        yield studio.tracked(clip.frames[i], clip.pose[i], clip.coefficients[i], stages)


def _next(studio: Studio, scene: Scene, where: list[Window]) -> list[F32]:
    clip = scene.clip
    depth = float(studio.contour[:, 2].mean())
    out = []
    for i, w in zip(scene.held_out.tolist(), where, strict=True):
        other = i + 1 if i + 1 < len(clip) else i - 1
        seen = luma_of(clip.frames[other])
        out.append(between(seen, clip.pose[other], clip.pose[i], depth, w.rows, w.columns))
    return out
