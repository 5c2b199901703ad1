"""The rasterizer against numbers of two published systems, and on cases worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.engines.raster import RasterRule, rasterize

GOLDEN = Path(__file__).parent / "golden" / "raster.npz"
Arrays = dict[str, NDArray[np.generic]]


@pytest.fixture(scope="module")
def golden() -> Arrays:
    with np.load(GOLDEN) as arrays:
        return {name: arrays[name] for name in arrays}


def shade(golden: Arrays, system: str, ids: NDArray, barycentric: NDArray) -> NDArray:
    corners = golden["triangles"][np.maximum(ids, 0)]
    colors = golden[f"{system}_colors"].astype(np.float32)[corners]
    return (colors * barycentric[..., None]).sum(axis=2)


def test_headpose(golden: Arrays) -> None:
    """Tolerances are those that the reference numbers were published with."""
    ids, barycentric, z = rasterize(
        golden["headpose_clip"], golden["triangles"].astype(np.int32), 224, 224
    )
    wanted = golden["headpose_ids"]
    assert (ids != wanted).mean() < 1e-4
    same = (ids == wanted) & (ids >= 0)
    assert same.mean() > 0.3
    assert np.abs(z - golden["headpose_z"])[same].max() < 2e-6
    difference = np.abs(barycentric[::2, ::2] - golden["headpose_barycentric"])
    assert np.quantile(difference[same[::2, ::2]], 0.99) < 1e-3

    color = shade(golden, "headpose", ids, barycentric)
    shown = (ids >= 0) & (color >= 0).any(axis=-1)
    picture = np.rint(np.clip(color, 0, 1) * 255)[::-1]  # row 0 of the reference is on top
    wanted_picture = golden["headpose_rgba"]
    covered = (wanted_picture[..., 3] > 0) & shown[::-1]
    off = np.abs(picture - wanted_picture[..., :3].astype(int)).max(axis=-1) > 2
    assert off[covered].mean() < 0.002


def test_audiodvp(golden: Arrays) -> None:
    """Its depths have few distinct values, so it is judged by the picture."""
    ids, barycentric, _ = rasterize(
        golden["audiodvp_clip"],
        golden["triangles"].astype(np.int32),
        256,
        256,
        RasterRule(inside_tolerance=1e-5, later_wins=True),
    )
    wanted = golden["audiodvp_ids"]
    assert (ids != wanted).mean() < 0.05
    color = shade(golden, "audiodvp", ids, barycentric)
    picture = np.floor(np.clip(255 * np.clip(color, 0, 1) + 0.5, 0, 255))
    covered = (ids >= 0) & (wanted >= 0)
    assert covered.mean() > 0.1
    off = np.abs(picture - golden["audiodvp_picture"].astype(int)).max(axis=-1) > 2
    assert off[covered].mean() < 0.003


SQUARE = np.array([(-1, -1, 0, 1), (1, -1, 0, 1), (-1, 1, 0, 1), (1, 1, 0, 1)], np.float32)


def test_barycentric_is_perspective_correct() -> None:
    """A floor that goes away: equal steps in the picture are growing steps on the floor."""
    w = np.array([1, 1, 4, 4], np.float32)
    corners = np.array([(-1, -1), (1, -1), (-1, 1), (1, 1)], np.float32)
    clip = np.concatenate([corners * w[:, None], np.zeros((4, 1)), w[:, None]], axis=1)
    triangles = np.array([(0, 1, 2), (1, 3, 2)], np.int32)
    ids, barycentric, _ = rasterize(clip.astype(np.float32), triangles, 16, 16)
    far = np.array([0.0, 0.0, 1.0, 1.0])
    along = (far[triangles[ids]] * barycentric).sum(axis=-1)[:, 3]
    t = (np.arange(16) + 0.5) / 16
    assert np.allclose(along, (t / 4) / ((1 - t) / 1 + t / 4), atol=1e-5)


def test_nearest_wins_whatever_the_order() -> None:
    near, far = SQUARE.copy(), SQUARE.copy()
    near[:, 2], far[:, 2] = -0.5, 0.5
    clip = np.concatenate([near, far])
    faces = np.array([(0, 1, 2), (1, 3, 2)], np.int32)
    for order in ((faces, faces + 4), (faces + 4, faces)):
        ids, _, z = rasterize(clip, np.concatenate(order), 8, 8)
        assert np.allclose(z, -0.5)
        assert set(np.unique(ids)) == ({0, 1} if order[0] is faces else {2, 3})


@pytest.mark.parametrize("later", [True, False])
def test_equal_depth_is_decided_by_the_rule(later: bool) -> None:
    faces = np.array([(0, 1, 2), (1, 3, 2), (0, 1, 2), (1, 3, 2)], np.int32)
    ids, _, _ = rasterize(SQUARE, faces, 8, 8, RasterRule(later_wins=later))
    assert set(np.unique(ids)) == ({2, 3} if later else {0, 1})


def test_a_triangle_through_the_camera_plane_needs_no_clipping() -> None:
    clip = np.array([(-1, -1, 0, 1), (1, -1, 0, 1), (0, 4, 0, -1)], np.float32)
    ids, barycentric, _ = rasterize(clip, np.array([(0, 1, 2)], np.int32), 16, 16)
    assert (ids >= 0).sum() > 16
    shares = barycentric[ids >= 0]
    assert np.allclose(shares.sum(axis=-1), 1.0, atol=1e-5)
    w = shares @ np.array([1.0, 1.0, -1.0])
    assert (w > 0).all()


def test_what_lies_outside_the_depth_range_is_not_drawn() -> None:
    behind = SQUARE.copy()
    behind[:, 2] = 1.5
    ids, barycentric, z = rasterize(behind, np.array([(0, 1, 2)], np.int32), 8, 8)
    assert (ids == -1).all() and (barycentric == 0).all() and (z == 1).all()


def test_a_vertex_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="does not exist"):
        rasterize(SQUARE, np.array([(0, 1, 4)], np.int32), 8, 8)
    with pytest.raises(ValueError, match="must be"):
        rasterize(SQUARE[:, :3], np.array([(0, 1, 2)], np.int32), 8, 8)
