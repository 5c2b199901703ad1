"""Drawn attributes against the published system's formulas, PIL and scipy, none of which share code
with the stage; and what a session carries."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from tests.engines.face_sheet import sheet
from visavis.engines.attributes import AttributeRaster, AttributeState
from visavis.engines.errors import PersonFileError
from visavis.engines.footage import FootageChoice
from visavis.engines.raster import rasterize
from visavis.models.systems.audiodvp import face as audiodvp
from visavis.models.systems.headpose import face as headpose
from visavis.models.systems.style_avatar import drawing

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

CORNERS, TRIANGLES = sheet()
PARTS = {"triangles": TRIANGLES}
HEIGHT = WIDTH = 320
# The crop of 256 pixels stands in the middle, a little smaller.
PLACE = np.array([[0.9, 0.0, 41.0], [0.0, 0.9, 33.0]], np.float32)
HEADPOSE: dict[str, Any] = {
    "size": 224,
    "out": 256,
    "over": "frame",
    "history": 3,
    "flip": True,
    "shift": [0, 2],
}


def colours(seed: int = 0) -> F32:
    return np.random.default_rng(seed).uniform(-40, 290, (len(CORNERS), 3)).astype(np.float32)


def turned(angle: float) -> F32:
    matrix = headpose.euler(torch.tensor([0.1, angle, 0.05])).numpy()
    return np.asarray(CORNERS @ matrix.T, np.float32)


def mesh(corners: F32, attributes: F32, camera: torch.Tensor = headpose.CAMERA) -> F32:
    """Vertices f32[1, V, 4 + A]."""
    clip = headpose.clip_space(torch.from_numpy(corners), camera).numpy()
    return np.concatenate((clip, attributes), axis=1)[None]


def picture(seed: int = 1) -> tuple[U8, U8]:
    """A smooth I420 picture, and what it is in red, green and blue by PIL, u8[H, W, 3]."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 255, (12, 12, 3)).astype(np.uint8)
    rgb = np.asarray(Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    red, green, blue = np.moveaxis(rgb / 255.0, -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    half = [
        c.reshape(HEIGHT // 2, 2, WIDTH // 2, 2).mean((1, 3))
        for c in ((blue - luma) / 1.772, (red - luma) / 1.402)
    ]
    planes = [16 + 219 * luma, 128 + 224 * half[0], 128 + 224 * half[1]]
    stored = np.concatenate([np.rint(plane).ravel() for plane in planes]).astype(np.uint8)
    return stored.reshape(HEIGHT * 3 // 2, WIDTH), rgb


def choice(dx: float = 0.0, dy: float = 0.0, place: F32 = PLACE) -> FootageChoice:
    return FootageChoice(0, np.array([dx, dy], np.float32), place)


def draw(
    stage: AttributeRaster, vertices: F32, shown: FootageChoice, i420: U8, state: AttributeState
) -> F32:
    out = np.full((1, *stage.shape), np.nan, np.float32)
    stage.draw(vertices, np.zeros((1, 4), np.float32), [shown], [i420], out, [state])
    return out[0]


def offline(corners: F32, attributes: F32, dx: float, dy: float, rgb: U8) -> U8:
    """The original's way: draw, save, move, fill, lay over, enlarge; u8[256, 256, 3]."""
    vertices = mesh(corners, attributes)[0]
    ids, barycentric, _ = rasterize(vertices[:, :4], TRIANGLES, 224, 224)
    face = headpose.drawn(ids, barycentric, TRIANGLES, attributes)
    moved = headpose.shifted(np.rint(face * 255).astype(np.uint8), dx, dy)
    scale = 0.9 * 256 / 224
    corner = PLACE[:, 2] + 0.5 - 0.9 * 0.5  # of the crop's first pixel
    crop = Image.fromarray(rgb).transform(
        (224, 224),
        Image.Transform.AFFINE,
        (scale, 0, corner[0], 0, scale, corner[1]),
        Image.Resampling.BILINEAR,
    )
    laid = Image.fromarray(headpose.laid_over(moved, np.asarray(crop)))
    return np.asarray(laid.resize((256, 256), Image.Resampling.LANCZOS))


def levels(planes: F32) -> F32:
    return np.moveaxis((planes + 1.0) * 127.5, 0, -1)


def test_headpose_as_its_program_draws() -> None:
    """Three frames, each moved otherwise, over a picture that holds still."""
    stage = AttributeRaster(HEADPOSE, PARTS)
    assert stage.shape == (9, 256, 256) and stage.ahead == 0
    i420, rgb = picture()
    state = stage.initial_state()
    wanted = []
    for angle, dx, dy in ((0.0, 0.0, 0.0), (0.3, 3.4, -6.6), (-0.2, -2.5, 1.5)):
        shades = colours(int(10 * angle) + 5)
        found = draw(stage, mesh(turned(angle), shades), choice(dx, dy), i420, state)
        wanted.append(offline(turned(angle), shades, dx, dy, rgb))
    for place, one in enumerate(wanted):
        off = np.abs(levels(found[3 * place : 3 * place + 3]) - one).max(-1)
        # What is left: the picture was stored as Y, U and V, and halves of it.
        assert np.quantile(off, 0.999) <= 6 and off.mean() < 1.0
        face_off = off[100:120, 100:150]
        assert face_off.max() <= 0.01, "where the face is no picture shows through"
    assert not np.array_equal(wanted[0], wanted[1])


def test_an_open_mouth_is_black_and_the_picture_stays_around_the_head() -> None:
    stage = AttributeRaster({**HEADPOSE, "history": 1}, PARTS)
    white = np.full_like(colours(), 255.0)
    i420, _ = picture()
    found = levels(draw(stage, mesh(CORNERS, white), choice(), i420, stage.initial_state()))
    black = np.argwhere(found.max(-1) < 1)
    assert 40 < len(black) < 2000
    assert np.abs(black.mean(0) - [177, 127.5]).max() < 2, "it is where the slit is"
    assert np.ptp(found[:20], axis=(0, 1)).min() > 3, "no head is there"


def test_the_first_frame_stands_for_those_before_it_or_nothing_does() -> None:
    i420, _ = picture()
    for before in ("first", "zeros"):
        stage = AttributeRaster({**HEADPOSE, "before": before}, PARTS)
        found = draw(stage, mesh(CORNERS, colours()), choice(), i420, stage.initial_state())
        first, second, newest = found.reshape(3, 3, 256, 256)
        expected = newest if before == "first" else 0 * newest
        assert np.array_equal(first, expected) and np.array_equal(second, expected)
        assert np.abs(newest).max() > 0.5


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_frames_that_are_still_to_come(ahead: int) -> None:
    """With 7 frames, 3 of them after the shown one, of which `ahead` are there."""
    params = {"size": 32, "history": 7, "future": 3, "ahead": ahead, "before": "zeros"}
    stage = AttributeRaster(params, PARTS)
    assert stage.ahead == ahead
    state = stage.initial_state()
    seen = []
    for level in range(1, 10):  # the picture of every frame is one level
        flat = np.full((len(CORNERS), 3), level * 10.0, np.float32)
        found = draw(stage, mesh(CORNERS, flat), choice(), picture()[0], state)
        seen.append(levels(found).max((0, 1)).reshape(7, 3)[:, 0].round().astype(int).tolist())
    middle = 127  # of zeros, in levels, rounded down from 127.5 to even
    for drawn, window in enumerate(seen, 1):
        shown = max(1, drawn - ahead)  # the first frame waits for its future
        expected = [
            10 * min(frame, drawn) if frame > 0 else None for frame in range(shown - 3, shown + 4)
        ]
        for got, want in zip(window, expected, strict=True):
            assert got == want if want is not None else got in (middle, middle + 1)


def test_a_shallow_copy_undoes_a_step() -> None:
    stage = AttributeRaster({**HEADPOSE, "size": 64, "out": 64}, PARTS)
    i420, _ = picture()
    state = stage.initial_state()
    for seed in range(3):
        draw(stage, mesh(turned(seed / 10), colours(seed)), choice(), i420, state)
    kept = copy.copy(state)
    first = draw(stage, mesh(turned(0.5), colours(8)), choice(), i420, state)
    again = draw(stage, mesh(turned(0.5), colours(8)), choice(), i420, kept)
    assert np.array_equal(first, again)
    third = draw(stage, mesh(turned(0.5), colours(8)), choice(), i420, state)
    assert not np.array_equal(first, third), "the step before counts"


def test_sessions_of_a_batch_do_not_mix() -> None:
    stage = AttributeRaster({**HEADPOSE, "size": 64, "out": 64, "history": 2}, PARTS)
    views = [picture(3)[0], picture(4)[0]]
    meshes = [mesh(turned(0.1 * n), colours(n)) for n in range(2)]
    alone = [stage.initial_state() for _ in range(2)]
    together = [stage.initial_state() for _ in range(2)]
    for _ in range(2):
        found = [draw(stage, meshes[n], choice(n), views[n], alone[n]) for n in range(2)]
        out = np.empty((2, *stage.shape), np.float32)
        shown = [choice(0), choice(1)]
        nothing = np.zeros((2, 1), np.float32)
        stage.draw(np.concatenate(meshes), nothing, shown, views, out, together)
        assert np.array_equal(out, np.stack(found))
        meshes.reverse()
        alone.reverse()
        together.reverse()
        views.reverse()


def test_style_avatar_coordinates_and_mask() -> None:
    params = {"size": 224, "attributes": 2, "over": "mask+frame", "scale": 1 / 255, "offset": 0}
    stage = AttributeRaster({**params, "flip": True, "diagonal": True}, PARTS)
    assert stage.shape == (6, 224, 224)
    uv = np.random.default_rng(0).uniform(0.05, 1, (len(CORNERS), 2)).astype(np.float32)
    vertices = mesh(turned(0.2), uv * 255, drawing.CAMERA)
    i420, rgb = picture()
    found = draw(stage, vertices, choice(), i420, stage.initial_state())
    ids, barycentric, _ = rasterize(vertices[0, :, :4], TRIANGLES, 224, 224)
    coordinates = drawing.levels(drawing.drawn(ids, barycentric, TRIANGLES, uv))
    off = np.abs(np.moveaxis(found[:2], 0, -1) * 255 - coordinates)
    # Half a level is rounded up or down by the last bit.
    assert (off > 1e-3).mean() < 1e-4 and off.max() <= 1.001
    assert np.array_equal(found[2] == 1, drawing.background(coordinates))
    assert 0.1 < found[2].mean() < 0.9 and set(np.unique(found[2])) == {0, 1}
    outside = np.abs(np.moveaxis(found[3:], 0, -1)[:10, :10] * 255 - rgb[33:43, 41:51])
    assert outside.max() < 8 and found[3:].std() > 0.05
    only = AttributeRaster({**params, "over": "mask", "flip": True, "levels": False}, PARTS)
    smooth = draw(only, vertices, choice(), i420, only.initial_state())
    assert only.shape == (3, 224, 224)
    difference = np.abs(smooth[:2] * 255 - found[:2] * 255)
    assert 0.1 < difference.max() <= 0.501


def test_audiodvp_on_black() -> None:
    """Its camera stands on its head, so rows come from the top."""
    stage = AttributeRaster({"size": 256, "inside_tolerance": 1e-5}, PARTS)
    shades = colours(5)
    clip = audiodvp.clip_space(torch.from_numpy(turned(0.1))).numpy()
    vertices = np.concatenate((clip, shades), 1)[None]
    found = levels(draw(stage, vertices, choice(), picture()[0], stage.initial_state()))
    rows = np.argwhere(found.max(-1) > 0)[:, 0]
    points = audiodvp.pixels(torch.from_numpy(clip)).numpy()
    assert abs(rows.min() - points[:, 1].min()) < 2 and abs(rows.max() - points[:, 1].max()) < 2
    corner = int(points[:, 1].argmin())
    x, y = points[corner]
    assert np.abs(found[: int(y) - 1]).max() < 1e-3 and 0 < x < 256


@pytest.mark.parametrize("diagonal", [False, True])
def test_what_is_outside(diagonal: bool) -> None:
    """Against scipy's regions, on masks full of corners that touch."""
    from visavis.engines.attribute_kernels import mark_outside

    random = np.random.default_rng(2)
    for share in (0.3, 0.5, 0.6, 0.9):
        covered = (random.random((40, 40)) < share).astype(np.uint8)
        outside = np.empty_like(covered)
        mark_outside(covered, diagonal, np.empty(1600, np.int32), outside)
        structure = np.ones((3, 3)) if diagonal else None
        regions, _ = ndimage.label(covered == 0, structure)
        edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
        wanted = np.isin(regions, np.setdiff1d(edge, [0]))
        assert np.array_equal(outside == 1, wanted)


@pytest.mark.parametrize(("size", "out"), [(64, 73), (224, 256), (100, 61)])
def test_resampling_is_pils(size: int, out: int) -> None:
    from visavis.engines.attribute_kernels import resample
    from visavis.engines.attributes import lanczos

    levels = np.random.default_rng(0).integers(0, 256, (3, size, size)).astype(np.uint8)
    found = np.empty((3, out, out), np.uint8)
    resample(levels, *lanczos(size, out), np.empty((size, out), np.uint8), found)
    image = Image.fromarray(np.ascontiguousarray(np.moveaxis(levels, 0, -1)))
    wanted = np.asarray(image.resize((out, out), Image.Resampling.LANCZOS))
    assert np.array_equal(np.moveaxis(found, 0, -1), wanted)


def test_a_crop_of_many_pixels_is_their_mean() -> None:
    """Stripes a pixel wide are grey in a crop a tenth as large, wherever it begins."""
    stage = AttributeRaster({"size": 16, "over": "frame", "history": 1}, PARTS)
    i420, _ = picture()
    striped = i420.copy()
    striped[:HEIGHT, ::2], striped[:HEIGHT, 1::2], striped[HEIGHT:] = 16, 235, 128
    far = mesh(CORNERS * 0 + np.float32([0, 0, 9]), colours())  # nothing of it is seen
    for offset in (20.0, 20.5, 21.0):
        place = np.array([[10, 0, offset], [0, 10, 20]], np.float32)
        found = draw(stage, far, choice(place=place), striped, stage.initial_state())
        assert np.abs(levels(found) - 127.5).max() < 4


@pytest.mark.parametrize(
    "params",
    [
        {"size": 4},
        {"size": 64.0},
        {"out": 2048},
        {"over": "white"},
        {"before": "last"},
        {"history": 0},
        {"history": 3, "future": 3},
        {"history": 7, "future": 3, "ahead": 4},
        {"over": "frame", "attributes": 2},
        {"over": "frame", "levels": False},
        {"over": "mask", "size": 64, "out": 32},
        {"levels": False, "size": 64, "out": 32},
        {"shift": [0, 3]},
        {"colour": 1},
    ],
)
def test_senseless_parameters(params: dict[str, Any]) -> None:
    with pytest.raises(PersonFileError):
        AttributeRaster(params, PARTS)


def test_senseless_parts_and_meshes() -> None:
    for triangles in (TRIANGLES.astype(np.int64), TRIANGLES[:, :2]):
        with pytest.raises(PersonFileError):
            AttributeRaster({}, {"triangles": triangles})
    stage = AttributeRaster({"size": 32}, PARTS)
    short = mesh(CORNERS[:-1], colours()[:-1])
    for vertices in (short, mesh(CORNERS, colours()[:, :2])):
        with pytest.raises(ValueError):
            draw(stage, vertices, choice(), picture()[0], stage.initial_state())
