"""Comparing what was asked for with what is shown."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.engines import tiny_person
from visavis.finetune.closed_loop import LIPS, compare, see, trembling
from visavis.finetune.lips.yardstick.listener import Film, PersonLips
from visavis.finetune.lips.yardstick.loop_table import loop_table, scenes
from visavis.finetune.lips.yardstick.mouth import Mouth
from visavis.finetune.lips.yardstick.talks import Talk
from visavis.finetune.speech.phones import Phone


def test_a_mouth_that_follows_and_one_that_does_not() -> None:
    random = np.random.default_rng(0)
    asked = np.concatenate([np.zeros(40), random.uniform(0, 0.25, 200)])
    good = compare(asked, 0.9 * asked + 0.002)
    assert good["r"] is not None and good["r"] > 0.999
    assert good["gain"] == pytest.approx(0.9)
    assert good["shown_closed"] == good["shown_open"] == 1.0
    assert good["asked_closed"] is not None and good["asked_closed"] >= 40
    still = compare(asked, np.full(240, 0.05) + random.normal(0, 0.001, 240))
    assert still["r"] is not None and abs(still["r"]) < 0.2 and still["shown_closed"] == 0.0
    assert compare(asked, np.full(240, 0.05))["r"] is None


def test_trembling_is_quick_and_in_silence() -> None:
    t = np.arange(200) / 25.0
    mesh = np.zeros((200, 468, 3))
    still = np.zeros(200, np.bool_)
    still[40:140] = True
    mesh[:, LIPS, 1] = 0.3 * np.sin(2 * np.pi * 0.8 * t)[:, None]  # breath and nods: slow
    calm = trembling(mesh, still, LIPS)
    assert calm is not None and calm < 0.004
    mesh[40:140, LIPS, 1] += 0.02 * np.sin(2 * np.pi * 8.0 * t[40:140])[:, None]
    shaken = trembling(mesh, still, LIPS)
    # RMS of a sine, over the two directions of the plane.
    assert shaken == pytest.approx(0.02 / 2, rel=0.1)
    mesh[:40, LIPS, 1] += np.random.default_rng(0).normal(0, 1, (40, 1))  # while speaking
    assert trembling(mesh, still, LIPS) == pytest.approx(shaken)
    assert trembling(mesh, np.zeros(200, np.bool_), LIPS) is None


TRACKER = """#!{python}
# Sees the same made-up face in every frame, whose mouth opens with the picture's mean level.
import sys
import numpy as np
width, height, out = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
face = np.random.default_rng(0).uniform(-0.5, 0.5, (468, 3))
face[33], face[263] = (-0.5, 0, 0), (0.5, 0, 0)
face[[152, 148, 377, 176, 400], 1] = 1.2
face[13] = face[14] = (0, 0.7, 0)
frames = []
while len(raw := sys.stdin.buffer.read(width * height * 3)) == width * height * 3:
    frames.append(face.copy())
    frames[-1][14, 1] += np.frombuffer(raw, np.uint8).mean() / 1000
mesh = (np.array(frames, np.float32) + 2) * 100
np.savez(out, landmarks=mesh, triangles=np.zeros((1, 3), np.int32))
"""


def fake_tracker(folder: Path) -> Path:
    path = folder / "tracker"
    path.write_text(TRACKER.format(python=sys.executable))
    path.chmod(0o755)
    return path


def test_what_is_seen_goes_with_what_was_asked(tmp_path: Path) -> None:
    class Lips(PersonLips):
        def mouth(self, coefficients: np.ndarray) -> Mouth:
            gap = np.abs(coefficients[:, 0].astype(np.float64))
            return Mouth(gap, gap, gap)

        def film(self, sound: np.ndarray, seed: int = 0) -> Film:
            film = super().film(sound, seed)
            # As bright as the mouth is open, instead of a rendered mouth.
            film.pictures[:] = 128
            level = 16 + np.clip(film.shown.mouth.opening * 1000 * 219 / 255, 0, 219)
            film.pictures[:, : tiny_person.HEIGHT] = level.astype(np.uint8)[:, None, None]
            return film

    lips = Lips(tiny_person.tiny_person())
    sound = tiny_person.voice(2.0)[: 50 * 640]
    phones = (Phone("aa", 0.2, 1.0), Phone("m", 1.0, 1.1), Phone("aa", 1.1, 2.0))
    talk = Talk("made:1", "made:1", "en", sound, phones)
    filmed = scenes([talk], [])
    assert [(name, t) for name, _, t in filmed] == [("made:1", talk)]
    assert len(filmed[0][1]) == len(sound) + 3 * 16000  # silence follows
    table = loop_table(lips, filmed, fake_tracker(tmp_path))
    assert set(table["films"]) == {"made:1"} and table["films"]["made:1"]["frames"] == 125
    seen = see(lips, sound, fake_tracker(tmp_path))
    clipped = np.minimum(seen.asked.mouth.opening, 0.25)
    assert np.corrcoef(clipped, seen.mouth.opening)[0, 1] > 0.99
    assert table["all"]["closures_said"] == 1
