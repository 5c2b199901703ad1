"""Geometry, planes and composite against their plain twins."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines import reference_picture, tiny_person
from visavis.engines.composite import Feather
from visavis.engines.errors import PersonFileError
from visavis.engines.geometry import LinearGeometry
from visavis.engines.planes import PLANES, Planes
from visavis.engines.walk import FrameChoice

F32 = NDArray[np.float32]
PERSON = tiny_person.tiny_person()
GEOMETRY, RASTER = PERSON.stage_parts("geometry"), PERSON.stage_parts("raster")
PARAMS = PERSON.stages["raster"].params
SIZE = tiny_person.SIZE
POSES = PERSON.stage_parts("background")["pose"]


def choice(index: int) -> FrameChoice:
    pose = POSES[index]
    x, y = (2 * round((value - SIZE / 2) / 2) for value in pose[:2, 3].tolist())
    return FrameChoice((index,), 0.0, pose, (x, y))


def picture(seed: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    return random.integers(
        16, 236, (tiny_person.HEIGHT * 3 // 2, tiny_person.WIDTH), dtype=np.uint8
    )


def mouths(count: int) -> F32:
    random = np.random.default_rng(7)
    return random.normal(0, 1, (count, tiny_person.COEFFICIENTS)).astype(np.float32)


def test_vertices_equal_the_twin() -> None:
    stage = LinearGeometry({}, GEOMETRY)
    coefficients, choices = mouths(5), [choice(i) for i in (0, 9, 23, 37, 59)]
    found = stage.vertices(coefficients, choices)
    assert found.dtype == np.float32 and found.flags.c_contiguous
    for row, weights, where in zip(found, coefficients, choices, strict=True):
        wanted = reference_picture.vertices(GEOMETRY, weights, where.pose, where.origin)
        assert np.abs(row - wanted).max() < 1e-3
    assert np.abs(found[0] - found[1]).max() > 2  # the poses differ by more than the tolerance


def draw(coefficients: F32, choices: list[FrameChoice], fill: float = np.nan) -> F32:
    stage = Planes(PARAMS, RASTER)
    vertices = LinearGeometry({}, GEOMETRY).vertices(coefficients, choices)
    out = np.full((len(choices), PLANES, SIZE // 2, SIZE // 2), fill, np.float32)
    stage.draw(vertices, coefficients, choices, [picture(c.frames[0]) for c in choices], out)
    return out


@pytest.mark.parametrize("index", [0, 17, 41])
def test_planes_equal_the_twin(index: int) -> None:
    where, weights = choice(index), mouths(3)[:1]
    found = draw(weights, [where])[0]
    points = reference_picture.vertices(GEOMETRY, weights[0], where.pose, where.origin)
    wanted = reference_picture.planes(
        PARAMS, RASTER, points, weights[0], picture(index), where.origin
    )
    difference = np.abs(found - wanted)
    # A pixel on an edge may fall to either side; nothing else may differ.
    edges = (difference > 1e-3).mean(axis=(1, 2))
    assert edges[:18].max() < 0.01 and edges[29:].max() < 0.01
    assert difference[18:25].max() < 1e-6
    assert difference[25:29].max() < 1e-3
    for plane in range(PLANES):
        assert wanted[plane].std() > 0.01, f"plane {plane} shows nothing to compare"


def test_the_appearance_follows_every_component_and_stays_within_bytes() -> None:
    where = choice(0)
    still = np.zeros((1, tiny_person.COEFFICIENTS), np.float32)
    vertices = LinearGeometry({}, GEOMETRY).vertices(still, [where])
    stage, out = Planes(PARAMS, RASTER), np.zeros((1, PLANES, SIZE // 2, SIZE // 2), np.float32)

    def looks(weights: F32) -> F32:
        stage.draw(vertices, weights, [where], [picture(0)], out)
        return out[0, 32:].copy()

    mean = looks(still)
    for component in range(tiny_person.COEFFICIENTS):
        one = still.copy()
        one[0, component] = 1.0
        changed = np.abs(looks(one) - mean)
        assert (changed.mean(axis=(1, 2)) > 2 / 128).all()  # each plane, though nothing moved
    wild = looks(still + 1000.0)  # nothing wraps around
    wanted = reference_picture.planes(
        PARAMS, RASTER, vertices[0].astype(float), still[0] + 1000.0, picture(0), where.origin
    )[32:]
    assert (np.abs(wild - wanted) > 1e-3).mean() < 0.01 and np.abs(wild - mean).mean() > 0.2
    assert np.array_equal(looks(still), mean)  # nothing of the frame before stays


def test_nothing_of_the_frame_before_stays_in_the_buffer() -> None:
    first = draw(mouths(1), [choice(3)], fill=np.nan)
    second = draw(mouths(1), [choice(3)], fill=7.0)
    assert np.array_equal(first, second)


def test_a_batch_equals_each_alone() -> None:
    choices, weights = [choice(i) for i in (2, 30, 55)], mouths(3)
    together = draw(weights, choices)
    for row in range(3):
        alone = draw(weights[row : row + 1], choices[row : row + 1])
        assert np.array_equal(together[row], alone[0])


def test_the_hidden_part_of_the_frame_does_not_leak() -> None:
    """Whatever the mouth does in the frame behind, the renderer's input is the same."""
    where, weights = choice(12), mouths(1)
    vertices = LinearGeometry({}, GEOMETRY).vertices(weights, [where])
    shown = picture(12)
    changed = shown.copy()
    left, top = where.origin
    hidden = RASTER["mask"] > 0
    changed[top : top + SIZE, left : left + SIZE][hidden] = 200
    stage = Planes(PARAMS, RASTER)
    out = np.zeros((2, PLANES, SIZE // 2, SIZE // 2), np.float32)
    stage.draw(vertices, weights, [where], [shown], out[:1])
    stage.draw(vertices, weights, [where], [changed], out[1:])
    assert hidden.any() and np.array_equal(out[0], out[1])


def test_paste_equals_the_twin() -> None:
    random = np.random.default_rng(3)
    half = SIZE // 2
    y = random.integers(16, 236, (SIZE, SIZE), np.uint8)
    u, v = random.integers(16, 241, (2, half, half), np.uint8)
    frame, where = picture(5), choice(20)
    wanted = reference_picture.composite(frame, RASTER["mask"], where.origin, y, u, v)
    Feather({}, {"mask": RASTER["mask"]}).paste(frame, where, y, u, v)
    assert np.abs(frame - wanted).max() <= 0.502
    assert np.abs(frame.astype(int) - picture(5)).max() > 50


def test_paste_leaves_everything_else_alone() -> None:
    frame, where = picture(5), choice(20)
    ones = np.full((SIZE, SIZE), 16, np.uint8)
    half = np.full((SIZE // 2, SIZE // 2), 16, np.uint8)
    Feather({}, {"mask": RASTER["mask"]}).paste(frame, where, ones, half, half)
    outside = np.ones(picture(5).shape, bool)
    height = tiny_person.HEIGHT
    left, top = where.origin
    outside[top : top + SIZE, left : left + SIZE] = False
    outside[height:] = False
    assert np.array_equal(frame[outside], picture(5)[outside])


def test_a_mask_that_reaches_the_border_is_refused() -> None:
    mask = RASTER["mask"].copy()
    mask[:, -1] = 1
    with pytest.raises(PersonFileError, match="end inside"):
        Planes(PARAMS, {**RASTER, "mask": mask})


def test_a_mesh_with_missing_vertices_is_refused() -> None:
    with pytest.raises(PersonFileError, match="do not exist"):
        Planes(PARAMS, {**RASTER, **{key: RASTER[key][:-1] for key in ("uv", "appearance_uv")}})
    with pytest.raises(PersonFileError, match="does not fit"):
        LinearGeometry({}, {**GEOMETRY, "mean": GEOMETRY["mean"][:-1]})


WRONG_APPEARANCE = {
    "a component more": ("appearance_basis", lambda a: np.concatenate([a, a[:1]]), "does not fit"),
    "a scale more": ("appearance_scale", lambda a: np.append(a, a[:1]), "does not fit"),
    "a table of scales": ("appearance_scale", lambda a: a[:, None], "does not fit"),
    "a smaller mean": ("appearance_mean", lambda a: a[:-3], "does not fit"),
    "wider components": ("appearance_basis", lambda a: a.repeat(2, axis=2), "does not fit"),
    "a mean of floats": ("appearance_mean", lambda a: a.astype(np.float32), "of bytes"),
    "components of floats": ("appearance_basis", lambda a: a.astype(np.float16), "of bytes"),
    "components without sign": ("appearance_basis", lambda a: a.view(np.uint8), "of bytes"),
    "a vertex less": ("appearance_uv", lambda a: a[:-1], "other vertices"),
    "vertices in space": ("appearance_uv", lambda a: a[:, [0, 1, 1]], "other vertices"),
}


@pytest.mark.parametrize("name", WRONG_APPEARANCE)
def test_an_appearance_of_another_shape_is_refused(name: str) -> None:
    part, change, message = WRONG_APPEARANCE[name]
    with pytest.raises(PersonFileError, match=message) as refused:
        Planes(PARAMS, {**RASTER, part: change(RASTER[part])})
    assert one_sentence(refused.value)


@pytest.mark.parametrize("shape", [(58, 56), (60, 55), (60,), (60, 56, 1), (0, 56)])
def test_an_appearance_that_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    count = tiny_person.COEFFICIENTS
    wrong = {"appearance_mean": np.zeros(shape, np.uint8),
             "appearance_basis": np.zeros((count, *shape), np.int8)}  # fmt: skip
    with pytest.raises(PersonFileError, match="no I420 picture") as refused:
        Planes(PARAMS, {**RASTER, **wrong})
    assert one_sentence(refused.value)


def test_an_appearance_of_other_components_is_refused() -> None:
    fewer = {key: RASTER[key][:-1] for key in ("appearance_basis", "appearance_scale")}
    stage, weights = Planes(PARAMS, {**RASTER, **fewer}), mouths(1)
    vertices = LinearGeometry({}, GEOMETRY).vertices(weights, [choice(0)])
    out = np.zeros((1, PLANES, SIZE // 2, SIZE // 2), np.float32)
    with pytest.raises(PersonFileError, match="has 5 components, not 6") as refused:
        stage.draw(vertices, weights, [choice(0)], [picture(0)], out)
    assert one_sentence(refused.value)
    stage.draw(vertices, weights[:, :-1], [choice(0)], [picture(0)], out)


def one_sentence(error: PersonFileError) -> bool:
    text = str(error)
    return text.endswith(".") and text.count(". ") == 0 and "\n" not in text
