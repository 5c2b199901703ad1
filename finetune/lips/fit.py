"""Fits the motion stage to a person: from what a mouth does to that person's coefficients.

    python -m visavis.finetune.lips.fit --geometry geometry.npz --clip clip.mp4 --cuts 12.4 31.0 \\
        --motion motion.pt --out FOLDER

Aperture, jaw and width are distances that the tracker measured on the person's own face, so they
are regressed onto the coefficients without any sound. Protrusion, tuck and tongue cannot be
measured so; they come from the phones that are said (`--phones`, where the clip's voice was made),
or else from the network listening, which is then adapted to the person, too (`adapt`).
Lips shut and lip on teeth are the person's own: means over the frames where they happen.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.motion import MOVES
from visavis.finetune.speech.gestures import gestures
from visavis.finetune.speech.phones import Phone, from_festival

__all__ = [
    "Measured",
    "PersonMap",
    "fit_person_map",
    "moves_of",
    "read_phones",
]

log = logging.getLogger(__name__)

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

# Of the variance of a regressor; keeps channels apart that hardly vary on their own.
_RIDGE = 0.02
_LEAST_STILL = 10  # frames


@dataclass(frozen=True, slots=True)
class Measured:
    """What tracking says of a clip, per frame.

    Attributes:
        coefficients: f32[N, C]; rest: f32[C], those of the silent face.
        size: f32[C], how much each coefficient moves the face: norm of its component.
        aperture, jaw, width: f32[N], IOD; jaw and width may have any origin.
    """

    coefficients: F32
    rest: F32
    size: F32
    aperture: F32
    jaw: F32
    width: F32


@dataclass(frozen=True, slots=True)
class PersonMap:
    """Parts of `tract@2`, and how well they explain the clip.

    Attributes:
        rest, closed, liptooth: f32[C]; map: f32[C, 6].
        explained: share of the variance of the speaking face's shape, in blocked cross-validation
            with measured moves.
        closures, contacts: frames that `closed` and `liptooth` are means of.
    """

    rest: F32
    map: F32
    closed: F32
    liptooth: F32
    explained: float
    closures: int
    contacts: int

    def parts(self) -> dict[str, F32]:
        """By the names that `tract@2` wants."""
        return {
            "rest": self.rest,
            "map": self.map,
            "closed": self.closed,
            "liptooth": self.liptooth,
        }


def _ridge(x: F64, y: F64) -> F64:
    """No intercept: nothing moved is the rest."""
    power = x.T @ x
    penalty = _RIDGE * np.diag(np.diag(power) + 1e-9)
    return np.asarray(np.linalg.solve(power + penalty, x.T @ y))


def moves_of(measured: Measured, tract: NDArray[np.floating]) -> F64:
    """What the mouth did, f64[N, 6]: three moves measured, three as `tract` has them.

    Args:
        measured: of a clip in which the person speaks.
        tract: float[N, 9], see `fit_person_map`.

    Raises:
        ValueError: when the clip has too little speech.
    """
    tract = np.asarray(tract, np.float64)
    speech = tract[:, 8] > 0.5
    if speech.sum() < 100:
        raise ValueError("A clip needs at least four seconds of speech to fit the lips.")
    # Nothing moved is the rest, whose lips are closed; people often part them when they pause.
    away = np.square((measured.coefficients - measured.rest) * measured.size).sum(1)
    still = np.argsort(away, kind="stable")[: max(_LEAST_STILL, len(away) // 50)]
    aperture = np.maximum(0.0, measured.aperture - np.median(measured.aperture[still]))
    jaw = np.asarray(measured.jaw - np.median(measured.jaw[still]), np.float64)
    width = np.asarray(measured.width - np.median(measured.width[still]), np.float64)
    # An open mouth is a narrower one, and a speaking face smiles less than a resting one. Both are
    # part of opening; what is left is what the width channel means.
    known = np.stack((tract[:, 2], aperture), 1)[speech]
    narrowing = np.linalg.lstsq(known, width[speech], rcond=None)[0][1]
    moves = (aperture, jaw, width - narrowing * aperture, tract[:, 3], tract[:, 4], tract[:, 5])
    return np.asarray(np.stack(moves, 1), np.float64)


def fit_person_map(measured: Measured, tract: F32) -> PersonMap:
    """Fits the map.

    Args:
        measured: of a clip in which the person speaks.
        tract: f32[N, 9], what the mouth should do at the middle of the frames, of `gestures` or of
            the network.

    Raises:
        ValueError: when the clip has no speech, or too little of it.
    """
    tract = np.asarray(tract, np.float64)
    moves = moves_of(measured, tract)
    aperture, speech = moves[:, 0], tract[:, 8] > 0.5
    offset = np.asarray(measured.coefficients - measured.rest, np.float64)
    free = speech & (tract[:, 6] < 0.5)
    weights = _ridge(moves[free], offset[free])

    blocks = np.array_split(np.flatnonzero(free), 6)
    error = total = 0.0
    for block in blocks:
        others = np.setdiff1d(np.flatnonzero(free), block)
        guess = moves[block] @ _ridge(moves[others], offset[others])
        error += float(np.square((offset[block] - guess) * measured.size).sum())
        mean = offset[others].mean(0)
        total += float(np.square((offset[block] - mean) * measured.size).sum())

    # Only frames that are shut: a closure can be shorter than a frame.
    shut = (tract[:, 6] > 0.5) & (aperture < max(0.02, float(np.quantile(aperture[speech], 0.08))))
    teeth = tract[:, 7] > 0.5
    if shut.sum() < 3:
        raise ValueError("The clip has hardly any P, B or M: say some sentences that have.")
    closed = measured.coefficients[shut].mean(0)
    liptooth = (
        measured.coefficients[teeth].mean(0)
        if teeth.sum() >= 3
        else measured.rest + weights.T @ np.array([0.03, 0.02, 0.0, 0.0, 1.0, 0.0])
    )
    return PersonMap(
        rest=np.asarray(measured.rest, np.float32),
        map=np.asarray(weights.T, np.float32),
        closed=np.asarray(closed, np.float32),
        liptooth=np.asarray(liptooth, np.float32),
        explained=1.0 - error / total,
        closures=int(shut.sum()),
        contacts=int(teeth.sum()),
    )


def read_phones(data: Mapping[str, NDArray[np.generic]]) -> list[Phone]:
    """Phones of a clip whose voice was made by Festival: arrays phone, phone_start, phone_end."""
    rows = zip(data["phone"], data["phone_start"], data["phone_end"], strict=True)
    return [phone for name, a, b in rows for phone in from_festival(str(name), float(a), float(b))]


def _measured(data: Mapping[str, NDArray[np.generic]]) -> Measured:
    def per_frame(name: str) -> F32:
        return np.asarray(data[name], np.float32)

    basis = np.asarray(data["basis"], np.float64)
    return Measured(
        coefficients=per_frame("coefficients"),
        rest=np.asarray(data["rest"], np.float32),
        size=np.sqrt(np.square(basis).sum((1, 2))).astype(np.float32),
        aperture=per_frame("aperture"),
        jaw=per_frame("jaw"),
        width=per_frame("width"),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    from visavis.export.motion import write_motion
    from visavis.finetune.lips.fit_clip import fit_to_clip
    from visavis.finetune.lips.train import load_motion
    from visavis.finetune.lips.yardstick.clips import read_sound

    parser = argparse.ArgumentParser(description="Fit the lips to a person.")
    parser.add_argument("--geometry", type=Path, required=True, help="npz of the person's tracking")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--phones", type=Path, help="npz with the phones that are said")
    source.add_argument("--clip", type=Path, help="the clip, to be listened to")
    parser.add_argument("--cuts", type=float, nargs="+", default=[], help="of the clip, seconds")
    parser.add_argument("--motion", type=Path, required=True, help="checkpoint of the network")
    parser.add_argument("--gain", type=float, nargs=MOVES, help="of the moves")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    motion = load_motion(args.motion)
    with np.load(args.geometry) as data:
        geometry = dict(data)
    measured = _measured(geometry)
    params: dict[str, Any] = {}
    if args.phones:
        with np.load(args.phones) as data:
            phones = read_phones(data)
        times = (np.arange(len(measured.aperture), dtype=np.float64) + 0.5) / 25.0
        fitted = fit_person_map(measured, gestures(phones, times, vowel=1.0, unstressed=0.7))
    else:
        own = fit_to_clip(motion, measured, read_sound(args.clip), args.cuts)
        motion, params, fitted = own.adapted.motion, own.adapted.params, own.person
        log.info("%s", json.dumps({"method": own.adapted.method, **own.adapted.moves}))
    if args.gain:
        params["gain"] = args.gain
    write_motion(motion, args.out, fitted.parts(), params=params)
    report = {
        "explained": round(fitted.explained, 4),
        "closures": fitted.closures,
        "contacts": fitted.contacts,
    }
    log.info("%s", json.dumps(report))


if __name__ == "__main__":
    main()
