"""Strips of mouths: labels that can be read, and crops that follow the head."""

from __future__ import annotations

import numpy as np
import pytest

from visavis.engines.errors import ConfigError
from visavis.finetune.lips.lettering import lettering
from visavis.finetune.lips.strips import FRAMES, Scene, _first_frame, _names, row_of
from visavis.finetune.lips.yardstick.listener import Film, Shown
from visavis.finetune.lips.yardstick.mouth import Mouth
from visavis.finetune.speech.phones import Phone


def test_letters_differ_and_stand_upright() -> None:
    assert lettering("ab", 2).shape == (14, 24)
    signs = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:-+/()'"
    seen = {lettering(sign, 1).tobytes() for sign in signs}
    assert len(seen) == len(signs) and lettering(" ", 1).tobytes() not in seen
    t = lettering("T", 1)
    assert t[0, :5].all() and not t[6, 0] and t[6, 2]  # the bar is above
    assert np.array_equal(lettering("é", 1), lettering(" ", 1))


PHONES = (Phone("aa", 0.6, 1.0), Phone("m", 1.0, 1.1), Phone("iy", 1.1, 1.5))


def test_a_scene_begins_just_before_its_sound() -> None:
    assert _first_frame(Scene("v", "en", "", "m"), PHONES, 50) == 25 - 2
    assert _first_frame(Scene("v", "en", "", "iy"), PHONES, 30) == 30 - FRAMES
    with pytest.raises(ConfigError, match="1 times"):
        _first_frame(Scene("v", "en", "", "m", 1), PHONES, 50)
    assert _names(PHONES, 23) == ["aa", "aa", "m", "m", "m iy", "iy", "iy", "iy"]


def test_crops_follow_the_mouth() -> None:
    size, frames = 200, FRAMES + 2
    pictures = np.full((frames, size * 3 // 2, size), 128, np.uint8)
    poses = np.zeros((frames, 3, 4), np.float32)
    for k in range(frames):
        x, y = 80 + 4 * k, 60 + 3 * k
        poses[k, :, :3] = 50.0 * np.eye(3)
        poses[k, :2, 3] = x, y
        pictures[k, :size] = 16
        # A white mouth 0.7 below the eyes.
        pictures[k, y + 35 - 3 : y + 35 + 4, x - 8 : x + 9] = 235
    still = Mouth(np.zeros(frames), np.zeros(frames), np.zeros(frames))
    film = Film(pictures, poses, Shown(still, np.zeros(frames), np.zeros(frames)))
    row = row_of(film, 2, np.array([0.0, 0.7, 0.0]))
    cells = np.split(row, FRAMES, axis=1)
    middles = [np.argwhere(cell[..., 0] > 200).mean(0) for cell in cells]
    assert np.ptp(middles, axis=0).max() < 1.5  # at the same place of every crop
    assert row.dtype == np.uint8 and row.shape[2] == 3
