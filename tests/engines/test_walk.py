"""The walk over a person's frames: forward, never out of the clip, carried where it jumps."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.engines.errors import PersonFileError
from visavis.engines.walk import BEGINS, ENDS, LEAD, Cue, FrameChoice, Manner, Walk

FRAMES, BLEND = 400, 15
PARAMS = {"blend": BLEND, "size": 64, "anchor": [0.0, 0.0, 0.0], "width": 256, "height": 256}
STILL = {**PARAMS, "sway": 0.0, "nod": 0.0, "breath": 0.0}


def parts(seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    pose = np.zeros((FRAMES, 3, 4), np.float32)
    pose[:, [0, 1, 2], [0, 1, 2]] = 60
    pose[:, 0, 3] = 128 + 20 * np.sin(np.arange(FRAMES) / 15)
    pose[:, 1, 3] = 120 + 9 * np.cos(np.arange(FRAMES) / 11)
    jumps = np.stack([random.integers(20, 380, 300), random.integers(0, 330, 300)], axis=1)
    jumps = np.concatenate([jumps, [[384, 4], [383, 200]]])
    unrest = np.ones(FRAMES, np.float32)
    unrest[250:350] = 0.0  # a calm stretch
    return {
        "pose": pose,
        "jumps": jumps.astype(np.int32),
        "costs": random.random(302).astype(np.float32),
        "unrest": unrest,
        "blinks": np.array([[40, 46], [210, 215], [300, 306]], np.int32),
    }


def run(walk: Walk, seed: int, ticks: int, speech: float = 0.0) -> list[FrameChoice]:
    state = walk.initial_state(seed)
    return [walk.step(state, Cue(speech)) for _ in range(ticks)]


def test_equal_seeds_walk_alike_and_others_do_not() -> None:
    walk = Walk(PARAMS, parts())
    one, two, other = (run(walk, seed, 2000) for seed in (1, 1, 2))
    assert [c.frames for c in one] == [c.frames for c in two]
    assert all(np.array_equal(a.pose, b.pose) for a, b in zip(one, two, strict=True))
    assert [c.eyes for c in one] == [c.eyes for c in two]
    assert [c.frames for c in one] != [c.frames for c in other]


def test_a_copied_state_goes_on_alike() -> None:
    walk = Walk(PARAMS, parts())
    state = walk.initial_state(1)
    for _ in range(300):
        walk.step(state, Cue())
    other = copy.deepcopy(state)
    for _ in range(300):
        one, two = walk.step(state, Cue(1.0, 0.5)), walk.step(other, Cue(1.0, 0.5))
        assert one.frames == two.frames and np.array_equal(one.pose, two.pose)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    speech=st.lists(st.tuples(st.integers(1, 90), st.booleans()), min_size=1, max_size=12),
    cleared=st.sets(st.integers(0, 600), max_size=4),
)
def test_whatever_is_said_the_clip_runs_forward_and_was_decoded_ahead(
    seed: int, speech: Sequence[tuple[int, bool]], cleared: set[int]
) -> None:
    walk = WALK
    state = walk.initial_state(seed)
    planned: list[set[int]] = []
    said = [float(on) for count, on in speech for _ in range(count)]
    before: FrameChoice | None = None
    for tick in range(600):
        planned.append(set(walk.upcoming(state, 30)))
        cue = Cue(said[tick % len(said)], 0.7 * (tick % 9 == 0), tick in cleared)
        choice = walk.step(state, cue)
        assert all(0 <= frame < FRAMES for frame in choice.frames)
        assert 0.0 <= choice.share <= 1.0 and np.isfinite(choice.pose).all()
        if tick > LEAD - 4:
            assert set(choice.frames) <= planned[-(LEAD - 4)]
        if before is not None:
            # One of the places that are shown was shown before, or is its next frame.
            steps = [b - a for a in before.frames for b in choice.frames]
            assert any(step in (0, 1) for step in steps)
        before = choice


WALK = Walk(PARAMS, parts())


def test_jumps_are_those_of_the_person() -> None:
    made = parts()
    known = {b - a for a, b in made["jumps"].tolist()}
    taken = 0
    for before, after in pairwise(run(Walk(PARAMS, made), 4, 5000)):
        if len(after.frames) == 2:
            # Between frames, two places round apart by one.
            apart = after.frames[1] - after.frames[0]
            assert {apart - 1, apart, apart + 1} & known
            taken += len(before.frames) == 1
    assert taken > 20


def test_a_jump_carries_the_pose_before_and_after_it_mixes_the_pictures() -> None:
    walk = Walk(STILL, parts())
    state = walk.initial_state(4)
    jump, part, choices = (0, 0), [], []
    for _ in range(400):
        choice = walk.step(state, Cue())
        if state.place > state.jump[0]:
            jump = state.jump
            part.append((state.place - jump[0]) / BLEND)
            choices.append(choice)
        elif part:
            break
    assert len(part) >= 15 and part[0] < 0.1 and part[-1] > 0.9
    shares = [c.share for c in choices if len(c.frames) == 2]
    assert 6 <= len(shares) < len(part) and shares == sorted(shares)
    poses = parts()["pose"]
    for at, choice in zip(part, choices, strict=True):
        offset = at * BLEND
        ends = [
            (1 - (p % 1)) * poses[int(p)] + (p % 1) * poses[int(p) + 1]
            for p in (jump[0] + offset, jump[1] + offset)
        ]
        weight = at * at * (3 - 2 * at)
        assert np.allclose(choice.pose, ends[0] + weight * (ends[1] - ends[0]), atol=1e-3)


def test_the_head_moves_without_steps_between_frames() -> None:
    """Slower than the clip, a frame is shown twice; the pose that is wanted is not."""
    poses = np.stack([c.pose for c in run(Walk(STILL, parts()), 3, 3000)])
    speed = np.diff(poses[:, :2, 3], axis=0)
    assert np.abs(np.diff(speed, axis=0)).max() < 1.0
    frames = [c.frames[0] for c in run(Walk(STILL, parts()), 3, 300)]
    assert any(a == b for a, b in pairwise(frames))


def test_it_speaks_and_listens_with_patience_and_is_cleared_at_once() -> None:
    walk = Walk(PARAMS, parts())
    state = walk.initial_state(0)
    assert state.manner is Manner.LISTENING

    def ticks(speech: float, count: int, cleared: bool = False) -> Manner:
        for _ in range(count):
            walk.step(state, Cue(speech, 0.0, cleared))
        return state.manner

    assert ticks(1.0, BEGINS - 1) is Manner.LISTENING
    assert ticks(0.0, 1) is Manner.LISTENING
    assert ticks(1.0, BEGINS) is Manner.SPEAKING
    assert ticks(0.0, ENDS - 1) is Manner.SPEAKING
    assert ticks(1.0, 1) is Manner.SPEAKING
    assert ticks(0.0, ENDS) is Manner.LISTENING
    assert ticks(1.0, BEGINS) is Manner.SPEAKING
    assert ticks(1.0, 1, cleared=True) is Manner.LISTENING


def test_listening_stays_where_the_person_is_calm_and_goes_slower() -> None:
    made = parts()
    walk = Walk(PARAMS, made)
    calm, fresh = {}, {}
    for speech in (0.0, 1.0):
        frames = [c.frames[0] for c in run(walk, 3, 6000, speech)]
        calm[speech] = np.mean(made["unrest"][frames] == 0)
        fresh[speech] = np.mean([a != b for a, b in pairwise(frames)])
    assert calm[0.0] > 1.2 * calm[1.0]
    assert 0.6 < fresh[0.0] < 0.9 < fresh[1.0] <= 1.0


def test_a_nod_follows_a_stress() -> None:
    walk = Walk({**STILL, "nod": 1.4}, parts())
    state, calm = walk.initial_state(0), walk.initial_state(0)
    down = []
    for tick in range(200):
        cue = Cue(1.0, 1.0 if tick % 5 == 0 else 0.0)
        nodding, still = walk.step(state, cue), walk.step(calm, Cue(1.0))
        assert nodding.frames == still.frames
        down.append((nodding.pose @ (0.0, 0.4, -0.5, 1.0) - still.pose @ (0.0, 0.4, -0.5, 1.0))[1])
    assert 0.4 < max(down) < 60 * 1.1 * 0.025 + 0.1 and min(down) > -0.05


def test_the_crop_is_even_and_follows_the_head() -> None:
    walk = Walk(PARAMS, parts())
    for choice in run(walk, 2, 1000):
        left, top = choice.origin
        assert left % 2 == 0 and top % 2 == 0
        x, y = choice.pose[:2, 3] - 32
        assert abs(left - x) <= 1.001 and abs(top - y) <= 1.001


def test_a_head_that_sways_beyond_the_border_keeps_its_crop_inside() -> None:
    made = parts()
    made["pose"][:, 0, 3] = 33
    for choice in run(Walk({**PARAMS, "sway": 2.0}, made), 2, 2000):
        assert choice.origin[0] >= 0


def test_a_clip_that_could_run_out_is_refused() -> None:
    made = parts()
    made["jumps"] = np.array([[100, 300]], np.int32)
    made["costs"] = np.zeros(1, np.float32)
    with pytest.raises(PersonFileError, match="no other begins"):
        Walk(PARAMS, made)
    made["jumps"] = np.array([[390, 3]], np.int32)
    with pytest.raises(PersonFileError, match="out of the clip"):
        Walk(PARAMS, made)


def test_a_face_at_the_border_is_refused() -> None:
    made = parts()
    made["pose"][77, 0, 3] = 20
    with pytest.raises(PersonFileError, match="border"):
        Walk(PARAMS, made)


@pytest.mark.parametrize(
    ("params", "change", "words"),
    [
        ({"blend": 0}, {}, "must take"),
        ({"blend": 51}, {}, "must take"),
        ({"sway": 9}, {}, "must be from"),
        ({}, {"unrest": np.zeros(3, np.float32)}, "one for each frame"),
        ({}, {"pose": np.zeros((FRAMES, 3, 4), np.float32)}, "those of a head"),
        ({}, {"jumps": np.zeros((0, 2), np.int32), "costs": np.zeros(0)}, "no places to jump"),
        ({}, {"blinks": np.array([[1, 2, 3]], np.int32)}, "blinks"),
    ],
)
def test_what_does_not_fit_is_refused(params: Any, change: Any, words: str) -> None:
    with pytest.raises(PersonFileError, match=words):
        Walk({**PARAMS, **params}, {**parts(), **change})
