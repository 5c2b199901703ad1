"""Jumps, calm stretches and the encoded video of the presenter."""

from __future__ import annotations

import numpy as np

from tests.finetune import presenter_clip
from visavis.engines.background import Clip
from visavis.engines.walk import Walk
from visavis.finetune.background import encode_video, find_jumps, jpeg, unrest, walk_parts
from visavis.finetune.parts import ANCHOR, SIZE

WALK = {"blend": 8, "size": SIZE, "anchor": list(ANCHOR), "width": 512, "height": 512}


def origins() -> np.ndarray:
    middle = presenter_clip.geometry().pose[:, :2] @ np.array([*ANCHOR, 1.0])
    return (2 * np.rint((middle - SIZE / 2) / 2)).astype(int)


def hidden() -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[40:180, 20:170] = 255
    return mask


def test_the_walk_takes_what_is_built() -> None:
    parts = walk_parts(presenter_clip.frames(), presenter_clip.geometry(), hidden(), origins())
    walk = Walk(WALK, parts)
    state = walk.initial_state(0)
    assert {f for _ in range(500) for f in walk.step(state, 0.0).frames} <= set(range(102))


def test_a_jump_to_a_copy_costs_nothing_and_one_into_a_blink_does() -> None:
    frames, geometry = presenter_clip.frames(), presenter_clip.geometry()
    double = np.concatenate([frames, frames])
    import dataclasses

    twice = dataclasses.replace(
        geometry,
        **{
            name: np.concatenate([getattr(geometry, name)] * 2)
            for name in ("coefficients", "pose", "aperture", "jaw", "width")
        },
    )
    jumps, costs = find_jumps(double, twice, hidden(), np.concatenate([origins(), origins()]))
    copies = np.abs(jumps[:, 0] - jumps[:, 1]) == 102
    assert copies.any() and costs[copies].max() < 0.3
    assert costs[~copies].min() > 0.3
    with np.load(presenter_clip.TRUTH) as truth:
        blink = truth["expr"][:, list(truth["expr_names"]).index("eyeBlink_L")]
    shut = np.tile(blink[presenter_clip.FRAMES] > 0.6, 2)
    middle = jumps[~copies & (costs < 1.0)] + 4
    assert (shut[middle[:, 0]] == shut[middle[:, 1]]).all()


def test_silence_is_calmer_than_speech() -> None:
    value = unrest(presenter_clip.geometry())
    assert value[:20].mean() > 2 * value[75:].mean()
    assert value.min() >= 0.0 and value.max() <= 1.0


def test_the_video_has_short_groups_that_stand_alone() -> None:
    frames = presenter_clip.frames()[:30]
    clip = Clip(encode_video(frames, quality=18))
    assert [len(group) for group in clip._groups] == [12, 12, 6]
    for index in (29, 3, 13):
        difference = clip.frame(index).astype(int) - frames[index]
        assert np.abs(difference).mean() < 1.5


def test_the_poster_is_a_jpeg_of_the_frame() -> None:
    import io

    import av

    frame = presenter_clip.frames()[60]
    data = jpeg(frame)
    assert data[:3] == b"\xff\xd8\xff" and len(data) < 60_000
    with av.open(io.BytesIO(data), format="jpeg_pipe") as container:
        picture = next(container.decode(video=0)).to_ndarray(format="yuvj420p")
    luma = (frame[:512].astype(float) - 16) * 255 / 219  # JPEG is of full range
    assert np.abs(picture[:512] - luma).mean() < 3
