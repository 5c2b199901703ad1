"""Does the picture show the mouth that was asked for: render a sound, track it, compare.

    python -m visavis.finetune.closed_loop PERSON SOUND --tracker PYTHON

The tracker sees finished frames, so everything counts that a viewer sees: renderer, mask and
background, where the mouth of the clip does something else.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.person import load_person
from visavis.finetune.geometry import EYE_LEFT, EYE_RIGHT, LIP_LOWER, LIP_UPPER
from visavis.finetune.lips.yardstick.agreement import high_pass
from visavis.finetune.lips.yardstick.clips import TICK, read_sound
from visavis.finetune.lips.yardstick.listener import PersonLips, Shown
from visavis.finetune.lips.yardstick.mouth import Mouth, mouth_of, without_pose
from visavis.finetune.track import track_faces

__all__ = ["Seen", "compare", "main", "see", "trembling"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

CLOSED = 0.012  # IOD, as far apart as lips are that a viewer calls shut
ASKED_CLOSED = 0.004
WIDE = 0.1
# Outer and inner middle of the lips, and the corners; the corners of both eyes, which stand still.
LIPS = (0, LIP_UPPER, LIP_LOWER, 17, 61, 78, 291, 308)
EYES = (EYE_RIGHT, 133, EYE_LEFT, 362)
_TREMBLE_S = 1.0 / 6.0  # faster than this
_LEAST_STILL = 25  # frames


@dataclass(frozen=True, slots=True)
class Seen:
    """A person speaking a sound, K frames.

    Attributes:
        asked: what the engine commanded.
        mouth: what the tracker sees in the picture.
        mesh: float64[K, V, 3], the tracked face in head space.
    """

    asked: Shown
    mouth: Mouth
    mesh: F64


def see(lips: PersonLips, sound: F32, tracker: Path, seed: int = 0) -> Seen:
    """Render float32[640 K] of sound and track the pictures.

    Raises:
        PersonFileError: the tracker does not run, or finds no face.
    """
    film = lips.film(sound, seed)
    mesh = without_pose(track_faces(film.pictures, tracker).landmarks)
    return Seen(film.shown, mouth_of(mesh), mesh)


def compare(asked: F64, shown: F64) -> Mapping[str, float | None]:
    """Compare openings per frame, in IOD.

    Returns:
        r, their correlation; gain, the slope of shown over asked; error, their RMS difference;
        asked_closed, frames that are asked to be closed; shown_closed, the share of them that are;
        shown_open, the share that is open of those asked to be open by more than `WIDE`. None where
        not defined.
    """
    shut, wide = asked < ASKED_CLOSED, asked > WIDE
    moves = asked.std() > 1e-6 and shown.std() > 1e-6
    return {
        "frames": float(len(asked)),
        "r": float(np.corrcoef(asked, shown)[0, 1]) if moves else None,
        "gain": float(np.polyfit(asked, shown, 1)[0]) if moves else None,
        "error": float(np.sqrt(np.mean((asked - shown) ** 2))),
        "asked_closed": float(shut.sum()),
        "shown_closed": float((shown[shut] < CLOSED).mean()) if shut.any() else None,
        "shown_open": float((shown[wide] > CLOSED).mean()) if wide.any() else None,
    }


def trembling(mesh: F64, still: NDArray[np.bool_], points: tuple[int, ...]) -> float | None:
    """How much points tremble between 6 Hz and 12.5 while the face is to be still.

    Args:
        mesh: float64[K, V, 3] in head space.
        still: bool[K]; stretches under a second do not count.

    Returns:
        RMS over the points, in the plane of the face, IOD; None where nothing is still.
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], still, [False])).astype(int)))
    power = [
        np.mean([high_pass(mesh[a:b, v, axis], _TREMBLE_S) ** 2 for v in points for axis in (0, 1)])
        for a, b in edges.reshape(-1, 2).tolist()
        if b - a >= _LEAST_STILL
    ]
    return float(np.sqrt(np.mean(power))) if power else None


def main(arguments: list[str] | None = None) -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(prog="visavis.finetune.closed_loop")
    parser.add_argument("person", type=Path)
    parser.add_argument("sound", type=Path)
    parser.add_argument("--tracker", type=Path, required=True, help="Python with MediaPipe")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args(arguments)
    lips = PersonLips(load_person(options.person))
    frames = int(options.seconds * 25)
    seen = see(lips, read_sound(options.sound)[: frames * TICK], options.tracker)
    for name, value in compare(seen.asked.mouth.opening, seen.mouth.opening).items():
        print(f"{name:14} {'-' if value is None else format(value, '8.3f'):>8}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
