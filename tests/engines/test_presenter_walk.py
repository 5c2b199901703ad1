"""The built-in person while nobody speaks: a minute of it, from three beginnings."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from visavis.engines.person import load_person
from visavis.engines.walk import Walk

FILE = Path(__file__).resolve().parents[2] / "persons" / "presenter" / "presenter.person"
MINUTE = 1500


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_minute_of_silence(seed: int) -> None:
    person = load_person(FILE, trusted=True)
    parts = person.stage_parts("background")
    size = {"width": person.width, "height": person.height}
    walk = Walk({**person.stages["background"].params, **size}, parts)
    state = walk.initial_state(seed)
    choices = [walk.step(state, 0.0) for _ in range(MINUTE)]

    # Every jump is one that cannot be seen: 1 is the cost of one that can just not be.
    costs = dict(zip(map(tuple, parts["jumps"].tolist()), parts["costs"].tolist(), strict=True))
    taken = [
        costs[after.frames[0] - 1, after.frames[1] - 1]
        for before, after in pairwise(choices)
        if len(before.frames) == 1 and len(after.frames) == 2
    ]
    assert 12 <= len(taken) <= 30 and max(taken) <= 1.25

    # Two seconds are hardly ever seen twice, and never soon.
    latest: dict[tuple[tuple[int, ...], ...], int] = {}
    again = []
    for tick in range(MINUTE - 50):
        sequence = tuple(choice.frames for choice in choices[tick : tick + 50])
        if sequence in latest:
            again.append(tick - latest[sequence])
        latest[sequence] = tick
    assert len(again) < 0.2 * MINUTE and min(again, default=MINUTE) > 8 * 25

    # The head moves, and not in jerks.
    middle = np.array([choice.pose[:2, 3] for choice in choices])
    assert middle.std(axis=0).min() > 0.5
    assert np.abs(np.diff(middle, axis=0)).max() < 5


def test_the_pose_follows_the_scene_that_the_clip_was_rendered_from() -> None:
    """Turns very well, nods poorly: the tracker's depth is weak."""
    pose = np.asarray(load_person(FILE, trusted=True).stage_parts("background")["pose"])
    axes = pose[:, :, :3] / np.linalg.norm(pose[:, :1, :3], axis=2, keepdims=True)
    turn, nod = np.arcsin(axes[:, 0, 2]), np.arcsin(-axes[:, 1, 2])
    with np.load(FILE.with_suffix(".npz")) as truth:
        pitch, yaw, _ = truth["head_rot"].T
    assert abs(np.corrcoef(turn, yaw)[0, 1]) > 0.98
    assert abs(np.corrcoef(nod, pitch)[0, 1]) > 0.5
