"""The built-in person while nobody speaks: two minutes of it, from three beginnings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visavis.engines.person import load_person
from visavis.engines.walk import Cue, Walk

FILE = Path(__file__).resolve().parents[2] / "persons" / "presenter" / "presenter.person"
TICKS = 3000


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_minutes_of_silence(seed: int) -> None:
    person = load_person(FILE, trusted=True)
    parts = person.stage_parts("background")
    size = {"width": person.width, "height": person.height}
    walk = Walk({**person.stages["background"].params, **size}, parts)
    state = walk.initial_state(seed)
    jumps, choices = set(), []
    for _ in range(TICKS):
        choices.append(walk.step(state, Cue()))
        jumps.add((state.jump, state.tick if state.place > state.jump[0] else 0))

    # Every jump is one that cannot be seen: 1 is the cost of one that can just not be.
    costs = dict(zip(map(tuple, parts["jumps"].tolist()), parts["costs"].tolist(), strict=True))
    taken = {jump for jump, tick in jumps if tick}
    assert len(taken) >= 10 and max(costs[jump] for jump in taken) <= 1.0

    # It blinks as people do, by its own frames or by eyes that are laid over them.
    shut = {f for first, last in parts["blinks"].tolist() for f in range(first, last + 1)}
    closed = np.array([c.eyes is not None or c.frames[-1] in shut for c in choices])
    begins = np.flatnonzero(np.diff(closed.astype(int)) == 1)
    assert 12 <= len(begins) / 2 <= 26 and np.diff(begins).max() < 10 * 25

    # The head moves, and not in jerks.
    middle = np.array([choice.pose[:2, 3] for choice in choices])
    assert middle.std(axis=0).min() > 0.5
    assert np.abs(np.diff(middle, axis=0)).max() < 5
    assert np.abs(np.diff(middle, 2, axis=0)).max() < 2


def test_the_pose_follows_the_scene_that_the_clip_was_rendered_from() -> None:
    """Turns very well, nods poorly: the tracker's depth is weak."""
    pose = np.asarray(load_person(FILE, trusted=True).stage_parts("background")["pose"])
    axes = pose[:, :, :3] / np.linalg.norm(pose[:, :1, :3], axis=2, keepdims=True)
    turn, nod = np.arcsin(axes[:, 0, 2]), np.arcsin(-axes[:, 1, 2])
    with np.load(FILE.with_suffix(".npz")) as truth:
        pitch, yaw, _ = truth["head_rot"].T
    assert abs(np.corrcoef(turn, yaw)[0, 1]) > 0.98
    assert abs(np.corrcoef(nod, pitch)[0, 1]) > 0.5
