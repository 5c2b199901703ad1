"""The motion stage of a person, and what it makes of the clip's own sound.

The renderer is trained on what the voice asks for as well as on what was tracked; so the lips come
first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.export.motion import write_motion
from visavis.export.native import default_lookahead
from visavis.finetune.lips.fit import Measured
from visavis.finetune.lips.fit_clip import fit_to_clip
from visavis.finetune.lips.listen import hear, live_tract
from visavis.models.motion import Motion

__all__ = ["SpeakingLips", "lips_of_clip", "spoken"]

F32 = NDArray[np.float32]

TICK = 640  # samples of a frame


@dataclass(frozen=True, slots=True)
class SpeakingLips:
    """A person's motion stage.

    Attributes:
        motion: the network.
        parts, params: of `tract@2`.
        about: how it was fitted, for the report.
    """

    motion: Motion
    parts: Mapping[str, F32]
    params: Mapping[str, Any]
    about: Mapping[str, Any]

    def write(self, folder: Path) -> None:
        """Write what `export.native` packs."""
        write_motion(self.motion, folder, self.parts, params=self.params)


def lips_of_clip(
    base: Motion, measured: Measured, sound: F32, cuts: Sequence[float]
) -> SpeakingLips:
    """Fit the lips to a person by listening to the clip; see `lips.fit_clip`.

    Args:
        base: the network that learnt from synthetic speech.
        measured: of the clip.
        sound: f32[n], of the clip, 16 kHz.
        cuts: seconds; nothing is heard across them.

    Raises:
        ValueError: there is too little speech, or the lips do not move in it.
    """
    fitted = fit_to_clip(base, measured, sound, cuts)
    adapted = fitted.adapted
    return SpeakingLips(
        adapted.motion,
        fitted.person.parts(),
        adapted.params,
        {
            "method": adapted.method,
            "speech_s": round(adapted.seconds, 1),
            "explained": round(fitted.person.explained, 3),
            "closures": fitted.person.closures,
            "lip_tooth_contacts": fitted.person.contacts,
        },
    )


def spoken(lips: SpeakingLips, sound: F32, frames: int, cuts: Sequence[int]) -> F32:
    """Return the coefficients f32[N, C] that a clip's own sound asks for, as live.

    Args:
        lips: the person's.
        sound: f32[n], 16 kHz, of the clip; silence where it is short.
        frames: N.
        cuts: frames with which something new begins; nothing is heard across them.
    """
    lookaheads = lips.motion.config.lookaheads
    padded = np.zeros(frames * TICK, np.float32)
    padded[: min(len(sound), len(padded))] = sound[: len(padded)]
    edges = [0, *sorted(cuts), frames]
    rows = []
    for begin, end in zip(edges, edges[1:], strict=False):
        part = padded[begin * TICK : end * TICK]
        coefficients, _ = live_tract(
            hear(lips.motion, part),
            part,
            default_lookahead(lookaheads),
            lips.params,
            lookaheads,
            lips.parts,
        )
        rows.append(coefficients)
    return np.concatenate(rows).astype(np.float32)
