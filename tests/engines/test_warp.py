"""A head carried to another pose: as its mesh moves, and nothing else with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from tests.engines import reference_picture
from visavis.engines.bearing import Hold, held
from visavis.engines.errors import PersonFileError
from visavis.engines.i420 import planes_of
from visavis.engines.warp import HeadWarp, field_shape

HEIGHT, WIDTH, IOD = 192, 256, 60.0
STEP = np.arange(25) * 0.125 - 1.5
PARAMS = {"grid": [-1.5, -1.5, 0.125], "width": WIDTH, "height": HEIGHT}


def parts() -> dict[str, Any]:
    """A round head in the middle of the picture, a torso in its lowest rows."""
    x, y = np.meshgrid(STEP, STEP)
    radius = np.hypot(x, y)
    torso = np.zeros(field_shape(WIDTH, HEIGHT), np.uint8)
    torso[10:12, 3:14] = 255
    return {
        "depth": (0.5 * radius**2 - 0.4).clip(-0.4, 0.4).astype(np.float32),
        "follow": np.rint(255 * np.clip((1.4 - radius) / 0.35, 0, 1)).astype(np.uint8),
        "torso": torso,
        "eyes": np.array([[-0.35, 0, -0.2, 0.25, 0.15], [0.35, 0, -0.2, 0.25, 0.15]], np.float32),
    }


def pose(turn: float = 0.0) -> NDArray[np.float32]:
    out = np.zeros((3, 4), np.float32)
    out[[0, 1, 2], [0, 1, 2]] = IOD
    out[:2, 3] = 127.3, 88.6
    return held(out, Hold(yaw=turn))


def grain(seed: int = 0) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    rough = ndimage.gaussian_filter(random.normal(0, 1, (HEIGHT * 3 // 2, WIDTH)), 1.2)
    return np.asarray(np.clip(128 + 120 * rough, 0, 255), np.uint8)


def test_a_head_that_stays_is_the_source() -> None:
    warp, picture = HeadWarp(PARAMS, parts()), grain()
    out = warp.warp(picture, pose(), pose())
    assert np.array_equal(out, picture) and not np.shares_memory(out, picture)


@pytest.mark.parametrize("hold", [Hold(1.5, 0.8, -0.6, 0.02, -0.01), Hold(-3, 2, 2, -0.1, 0.1)])
def test_pixels_equal_plain_numpy(hold: Hold) -> None:
    given = parts()
    warp, picture = HeadWarp(PARAMS, given), grain()
    wanted = held(pose(), hold)
    field = reference_picture.field(PARAMS, given, pose(), wanted, 1.7)
    assert np.abs(warp.field(pose(), wanted, 1.7) - field).max() < 1e-3
    apart = warp.warp(picture, pose(), wanted, 1.7).astype(int) - reference_picture.warped(
        picture, field
    )
    assert np.abs(apart).max() <= 1 and (apart != 0).mean() < 0.01


def test_a_small_turn_moves_the_picture_as_the_mesh() -> None:
    """Dots at points of the head's surface lie where the posed points do, finer than a pixel."""
    given = parts()
    warp = HeadWarp(PARAMS, given)
    source, wanted = pose(), held(pose(), Hold(1.5, 1.0, 0.5, 0.02, 0.01))
    points = np.array([(x, y) for x in (-0.6, -0.2, 0.2, 0.6) for y in (-0.6, -0.1, 0.3, 0.7)])
    z = reference_picture.lookup(given["depth"], *((points.T + 1.5) / 0.125))
    surface = np.column_stack([points, z, np.ones(len(z))])
    before, after = surface @ source[:2].T, surface @ wanted[:2].T
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    dots = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8) for a, b in before)
    picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    picture[:HEIGHT] = np.rint(20 + 200 * dots)
    out = warp.warp(picture, source, wanted)[:HEIGHT].astype(float) - 20
    assert np.linalg.norm(after - before, axis=1).min() > 0.8
    for a, b in after:
        near = np.hypot(x - a, y - b) < 5.5
        weight = (out * near).clip(0)
        found = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
        assert np.hypot(*(found - (a, b))) < 0.2


def test_breath_raises_the_torso_and_not_what_is_behind() -> None:
    warp, picture = HeadWarp(PARAMS, parts()), grain()
    out = warp.warp(picture, pose(), pose(), 1.5)
    changed = np.flatnonzero((out[:HEIGHT] != picture[:HEIGHT]).any(axis=1))
    assert changed[0] >= 9 * 16
    assert np.array_equal(out[:HEIGHT, :32], picture[:HEIGHT, :32])
    middle = slice(165, 175), slice(80, 180)
    up = ndimage.shift(picture[:HEIGHT].astype(float), (-1.5, 0), order=3)
    assert np.abs(out[middle] - up[middle]).mean() < 3.0
    assert np.abs(out[middle].astype(float) - picture[middle]).mean() > 8.0


