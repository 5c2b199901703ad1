"""`sketch@1`: landmarks as curves, against the plain arithmetic of its definition."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from visavis.engines.errors import PersonFileError
from visavis.engines.sketch import SketchRaster, draw_sketch, posed

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
SIZE = 128
PARTS = [
    [*range(17), *range(68, 83), 0],
    list(range(17, 22)),
    list(range(22, 27)),
    [28, 31], [31, 32, 33, 34, 35], [35, 28],
    [36, 37, 38, 39], [39, 40, 41, 36], [42, 43, 44, 45], [45, 46, 47, 42],
    list(range(48, 55)), [54, 55, 56, 57, 58, 59, 48],
    [60, 61, 62, 63, 64], [64, 65, 66, 67, 60],
]  # fmt: skip


@dataclass
class Choice:
    pose: F32


def face(seed: int = 0, noise: float = 0.01, size: int = SIZE) -> F64:
    """68 points that lie roughly as a face's do, f64[68, 3]."""
    rng = np.random.default_rng(seed)
    jaw = np.linspace(np.pi, 0.0, 17)
    points = [np.stack([np.cos(jaw), 0.9 * np.sin(jaw)], 1) * 0.75 + [0.0, 0.0]]
    for left, right, height in ((-0.6, -0.15, -0.3), (0.15, 0.6, -0.3)):
        x = np.linspace(left, right, 5)
        points.append(np.stack([x, height - 0.05 * np.sin(np.linspace(0, np.pi, 5))], 1))
    points.append(np.stack([np.zeros(4), np.linspace(-0.2, 0.1, 4)], 1))
    points.append(np.stack([np.linspace(-0.12, 0.12, 5), 0.18 + np.zeros(5)], 1))
    for middle in (-0.35, 0.35):
        turn = np.linspace(np.pi, -np.pi, 7)[:6]
        points.append(np.stack([middle + 0.13 * np.cos(turn), -0.15 - 0.05 * np.sin(turn)], 1))
    for count, width, height in ((12, 0.3, 0.12), (8, 0.2, 0.05)):
        turn = np.linspace(np.pi, -np.pi, count + 1)[:count]
        points.append(np.stack([width * np.cos(turn), 0.4 - height * np.sin(turn)], 1))
    flat = np.concatenate(points) * 0.45 * size + size / 2
    flat += rng.normal(0.0, noise * size, flat.shape)
    return np.column_stack([flat, rng.normal(0.0, 0.1 * size, 68)])


