"""The lips of a person from the person's own clip: first the geometry, then the network.

The geometry says how the face looks when the mouth moves by so much (`fit`); the network is then
re-estimated to say how much this person's mouth moves (`adapt`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.lips.adapt import Adapted, Take, adapt
from visavis.finetune.lips.fit import Measured, PersonMap, fit_person_map, moves_of
from visavis.finetune.lips.linear import listen, said
from visavis.finetune.lips.listen import frames_of
from visavis.models.motion import Motion

__all__ = ["Fitted", "fit_to_clip"]

F32 = NDArray[np.float32]

_TICK = 640  # samples of a frame
_DISTANCES = 3  # moves that are distances on the face


@dataclass(frozen=True, slots=True)
class Fitted:
    """Lips fitted to a person: `export.motion.write_motion` writes them.

    Attributes:
        person: the map and what belongs to it.
        adapted: the network and the params of `tract@2`.
    """

    person: PersonMap
    adapted: Adapted


def fit_to_clip(
    motion: Motion, measured: Measured, sound: F32, cuts: Sequence[float] = ()
) -> Fitted:
    """Geometry first, then the network by MAP, or by scale and bias where there is little speech.

    Args:
        motion: trained.
        measured: of a clip of 25 frames a second.
        sound: f32[n], of the clip, 16 kHz; silence where it is short.
        cuts: seconds, in the order of the clip; nothing is heard or learnt across them.

    Raises:
        ValueError: there is too little speech, or the lips do not move.
    """
    frames = len(measured.aperture)
    padded = np.zeros(frames * _TICK, np.float32)
    padded[: min(len(sound), len(padded))] = sound[: len(padded)]
    at = sorted({round(s * 25) for s in cuts if 0 < round(s * 25) < frames})
    edges = list(zip([0, *at], [*at, frames], strict=True))
    sounds = [padded[a * _TICK : b * _TICK] for a, b in edges]
    heard = [listen(motion, s) for s in sounds]
    heads = motion.config.lookaheads
    tract = np.concatenate([frames_of(said(motion, h), max(heads), heads).mean(1) for h in heard])
    moves = moves_of(measured, tract)
    moves[:, _DISTANCES:] = np.nan  # the network's own word proves nothing about the person
    takes = [Take(s, moves[a:b]) for s, (a, b) in zip(sounds, edges, strict=True)]
    return Fitted(fit_person_map(measured, tract), adapt(motion, takes, heard=heard))
