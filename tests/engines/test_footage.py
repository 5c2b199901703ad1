"""`footage@1`: which frame comes next, and how the head is posed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.engines.sample_file import video
from visavis.engines.controls import Controls
from visavis.engines.errors import PersonFileError
from visavis.engines.footage import Footage, forth_and_back
from visavis.engines.walk import Cue

SIZE = 64


def parts(frames: int = 5, **more: Any) -> dict[str, Any]:
    pose = np.stack([np.arange(frames) * 10.0, np.arange(frames) % 2], 1).astype(np.float32)
    place = np.tile(np.eye(2, 3, dtype=np.float32), (frames, 1, 1))
    place[:, 0, 2] = np.arange(frames)
    return {"video": video(SIZE, SIZE, frames), "pose": pose, "place": place, **more}


def shown(stage: Footage, head: str | None, ticks: int, cue: Cue | None = None) -> list[int]:
    state = stage.initial_state(0)
    stage.apply(state, Controls(head=head))
    return [stage.step(state, cue or Cue()).index for _ in range(ticks)]


def test_forth_and_back() -> None:
    assert [forth_and_back(tick, 3) for tick in range(8)] == [0, 1, 2, 2, 1, 0, 0, 1]
    assert {forth_and_back(tick, 1) for tick in range(5)} == {0}


def test_as_filmed_each_with_its_own_pose_and_place() -> None:
    stage = Footage({}, parts())
    state = stage.initial_state(None)
    assert stage.heads == ("own", "still")
    for index in (0, 1, 2, 3, 4, 4, 3):
        choice = stage.step(state, Cue(speech=1.0))
        assert choice.index == index
        assert choice.pose.tolist() == [10.0 * index, index % 2]
        assert choice.place[0, 2] == index
    picture = stage.picture(choice)
    assert picture.shape == (SIZE * 3 // 2, SIZE)
    picture[:] = 0
    assert stage.picture(choice).any(), "pictures must not be shared with who changes them"


def test_a_still_head_stays() -> None:
    assert shown(Footage({}, parts()), "still", 4) == [0, 0, 0, 0]


def test_a_generated_pose_leads_the_footage_without_a_jump() -> None:
    stage = Footage({"follow": [1, 3]}, parts())
    assert stage.heads == ("own", "still", "generated")
    far = Cue(coefficients=np.array([9.0, 40.0, 0.0], np.float32))
    assert shown(stage, "generated", 6, far) == [1, 2, 3, 4, 4, 4]
    near = Cue(coefficients=np.array([9.0, 21.0, 0.0], np.float32))
    assert shown(stage, "generated", 4, near) == [1, 2, 2, 2]


def test_a_still_takes_the_generated_pose_itself() -> None:
    stage = Footage({"follow": [0, 2]}, parts(1))
    state = stage.initial_state(None)
    stage.apply(state, Controls(head="generated"))
    choice = stage.step(state, Cue(coefficients=np.array([0.25, -3.0], np.float32)))
    assert choice.pose.tolist() == [0.25, -3.0]


def test_a_driven_head_plays_the_track() -> None:
    track = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    stage = Footage({}, parts(1, track=track))
    state = stage.initial_state(None)
    assert stage.step(state, Cue()).pose.tolist() == [0.0, 0.0]
    stage.apply(state, Controls(head="driven"))
    poses = [stage.step(state, Cue()).pose.tolist() for _ in range(4)]
    assert poses == [[1, 2], [3, 4], [5, 6], [5, 6]]


def test_what_the_person_does_not_offer_changes_nothing() -> None:
    assert shown(Footage({}, parts()), "driven", 3) == [0, 1, 2]


@pytest.mark.parametrize(
    ("params", "changed", "words"),
    [
        ({}, {"pose": np.zeros((4, 2), np.float32)}, "4 poses and 5 places for 5 frames"),
        ({}, {"place": np.zeros((5, 3, 3), np.float32)}, r"place \[T, 2, 3\]"),
        ({}, {"track": np.zeros((4, 3), np.float32)}, "track of poses"),
        ({"follow": [0, 3]}, {}, "more numbers than a pose"),
        ({"speed": 2}, {}, "no parameter speed"),
    ],
)
def test_parts_that_do_not_fit(params: dict[str, Any], changed: dict[str, Any], words: str) -> None:
    with pytest.raises(PersonFileError, match=words):
        Footage(params, parts(**changed))
