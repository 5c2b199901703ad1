"""What moves: lips that flicker, heads that repeat themselves, lips that only hear."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from visavis.engines.walk import FrameChoice
from visavis.finetune.lips.yardstick.mouth import Mouth
from visavis.finetune.report.appearance import fit_appearance
from visavis.finetune.report.flicker import flicker, held_vowels, silences, stack
from visavis.finetune.report.idle import blinking, jitter, jumps, places, repeats
from visavis.finetune.report.mouths import window
from visavis.finetune.report.plane import Grid, between, grid_around, look
from visavis.finetune.report.voice import voice_figures

F64 = NDArray[np.float64]
IOD = 60.0


def pose(x: float, y: float, turn: float = 0.0, scale: float = IOD) -> F64:
    out = np.zeros((3, 4))
    out[:, :3] = scale * np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    out[:2, 3] = x, y
    return out


def head(at: F64, fine: float = 1.0) -> NDArray[np.uint8]:
    """A smooth face of its own, drawn in a pose: uint8[120, 160]."""
    x, y = np.meshgrid(np.arange(160) + 0.5, np.arange(120) + 0.5)
    flat = (np.stack([x, y], -1) - at[:2, 3]) @ np.linalg.inv(at[:2, :2]).T
    level = np.sin(9 * flat[..., 0] * fine) * np.cos(7 * flat[..., 1] + 2 * flat[..., 0])
    return np.asarray(np.rint(128 + 60 * level), np.uint8)


GRID = Grid(-0.4, -0.3, 1 / IOD, 37, 49, 0.0)


def test_the_head_held_still_shows_the_same() -> None:
    reference, other = pose(80, 60), pose(86.3, 57.2, 0.06, 63)
    a, b = look(head(reference), reference, GRID), look(head(other), other, GRID)
    assert np.abs(a - b).max() < 3
    rows, columns = slice(40, 80), slice(55, 105)
    seen = between(head(other), other, reference, 0.0, rows, columns)
    assert np.abs(seen - head(reference)[rows, columns]).max() < 3
    assert np.abs(head(other)[rows, columns] - seen).max() > 20
    grid = grid_around(np.array([(-0.2, 0.1, 0.3), (0.2, 0.4, 0.3)]), 0.1, IOD)
    assert (grid.left, grid.top, grid.depth) == pytest.approx((-0.3, 0.0, 0.3))
    assert grid.points().shape == (grid.rows, grid.columns, 3)


def test_nods_do_not_flicker_and_shimmer_does() -> None:
    random = np.random.default_rng(0)
    poses = np.stack([pose(80 + 4 * np.sin(k / 3), 60 + 3 * np.cos(k / 4)) for k in range(20)])
    film = [head(p) for p in poses]
    calm = flicker([stack(film, poses, GRID)])
    unheld = flicker([stack(film, poses[:1].repeat(20, axis=0), GRID)])
    assert calm is not None and unheld is not None and 4 * calm < unheld
    shimmering = [np.asarray(f + 6 * (k % 2), np.uint8) for k, f in enumerate(film)]
    shimmer = flicker([stack(shimmering, poses, GRID)])
    # Six levels up and down are three to either side.
    assert shimmer is not None and shimmer == pytest.approx(calm + 9.0, rel=0.15)
    drifting = [np.asarray(f + k, np.uint8) for k, f in enumerate(film)]
    drift = flicker([stack(drifting, poses, GRID)])
    assert drift is not None and drift < calm + 0.3
    grain = [np.clip(f + random.normal(0, 4, f.shape), 0, 255).astype(np.uint8) for f in film]
    noisy = flicker([stack(grain, poses, GRID)])
    assert noisy is not None and noisy > 4 * calm
    assert flicker([np.repeat(stack(film, poses, GRID)[:1], 20, axis=0)]) == pytest.approx(0.0)
    assert flicker([]) is None


def test_still_stretches_are_silent_or_held() -> None:
    gate = np.concatenate([np.zeros(12), np.ones(40), np.zeros(3)]).astype(np.float32)
    opening = np.zeros(55)
    opening[14:24] = np.linspace(0, 0.2, 10)
    opening[24:36] = 0.2
    opening[36:44] = 0.1 + 0.1 * np.cos(np.arange(8) * np.pi)
    assert silences(gate, opening) == [(0, 12)]
    [(first, last)] = held_vowels(gate, opening)
    assert 22 <= first <= 26 and 34 <= last <= 36
    assert held_vowels(gate, np.zeros(55)) == [] and silences(np.ones(1), np.zeros(1)) == []


def wander(seed: int, frames: int) -> F64:
    """A head that sways and never quite returns, float64[T, 6]."""
    steps = np.random.default_rng(seed).normal(0, 1, (frames, 6))
    return np.asarray(0.3 * ndimage.gaussian_filter1d(np.cumsum(steps, axis=0), 8, axis=0) / 25)


def test_a_head_that_never_does_the_same_again() -> None:
    found = repeats(wander(0, 1500))
    assert found.again == found.reversed_again == 0 and found.soonest_s is None
    assert found.sequences > 1400


def test_loops_and_walks_back_are_seen() -> None:
    path = wander(1, 1500)
    looped = path.copy()
    looped[700:800] = path[100:200]  # 24 s later
    found = repeats(looped)
    assert found.soonest_s == pytest.approx(24.0, abs=0.2) and 40 <= found.again <= 60
    assert found.reversed_again == 0
    back = path.copy()
    back[700:800] = path[100:200][::-1]
    found = repeats(back)
    assert 40 <= found.reversed_again <= 60 and found.soonest_s is not None
    assert found.soonest_s < 24.2
    late = np.concatenate([path[:1000], wander(2, 1000), path[:1000]])
    assert repeats(late).soonest_s is None  # 80 s later


def test_who_sits_still_does_not_repeat() -> None:
    assert repeats(np.ones((400, 6))).sequences == 0
    assert repeats(np.ones((30, 6))).soonest_s is None


def test_a_head_that_trembles_is_found_out() -> None:
    """Trembling makes every loop new, and no head does it."""
    steps = np.random.default_rng(3).normal(0, 1, (600, 6))
    speed = ndimage.gaussian_filter1d(steps, 8, axis=0, mode="wrap")
    own = np.cumsum(speed - speed.mean(axis=0), axis=0) / 80  # ends where it begins
    looped = np.concatenate([own, own, own])
    assert repeats(looped).soonest_s == pytest.approx(24.0, abs=0.2)
    assert jitter(looped, own) == pytest.approx(1.0, abs=0.3)
    random = np.random.default_rng(0)
    # By just so much that the repetitions are no longer seen.
    trembling = looped + 0.1 * own.std(axis=0) * random.normal(0, 1, looped.shape)
    assert repeats(trembling).again == 0
    told = jitter(trembling, own)
    assert told is not None and told > 1.25
    assert jitter(own[::2], own[::2]) == pytest.approx(1.0)
    assert jitter(own, np.zeros((50, 6))) is None and jitter(own[:2], own) is None


def test_blinks_are_counted_once_each() -> None:
    at = pose(80, 60).astype(np.float32)
    runs = np.array([[10, 13]], np.int32)
    plain = [FrameChoice((k,), 0.0, at, (0, 0)) for k in range(75)]
    one = blinking(plain, runs)
    assert one.per_minute == pytest.approx(20.0) and one.intervals_s is None
    laid = [
        FrameChoice(c.frames, 0.0, at, (0, 0), 0.0, (11, 1.0)) if 60 <= k < 65 else c
        for k, c in enumerate(plain)
    ]
    two = blinking(laid, runs)
    assert two.per_minute == pytest.approx(40.0)
    assert two.intervals_s == pytest.approx([2.0] * 5)
    assert blinking(plain, np.zeros((0, 2), np.int32)).per_minute == 0.0


def test_places_are_those_of_the_face_and_jumps_are_counted() -> None:
    path = places(np.stack([pose(80 + k, 60) for k in range(5)]))
    assert path.shape == (5, 6) and np.diff(path[:, 0]) == pytest.approx([1 / IOD] * 4)
    at = pose(80, 60).astype(np.float32)
    frames = [(1,), (2,), (3, 40), (4, 41), (42,), (43,), (10,), (11,), (11,)]
    assert jumps([FrameChoice(f, 0.0, at, (0, 0)) for f in frames]) == 2


def test_lips_that_hear_are_late_or_shy() -> None:
    random = np.random.default_rng(3)
    curve = np.clip(ndimage.gaussian_filter1d(random.normal(0, 1, 400), 2) * 0.2 + 0.08, 0, None)
    unknown = np.full(400, np.nan)

    def figures(opening: F64, frames: int = 400) -> dict[str, object]:
        pieces = [np.arange(frames)]
        got = voice_figures(
            Mouth(opening, unknown, unknown), Mouth(curve, unknown, unknown), pieces, 50
        )
        assert got is not None
        return got

    same = figures(curve)
    assert same["r"]["value"] == pytest.approx(1.0)
    assert same["opening_off"] == same["speed_off"] == 0.0 and same["blocks"] == 8
    late = figures(np.concatenate([curve[:1], curve[:-1]]))
    assert late["lag_ms"]["value"] == pytest.approx(40.0, abs=4)
    assert late["lag_ms"]["low"] is not None
    shy = figures(0.6 * curve)
    assert shy["r"]["value"] == pytest.approx(1.0)
    assert shy["opening_off"] == pytest.approx(0.4, abs=0.02)
    short = figures(curve, 83)
    assert short["r"]["low"] is None and short["blocks"] == 2
    assert voice_figures(Mouth(curve, unknown, unknown), Mouth(curve, unknown, unknown),
                         [np.arange(20)], 50) is None  # fmt: skip


def test_an_appearance_model_knows_what_is_linear_and_blurs_the_rest() -> None:
    random = np.random.default_rng(4)
    coefficients = random.normal(0, 1, (80, 3)).astype(np.float32)
    poses = np.stack([pose(80 + random.normal(0, 2), 60 + random.normal(0, 2)) for _ in range(80)])

    def film(k: int, hidden: float) -> NDArray[np.uint8]:
        level = head(poses[k]).astype(np.float64) + 8 * coefficients[k, 0]
        level += hidden * (head(poses[k], 3.0).astype(np.float64) - 128)
        return np.asarray(np.clip(np.rint(level), 0, 255), np.uint8)

    flips = random.choice([-0.3, 0.3], 80)
    lumas = [film(k, flips[k]) for k in range(80)]
    model = fit_appearance(lumas[:60], poses[:60], coefficients[:60], GRID)
    assert model.components.shape[1:] == (37, 49) and len(model.components) <= 12
    lips = np.array([(70.0, 60.0), (80.0, 64.0), (90.0, 60.0), (80.0, 56.0)])
    for k in range(60, 64):
        where = window(lips + poses[k][:2, 3] - (80, 60), IOD, 120, 160)
        made = model.in_frame(coefficients[k], poses[k], where)
        assert made.shape == where.box.shape
        known = film(k, 0.0)[where.rows, where.columns].astype(np.float64)
        assert np.abs(made - known)[where.box].mean() < 7
        seen = lumas[k][where.rows, where.columns].astype(np.float64)
        assert np.abs(made - seen)[where.box].mean() > np.abs(made - known)[where.box].mean()
