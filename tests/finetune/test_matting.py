"""The matte: a disc with a soft edge that moves over a textured wall, whose alpha is known."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from visavis.engines.errors import ConfigError, PersonFileError
from visavis.finetune.matting.alpha import believed
from visavis.finetune.matting.clip import Matte, matte_of
from visavis.finetune.matting.measure import errors, figures, flicker, read_truth
from visavis.finetune.matting.planes import filled, join, split, spread
from visavis.finetune.matting.steady import steadied

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

SIZE = 128
COUNT = 24
RADIUS = 30.0
SOFT = 1.5  # pixels from the disc's edge to all and to none
PERSON = (70.0, 110.0, 160.0)  # Y, U, V
NOISE = 1.0  # levels


def wall(seed: int = 0) -> F32:
    """A texture f32[3, S, S] that differs from the person's colour by little, and by much."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(90.0, 210.0, (12, 12))
    luma = ndimage.zoom(coarse, SIZE / 12, order=1)[:SIZE, :SIZE]
    chroma = np.full((2, SIZE, SIZE), 128.0)
    chroma[0] += ndimage.zoom(rng.uniform(-20, 20, (6, 6)), SIZE / 6, order=1)[:SIZE, :SIZE]
    return np.concatenate([luma[None], chroma]).astype(np.float32)


def disc(x: float, y: float) -> F32:
    """The true alpha f32[S, S]."""
    row, column = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    away = np.hypot(column - x, row - y) - RADIUS
    return np.clip(0.5 - away / (2 * SOFT), 0.0, 1.0).astype(np.float32)


