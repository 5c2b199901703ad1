"""A clip with cuts, heard as one session: a microphone goes on where a camera is moved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.lips.yardstick.clips import TICK, Piece
from visavis.finetune.lips.yardstick.listener import Shown
from visavis.finetune.lips.yardstick.mouth import Mouth

__all__ = ["show_clips"]

F32 = NDArray[np.float32]

# Silence between pieces, in frames: more than any look-ahead, so that no frame hears across a cut.
_BETWEEN = 8


def show_clips(
    pieces: Sequence[Piece], show: Callable[[list[F32]], list[Shown] | None]
) -> list[Shown] | None:
    """What is shown of every piece, where the pieces of a clip are one session.

    Args:
        pieces: those of a clip follow each other.
        show: each sound in a session of its own; None where that cannot be.
    """
    clips = [list(own) for _, own in groupby(pieces, lambda piece: piece.clip)]
    pause = np.zeros(_BETWEEN * TICK, np.float32)
    shown = show([np.concatenate([s for p in own for s in (p.sound, pause)]) for own in clips])
    if shown is None:
        return None
    out = []
    for own, one in zip(clips, shown, strict=True):
        first = 0
        for piece in own:
            frames = slice(first, first + piece.frames)
            mouth = one.mouth
            parts = (mouth.opening[frames], mouth.width[frames], mouth.protrusion[frames])
            out.append(Shown(Mouth(*parts), one.tract[frames], one.gate[frames]))
            first += piece.frames + _BETWEEN
    return out
