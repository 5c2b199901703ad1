"""Jumps, calm stretches and the encoded video of the presenter."""

from __future__ import annotations

import dataclasses
import functools
import io

import av
import numpy as np

from tests.finetune import presenter_clip
from visavis.engines.background import Background
from visavis.engines.clip import Clip
from visavis.engines.walk import Cue
from visavis.engines.warp import HeadWarp
from visavis.finetune.background import (
    BLEND,
    WalkParts,
    aligned,
    encode_video,
    find_jumps,
    jpeg,
    unrest,
    walk_parts,
)
from visavis.finetune.parts import ANCHOR, SIZE

COUNT = 102


def hidden() -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[40:180, 20:170] = 255
    return mask


@functools.cache
def built() -> WalkParts:
    frames, geometry = presenter_clip.frames(), presenter_clip.geometry()
    return walk_parts(frames, geometry, hidden(), SIZE, ANCHOR)


def test_the_engine_takes_what_is_built() -> None:
    made = built()
    assert made.params["blend"] == BLEND
    parts = {**made.arrays, "video": encode_video(presenter_clip.frames(), quality=30)}
    stage = Background({**made.params, "size": SIZE, "anchor": list(ANCHOR)}, parts)
    state = stage.initial_state(0)
    choices = [stage.step(state, Cue()) for _ in range(300)]
    assert {f for choice in choices for f in choice.frames} <= set(range(COUNT))
    assert stage.picture(choices[-1]).shape == (768, 512)


def test_a_jump_to_a_copy_costs_nothing_and_one_into_a_blink_does() -> None:
    geometry = presenter_clip.geometry()
    twice = dataclasses.replace(
        geometry,
        **{
            name: np.concatenate([getattr(geometry, name)] * 2)
            for name in ("coefficients", "pose", "aperture", "jaw", "width")
        },
    )
    made = built()
    warp = HeadWarp({**made.params, "width": 512, "height": 512}, made.arrays)
    pictures = aligned(presenter_clip.frames(), geometry, warp)
    middle = np.median(geometry.pose, axis=0)[:2] @ np.array([*ANCHOR, 1.0])
    origin = tuple(2 * round(float(at - SIZE // 2) / 2) for at in middle)
    jumps, costs = find_jumps(np.concatenate([pictures, pictures]), twice, hidden(), origin)
    copies = np.abs(jumps[:, 0] - jumps[:, 1]) == COUNT
    assert copies.any() and costs[copies].max() < 0.3
    assert costs[~copies].min() > 0.3
    with np.load(presenter_clip.TRUTH) as truth:
        blink = truth["expr"][:, list(truth["expr_names"]).index("eyeBlink_L")]
    shut = np.tile(blink[presenter_clip.FRAMES] > 0.6, 2)
    middles = jumps[~copies & (costs < 1.0)] + BLEND // 2
    assert (shut[middles[:, 0]] == shut[middles[:, 1]]).all()


def test_pictures_are_compared_with_their_heads_in_one_place() -> None:
    """Frames of heads that are pixels apart are alike once they are carried to one pose."""
    frames, geometry = presenter_clip.frames(), presenter_clip.geometry()
    made = built()
    warp = HeadWarp({**made.params, "width": 512, "height": 512}, made.arrays)
    pictures = aligned(frames, geometry, warp)
    raw = frames[:, :512].reshape(COUNT, 128, 4, 128, 4).mean(axis=(2, 4))
    place = geometry.pose[:, 0, 3]
    far = np.abs(place[:, None] - place[None]) > 5
    one, two = np.argwhere(far)[::97].T
    face = slice(20, 70), slice(40, 88)  # hair and eyes, no mouth

    def apart(stack: np.ndarray) -> float:
        return float(np.abs(stack[one][:, *face] - stack[two][:, *face]).mean())

    assert len(one) > 5 and apart(pictures) < 0.6 * apart(raw)


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
    frame = presenter_clip.frames()[60]
    data = jpeg(frame)
    assert data[:3] == b"\xff\xd8\xff" and len(data) < 60_000
    with av.open(io.BytesIO(data), format="jpeg_pipe") as container:
        picture = next(container.decode(video=0)).to_ndarray(format="yuvj420p")
    luma = (frame[:512].astype(float) - 16) * 255 / 219  # JPEG is of full range
    assert np.abs(picture[:512] - luma).mean() < 3
