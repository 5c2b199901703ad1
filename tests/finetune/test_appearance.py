"""How the lower face looks: the layout, the linear model, the search, and all of it together."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.finetune import presenter_clip
from visavis.engines.i420 import planes_of
from visavis.engines.raster_kernels import draw_chroma, draw_luma, mix_texture
from visavis.finetune.appearance.align import Looks, Shape, Sight, align
from visavis.finetune.appearance.layout import Layout, halved, unwrapped, unwrapped_half
from visavis.finetune.appearance.learn import IN_PLANE, LOOKS, Learnt, learn_appearance
from visavis.finetune.appearance.model import RIDGE, Appearance, fit_appearance, ridge
from visavis.finetune.appearance.store import load_appearance, save_appearance
from visavis.finetune.geometry import RINGS, Geometry, lower_face, measured
from visavis.finetune.parts import ANCHOR
from visavis.finetune.texture import posed, visible_triangles

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
SIZE = 96  # enough for the mouth, and quick
COMPONENTS = 4
RING = 468  # the first vertex of the rings
UPPER_LIP, LOWER_LIP, CHIN = 13, 14, 152


def layout() -> Layout:
    return presenter_clip.layout(COMPONENTS, SIZE)


def shuffled(picture: F32) -> F32:
    height, width = (side // 2 for side in picture.shape)
    four = picture.reshape(height, 2, width, 2).transpose(1, 3, 0, 2)
    return np.ascontiguousarray(four.reshape(4, height, width))


def painted(picture: U8, points: F32, frame: U8) -> U8:
    """A frame whose face is a picture in the layout, uint8[H*3/2, W]."""
    out = frame.copy()
    y, u, v = planes_of(out)
    four = shuffled((y.astype(np.float32) - 128) / 128)
    chroma = (np.stack([u, v]).astype(np.float32) - 128) / 128
    mesh = np.concatenate([points, np.zeros((len(points), 1), np.float32)], axis=1)
    triangles, uv = layout().triangles, np.ascontiguousarray(layout().points[:, :2])
    luma, *rest = (np.ascontiguousarray(plane) for plane in planes_of(picture))
    draw_luma(mesh, uv, triangles, luma, four)
    draw_chroma(mesh, uv, triangles, *rest, chroma, np.zeros((0, 0, 0), np.float32))
    four = four.reshape(2, 2, *u.shape).transpose(2, 0, 3, 1).reshape(y.shape)
    planes = np.concatenate([four.ravel(), chroma.ravel()]) * 128 + 128
    return np.rint(planes).astype(np.uint8).reshape(frame.shape)


def around_lips() -> tuple[slice, slice]:
    """The mouth's box in the layout's luma."""
    lips = layout().points[layout().lips, :2]
    (left, top), (right, bottom) = lips.min(axis=0).astype(int), lips.max(axis=0).astype(int)
    assert 6 < top < bottom < SIZE - 6 and 6 < left < right < SIZE - 6
    return slice(top - 6, bottom + 6), slice(left - 6, right + 6)


# The layout


def test_what_is_unwrapped_and_drawn_back_is_the_frame() -> None:
    geometry = presenter_clip.geometry(COMPONENTS)
    rows = [int(geometry.aperture.argmax()), int(geometry.aperture.argmin())]
    for index in rows:
        frame, points = presenter_clip.frames()[index], presenter_clip.points(COMPONENTS)[index]
        picture = np.rint(unwrapped(frame, points, layout())).astype(np.uint8)
        other = presenter_clip.frames()[rows[0] + rows[1] - index]
        back = painted(picture, points, other)
        # Only where the small layout reaches: within 30 pixels of the mouth.
        x, y = points[layout().lips].mean(axis=0).astype(int).tolist()
        place = slice(y - 24, y + 24), slice(x - 30, x + 30)
        half = slice(y // 2 - 12, y // 2 + 12), slice(x // 2 - 15, x // 2 + 15)
        off = [
            np.abs(a[at].astype(float) - b[at]).mean()
            for a, b, at in zip(planes_of(back), planes_of(frame), (place, half, half), strict=True)
        ]
        apart = np.abs(planes_of(other)[0][place].astype(float) - planes_of(frame)[0][place]).mean()
        assert max(off) < 2.5 < 0.1 * apart


def test_the_picture_goes_with_the_mesh() -> None:
    frame, points = presenter_clip.frames()[20], presenter_clip.points(COMPONENTS)[20]
    y, u, v = planes_of(frame)
    moved = [np.roll(y, (12, -8), (0, 1)), *(np.roll(plane, (6, -4), (0, 1)) for plane in (u, v))]
    other = np.concatenate([plane.ravel() for plane in moved]).reshape(frame.shape)
    still = unwrapped(frame, points, layout())
    gone, behind = (
        unwrapped(other, mesh, layout()) for mesh in (points + np.float32([-8, 12]), points)
    )
    assert np.abs(gone - still).max() < 0.1 < np.abs(behind - still).mean()


def test_half_of_it_is_the_same_picture() -> None:
    frame, points = presenter_clip.frames()[20], presenter_clip.points(COMPONENTS)[20]
    whole = unwrapped(frame, points, layout())[:SIZE]
    wanted = whole.reshape(SIZE // 2, 2, SIZE // 2, 2).mean(axis=(1, 3))
    found = unwrapped_half(halved(frame), points, layout()) * 128 + 128
    off = np.abs(found - wanted)
    # All but the mesh's border and the narrow triangles between lips that are shut.
    assert np.median(off) < 0.7 and np.quantile(off, 0.9) < 2.5 and wanted.std() > 20


def test_the_lips_are_open_in_the_layout() -> None:
    geometry = presenter_clip.geometry(COMPONENTS)
    upper, lower = layout().points[[UPPER_LIP, LOWER_LIP], 1] / layout().iod
    assert np.quantile(geometry.aperture, 0.9) < lower - upper < 1.2 * geometry.aperture.max()


# The model


def test_ridge_finds_what_is_linear() -> None:
    random = np.random.default_rng(0)
    known = random.normal(0, 1, (500, 5))
    known[:, 4] = 0.0  # never seen to move
    mean, basis = random.normal(0, 1, 30), random.normal(0, 1, (5, 30))
    wanted = mean + known @ basis + random.normal(0, 0.01, (500, 30))
    got_mean, got = ridge(known, wanted)
    assert np.abs(got[:4] * (1 + RIDGE) - basis[:4]).max() < 0.02
    assert np.abs(got[4]).max() < 1e-9
    assert np.abs(got_mean - mean).max() < 0.02
    higher, same = ridge(known, wanted + 1000.0)  # the mean is not held back
    assert np.allclose(higher, got_mean + 1000.0) and np.allclose(same, got)


def linear_frames(count: int) -> tuple[U8, F32, F64]:
    """Frames that two coefficients change, the coefficients, and base and changes as frames."""
    random = np.random.default_rng(1)
    shape = presenter_clip.frames().shape[1:]
    row, column = np.mgrid[: shape[0], : shape[1]]
    waves = [30 * np.sin(row / 9 + k) * np.cos(column / (7 + 5 * k)) for k in range(2)]
    base = 128 + 25 * np.sin(row / 15) * np.sin(column / 11)
    known = random.uniform(-1, 1, (count, 2)).astype(np.float32)
    frames = [np.rint(base + a * waves[0] + b * waves[1]) for a, b in known.tolist()]
    return np.array(frames, np.uint8), known, np.stack([base, *waves])


def test_a_picture_that_is_linear_is_found() -> None:
    count = 40  # more than one chunk
    frames, known, parts = linear_frames(count)
    points = presenter_clip.points(COMPONENTS)[3]
    made = fit_appearance(frames, [points] * count, known, layout())
    base, *changed = (
        unwrapped(np.rint(picture).astype(np.uint8), points, layout())
        for picture in (parts[0], parts[0] + parts[1], parts[0] + parts[2])
    )
    assert np.abs(made.mean - base).max() < 1.5
    for component, picture in zip(made.basis, changed, strict=True):
        # Of coefficients with a variance of 1/3, six in a hundred are held back.
        assert np.abs(component * (1 + 3 * RIDGE) - (picture - base)).max() < 3.0
        assert np.abs(picture - base).max() > 25
    seen = np.stack([unwrapped(frame, points, layout()).ravel() for frame in frames])
    mean, basis = ridge(known.astype(np.float64), seen.astype(np.float64))
    assert np.abs(made.mean.ravel() - mean).max() < 1e-3
    assert np.abs(made.basis.reshape(2, -1) - basis).max() < 1e-3


@pytest.fixture(scope="module")
def tracked() -> Appearance:
    """Of every second frame, with the tracked coefficients."""
    rows = slice(None, None, 2)
    return fit_appearance(
        presenter_clip.frames()[rows],
        presenter_clip.points(COMPONENTS)[rows],
        presenter_clip.geometry(COMPONENTS).coefficients[rows],
        layout(),
    )


def test_bytes_are_within_half_a_step(tracked: Appearance) -> None:
    nothing = np.zeros_like(tracked.basis[:1])
    made = dataclasses.replace(tracked, basis=np.concatenate([tracked.basis, nothing]))
    parts = made.parts()
    mean, basis, scale = (parts[f"appearance_{key}"] for key in ("mean", "basis", "scale"))
    assert (mean.dtype, basis.dtype, scale.dtype) == (np.uint8, np.int8, np.float32)
    assert np.abs(np.clip(made.mean, 0, 255) - mean).max() <= 0.5
    step = np.asarray(scale)[:, None, None]
    assert (np.abs(made.basis - np.asarray(basis, np.float32) * step) <= 0.5001 * step).all()
    assert np.abs(np.asarray(basis, int)).max(axis=(1, 2)).tolist() == [127] * COMPONENTS + [0]
    assert np.isfinite(scale).all()


def test_a_stored_model_comes_back(tracked: Appearance, tmp_path: Path) -> None:
    save_appearance(tracked, tmp_path / "appearance.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["appearance.npz"]
    again = load_appearance(tmp_path / "appearance.npz")
    for key in ("points", "triangles", "lips", "size", "iod"):
        one, other = getattr(tracked.layout, key), getattr(again.layout, key)
        assert np.array_equal(one, other) and type(one) is type(other)
        assert np.asarray(one).dtype == np.asarray(other).dtype
    assert np.array_equal(again.mean, tracked.mean) and again.basis.dtype == np.float32
    assert np.abs(again.basis - tracked.basis).max() < 1e-3 * np.abs(tracked.basis).max()


# The search


class Made:
    """A face whose shape and look are known: the model's own picture, drawn into frames."""

    def __init__(self, appearance: Appearance) -> None:
        geometry = presenter_clip.geometry(COMPONENTS)
        self.pose = geometry.pose.astype(np.float64)
        self.true = geometry.coefficients.astype(np.float64)
        self.shape = Shape(geometry.mean.astype(np.float64), geometry.basis.astype(np.float64))
        self.sight = Sight(appearance.layout)
        self.looks = Looks(
            self.sight.of_picture((appearance.mean[:SIZE] - 128) / 128),
            np.stack([self.sight.of_picture(part[:SIZE] / 128) for part in appearance.basis]),
        )
        self._parts = appearance.parts()

    def frame(self, index: int) -> U8:
        mean, basis, scale = (self._parts[f"appearance_{k}"] for k in ("mean", "basis", "scale"))
        picture = np.zeros(mean.shape, np.uint8)
        mix_texture(mean, basis, (self.true[index] * scale).astype(np.float32), picture)
        points = self.shape.posed(self.true[index], self.pose[index])
        return painted(picture, points, presenter_clip.frames()[index])

    def found(self, index: int, begin: F64, *, frozen: int = 0) -> F64:
        return align(
            halved(self.frame(index)), self.pose[index], begin, begin, self.shape, self.looks,
            self.sight, steps=6, frozen=frozen,
        )  # fmt: skip