def i420(planes: F32) -> U8:
    half = planes[1:].reshape(2, SIZE // 2, 2, SIZE // 2, 2).mean(axis=(2, 4))
    return join(planes[0], half)


def coarse(alpha: F32, rng: np.random.Generator) -> U8:
    """What a network says: too blurred, and off by some pixels that change in every frame."""
    moved = ndimage.shift(alpha, rng.uniform(-2.0, 2.0, 2), order=1)
    return np.rint(ndimage.gaussian_filter(moved, 2.5) * 255.0).astype(np.uint8)


@functools.cache
def clip(*, pan: float = 0.0, hole: bool = False, wide: float = 18.0) -> tuple[U8, U8, U8]:
    """Frames, masks and the truth; `pan` pixels of the camera in every frame."""
    rng = np.random.default_rng(1)
    behind = wall()
    frames, masks, truth = [], [], []
    for k in range(COUNT):
        x = SIZE / 2 + wide * np.sin(2 * np.pi * k / COUNT)
        alpha = disc(float(x), SIZE / 2)
        background = np.roll(behind, round(pan * k), axis=2)
        person = np.array(PERSON, np.float32)[:, None, None]
        picture = alpha * person + (1.0 - alpha) * background
        picture[0] += rng.normal(0.0, NOISE, (SIZE, SIZE))
        mask = coarse(alpha, rng)
        if hole:
            mask[60:66, round(x) : round(x) + 6] = 0
            mask[4:9, 4:9] = 255
        frames.append(i420(picture))
        masks.append(mask)
        truth.append(np.rint(alpha * 255.0).astype(np.uint8))
    return np.stack(frames), np.stack(masks), np.stack(truth)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Matte:
    frames, masks, _ = clip()
    return matte_of(frames, masks, tmp_path_factory.mktemp("matte"))


def mean_errors(alphas: U8) -> tuple[float, float, float]:
    truth = clip()[2]
    rows = [errors(alpha, true) for alpha, true in zip(alphas, truth, strict=True)]
    sad, mse, gradient = np.mean(rows, axis=0).tolist()
    return sad, mse, gradient


def test_the_alpha_is_near_the_truth_and_no_toy_is(made: Matte) -> None:
    masks = clip()[1]
    ours = mean_errors(made.alphas)
    toys = {
        "the mask as it is": masks,
        "the mask, cut at half": np.where(masks >= 128, 255, 0).astype(np.uint8),
        "its mean in time": np.broadcast_to(masks.mean(axis=0), masks.shape).astype(np.uint8),
    }
    # In 16384 pixels: a rim of 190 pixels that is wrong by 0.4 everywhere would be 0.08.
    assert ours[0] < 0.1 and ours[1] < 2.0
    for name, alphas in toys.items():
        toy = mean_errors(alphas)
        assert 4 * ours[0] < toy[0] and 4 * ours[1] < toy[1], name


def test_the_edge_is_where_the_disc_is_and_not_behind_it(made: Matte) -> None:
    """A filter that lags moves the edge back, to one side while it goes, to the other on return."""
    truth = clip()[2].astype(np.float64)
    column = np.arange(SIZE)
    for k in range(COUNT):
        middle, true = (
            float((a.sum(axis=0) * column).sum() / a.sum())
            for a in (made.alphas[k].astype(np.float64), truth[k])
        )
        assert abs(middle - true) < 0.5, k


def test_backwards_is_the_same(made: Matte, tmp_path: Path) -> None:
    frames, masks, _ = clip()
    again = matte_of(
        np.ascontiguousarray(frames[::-1]), np.ascontiguousarray(masks[::-1]), tmp_path
    )
    assert np.array_equal(again.alphas[::-1], made.alphas)
    assert np.array_equal(again.plate.i420, made.plate.i420)


def test_the_plate_is_the_wall(made: Matte) -> None:
    behind, true = spread(made.plate.i420), spread(i420(wall()))
    seen = made.plate.seen
    assert 0.5 < seen.mean() < 1.0
    assert np.abs(behind - true)[:, seen].mean() < 1.5
    # Behind the disc nothing is known; what is filled in is a wall, and not the person.
    assert abs(float(behind[0][~seen].mean()) - PERSON[0]) > 25.0


def test_it_does_not_tremble(tmp_path: Path) -> None:
    frames, masks, truth = clip(wide=1.5)
    again = matte_of(frames, masks, tmp_path)
    real = flicker(truth)
    assert flicker(masks) > 10.0 * real  # there is something to steady
    assert flicker(again.alphas) - real < 0.15 * (flicker(masks) - real)


def test_all_and_none_are_as_good_as_exact(made: Matte) -> None:
    truth = clip()[2]
    inside = ndimage.binary_erosion(truth[0] == 255, iterations=4)
    outside = ndimage.binary_erosion(truth[0] == 0, iterations=8)
    # Near the edge the wall has the person's very colour in places, and nobody can be sure there.
    assert (made.alphas[0][inside] == 255).mean() > 0.99 and made.alphas[0][inside].min() > 230
    assert (made.alphas[0][outside] == 0).all()


def test_holes_and_islands_of_the_mask_go(made: Matte, tmp_path: Path) -> None:
    frames, masks, _ = clip(hole=True)
    again = matte_of(frames, masks, tmp_path)
    assert mean_errors(again.alphas)[0] < 0.1
    clean = believed(masks[3])
    assert clean[6, 6] == 0 and clean.max() == 255


def test_a_camera_that_moves_is_refused(tmp_path: Path) -> None:
    frames, masks, _ = clip(pan=1.0)
    with pytest.raises(PersonFileError, match="The background moves in .* of the frames"):
        matte_of(frames, masks, tmp_path)


@pytest.mark.parametrize(("level", "words"), [(0, "in 0% of"), (255, "in 100% of")])
def test_nobody_and_nothing_but_somebody_are_refused(
    level: int, words: str, tmp_path: Path
) -> None:
    frames, masks, _ = clip()
    with pytest.raises(PersonFileError, match=words):
        matte_of(frames, np.full_like(masks, level), tmp_path)


def test_light_that_changes_is_no_moving_camera(made: Matte, tmp_path: Path) -> None:
    frames, masks, _ = clip()
    bright = frames.astype(np.int16)
    bright[:, :SIZE] += (np.arange(COUNT) % 12)[:, None, None].astype(np.int16)
    again = matte_of(np.clip(bright, 0, 255).astype(np.uint8), masks, tmp_path)
    assert mean_errors(again.alphas)[0] < 2.0 * mean_errors(made.alphas)[0] + 0.03


def test_steadying_mixes_nothing_where_something_moves() -> None:
    frames, _, truth = clip()
    for k in (0, 6, 12):
        assert errors(steadied(truth, frames, k), truth[k])[0] < 0.03
    still = np.broadcast_to(frames[0], frames.shape)
    trembling = np.stack([np.full_like(truth[0], 100 + 40 * (k % 2)) for k in range(COUNT)])
    middle = steadied(trembling, still, 10)
    assert 110 < int(middle.min()) == int(middle.max()) < 130


def test_what_is_known_stays_and_the_rest_is_between() -> None:
    ramp = np.broadcast_to(np.linspace(0, 200, 50, dtype=np.float32), (40, 50))
    known = np.ones((40, 50), bool)
    known[10:30, 15:35] = False
    made = filled(np.where(known, ramp, 999.0).astype(np.float32)[None], known)[0]
    assert np.array_equal(made[known], ramp[known])
    assert np.abs(made - ramp).max() < 25.0


def test_planes_come_and_go() -> None:
    frame = clip()[0][0]
    assert np.array_equal(join(*split(frame)), frame)
    assert np.array_equal(spread(frame)[0], frame[:SIZE])


def test_figures_want_truth_of_these_frames(tmp_path: Path) -> None:
    truth = clip()[2]
    assert figures(truth, {0: truth[0]})["sad"] == 0.0
    with pytest.raises(ConfigError, match="The true matte 99"):
        figures(truth, {99: truth[0]})
    with pytest.raises(ConfigError, match="holds no true mattes"):
        read_truth(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_truth(tmp_path / "nowhere")
