"""Detail of a mouth: every figure is fooled by some picture, and none by all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from visavis.finetune.report.mouths import cut, window
from visavis.finetune.report.octaves import Tally, energies
from visavis.finetune.report.ring import ring_error
from visavis.finetune.report.scores import Scores, of_other_moments, score
from visavis.finetune.report.stand_ins import blurred_with_grain, half_resolution

F32 = NDArray[np.float32]
SHAPE = (70, 100)


def skin(seed: int) -> F32:
    """Detail in all octaves, as pictures have it: less energy the finer it is."""
    noise = np.random.default_rng(seed).normal(0.0, 1.0, SHAPE)
    picture = sum(w * ndimage.gaussian_filter(noise, s) for w, s in ((6, 0.6), (20, 1.5), (60, 4)))
    return np.asarray(120.0 + 2.0 * picture, np.float32)


REAL = [skin(seed) for seed in range(4)]
BOX = np.zeros(SHAPE, np.bool_)
BOX[16:-16, 16:-16] = True
BOXES = [BOX] * len(REAL)
TEETH = [BOX & (np.arange(SHAPE[1]) < 50)] * 2 + [np.zeros_like(BOX)] * 2


def scores(made: Sequence[F32]) -> Scores:
    return score(made, REAL, BOXES, TEETH)


def figures(made: Sequence[F32]) -> tuple[float, list[float], list[float]]:
    s = scores(made)
    assert s.ssim is not None and s.mouth.energy is not None and s.mouth.coherence is not None
    return s.ssim, s.mouth.energy.tolist(), s.mouth.coherence.tolist()


def test_the_picture_itself_has_everything() -> None:
    similarity, energy, coherence = figures(REAL)
    assert similarity == pytest.approx(1.0) and energy == coherence == pytest.approx([1.0] * 3)
    assert scores(REAL).psnr == pytest.approx(78.1, abs=0.1)


def test_grain_brings_energy_back_but_no_coherence() -> None:
    similarity, energy, coherence = figures(blurred_with_grain(REAL, BOXES))
    assert energy[0] == pytest.approx(1.0, abs=0.05)
    assert coherence[0] < 0.5 and energy[1] < 0.8 and similarity < 0.95


def test_half_the_resolution_is_alike_but_not_sharp() -> None:
    similarity, energy, coherence = figures(half_resolution(REAL))
    assert similarity > 0.9 and coherence[0] > 0.5
    assert energy[0] < 0.6


@pytest.mark.parametrize(
    "made",
    [lambda a: np.full_like(a, a.mean()), lambda a: np.full_like(a, 128.0)],
    ids=["its mean", "grey"],
)
def test_a_constant_picture_has_nothing(made: Callable[[F32], F32]) -> None:
    similarity, energy, coherence = figures([made(a) for a in REAL])
    assert similarity < 0.5 and max(energy) < 1e-6 and max(coherence) < 0.1


def test_detail_in_the_wrong_place_is_not_coherent() -> None:
    shifted = [np.roll(a, 3, axis=1) for a in REAL]
    _, energy, coherence = figures(shifted)
    assert energy == pytest.approx([1.0] * 3, abs=0.2) and coherence[0] < 0.2
    _, _, near = figures([ndimage.shift(a, (0, 0.25), order=3, mode="nearest") for a in REAL])
    assert near[0] > 0.8


def test_teeth_stand_apart() -> None:
    made = [a.copy() for a in REAL]
    for picture in made[:2]:
        picture[TEETH[0]] = picture[TEETH[0]].mean()
    s = scores(made)
    assert s.teeth.energy is not None and s.mouth.energy is not None
    # Where flat teeth meet what is around them there is an edge; beside it there is nothing.
    assert s.teeth.energy[0] < 0.25 and s.mouth.energy[0] > 0.6
    closed = [np.zeros_like(BOX)] * len(REAL)
    shut = score(REAL, REAL, BOXES, closed)
    assert shut.teeth.energy is None and shut.teeth.coherence is None


def test_other_moments_are_compared_by_energy_alone() -> None:
    d = of_other_moments(energies([skin(9)], [BOX]), energies(REAL, BOXES))
    assert d.coherence is None and d.energy is not None
    assert d.energy.tolist() == pytest.approx([1.0] * 3, abs=0.2)
    nothing = energies(REAL, [np.zeros_like(BOX)] * 4)
    assert nothing is None and of_other_moments(nothing, energies(REAL, BOXES)).energy is None
    assert Tally().coherence is None


def test_a_mouth_near_the_border_has_a_box() -> None:
    frame = np.arange(96 * 64, dtype=np.uint32).reshape(96, 64).astype(np.uint8)
    lips = np.array([(2.0, 60.0), (10.0, 62.0), (18.0, 60.0), (10.0, 58.0)])
    where = window(lips, 50.0, 64, 64)
    part = cut(frame, where)
    assert part.shape == where.box.shape == where.between.shape
    assert where.rows.stop == 64 and where.columns.start == 0
    assert where.between.sum() == pytest.approx(32, abs=8) and where.box.sum() > 100


def test_the_seam_is_where_the_picture_is_blended_in() -> None:
    random = np.random.default_rng(0)
    real = random.integers(60, 180, (2, 96, 64), np.uint8)
    mask = np.zeros((32, 32), np.uint8)
    mask[2:-2, 2:-2] = 128
    mask[6:-6, 6:-6] = 255
    origins = np.array([(10, 8), (12, 20)])
    assert ring_error(real, real, mask, origins) == 0.0
    inside = real.copy()
    inside[0, 8 + 6 : 8 + 26, 10 + 6 : 10 + 26] = 255
    inside[:, 64:] += 9  # chroma
    inside[:, :8] += 9  # outside the crop
    assert ring_error(inside, real, mask, origins) == 0.0
    off = real.copy()
    off[:, :64] += 4
    assert ring_error(off, real, mask, origins) == pytest.approx(4.0)
