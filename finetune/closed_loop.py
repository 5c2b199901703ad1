"""Does the picture show the mouth that was asked for: render a sound, track it, compare.

    python -m visavis.finetune.closed_loop PERSON SOUND --tracker PYTHON

The tracker sees finished frames, so everything counts that a viewer sees: renderer, mask and
background, where the mouth of the clip does something else.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.person import Person, load_person
from visavis.engines.pipeline import Pipeline, Work
from visavis.engines.sound_file import SoundFile
from visavis.engines.timeline import Timeline
from visavis.finetune.geometry import EYE_LEFT, EYE_RIGHT, LIP_LOWER, LIP_UPPER
from visavis.finetune.track import track_faces

__all__ = ["compare", "main", "speak"]

CLOSED = 0.012  # IOD, as far apart as lips are that a viewer calls shut
ASKED_CLOSED = 0.004
WIDE = 0.1


def speak(
    person: Person, sound: Path, seconds: float
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return frames uint8[N, H*3/2, W] of a sound, and the coefficients f32[N, C] behind them."""
    pipeline = Pipeline(person)
    state, timeline = pipeline.initial_state(0), Timeline(person.lookahead_ms)
    pictures: list[NDArray[np.uint8] | None] = []
    coefficients: list[NDArray[np.float32] | None] = []
    with SoundFile(sound) as file:
        for _, pcm in file.samples():
            timeline.push(pcm)
            while (tick := timeline.take()) is not None and len(pictures) < seconds * 25:
                work = Work(state, tick.pcm)
                pipeline.advance([work])
                if work.error is not None:
                    raise work.error
                pictures.append(work.i420)
                coefficients.append(work.coefficients)
    return np.stack([p for p in pictures if p is not None]), np.stack(
        [c for c in coefficients if c is not None]
    )


def openings(person: Person, coefficients: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return float64[N], the gap between the lips that coefficients ask for, in IOD."""
    parts = person.stage_parts("geometry")
    mean, basis = np.asarray(parts["mean"]), np.asarray(parts["basis"])
    pair = [LIP_UPPER, LIP_LOWER]
    shape = mean[pair] + np.einsum("nc,cvd->nvd", coefficients, basis[:, pair])
    return np.asarray(np.linalg.norm((shape[:, 0] - shape[:, 1])[:, :2], axis=1), np.float64)


def compare(asked: NDArray[np.float64], shown: NDArray[np.float64]) -> Mapping[str, float]:
    """Compare openings per frame, in IOD.

    Returns:
        r, their correlation; gain, the slope of shown over asked; error, their RMS difference;
        asked_closed, frames that are asked to be closed; shown_closed, the share of them that are;
        shown_open, the share that is open of those asked to be open by more than `WIDE`.
    """
    shut, wide = asked < ASKED_CLOSED, asked > WIDE
    return {
        "frames": float(len(asked)),
        "r": float(np.corrcoef(asked, shown)[0, 1]),
        "gain": float(np.polyfit(asked, shown, 1)[0]),
        "error": float(np.sqrt(np.mean((asked - shown) ** 2))),
        "asked_closed": float(shut.sum()),
        "shown_closed": float((shown[shut] < CLOSED).mean()) if shut.any() else float("nan"),
        "shown_open": float((shown[wide] > CLOSED).mean()) if wide.any() else float("nan"),
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(prog="visavis.finetune.closed_loop")
    parser.add_argument("person", type=Path)
    parser.add_argument("sound", type=Path)
    parser.add_argument("--tracker", type=Path, required=True, help="Python with MediaPipe")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args(arguments)
    person = load_person(options.person)
    frames, coefficients = speak(person, options.sound, options.seconds)
    points = track_faces(frames, options.tracker).landmarks[..., :2].astype(np.float64)
    eyes = np.linalg.norm(points[:, EYE_RIGHT] - points[:, EYE_LEFT], axis=1)
    shown = np.linalg.norm(points[:, LIP_UPPER] - points[:, LIP_LOWER], axis=1) / eyes
    for name, value in compare(openings(person, coefficients), shown).items():
        print(f"{name:14} {value:8.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
