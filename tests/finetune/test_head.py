"""Where the presenter's head ends, and where the torso is."""

from __future__ import annotations

import functools

import numpy as np

from tests.finetune import presenter_clip
from visavis.engines.warp import HeadWarp
from visavis.finetune.blinks import eye_ellipses
from visavis.finetune.head import GRID, HeadParts, head_parts


@functools.cache
def made() -> HeadParts:
    return head_parts(presenter_clip.frames(), presenter_clip.geometry())


def at(role: str, x: float, y: float) -> float:
    left, top, step = GRID
    return float(made().arrays[role][round((y - top) / step), round((x - left) / step)])


def test_face_and_hair_follow_and_the_background_does_not() -> None:
    for x, y in ((0, 0), (0, 1.0), (-0.6, 0.2), (0.6, 0.2), (0, -1.2), (-0.8, -0.6), (0.8, -0.6)):
        assert at("follow", x, y) > 240, (x, y)
    for x, y in ((-1.9, -0.5), (1.9, -0.5), (0, -2.2), (1.5, 1.8), (-1.5, 1.8), (0, 2.3)):
        assert at("follow", x, y) == 0, (x, y)
    # The neck lets go from the chin to the collar.
    neck = [at("follow", 0, y) for y in (1.1, 1.4, 1.6, 1.9)]
    assert neck == sorted(neck, reverse=True) and neck[0] > 200 and neck[-1] < 60


def test_depth_is_that_of_the_mesh() -> None:
    mean = presenter_clip.geometry().mean[:468]
    tip = int(mean[:, 2].argmin())
    assert abs(at("depth", *mean[tip, :2].tolist()) - mean[tip, 2]) < 0.12
    assert at("depth", 0.0, 0.5) < at("depth", 0.6, 0.3) < at("depth", 1.5, 0.3)


def test_the_torso_breathes_and_the_wall_does_not() -> None:
    torso = made().arrays["torso"] / 255
    assert torso.shape == (33, 33)
    assert torso[29, 12:20].min() > 0.9  # under the collar
    assert torso[:20].max() < 0.05 and torso[:25, :3].max() < 0.05 and torso[-1].max() == 0
    # The clip's shoulders fall from row 440 beside the neck to 500 at the border.
    assert torso[28, 2] < 0.2 and torso[28, 30] < 0.2


def test_a_frame_carried_to_the_pose_of_another_looks_like_it() -> None:
    frames, geometry = presenter_clip.frames(), presenter_clip.geometry()
    parts = {**made().arrays, "eyes": eye_ellipses(geometry)}
    warp = HeadWarp({**made().params, "width": 512, "height": 512}, parts)
    pose = geometry.pose
    one, two = 5, 20  # ten pixels apart
    carried = warp.warp(frames[one], pose[one], pose[two])

    def apart(picture: np.ndarray, rows: slice, columns: slice) -> float:
        return float(np.abs(picture[rows, columns].astype(int) - frames[two][rows, columns]).mean())

    for part, share in (((slice(130, 300), slice(170, 350)), 0.4),
                        ((slice(40, 130), slice(120, 400)), 0.75)):  # fmt: skip
        assert apart(carried, *part) < share * apart(frames[one], *part)