def plainly(points: F64, size: int) -> F32:
    """The definition, curve by curve, with numpy's own fits."""
    jaw = np.trunc(points[:17, :2])
    middle = (jaw[0, 1] + jaw[16, 1]) / 2
    upper = [[x, np.trunc(middle + ((middle - y) * 2 // 3))] for x, y in jaw[1:16]]
    known = np.concatenate([points[:, :2], upper[::-1]])
    out = np.zeros((size, size), np.float32)
    for part in PARTS:
        for start in range(0, max(1, len(part) - 1), 2):
            x, y = known[part[start : start + 3]].T
            flipped = np.abs(np.diff(x)).max() < np.abs(np.diff(y)).max()
            u, v = (y, x) if flipped else (x, y)
            if len(u) == 3 and u[1] in (u[0], u[2]):
                u, v = u[[0, 2]], v[[0, 2]]  # no parabola goes through them: a line
            if u[0] == u[-1]:
                continue
            # About the first point: numpy's fit of a parabola far from 0 is not exact enough.
            fit = np.polynomial.Polynomial.fit(u - u[0], v - v[0], len(u) - 1, rcond=0.0).convert()
            if len(fit.coef) == 3 and abs(fit.coef[2]) > 1:
                continue
            low, high = min(u[0], u[-1]), max(u[0], u[-1])
            along = np.linspace(low, high, int(high - low))
            across = fit(along - u[0]) + v[0]
            a, b = np.floor(along + 1e-6).astype(int), np.floor(across + 1e-6).astype(int)
            rows, columns = (a, b) if flipped else (b, a)
            for down in (-1, 0):
                for right in (-1, 0):
                    out[
                        np.clip(rows + down, 0, size - 1), np.clip(columns + right, 0, size - 1)
                    ] = 1
    return out


def drawn(points: F64, size: int = SIZE) -> F32:
    out = np.full((size, size), 0.5, np.float32)
    draw_sketch(points, out)
    return out


def raster(points: F64, pose: Any = (0.0,) * 6, **params: Any) -> F32:
    stage = SketchRaster({"size": SIZE, **params}, {})
    out = np.empty((1, *stage.shape), np.float32)
    row = points.astype(np.float32).reshape(1, -1)
    choice = Choice(np.asarray(pose, np.float32))
    stage.draw(np.zeros((1, 0, 3), np.float32), row, [choice], [], out, [stage.initial_state()])
    return out[0, 0]


@pytest.mark.parametrize("seed", range(12))
def test_curves_are_what_the_definition_says(seed: int) -> None:
    points = face(seed)
    sketch = drawn(points)
    assert set(np.unique(sketch)) == {0.0, 1.0}
    assert np.array_equal(sketch, plainly(points, SIZE))
    assert 0.02 < sketch.mean() < 0.2


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.3, 2.5), st.floats(-60.0, 60.0))
def test_also_where_a_face_leaves_the_picture(seed: int, scale: float, shift: float) -> None:
    points = (face(seed) - SIZE / 2) * scale + SIZE / 2 + shift
    different = drawn(points) != plainly(points, SIZE)
    # The last bit of a fit may fall to either side of a pixel's border.
    assert different.mean() < 1e-3


def test_every_landmark_counts_but_three_of_the_nose() -> None:
    points = face(noise=0.001)
    sketch = drawn(points)
    silent = []
    for k in range(68):
        moved = points.copy()
        moved[k, 1] += 3.0
        if np.array_equal(drawn(moved), sketch):
            silent.append(k)
    assert silent == [27, 29, 30]


def test_the_outline_is_closed_above_by_the_mirrored_jaw() -> None:
    """The toy that draws 68 points only has nothing there."""
    points = face(noise=0.0)
    chin, ears = points[8, 1], (points[0, 1] + points[16, 1]) / 2
    rows = np.flatnonzero(drawn(points).any(axis=1))
    assert rows.min() == pytest.approx(ears - (chin - ears) * 2 / 3, abs=3)
    assert rows.max() == pytest.approx(chin, abs=3)


@pytest.mark.parametrize(("across", "there"), [(4.0, True), (0.4, False)])
def test_a_curve_that_is_too_bent_is_left_out(across: float, there: bool) -> None:
    points = face(noise=0.0)
    start = points[17, :2].copy()
    points[18, :2], points[19, :2] = start + [across, 3.5], start + [8.0, 0.0]
    assert np.array_equal(drawn(points), plainly(points, SIZE))
    x, y = start.astype(int)
    assert drawn(points)[y + 2 : y + 4, x + 2 : x + 6].any() == there


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e9])
def test_no_number_draws_out_of_the_picture_or_for_ever(value: float) -> None:
    for k in range(0, 68, 5):
        points = face()
        points[k, k % 2] = value
        sketch = drawn(points)
        assert np.isfinite(sketch).all() and 0.0 < sketch.mean() < 0.3


def test_a_pose_turns_the_front_view_back() -> None:
    front, turn, shift = face(), np.array([0.2, -0.3, 0.1]), np.array([4.0, -3.0, 9.0])
    matrix = Rotation.from_rotvec(turn).as_matrix()
    # front = R face + t, so that the face is where it was filmed.
    filmed = np.linalg.solve(matrix, (front - shift).T).T
    pose = np.concatenate([turn, shift])
    assert np.allclose(posed(front, pose), filmed)
    assert np.mean(raster(front, pose) != drawn(filmed)) < 2e-3  # float32 coefficients
    assert np.mean(raster(front, pose) != drawn(front)) > 0.02
    assert np.allclose(posed(front, np.zeros(6)), front)
    tiny = np.array([1e-6, 2e-6, -1e-6, 0.0, 0.0, 0.0])
    assert np.allclose(posed(front, tiny), front, atol=1e-3)


def test_landmarks_of_the_pose_take_the_place_of_the_voice_s() -> None:
    own = np.array([36, 37, 47], np.int32)
    stage = SketchRaster({"size": SIZE}, {"own": own})
    front, other = face(1), face(2)
    pose = np.concatenate([np.zeros(6), other[own].ravel()]).astype(np.float32)
    out = np.empty((1, 1, SIZE, SIZE), np.float32)
    none = np.zeros((1, 0, 3), np.float32)
    row = front.astype(np.float32).reshape(1, -1)
    stage.draw(none, row, [Choice(pose)], [], out, [stage.initial_state()])
    wanted = front.copy()
    wanted[own] = other[own]
    assert np.mean(out[0, 0] != drawn(wanted)) < 2e-3
    with pytest.raises(PersonFileError, match="A pose has 6 numbers; the sketch takes 6 and 9"):
        stage.draw(none, row, [Choice(pose[:6])], [], out, [stage.initial_state()])


