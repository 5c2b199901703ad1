"""Geometry and raster on the device against the host's, to the last bit where that can be."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines import tiny_person
from tests.engines.cuda.simulator import SimulatedDevice
from tests.engines.cuda.stand import Stand, to_the_bit, with_arrays
from visavis.engines.geometry import LinearGeometry
from visavis.engines.person import Person
from visavis.engines.walk import FrameChoice

F32 = NDArray[np.float32]
SIZE, WIDTH, HEIGHT = tiny_person.SIZE, tiny_person.WIDTH, tiny_person.HEIGHT
COMPONENTS = tiny_person.COEFFICIENTS
FLAT = np.zeros((3, 4), np.float32)
FLAT[[0, 1, 2], [0, 1, 2]] = 1.0  # vertices are pixels of the frame then


def mouths(count: int, seed: int = 7) -> F32:
    return np.random.default_rng(seed).normal(0, 1, (count, COMPONENTS)).astype(np.float32)


def on_clip(index: int) -> FrameChoice:
    person = tiny_person.tiny_person()
    pose = person.stage_parts("background")["pose"][index]
    x, y = (2 * round((value - SIZE / 2) / 2) for value in pose[:2, 3].tolist())
    return FrameChoice((index,), 0.0, pose, (x, y))


def flat(origin: tuple[int, int] = (0, 0)) -> FrameChoice:
    return FrameChoice((0,), 0.0, FLAT, origin)


@functools.cache
def soup() -> Person:
    """Triangles of every kind, in pixels of the crop: large and small, either way around, thin,
    degenerate, off the screen; and many on a grid of half pixels, whose edges meet pixels."""
    random = np.random.default_rng(11)
    loose = random.uniform(-20, SIZE + 20, (60, 2))
    snapped = random.integers(-4, 2 * SIZE + 4, (60, 2)) / 2.0
    far = [[-1e6, 10], [1e6, 12], [30, -1e6], [5, 5], [5, 5], [40, 40], [50, 50], [60, 60]]
    points = np.concatenate([loose, snapped, far]).astype(np.float32)
    corners = np.concatenate(
        [
            random.integers(0, 60, (20, 3)),
            random.integers(60, 120, (40, 3)),
            [[120, 121, 122], [123, 124, 125], [125, 126, 127], [123, 125, 127], [9, 9, 9]],
        ]
    ).astype(np.int32)
    count = len(points)
    tiny = tiny_person.tiny_person()
    return with_arrays(
        tiny,
        geometry__mean=np.concatenate([points, np.zeros((count, 1))], 1).astype(np.float32),
        geometry__basis=np.zeros((COMPONENTS, count, 3), np.float32),
        raster__triangles=corners,
        raster__upper_triangles=random.integers(0, count, (2, 3)).astype(np.int32),
        raster__lower_triangles=random.integers(60, 120, (3, 3)).astype(np.int32),
        raster__lips=np.array([61, 70, 90, 3, 75, 100, 61], np.int32),
        raster__uv=random.uniform(-9, SIZE + 9, (count, 2)).astype(np.float32),
        raster__appearance_uv=random.uniform(-9, SIZE + 9, (count, 2)).astype(np.float32),
        # Of a size that no block of threads is: 46 x 38, 30 x 34.
        raster__texture=random.integers(0, 256, (69, 38), np.uint8),
        raster__upper=random.integers(0, 256, (45, 34), np.uint8),
    )


def on_the_host(stand: Stand, who: int, index: int, weights: F32, choice: FrameChoice) -> F32:
    """What the host's raster draws of the device's own vertices and picture."""
    cast = stand.casts[who]
    vertices = stand.vertices(index + 1)[index : index + 1, : cast.resident.vertices]
    out = np.full((1, *stand.planes(1).shape[1:]), np.nan, np.float32)
    picture = stand.pictures(index + 1)[index]
    cast.planes.draw(np.ascontiguousarray(vertices), weights[None], [choice], [picture], out)
    return out[0]


def test_vertices() -> None:
    stand = Stand(SimulatedDevice(), [tiny_person.tiny_person()])
    choices, weights = [on_clip(k) for k in (0, 9, 23)], mouths(3)
    stand.draw([(0, row, choice) for row, choice in zip(weights, choices, strict=True)])
    parts = stand.casts[0].person.stage_parts("geometry")
    wanted = LinearGeometry({}, parts).vertices(weights, choices)
    assert np.abs(stand.vertices(3) - wanted).max() < 2e-5  # of pixels, a hundred of them
    assert np.abs(wanted[0] - wanted[1]).max() > 2


def test_planes_of_a_face(monkeypatch: pytest.MonkeyPatch) -> None:
    to_the_bit(monkeypatch)
    stand = Stand(SimulatedDevice(), [tiny_person.tiny_person()])
    (weights,), choice = mouths(1), on_clip(17)
    stand.draw([(0, weights, choice)])
    wanted = on_the_host(stand, 0, 0, weights, choice)
    assert np.array_equal(stand.planes(1)[0], wanted)
    for plane in range(len(wanted)):
        assert wanted[plane].std() > 0.01, f"plane {plane} shows nothing to compare"


@pytest.fixture(scope="module")
def soup_planes() -> tuple[F32, F32]:
    """The mouth of the soup and what the host draws of it."""
    with pytest.MonkeyPatch.context() as patch:
        to_the_bit(patch)
        stand = Stand(SimulatedDevice(), [soup()])
        (weights,) = mouths(1) * 3
        stand.draw([(0, weights, flat())])
        wanted = on_the_host(stand, 0, 0, weights, flat())
        assert np.array_equal(stand.planes(1)[0], wanted)
    return weights, wanted


def test_planes_of_a_soup(soup_planes: tuple[F32, F32]) -> None:
    """Ties, slivers, both ways around, far outside: nothing is left to chance."""
    weights, wanted = soup_planes
    for reverse in (False, True):
        stand = Stand(SimulatedDevice(reverse=reverse), [soup()])
        stand.draw([(0, weights, flat())])
        assert np.array_equal(stand.planes(1)[0], wanted)
    for plane in (0, 4, 6, 10, 12, 16, 25, 29, 31, 32, 37):
        assert wanted[plane].std() > 0.01, f"plane {plane} shows nothing to compare"


TOYS = {
    "edges belong to nobody": ("!(value < 0.0f)", "value > 0.0f"),
    "the first triangle wins": ("atomicMax(cover + row", "atomicMin(cover + row"),
    "one way around only": ("fabsf(area) >= 1e-6f", "area >= 1e-6f"),
    "slivers are drawn": ("fabsf(area) >= 1e-6f", "fabsf(area) >= 0.0f"),
    "pixels begin at their corners": ("(float)column + 0.5f, y", "(float)column, y"),
    "rows and columns swapped": ("c = 2 * column + k % 2", "c = 2 * column + k / 2"),
    "one texture for all": ("batch->looks + (long", "person->pictures[0] + 0 * (long"),
    "U and V are one": ("drawn[3 + plane]", "drawn[3 + 1]"),
    "the lips are inside out": ("inside ? value : -value", "inside ? -value : value"),
    "levels are cut, not rounded": ("appearance_mean[at] + 0.5f", "appearance_mean[at]"),
    "the hidden frame leaks": ("covered ? 0.0f : ((float)seen", "false ? 0.0f : ((float)seen"),
}


@pytest.mark.parametrize("name", TOYS)
def test_toys_fail(name: str, soup_planes: tuple[F32, F32]) -> None:
    weights, wanted = soup_planes
    stand = Stand(SimulatedDevice(change=TOYS[name]), [soup()], room=1)
    stand.draw([(0, weights, flat())])
    assert not np.array_equal(stand.planes(1)[0], wanted)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_persons_share_a_launch(count: int) -> None:
    """Each session is drawn as it is alone, whoever stands beside it."""
    persons = [tiny_person.tiny_person(), soup()]
    shots = [(0, row, on_clip(5 * k)) for k, row in enumerate(mouths(count // 2))]
    edges = [(0, 0), (WIDTH - SIZE, HEIGHT - SIZE), (2, HEIGHT - SIZE), (WIDTH - SIZE, 4)]
    shots += [
        (1, row, flat(edges[k % 4])) for k, row in enumerate(mouths(count - count // 2, seed=3))
    ]
    together = Stand(SimulatedDevice(), persons)
    together.draw(shots)
    planes, pictures = together.planes(count), together.pictures(count)
    assert len(np.unique(planes.reshape(count, -1), axis=0)) == count
    alone = Stand(SimulatedDevice(reverse=True), persons, room=1)
    for index, shot in enumerate(shots):
        alone.draw([shot])
        assert np.array_equal(alone.planes(1)[0], planes[index])
        assert np.array_equal(alone.pictures(1)[0], pictures[index])