def test_grain_neither_comes_nor_goes_with_a_slow_move() -> None:
    """Half a pixel aside, a picture is about as sharp as on its pixels: it does not pump."""
    warp, picture = HeadWarp(PARAMS, parts()), grain()

    def fine(x: float) -> float:
        out = warp.warp(picture, pose(), held(pose(), Hold(x=x / IOD)))
        face = out[50:130, 90:170].astype(float)
        octave = ndimage.gaussian_filter(face, 1) - ndimage.gaussian_filter(face, 2)
        return float(np.square(octave).mean())

    energies = [fine(x) for x in np.linspace(0.0, 1.0, 9)]
    assert min(energies) > 0.93 * max(energies)


def test_eyes_of_another_frame_are_laid_where_the_eyes_are() -> None:
    warp, picture = HeadWarp(PARAMS, parts()), np.full((HEIGHT * 3 // 2, WIDTH), 100, np.uint8)
    other, wanted = pose(2.0), held(pose(), Hold(-1, 1, 1))
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    eyes = warp.eyes.astype(np.float64)
    dots = np.full((HEIGHT * 3 // 2, WIDTH), 100, np.uint8)
    for eye in eyes:
        a, b = other[:2] @ [*eye[:3], 1.0]
        dots[:HEIGHT] += np.rint(100 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 4)).astype(np.uint8)
    patch = warp.cut(dots, other)
    assert patch.y.shape[0] < 60 and not np.shares_memory(patch.y, dots)
    warp.paste(picture, patch, wanted, 1.0)
    brighter = picture[:HEIGHT].astype(float) - 100
    for eye in eyes:
        a, b = wanted[:2] @ [*eye[:3], 1.0]
        weight = (brighter * (np.hypot(x - a, y - b) < 8)).clip(0)
        found = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
        assert np.hypot(*(found - (a, b))) < 0.1 and 85 < weight.max() <= 101
    ellipses = np.zeros((HEIGHT, WIDTH), bool)
    for eye in eyes:
        a, b = wanted[:2] @ [*eye[:3], 1.0]
        ellipses |= np.hypot(x - a, y - b) < IOD * 0.26
    assert not brighter[~ellipses].any()
    unchanged = picture.copy()
    warp.paste(unchanged, patch, wanted, 0.0)
    assert np.array_equal(unchanged, picture)


def test_a_head_may_leave_the_frame() -> None:
    """Nothing is read or written outside of the picture, whatever the poses are."""
    warp, picture = HeadWarp(PARAMS, parts()), grain()
    away = held(pose(), Hold(20, 20, 40, 1.5, 1.2))
    for one, two in ((pose(), away), (away, pose())):
        out = warp.warp(picture, one, two, 5.0)
        assert out.shape == picture.shape
        warp.paste(out, warp.cut(picture, one), two, 1.0)
    assert planes_of(picture)[1].shape == (HEIGHT // 2, WIDTH // 2)


@pytest.mark.parametrize(
    ("role", "value", "words"),
    [
        ("depth", np.zeros(5, np.float32), "must be a grid"),
        ("depth", np.zeros((200, 25), np.float32), "must be a grid"),
        ("depth", np.full((25, 25), 9, np.float32), "deeper"),
        ("follow", np.zeros((24, 25), np.uint8), "depth's shape"),
        ("follow", np.zeros((25, 25), np.float32), "depth's shape"),
        ("follow", np.full((25, 25), 255, np.uint8), "end inside"),
        ("torso", np.zeros((3, 3), np.uint8), "torso"),
        ("torso", np.zeros(field_shape(WIDTH, HEIGHT), np.float32), "torso"),
        ("eyes", np.zeros((2, 4), np.float32), "ellipses"),
        ("eyes", np.zeros((2, 5), np.float32), "ellipses"),
    ],
)
def test_parts_of_another_shape_are_refused(role: str, value: Any, words: str) -> None:
    with pytest.raises(PersonFileError, match=words):
        HeadWarp(PARAMS, {**parts(), role: value})


@pytest.mark.parametrize("grid", [[0, 0], [0, 0, 0], [0, 0, 5], [1e9, 0, 0.1]])
def test_a_senseless_grid_is_refused(grid: list[float]) -> None:
    with pytest.raises(PersonFileError, match="left, top and step"):
        HeadWarp({**PARAMS, "grid": grid}, parts())
