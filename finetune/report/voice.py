"""How well lips that only hear the sound follow the lips that were filmed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.lips.yardstick.agreement import LEVELS, agreement
from visavis.finetune.lips.yardstick.mouth import Mouth
from visavis.finetune.lips.yardstick.sampling import BLOCK, Estimate, Sampling

__all__ = ["LEAST", "voice_figures"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

LEAST = 25  # frames of a stretch that is compared
_ENOUGH = 5  # blocks of two seconds, under which an interval means nothing


def voice_figures(
    shown: Mouth, real: Mouth, pieces: Sequence[I64], draws: int
) -> dict[str, Any] | None:
    """Compare openings, IOD.

    Args:
        shown: N frames, as the engine commanded them; real: as they were tracked.
        pieces: frames that follow each other, for each stretch; those under a second are left out.
        draws: of the block bootstrap.

    Returns:
        frames, blocks; r and lag_ms with 95 % intervals, which are None of fewer than five blocks
        of two seconds; of opening and speed the quantiles of both, and how far they are off. None
        where no stretch is long enough.
    """
    long = [piece for piece in pieces if len(piece) >= LEAST]
    if not long:
        return None
    sampling = Sampling([[len(piece) for piece in long]], draws, "voice")
    a = agreement(
        sampling,
        [[_part(shown, piece) for piece in long]],
        [[_part(real, piece) for piece in long]],
    )
    blocks = len(sampling.cells)

    def interval(values: F64) -> dict[str, float | None]:
        e = Estimate.of(values)
        low, high = (e.low, e.high) if blocks >= _ENOUGH else (None, None)
        return {"value": e.value, "low": low, "high": high}

    def quantiles(values: F64) -> dict[str, float]:
        return {f"q{100 * level:02.0f}": float(v) for level, v in zip(LEVELS, values[0],
                strict=True)}  # fmt: skip

    return {
        "frames": int(sum(len(piece) for piece in long)),
        "blocks": blocks,
        "block_s": BLOCK / 25,
        "r": interval(a.r),
        "lag_ms": interval(a.lag),
        "opening_off": Estimate.of(a.opening_off).value,
        "speed_off": Estimate.of(a.speed_off).value,
        "opening_iod": quantiles(a.opening),
        "real_opening_iod": quantiles(a.real_opening),
        "speed_iod_s": quantiles(a.speed),
        "real_speed_iod_s": quantiles(a.real_speed),
    }


def _part(mouth: Mouth, frames: I64) -> Mouth:
    # Only the opening is compared; protrusion is not known of every clip.
    unknown = np.full(len(frames), np.nan)
    return Mouth(mouth.opening[frames], unknown, unknown)
