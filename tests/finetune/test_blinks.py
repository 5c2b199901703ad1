"""The presenter's own blinks, in the pictures alone."""

from __future__ import annotations

import numpy as np

from tests.finetune import presenter_clip
from visavis.engines.blinks import Blinks
from visavis.finetune.blinks import eye_ellipses, find_blinks, openness


def test_blinks_are_those_of_the_scene() -> None:
    frames, geometry = presenter_clip.frames(), presenter_clip.geometry()
    opening = openness(frames, geometry)
    with np.load(presenter_clip.TRUTH) as truth:
        names = list(truth["expr_names"])
        lid = truth["expr"][presenter_clip.FRAMES, names.index("eyeBlink_L")]
    assert np.corrcoef(opening, lid)[0, 1] < -0.85
    found = find_blinks(opening)
    # At 477 to 481 there is one that the cut begins in, so it is none.
    assert [(a + b) // 2 for a, b in (found + presenter_clip.FRAMES.start).tolist()] == [527, 559]
    for first, last in found.tolist():
        assert opening[[first, last]].min() > 0.8 and lid[first : last + 1].max() > 0.9
    Blinks(found, geometry.pose)


def test_a_steady_or_an_odd_look_is_no_blink() -> None:
    assert find_blinks(np.ones(100)).shape == (0, 2)
    half = np.ones(100)
    half[30:36] = 0.7  # a glance down
    half[50:90] = 0.3  # asleep
    half[10] = 0.2  # a flash
    assert find_blinks(half).shape == (0, 2)
    half[40:44] = 0.3
    assert find_blinks(half).tolist() == [[39, 44]]
    many = np.ones(800)
    for begin in range(20, 800, 30):
        many[begin : begin + 4] = 0.4
    assert len(find_blinks(many)) == 16


def test_ellipses_hold_the_lids_and_not_each_other() -> None:
    eyes = eye_ellipses(presenter_clip.geometry())
    assert eyes.shape == (2, 5) and eyes.dtype == np.float32
    assert eyes[0, 0] + eyes[0, 3] < 0 < eyes[1, 0] - eyes[1, 3]
    assert ((eyes[:, 3] > 0.2) & (eyes[:, 3] < 0.4)).all() and (eyes[:, 4] < eyes[:, 3]).all()
