"""Decoding the person's frames: the right ones, within a budget, ahead of time."""

from __future__ import annotations

import io
import threading

import av
import numpy as np
import pytest

from visavis.engines.background import Background, Clip
from visavis.engines.errors import PersonFileError
from visavis.engines.walk import FrameChoice

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


def background(video: bytes) -> Background:
    pose = np.zeros((COUNT, 3, 4), np.float32)
    pose[:, :2, 3] = 64
    parts = {
        "video": video,
        "pose": pose,
        "jumps": np.array([[50, 10], [80, 20], [85, 40]], np.int32),
        "costs": np.ones(3, np.float32),
        "unrest": np.zeros(COUNT, np.float32),
    }
    return Background({"blend": 6, "size": 64, "anchor": [0, 0, 0]}, parts)


def test_pictures_are_those_of_the_choice_and_fresh(video: bytes) -> None:
    stage = background(video)
    state = stage.initial_state(1)
    for _ in range(200):
        choice = stage.step(state, 0.0)
        picture = stage.picture(choice)
        levels = [20 + 2 * frame for frame in choice.frames]
        wanted = levels[0] + choice.share * (levels[-1] - levels[0])
        assert abs(float(picture[:SIDE].mean()) - wanted) < 1.0
        picture[:] = 0  # the caller owns it
        assert stage.picture(choice)[:SIDE].mean() > 10


def test_no_tick_decodes_a_whole_group(video: bytes) -> None:
    """Walking and showing, at most two pictures are decoded in a tick, jumps included."""
    stage = background(video)
    state = stage.initial_state(1)
    before = sum(len(group.frames) for group in stage._clip._cache.values())
    for _ in range(60):
        stage.picture(stage.step(state, 0.0))
        now = sum(len(group.frames) for group in stage._clip._cache.values())
        assert now - before <= 2
        before = now


def test_a_blend_rounds_to_the_nearest_level(video: bytes) -> None:
    stage = background(video)
    choice = FrameChoice((0, 90), 0.25, np.zeros((3, 4), np.float32), (0, 0))
    first, second = (stage._clip.frame(i).astype(float) for i in (0, 90))
    mixed = stage.picture(choice)
    assert np.abs(mixed - (0.75 * first + 0.25 * second)).max() <= 0.5


def test_poses_must_be_those_of_the_video(video: bytes) -> None:
    with pytest.raises(PersonFileError, match="cannot be read"):
        Clip(video[:500])
    parts = {
        "video": video,
        "pose": np.tile(np.float32([[[0, 0, 0, 64], [0, 0, 0, 64], [0, 0, 0, 0]]]), (90, 1, 1)),
        "jumps": np.array([[70, 10]], np.int32),
        "costs": np.ones(1, np.float32),
        "unrest": np.zeros(90, np.float32),
    }
    with pytest.raises(PersonFileError, match="poses for"):
        Background({"blend": 6, "size": 64, "anchor": [0, 0, 0]}, parts)
