"""Decoding the person's frames: the right ones, within a budget, ahead of time."""

from __future__ import annotations

import dataclasses
import io
import threading
from typing import Any

import av
import numpy as np
import pytest

from visavis.engines.background import AHEAD, Background
from visavis.engines.clip import Clip
from visavis.engines.errors import PersonFileError
from visavis.engines.walk import Cue, FrameChoice, WalkState
from visavis.engines.warp import field_shape

COUNT, GROUP, SIDE = 96, 12, 128


def pictures() -> np.ndarray:
    """Frames that are told apart by their mean: frame i has level 20 + 2 i."""
    base = np.zeros((SIDE * 3 // 2, SIDE), np.uint8)
    return np.stack([base + 20 + 2 * i for i in range(COUNT)]).astype(np.uint8)


@pytest.fixture(scope="module")
def video() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        stream.options = {
            "x264-params": f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0:bframes=0",
            "crf": "10",
        }
        for picture in pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "yuv420p")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def index_of(picture: np.ndarray) -> int:
    return round((float(picture[:SIDE].mean()) - 20) / 2)


def test_every_frame_in_any_order(video: bytes) -> None:
    clip = Clip(video)
    assert len(clip) == COUNT and (clip.width, clip.height) == (SIDE, SIDE)
    for index in np.random.default_rng(0).permutation(COUNT).tolist():
        picture = clip.frame(index)
        assert picture.shape == (SIDE * 3 // 2, SIDE) and index_of(picture) == index


def test_the_budget_holds(video: bytes) -> None:
    frame = SIDE * SIDE * 3 // 2
    clip = Clip(video, budget=3 * GROUP * frame)
    for index in [*range(0, COUNT, 5), *range(COUNT - 1, 0, -7)]:
        assert index_of(clip.frame(index)) == index
        held = sum(picture.nbytes for group in clip._cache.values() for picture in group.frames)
        assert held <= 3 * GROUP * frame


def test_preparing_decodes_one_picture_a_tick(video: bytes) -> None:
    clip = Clip(video)
    wanted = list(range(30, 40))  # in the middle of a group: the six before come first
    for tick in range(20):
        clip.prepare(wanted)
        decoded = sum(len(group.frames) for group in clip._cache.values())
        assert decoded <= tick + 1
    assert [len(clip._cache[group].frames) for group in (2, 3)] == [12, 4]


def test_threads_share_a_clip(video: bytes) -> None:
    clip = Clip(video, budget=2 * GROUP * SIDE * SIDE * 3 // 2)
    wrong: list[int] = []

    def ask(seed: int) -> None:
        for index in np.random.default_rng(seed).integers(0, COUNT, 150).tolist():
            if index_of(clip.frame(index)) != index:
                wrong.append(index)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


PARAMS = {"blend": 6, "size": 64, "anchor": [0, 0, 0], "grid": [-1.5, -1.5, 0.25]}


def parts(video: bytes, count: int = COUNT) -> dict[str, Any]:
    pose = np.zeros((count, 3, 4), np.float32)
    pose[:, [0, 1, 2], [0, 1, 2]] = 40
    pose[:, :2, 3] = 64
    follow = np.zeros((13, 13), np.uint8)
    follow[2:-2, 2:-2] = 255
    return {
        "video": video,
        "pose": pose,
        "jumps": np.array([[50, 10], [80, 20], [75, 40]], np.int32),
        "costs": np.ones(3, np.float32),
        "unrest": np.zeros(count, np.float32),
        "blinks": np.array([[60, 65]], np.int32),
        "depth": np.zeros((13, 13), np.float32),
        "follow": follow,
        "torso": np.zeros(field_shape(SIDE, SIDE), np.uint8),
        "eyes": np.array([[-0.3, 0, 0, 0.2, 0.1], [0.3, 0, 0, 0.2, 0.1]], np.float32),
    }


def background(video: bytes) -> Background:
    return Background(PARAMS, parts(video))


def begun(stage: Background, seed: int) -> WalkState:
    """A session's state, with the pictures that come first decoded one by one."""
    state = stage.initial_state(seed)
    before = count(stage)
    for _ in range(AHEAD):
        more = stage.look_ahead(state)
        assert count(stage) - before == more
        before = count(stage)
    return state


def count(stage: Background) -> int:
    """Decoded pictures."""
    return sum(len(group.frames) for group in stage._clip._cache.values())


def test_pictures_are_those_of_the_choice_and_fresh(video: bytes) -> None:
    stage = background(video)
    state = stage.initial_state(1)
    mixed = 0
    for _ in range(300):
        choice = dataclasses.replace(stage.step(state, Cue()), eyes=None)
        picture = stage.picture(choice)
        levels = [20 + 2 * frame for frame in choice.frames]
        wanted = levels[0] + choice.share * (levels[-1] - levels[0])
        assert abs(float(picture[:SIDE].mean()) - wanted) < 1.0
        mixed += len(choice.frames) == 2
        picture[:] = 0  # the caller owns it
        assert stage.picture(choice)[:SIDE].mean() > 10
    assert mixed > 5


def test_no_tick_decodes_a_whole_group(video: bytes) -> None:
    """Walking and showing, at most two pictures are decoded in a tick, jumps included."""
    stage = background(video)
    state = begun(stage, 1)
    before = count(stage)
    for tick in range(200):
        speech = 1.0 if tick % 60 < 30 else 0.0
        stage.picture(stage.step(state, Cue(speech)))
        now = count(stage)
        assert now - before <= 2
        before = now


def test_pictures_were_decoded_before_they_are_shown(video: bytes) -> None:
    """With so small a budget that groups come and go, a picture never waits for its group."""
    stage = Background({**PARAMS, "budget_bytes": 6 * GROUP * SIDE * SIDE * 3 // 2}, parts(video))
    clip = stage._clip
    state = begun(stage, 3)
    for tick in range(600):
        choice = stage.step(state, Cue(float(tick % 100 < 40)))
        for frame in choice.frames:
            group, offset = clip._where[frame]
            assert offset < len(clip._cache[group].frames), tick
        stage.picture(choice)


def test_at_rest_no_decoded_picture_is_kept(video: bytes) -> None:
    stage = background(video)
    state = begun(stage, 1)
    shown = [stage.picture(stage.step(state, Cue())) for _ in range(3)]
    stage.rest()
    assert count(stage) == 0
    again = begun(stage, 1)
    for picture in shown:
        assert (stage.picture(stage.step(again, Cue())) == picture).all()


def test_eyes_are_laid_over_the_frame(video: bytes) -> None:
    stage = background(video)
    pose = parts(video)["pose"][0]
    plain = FrameChoice((5,), 0.0, pose, (32, 32))
    blinking = dataclasses.replace(plain, eyes=(62, 1.0))
    changed = stage.picture(blinking)[:SIDE].astype(int) - stage.picture(plain)[:SIDE]
    rows, columns = np.nonzero(changed)
    assert changed.max() == 2 * (62 - 5) and changed.min() == 0
    assert rows.min() >= 59 and rows.max() <= 68
    assert {int(c) // 64 for c in columns} == {0, 1} and not changed[:, 62:66].any()
    stage.warm_up()


def test_a_blend_rounds_to_the_nearest_level(video: bytes) -> None:
    stage = background(video)
    pose = parts(video)["pose"][0]
    choice = FrameChoice((0, 90), 0.25, pose, (0, 0))
    first, second = (stage._clip.frame(i).astype(float) for i in (0, 90))
    mixed = stage.picture(choice)
    assert np.abs(mixed - (0.75 * first + 0.25 * second)).max() <= 0.5


def test_poses_must_be_those_of_the_video(video: bytes) -> None:
    with pytest.raises(PersonFileError, match="cannot be read"):
        Clip(video[:500])
    given = parts(video, 90)
    given["jumps"] = np.array([[70, 10]], np.int32)
    given["costs"] = np.ones(1, np.float32)
    with pytest.raises(PersonFileError, match="poses for"):
        Background(PARAMS, given)