def test_a_batch_is_what_each_session_is_alone() -> None:
    stage = SketchRaster({"size": SIZE}, {})
    rows = np.stack([face(k).ravel() for k in range(3)]).astype(np.float32)
    choices = [Choice(np.array([0.1 * k, 0, 0, k, 0, 0], np.float32)) for k in range(3)]
    out = np.empty((3, 1, SIZE, SIZE), np.float32)
    states = [stage.initial_state() for _ in range(3)]
    stage.draw(np.zeros((3, 0, 3), np.float32), rows, choices, [], out, states)
    for k in range(3):
        alone = raster(rows[k].reshape(68, 3), choices[k].pose)
        assert np.array_equal(out[k, 0], alone)


def smooth_run(stage: SketchRaster, rows: list[F64]) -> list[F64]:
    """The points that are drawn of each frame."""
    state, seen = stage.initial_state(), []
    out = np.empty((1, *stage.shape), np.float32)
    for points in rows:
        row = points.astype(np.float32).reshape(1, -1)
        choice = Choice(np.zeros(6, np.float32))
        stage.draw(np.zeros((1, 0, 3), np.float32), row, [choice], [], out, [state])
        assert state.points is not None
        assert np.array_equal(out[0, 0], drawn(np.column_stack([state.points, np.zeros(68)])))
        seen.append(state.points)
    return seen


def test_smoothing_calms_a_shiver_and_follows_a_move() -> None:
    """The toys: no filter keeps the shiver, one of a fixed cutoff is late."""
    stage = SketchRaster({"size": SIZE, "smooth": {"hertz": 1.0, "rise": 0.02}}, {})
    rng = np.random.default_rng(0)
    still = [face() + rng.normal(0.0, 0.3, (68, 3)) for _ in range(40)]
    calm = np.std(np.stack(smooth_run(stage, still))[10:], axis=0).mean()
    assert calm < 0.5 * np.std(np.stack(still)[10:, :, :2], axis=0).mean()
    moving = [face() + [min(8.0 * max(k - 5, 0), 40.0), 0.0, 0.0] for k in range(16)]
    late = np.abs(smooth_run(stage, moving)[11] - moving[11][:, :2]).mean()
    fixed = SketchRaster({"size": SIZE, "smooth": {"hertz": 1.0, "rise": 0.0}}, {})
    assert late < 0.35 * np.abs(smooth_run(fixed, moving)[11] - moving[11][:, :2]).mean()
    same = smooth_run(stage, [face()] * 3)
    assert np.array_equal(same[0], same[2])


def test_a_shallow_copy_of_the_state_undoes_a_frame() -> None:
    stage = SketchRaster({"size": SIZE, "smooth": {"hertz": 1.0, "rise": 0.02}}, {})
    state = stage.initial_state()
    out = np.empty((1, *stage.shape), np.float32)

    def show(points: F64, state: Any) -> F32:
        row = points.astype(np.float32).reshape(1, -1)
        choice = Choice(np.zeros(6, np.float32))
        stage.draw(np.zeros((1, 0, 3), np.float32), row, [choice], [], out, [state])
        return out.copy()

    show(face(), state)
    kept = copy.copy(state)
    once = show(face() + 5.0, state)
    assert not np.array_equal(once, show(face() + 5.0, state))
    assert np.array_equal(once, show(face() + 5.0, kept))


@pytest.mark.parametrize(
    ("params", "parts", "words"),
    [
        ({}, {}, "size must be"),
        ({"size": 8}, {}, "size must be"),
        ({"size": True}, {}, "size must be"),
        ({"size": 64, "bright": 1}, {}, "no parameter bright"),
        ({"size": 64, "smooth": {"hertz": 1.0}}, {}, "smooth has hertz, rise"),
        ({"size": 64, "smooth": {"hertz": 0.0, "rise": 0.1}}, {}, "hertz is out of range"),
        ({"size": 64, "smooth": {"hertz": "1", "rise": 0.1}}, {}, "hertz must be a number"),
        ({"size": 64}, {"own": np.array([1.0])}, "own must be int32"),
        ({"size": 64}, {"own": np.array([3, 3], np.int32)}, "different landmarks below 68"),
        ({"size": 64}, {"own": np.array([68], np.int32)}, "different landmarks below 68"),
    ],
)
def test_what_makes_no_sense_is_refused(params: Any, parts: Any, words: str) -> None:
    with pytest.raises(PersonFileError, match=words):
        SketchRaster(params, parts)


def test_a_motion_of_other_numbers_is_refused() -> None:
    stage = SketchRaster({"size": SIZE}, {})
    out = np.empty((1, *stage.shape), np.float32)
    with pytest.raises(PersonFileError, match="68 landmarks, 204 numbers, not of 64"):
        stage.draw(
            np.zeros((1, 0, 3), np.float32),
            np.zeros((1, 64), np.float32),
            [Choice(np.zeros(6, np.float32))],
            [],
            out,
            [stage.initial_state()],
        )