def test_a_face_is_found_from_a_unit_away(tracked: Appearance) -> None:
    made, random = Made(tracked), np.random.default_rng(5)
    lips, before, after, moved = layout().lips, [], [], []
    for index in (10, 25, 40, 55, 70, 95):
        start = made.true[index] + random.choice([-1.0, 1.0], COMPONENTS)
        found = made.found(index, start)
        before.append(np.abs(start - made.true[index]).mean())
        after.append(np.abs(found - made.true[index]).mean())
        true, began, ended = (
            made.shape.posed(of, made.pose[index])[lips] for of in (made.true[index], start, found)
        )
        moved.append([np.linalg.norm(points - true, axis=1).mean() for points in (began, ended)])
    assert np.mean(after) < 0.5 * np.mean(before)
    began, ended = np.mean(moved, axis=0)
    assert ended < 0.25 * began  # in pixels of the lips, which is what is seen


def test_what_is_frozen_stays(tracked: Appearance) -> None:
    made = Made(tracked)
    start = made.true[40] + 1.0
    found = made.found(40, start, frozen=2)
    assert np.array_equal(found[-2:], start[-2:])
    assert np.abs(found[:2] - start[:2]).max() > 0.2


def test_who_is_found_stays(tracked: Appearance) -> None:
    """An open mouth is where it is; of shut lips little is seen, but they stay within a pixel."""
    made, lips = Made(tracked), layout().lips
    assert np.abs(made.found(10, made.true[10]) - made.true[10]).max() < 0.2
    for index in (40, 70):
        found = made.found(index, made.true[index])
        true, ended = (
            made.shape.posed(of, made.pose[index])[lips] for of in (made.true[index], found)
        )
        assert np.linalg.norm(ended - true, axis=1).mean() < 0.8


