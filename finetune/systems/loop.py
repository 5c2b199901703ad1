"""Does an imported person show the mouth that was asked for: render a voice, track it, compare.

    python -m visavis.finetune.systems.loop PERSON SOUND --face-model FILE --tracker PYTHON

As `finetune.closed_loop`, for persons whose coefficients move a face model: what is asked for is
read from the model's lips, what is shown by the tracker from finished frames. `--sheet` writes
frames and close-ups of the mouth beside what was asked.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import EngineError
from visavis.engines.person import Person, load_person
from visavis.engines.pipeline import Pipeline, Work
from visavis.export.face_model_file import read_face_model
from visavis.export.imports.face_points import FacePoints
from visavis.export.imports.pictures import to_i420
from visavis.export.imports.voice import read_voice
from visavis.finetune.background import jpeg
from visavis.finetune.closed_loop import compare
from visavis.finetune.lips.yardstick.mouth import mouth_of, without_pose
from visavis.finetune.track import track_faces
from visavis.finetune.video import to_rgb
from visavis.models.face_model import FaceModel

__all__ = ["Spoken", "lips_of", "main", "sheet", "shown_openings", "speak"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

TICK = 640  # samples
SECONDS = 20.0
UPPER, LOWER = 62, 66  # the middle of the inner lips, of the usual 68 points
COLUMNS, CLOSE = 8, 96  # of a sheet, and pixels of a close-up


@dataclass(frozen=True, slots=True)
class Spoken:
    """A person speaking, K frames.

    Attributes:
        pictures: uint8[K, H * 3 / 2, W], I420.
        coefficients: f32[K, C], as they were asked for.
    """

    pictures: U8
    coefficients: F32


def speak(person: Person, sound: F32, *, seed: int = 0) -> Spoken:
    """Show f32[640 K] of sound through the stages of a session.

    Raises:
        EngineError: a stage fails.
    """
    pipeline = Pipeline(person)
    ahead = person.lookahead_ms * 16
    state = pipeline.initial_state(seed, person.lookahead_ms)
    frames = len(sound) // TICK
    padded = np.concatenate((sound[: frames * TICK], np.zeros(ahead, np.float32)))
    pictures, rows = [], []
    for tick in range(frames):
        begin = 0 if tick == 0 else ahead + (tick - 1) * TICK
        work = Work(state, padded[begin : ahead + tick * TICK], True)
        pipeline.advance([work])
        if work.error is not None or work.coefficients is None or work.i420 is None:
            raise EngineError(f"{person.name} does not run: {work.error}.") from work.error
        pictures.append(work.i420)
        rows.append(work.coefficients)
    return Spoken(np.stack(pictures), np.stack(rows))


def lips_of(model: FaceModel) -> Callable[[F32], F64]:
    """Return what reads the gap of a face model's lips, in distances of the outer eye corners.

    The function takes f32[K, C], expressions first, and gives f64[K].
    """
    still = model.mean[model.landmarks].numpy().astype(np.float64)
    basis = model.expression[:, model.landmarks].numpy().astype(np.float64)
    count = len(basis)

    def points(rows: F32) -> F64:
        return np.asarray(still + np.einsum("kc,cpd->kpd", rows.astype(np.float64), basis))

    face = FacePoints(points, np.zeros(count))

    def gap(rows: F32) -> F64:
        at = face.at(rows[:, :count].astype(np.float64))
        return np.asarray(at[:, LOWER, 1] - at[:, UPPER, 1])

    return gap


def shown_openings(pictures: U8, tracker: Path) -> F64:
    """Return the gap of the lips that the tracker sees in the pictures, f64[K].

    Raises:
        PersonFileError: the tracker does not run, or finds no face.
    """
    return mouth_of(without_pose(track_faces(pictures, tracker).landmarks)).opening


def sheet(pictures: U8, asked: F64, shown: F64) -> U8:
    """Return frames that were asked for the least to the most opening, uint8[H, W, 3].

    Two rows: whole frames, then their middle, where the mouth is, twice as large; under each a bar
    of what was asked (white) and one of what was seen (grey).
    """
    order = np.argsort(asked, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, COLUMNS).round().astype(int)]
    side = 2 * CLOSE
    columns = []
    for frame in chosen.tolist():
        picture = to_rgb(pictures[frame])
        height, width = picture.shape[:2]
        step = max(1, -(-max(height, width) // side))
        whole = np.zeros((side, side, 3), np.uint8)
        small = picture[::step, ::step][:side, :side]
        whole[: small.shape[0], : small.shape[1]] = small
        centre, middle = int(height * 0.63), width // 2
        reach = CLOSE // 2
        near = picture[centre - reach : centre + reach, middle - reach : middle + reach]
        large = near.repeat(2, axis=0).repeat(2, axis=1)
        bars = np.zeros((16, side, 3), np.uint8)
        bars[2:7, : int(np.clip(asked[frame] / 0.4, 0.0, 1.0) * side)] = 255
        bars[9:14, : int(np.clip(shown[frame] / 0.4, 0.0, 1.0) * side)] = 128
        columns.append(np.concatenate((whole, large, bars)))
    return np.concatenate(columns, axis=1)


def main(arguments: list[str] | None = None) -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(prog="visavis.finetune.systems.loop")
    parser.add_argument("person", type=Path)
    parser.add_argument("sound", type=Path)
    parser.add_argument("--face-model", type=Path, required=True)
    parser.add_argument("--tracker", type=Path, required=True, help="Python with MediaPipe")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--sheet", type=Path, help="a .jpg to write")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    person = load_person(options.person)
    sound = read_voice(options.sound, options.seconds)
    spoken = speak(person, sound)
    asked = lips_of(read_face_model(options.face_model).model)(spoken.coefficients)
    shown = shown_openings(spoken.pictures, options.tracker)
    found: Mapping[str, float | None] = compare(asked, shown)
    if options.sheet is not None:
        options.sheet.write_bytes(jpeg(to_i420(sheet(spoken.pictures, asked, shown))))
    if options.json:
        print(json.dumps({k: None if v is None else round(v, 4) for k, v in found.items()}))
        return 0
    for name, value in found.items():
        print(f"{name:14} {'-' if value is None else format(value, '8.3f'):>8}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
