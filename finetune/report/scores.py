"""A picture of a mouth against the real one: likeness, detail, teeth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.renderer.evaluate import ssim
from visavis.finetune.report.octaves import Tally, bands

__all__ = ["Detail", "Scores", "of_other_moments", "score"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

_SAME = 1e-3  # levels squared: pictures of whole levels are the same below it


@dataclass(frozen=True, slots=True)
class Detail:
    """Detail of some region, float64[3] by octave, the finest first.

    Attributes:
        energy: over that of the real pictures; None where either has nothing.
        coherence: correlation with the real pictures; None where they do not lie on each other.
    """

    energy: F64 | None
    coherence: F64 | None


@dataclass(frozen=True, slots=True)
class Scores:
    """A row of the table.

    Attributes:
        psnr: dB; ssim: of the mouth's box; None where made and real show different moments.
        mouth: detail of the box; teeth: of what is between the lips of open mouths.
        ring: levels, see `ring`; None where nothing was blended.
    """

    psnr: float | None
    ssim: float | None
    mouth: Detail
    teeth: Detail
    ring: float | None = None


def of_other_moments(made: F64 | None, real: F64 | None) -> Detail:
    """Compare energies, of `octaves.energies`, of pictures that do not lie on each other."""
    return Detail(_over(made, real), None)


def _over(made: F64 | None, real: F64 | None) -> F64 | None:
    if made is None or real is None or not (real > 0.0).all():
        return None
    return np.asarray(made / real)


def score(
    made: Sequence[F32],
    real: Sequence[F32],
    boxes: Sequence[Bools],
    teeth: Sequence[Bools],
    ring: float | None = None,
) -> Scores:
    """Compare windows of the same moments.

    Args:
        made, real: float32[h, w] each, luma.
        boxes: bool[h, w] each, the mouth; teeth: between open lips, empty for closed ones.
        ring: is passed on.
    """
    square, alike = [], []
    mouth, inner = Tally(), Tally()
    for a, b, box, between in zip(made, real, boxes, teeth, strict=True):
        square.append(float(np.square(a - b)[box].mean()))
        alike.append(float(ssim(a.astype(np.float64), b.astype(np.float64))[box].mean()))
        ours, theirs = bands(a), bands(b)
        mouth.add(ours, theirs, box)
        inner.add(ours, theirs, between)
    return Scores(
        psnr=float(10 * np.log10(255**2 / max(float(np.mean(square)), _SAME))),
        ssim=float(np.mean(alike)),
        mouth=_detail(mouth),
        teeth=_detail(inner),
        ring=ring,
    )


def _detail(tally: Tally) -> Detail:
    return Detail(_over(tally.own, tally.other), tally.coherence)