# All of it

ROWS = np.arange(0, 88, 2)  # of the clip
UNSEEN = np.arange(4, 44, 6)


def learn(frames: U8, geometry: Geometry, taught: NDArray[np.int64]) -> Learnt:
    triangles = visible_triangles(geometry)
    return learn_appearance(frames, geometry, triangles, taught, ANCHOR, SIZE)


@pytest.fixture(scope="module")
def given() -> tuple[U8, Geometry, NDArray[np.int64]]:
    """Frames, as tracked, and those that are taught."""
    geometry = presenter_clip.geometry(COMPONENTS).of(ROWS)
    return presenter_clip.frames()[ROWS], geometry, np.setdiff1d(np.arange(len(ROWS)), UNSEEN)


@pytest.fixture(scope="module")
def learnt(given: tuple[U8, Geometry, NDArray[np.int64]]) -> Learnt:
    return learn(*given)


def unexplained(
    frames: U8, geometry: Geometry, appearance: Appearance, rows: NDArray[np.int64]
) -> float:
    """RMS difference of model and frames around the lips, at full resolution, luma."""
    off = []
    for index in rows.tolist():
        points = posed(geometry, index)[:, :2].astype(np.float32)
        seen = unwrapped(frames[index], points, appearance.layout)
        asked = appearance.mean + np.tensordot(geometry.coefficients[index], appearance.basis, 1)
        off.append(np.square(seen - asked)[around_lips()].mean())
    return float(np.sqrt(np.mean(off)))


