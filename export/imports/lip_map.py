"""From what a mouth does to the coefficients of a published system, by maximum a posteriori.

Our motion network says how a mouth moves: six moves, in distances between the outer eye corners.
A system has coefficients of its own that put 68 points somewhere. The prior is geometry: the moves
of the built-in person's 68 points, in the system's coefficients by ridge. The data are the person's
own tracked coefficients: linear regression onto moves with a normal prior about that (C. Bishop,
"Pattern recognition and machine learning", 2006, 3.3). Opening, jaw and width are measured on the
tracked points, not heard: a regression onto what is heard would open the mouth too little, as far
as the hearing is wrong. The other three moves leave no mark that can be measured, so they are what
the network hears in the clip's voice; without a voice they stay the prior's.

What has no geometry (an embedding of a mouth) is regressed onto what is heard, and its amplitude
given back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.face_points import FacePoints, moved_face
from visavis.export.imports.hearing import FPS, MOVES, Heard, hear_moves
from visavis.export.imports.lip_regression import contact, explained, posterior, ridge

__all__ = ["LipMap", "face_lips", "heard_lips"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

POINT_NOISE = 0.01  # eye distances, of a point that the prior is fitted to
SURE = 0.6  # probability from which a contact is one
LEAST_SPEECH_S = 4.0
LEAST_STILL, STILL_SHARE = 5, 50  # frames that are the rest; one of so many
LEAST_CONTACTS = 3
NEARLY_SHUT = 0.02  # eye distances: a tracked mouth that may be called shut
MOST_GAIN = 2.5
LIP_TOOTH = np.array([0.03, 0.02, 0.0, 0.0, 1.0, 0.0])  # moves of a lip on the teeth


@dataclass(frozen=True, slots=True)
class LipMap:
    """Parts of `tract@2`, over C coefficients of a system.

    Attributes:
        rest, closed, liptooth: f32[C]. map: f32[C, 6], coefficients by move.
        about: how it was found, for `made_by`.
    """

    rest: F32
    map: F32
    closed: F32
    liptooth: F32
    about: dict[str, Any] = field(default_factory=dict)

    def parts(self) -> dict[str, F32]:
        """By the names that `tract@2` wants."""
        return {
            "rest": self.rest,
            "map": self.map,
            "closed": self.closed,
            "liptooth": self.liptooth,
        }


def face_lips(
    points: Callable[[F32], NDArray[np.floating]],
    size: int,
    *,
    rest: F32 | None = None,
    scale: F32 | None = None,
    coefficients: F32 | None = None,
    voice: F32 | None = None,
) -> LipMap:
    """Map moves to coefficients that move a face.

    Args:
        points: coefficients f32[K, C] to the usual 68 points float[K, 68, 3], the head held still,
            in any axes and unit; z is 0 where there is none.
        size: C.
        rest: f32[C]; by default the most closed of the tracked mouths, or zeros.
        scale: f32[C], by how much each coefficient usually differs; 1.
        coefficients: f32[T, C], the person's own, 25 a second.
        voice: f32[n], 16 kHz, in step with them.

    Raises:
        ImportRefused: the coefficients do not move the mouth, or the arrays do not fit together.
    """
    own = None if coefficients is None else _checked(coefficients, size)
    if own is not None and not len(own):
        own = None
    deviation = np.ones(size) if scale is None else np.asarray(scale, np.float64)
    if deviation.shape != (size,) or not (deviation > 0.0).all():
        raise ImportRefused(f"The deviations of {size} coefficients must be as many, and above 0.")
    heard = None if voice is None or own is None else hear_moves(voice)
    if own is not None and heard is not None:
        frames = min(len(own), len(heard.moves))
        own, heard = own[:frames], heard.first(frames)
    start = np.zeros(size) if own is None else own.mean(axis=0)
    if rest is None:
        face = FacePoints(points, start)
        base = start if own is None else own[_still(face.opening(own), heard)].mean(axis=0)
    else:
        base = np.asarray(rest, np.float64)
    face = FacePoints(points, base)
    prior = _Prior.of(face, deviation)
    if own is None:
        return _lip_map(base, prior.map, prior.closed, prior.liptooth, {"method": "geometry"})

    moves = _measured(face, own, heard)
    offset = own - base
    opening = moves[:, 0]
    speech = np.ones(len(own), np.bool_) if heard is None else heard.contacts[:, 2] > SURE
    shut, teeth = np.zeros_like(speech), np.zeros_like(speech)
    if heard is not None and speech.any():
        low = max(NEARLY_SHUT, float(np.quantile(opening[speech], 0.08)))
        shut = (heard.contacts[:, 0] > SURE) & (opening < low)
        teeth = heard.contacts[:, 1] > SURE
    free = speech & ~shut
    weights = posterior(moves[free], offset[free], prior.map)
    about = {
        "method": "map",
        "speech_s": round(float(speech.sum()) / FPS, 1),
        "explained": round(explained(moves[free], offset[free], prior.map, face.weight), 3),
        "closures": int(shut.sum()),
        "lip_tooth_contacts": int(teeth.sum()),
    }
    closed = contact(offset[shut], prior.closed)
    liptooth = contact(offset[teeth], prior.liptooth)
    if shut.sum() < LEAST_CONTACTS:
        closed = face.shut(closed, deviation)
    return _lip_map(base, weights, closed, liptooth, about)


def heard_lips(features: F32, voice: F32) -> LipMap:
    """Map moves to coefficients that have no geometry, by what is heard.

    Args:
        features: f32[T, C], what the system makes of the voice; frame k is [40k, 40k + 40) ms.
        voice: f32[n], 16 kHz.

    Raises:
        ImportRefused: there are less than four seconds of speech, or the features do not follow it.
    """
    heard = hear_moves(voice)
    frames = min(len(features), len(heard.moves))
    own = _checked(features, features.shape[1])[:frames]
    heard = heard.first(frames)
    speech = heard.gate > 0.5
    if speech.sum() < LEAST_SPEECH_S * FPS:
        raise ImportRefused(
            f"The voice has {speech.sum() / FPS:.1f} s of speech; to fit the lips by ear "
            f"{LEAST_SPEECH_S:.0f} are needed: give a longer one with --speech."
        )
    silent = ~speech
    if silent.sum() >= LEAST_STILL:
        rest = own[silent].mean(axis=0)
    else:  # nobody pauses: what is most closed
        rest = own[np.argsort(heard.moves[:, 0], kind="stable")[:LEAST_STILL]].mean(axis=0)
    shut = speech & (heard.contacts[:, 0] > SURE)
    teeth = speech & (heard.contacts[:, 1] > SURE)
    free = speech & ~shut
    moves, offset = heard.moves[free], own[free] - rest
    weights = ridge(moves, offset)
    guess = moves @ weights.T
    spread, there = offset - offset.mean(axis=0), guess - guess.mean(axis=0)
    power, along = float(np.square(there).sum()), float((spread * there).sum())
    if not power > 1e-9 * float(np.square(spread).sum()) + 1e-12 or along <= 0.0:
        raise ImportRefused("The coefficients do not follow the voice, so lips cannot be fitted.")
    # Least squares shrinks what it is not sure of; a mouth is to move as far as the system's does.
    direction = there / np.sqrt(np.maximum(np.square(there).sum(axis=1, keepdims=True), 1e-12))
    wanted = np.sqrt(np.mean(np.square((spread * direction).sum(axis=1))))
    gain = float(np.clip(wanted / np.sqrt(power / len(there)), 1.0, MOST_GAIN))
    weights = weights * gain
    none = np.zeros((size := own.shape[1], MOVES))
    closed = own[shut].mean(axis=0) if shut.sum() >= LEAST_CONTACTS else rest
    tooth = own[teeth].mean(axis=0) if teeth.sum() >= LEAST_CONTACTS else rest + weights @ LIP_TOOTH
    about = {
        "method": "by ear",
        "speech_s": round(float(speech.sum()) / FPS, 1),
        "explained": round(explained(moves, offset, none, np.eye(size), geometry=False), 3),
        "gain": round(gain, 2),
        "closures": int(shut.sum()),
        "lip_tooth_contacts": int(teeth.sum()),
    }
    return _lip_map(rest, weights, closed - rest, tooth - rest, about)


@dataclass(frozen=True, slots=True)
class _Prior:
    """What geometry says: map f64[C, 6]; closed and liptooth f64[C], from the rest."""

    map: F64
    closed: F64
    liptooth: F64

    @classmethod
    def of(cls, face: FacePoints, deviation: F64) -> _Prior:
        """Ridge of how the built-in person's points move onto the coefficients.

        Raises:
            ImportRefused: no coefficient moves the lips apart.
        """
        wanted = moved_face(face.flat)
        jacobian = face.jacobian(deviation)
        inverse = deviation[:, None] * np.linalg.solve(
            jacobian.T @ jacobian + POINT_NOISE**2 * np.eye(len(deviation)),
            jacobian.T,
        )
        moves = inverse @ wanted.moves
        opens = float(face.opening_slope() @ moves[:, 0])
        if opens < 0.1:
            raise ImportRefused("None of the coefficients parts the lips of this face.")
        # Asking for a gap gives that gap.
        moves[:, 0] /= opens
        return cls(moves, face.shut(np.zeros(len(deviation)), deviation), inverse @ wanted.liptooth)


def _checked(values: NDArray[np.floating], size: int) -> F64:
    own = np.asarray(values, np.float64)
    if own.ndim != 2 or own.shape[1] != size:
        raise ImportRefused(f"The tracked coefficients are {own.shape}, not [T, {size}].")
    if not np.isfinite(own).all():
        raise ImportRefused("The tracked coefficients are not all finite.")
    return own


def _still(opening: F64, heard: Heard | None) -> NDArray[np.intp]:
    """The frames whose mouth is most closed, in silence where there is some."""
    candidates = np.arange(len(opening))
    if heard is not None and (heard.gate == 0.0).sum() >= 2 * LEAST_STILL:
        candidates = np.flatnonzero(heard.gate == 0.0)
    count = max(LEAST_STILL, len(opening) // STILL_SHARE)
    order = np.argsort(opening[candidates], kind="stable")[:count]
    return candidates[order]


def _measured(face: FacePoints, own: F64, heard: Heard | None) -> F64:
    """The six moves of every frame, f64[T, 6]; not heard ones are 0."""
    moves = np.zeros((len(own), MOVES))
    opening, jaw, width = face.measured(own)
    moves[:, 0] = np.maximum(opening, 0.0)
    moves[:, 1] = jaw
    if heard is not None:
        moves[:, 3:] = heard.moves[:, 3:]
    # An open mouth is a narrower one: that is part of opening, and what is left is width.
    power = float(moves[:, 0] @ moves[:, 0])
    narrowing = float(moves[:, 0] @ width) / power if power > 0.0 else 0.0
    moves[:, 2] = width - narrowing * moves[:, 0]
    return moves


def _lip_map(rest: F64, weights: F64, closed: F64, liptooth: F64, about: dict[str, Any]) -> LipMap:
    return LipMap(
        np.asarray(rest, np.float32),
        np.asarray(weights, np.float32),
        np.asarray(rest + closed, np.float32),
        np.asarray(rest + liptooth, np.float32),
        about,
    )
