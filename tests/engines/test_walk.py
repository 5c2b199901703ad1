"""The walk over a person's frames: forward, never out of the clip, blended where it jumps."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from visavis.engines.errors import PersonFileError
from visavis.engines.walk import FrameChoice, Walk

FRAMES, BLEND = 400, 8
PARAMS = {"blend": BLEND, "size": 64, "anchor": [0.0, 0.0, 0.0], "width": 256, "height": 256}


def parts(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    pose = np.zeros((FRAMES, 3, 4), np.float32)
    pose[:, [0, 1, 2], [0, 1, 2]] = 60
    pose[:, 0, 3] = 128 + 20 * np.sin(np.arange(FRAMES) / 15)
    pose[:, 1, 3] = 120 + 9 * np.cos(np.arange(FRAMES) / 11)
    jumps = np.stack([random.integers(20, 391, 300), random.integers(0, 340, 300)], axis=1)
    jumps = np.concatenate([jumps, [[391, 4], [390, 200]]])
    unrest = np.ones(FRAMES, np.float32)
    unrest[250:350] = 0.0  # a calm stretch
    return {
        "pose": pose,
        "jumps": jumps.astype(np.int32),
        "costs": random.random(302).astype(np.float32),
        "unrest": unrest,
    }


def run(walk: Walk, seed: int, ticks: int, speech: float = 0.0) -> list[FrameChoice]:
    state = walk.initial_state(seed)
    return [walk.step(state, speech) for _ in range(ticks)]


def test_equal_seeds_walk_alike_and_others_do_not() -> None:
    walk = Walk(PARAMS, parts())
    one, two, other = (run(walk, seed, 2000) for seed in (1, 1, 2))
    assert [c.frames for c in one] == [c.frames for c in two]
    assert [c.frames for c in one] != [c.frames for c in other]


def test_frames_run_forward_and_jumps_are_those_of_the_person() -> None:
    given = parts()
    known = {tuple(jump) for jump in given["jumps"].tolist()}
    walk = Walk(PARAMS, given)
    taken = 0
    for before, after in pairwise(run(walk, 4, 5000)):
        # The first frame goes on; from the last frame of a blend, the second one does.
        if len(before.frames) == 2 and len(after.frames) == 1:
            assert after.frames[0] == before.frames[1] + 1
        else:
            assert after.frames[0] == before.frames[0] + 1
        if len(before.frames) == 1 and len(after.frames) == 2:
            assert (after.frames[0] - 1, after.frames[1] - 1) in known
            taken += 1
    assert taken > 20


def test_a_blend_goes_from_one_place_to_the_other() -> None:
    walk = Walk(PARAMS, parts())
    choices = run(walk, 4, 1000)
    start = next(i for i, c in enumerate(choices) if len(c.frames) == 2)
    blend = choices[start : start + BLEND - 1]
    shares = [c.share for c in blend]
    assert all(len(c.frames) == 2 for c in blend) and len(choices[start + BLEND - 1].frames) == 1
    assert shares == sorted(shares) and 0 < shares[0] < 0.1 and 0.9 < shares[-1] < 1
    poses = parts()["pose"]
    for c in blend:
        mixed = (1 - c.share) * poses[c.frames[0]] + c.share * poses[c.frames[1]]
        assert np.allclose(c.pose, mixed, atol=1e-3)


def test_listening_stays_where_the_person_is_calm() -> None:
    given = parts()
    walk = Walk(PARAMS, given)
    calm = {
        speech: np.mean([given["unrest"][c.frames[0]] == 0 for c in run(walk, 3, 6000, speech)])
        for speech in (0.0, 1.0)
    }
    assert calm[0.0] > 1.4 * calm[1.0]


def test_idle_hardly_repeats_two_seconds() -> None:
    walk = Walk(PARAMS, parts())
    frames = [c.frames for c in run(walk, 9, 1500)]
    latest: dict[tuple, int] = {}
    gaps = []
    for tick in range(1450):
        sequence = tuple(frames[tick : tick + 50])
        if sequence in latest:
            gaps.append(tick - latest[sequence])
        latest[sequence] = tick
    assert min(gaps, default=1450) > 100  # never within four seconds
    assert len(gaps) < 0.2 * 1450


def test_the_plan_is_what_happens() -> None:
    """What is decoded ahead must be what is shown, but for a change of mind."""
    walk = Walk(PARAMS, parts())
    state = walk.initial_state(5)
    for _ in range(1500):
        planned = walk.upcoming(state, 8)
        assert set(walk.step(state, 0.0).frames) <= set(planned[:4])


def test_a_change_of_mind_leaves_time_to_decode() -> None:
    walk = Walk(PARAMS, parts())
    state = walk.initial_state(5)
    random = np.random.default_rng(0)
    planned: list[list[int]] = []
    for tick in range(6000):
        planned.append(walk.upcoming(state, 30))
        choice = walk.step(state, float(random.random() < 0.5) if tick % 40 else 1.0)
        if tick > 12:
            assert set(choice.frames) <= set(planned[-12]), tick


def test_the_crop_is_even_and_follows_the_head() -> None:
    walk = Walk(PARAMS, parts())
    for choice in run(walk, 2, 1000):
        left, top = choice.origin
        assert left % 2 == 0 and top % 2 == 0
        x, y = choice.pose[:2, 3] - 32
        assert abs(left - x) <= 1.001 and abs(top - y) <= 1.001


def test_a_clip_that_could_run_out_is_refused() -> None:
    given = parts()
    given["jumps"] = np.array([[100, 300]], np.int32)
    given["costs"] = np.zeros(1, np.float32)
    with pytest.raises(PersonFileError, match="no other begins"):
        Walk(PARAMS, given)
    given["jumps"] = np.array([[395, 3]], np.int32)
    with pytest.raises(PersonFileError, match="out of the clip"):
        Walk(PARAMS, given)


def test_a_face_at_the_border_is_refused() -> None:
    given = parts()
    given["pose"][77, 0, 3] = 20
    with pytest.raises(PersonFileError, match="border"):
        Walk(PARAMS, given)