def test_frames_that_were_not_taught_are_explained_better(
    given: tuple[U8, Geometry, NDArray[np.int64]], learnt: Learnt
) -> None:
    frames, geometry, taught = given
    before, after = learnt.levels
    assert 0.0 < after < 0.6 * before
    points = [posed(geometry, i)[:, :2].astype(np.float32) for i in taught.tolist()]
    plain = fit_appearance(
        frames[taught], points, geometry.coefficients[taught], learnt.appearance.layout
    )
    with_tracked = unexplained(frames, geometry, plain, UNSEEN)
    with_learnt = unexplained(frames, learnt.geometry, learnt.appearance, UNSEEN)
    assert with_learnt < 0.7 * with_tracked


def test_coefficients_are_of_the_mesh_of_the_plane_and_of_looks(
    given: tuple[U8, Geometry, NDArray[np.int64]], learnt: Learnt
) -> None:
    _, before, _ = given
    after, count = learnt.geometry, COMPONENTS + IN_PLANE + LOOKS
    assert after.basis.shape == (count, *before.mean.shape)
    assert after.coefficients.shape == (len(ROWS), count)
    assert learnt.appearance.basis.shape == (count, SIZE * 3 // 2, SIZE)
    assert np.array_equal(after.basis[:COMPONENTS], before.basis)
    assert np.array_equal(after.mean, before.mean) and np.array_equal(after.pose, before.pose)
    plane, looks = after.basis[COMPONENTS:-LOOKS], after.basis[-LOOKS:]
    assert not looks.any() and np.abs(after.coefficients[:, -LOOKS:]).std() > 0.1
    # A unit of a move is a pixel; nothing moves in depth, and no forehead and eyes.
    moves = plane * np.linalg.norm(before.pose[:, 0, :3], axis=1).mean()
    assert np.allclose(moves[0, LOWER_LIP], (1, 0, 0), atol=0.02)
    assert np.allclose(moves[1, LOWER_LIP], (0, 1, 0), atol=0.02)
    away = before.mean[CHIN, :2] - ANCHOR[:2]
    assert moves[2, CHIN, 0] * away[1] < 0 and np.allclose(moves[2, CHIN, :2] @ away, 0, atol=1e-3)
    assert moves[3, CHIN, :2] @ away > 0
    assert not plane[..., 2].any() and not plane[:, [10, 33, 263]].any()


def test_what_is_not_taught_changes_nothing(
    given: tuple[U8, Geometry, NDArray[np.int64]], learnt: Learnt
) -> None:
    frames, geometry, taught = given
    other = frames.copy()
    other[UNSEEN] = 255 - other[UNSEEN]
    odd = {key: getattr(geometry, key).copy() for key in ("coefficients", "aperture")}
    odd["coefficients"][UNSEEN] += 1.0
    odd["aperture"][UNSEEN] = 9.0
    again = learn(other, dataclasses.replace(geometry, **odd), taught)
    assert np.array_equal(again.appearance.mean, learnt.appearance.mean)
    assert np.array_equal(again.appearance.basis, learnt.appearance.basis)
    assert np.array_equal(again.appearance.layout.points, learnt.appearance.layout.points)
    one, same = (of.geometry.coefficients[taught] for of in (learnt, again))
    assert np.array_equal(one, same)
    one, same = (of.geometry.coefficients[UNSEEN] for of in (learnt, again))
    assert not np.array_equal(one, same)  # they are still looked at
    assert again.levels != learnt.levels


def test_of_few_frames_no_looks_are_learnt(
    given: tuple[U8, Geometry, NDArray[np.int64]],
) -> None:
    frames, geometry, _ = given
    few = slice(0, 14)
    made = learn(frames[few], geometry.of(few), np.arange(12))
    assert len(made.geometry.basis) == len(made.appearance.basis) == COMPONENTS + IN_PLANE
    assert np.abs(made.geometry.basis).max(axis=(1, 2)).all()


# The mesh that is measured


def test_measuring_the_fitted_mesh_gives_what_was_tracked() -> None:
    geometry = presenter_clip.geometry(12)
    zero = np.zeros_like(geometry.aperture)
    again = measured(dataclasses.replace(geometry, aperture=zero, jaw=zero, width=zero))
    for key in ("aperture", "jaw", "width"):
        found, wanted = getattr(again, key), getattr(geometry, key)
        assert found.dtype == np.float32
        assert np.abs(found - wanted).mean() < 0.15 * wanted.std()
        assert np.abs(found - wanted).max() < 0.01 < np.ptp(wanted)


def test_the_lower_face_is_lips_and_chin() -> None:
    geometry = presenter_clip.geometry(COMPONENTS)
    follows = lower_face(geometry)
    assert follows.shape == (len(geometry.mean),)
    assert not follows[[10, 151, 33, 133, 362, 263, 168]].any()  # forehead, eyes, bridge
    assert (follows[[*geometry.lips.tolist(), CHIN]] == 1.0).all()
    assert ((follows >= 0.0) & (follows <= 1.0)).all()
    rings = follows[RING:].reshape(len(RINGS), -1).max(axis=1)
    assert rings.tolist() == [share for _, share in RINGS]
