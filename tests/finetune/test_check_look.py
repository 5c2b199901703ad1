"""The walk through the pictures: cuts, samples, what a view takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from tests.finetune.made_clips import flat, scene, write
from tests.finetune.test_check_probe import GOOD
from visavis.finetune.check import look as looking
from visavis.finetune.check.cuts import breaks, cut_times, gaps, stretches
from visavis.finetune.check.look import look, sample_size, view_of
from visavis.finetune.check.run import cut_findings
from visavis.finetune.check.source import Facts, read_facts
from visavis.finetune.video import Taker, bt709_to_bt601


def no_faces(_: np.ndarray) -> list[np.ndarray]:
    return []


def whole(facts: Facts) -> Taker:
    """What shows all of a picture."""
    width, height = facts.shown
    return Taker(view_of(facts, 0, 0, width, height, (int(width), int(height))))


def test_cuts_are_found_and_movement_is_none(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.mp4", scene(60) + scene(50, 1) + scene(40, 2))
    facts = read_facts(clip)
    seen = look(facts, no_faces)
    assert cut_times(seen.time, seen.change) == pytest.approx([2.4, 4.4], abs=1e-3)
    assert seen.whole and len(seen.samples) == 12 and seen.damaged == 0
    found = {finding.kind: finding for finding in cut_findings(facts, seen)}
    assert found["cuts"].level == "warning" and "2.40 and 4.40 s" in found["cuts"].text


def test_pictures_that_come_twice_are_no_cuts() -> None:
    change = np.where(np.arange(100) % 2, 4.0, 0.0)
    assert cut_times(np.arange(100) / 25, change) == []
    change[51] = 30.0
    assert cut_times(np.arange(100) / 25, change) == [51 / 25]


def test_a_key_picture_of_a_still_scene_is_no_cut() -> None:
    change = np.full(100, 0.05)
    change[50] = 0.95
    assert cut_times(np.arange(100) / 25, change) == []


def test_stretches_lie_between_cuts_and_gaps() -> None:
    time = np.concatenate([np.arange(125), 225 + np.arange(275)]) / 25
    assert gaps(time) == [(124 / 25, 9.0)]
    assert breaks([2.0, 16.0], gaps(time)) == [2.0, 124 / 25, 9.0, 16.0]
    assert stretches([2.0, 16.0], gaps(time), 20.0) == [(9.0, 16.0), (16.0, 20.0)]


def test_too_many_cuts_are_refused() -> None:
    every = np.arange(0, 500, 50)
    change = np.full(500, 0.5)
    change[every[1:]] = 20.0
    seen = looking.Look(GOOD.time, change, True, (), 3)
    found = {finding.kind: finding for finding in cut_findings(GOOD, seen)}
    assert found["cuts"].level == "refused" and "Only 0.0 s" in found["cuts"].text
    assert found["damaged"].level == "warning" and "3 pieces" in found["damaged"].text


def test_a_picture_that_stands_still_is_told() -> None:
    facts = replace(GOOD, time=np.delete(GOOD.time, slice(100, 120)))
    seen = looking.Look(facts.time, np.full(480, 0.5), True, (), 0)
    (found,) = cut_findings(facts, seen)
    assert found.kind == "frozen" and "0.8 s" in found.text and "3.96 s" in found.text


def test_of_a_large_video_only_key_pictures_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "_MOST_DECODED", 1000)
    clip = write(tmp_path / "clip.mp4", scene(150), options={"g": "5", "sc_threshold": "0"})
    facts = read_facts(clip)
    seen = look(facts, no_faces)
    assert len(seen.time) == 30 and not seen.whole
    assert "cuts-later" in {finding.kind for finding in cut_findings(facts, seen)}


def test_samples_are_at_most_960_pixels_large() -> None:
    assert sample_size(replace(GOOD, coded=(3840, 2160))) == (960, 540)
    assert sample_size(replace(GOOD, coded=(1920, 1080), turns=1)) == (540, 960)
    assert sample_size(replace(GOOD, coded=(720, 576), aspect=16 / 15)) == (768, 576)
    assert sample_size(replace(GOOD, coded=(64, 48))) == (64, 48)


def corners(picture: np.ndarray) -> list[int]:
    """Luma at the corners: top left, top right, bottom left, bottom right."""
    height = len(picture) * 2 // 3
    return [int(picture[y, x]) for y in (2, height - 3) for x in (2, -3)]


@pytest.mark.parametrize(("turns", "upright"), [(0, "abcd"), (1, "bdac"), (2, "dcba"), (3, "cadb")])
def test_a_view_sets_pictures_upright(turns: int, upright: str) -> None:
    levels = {"a": 40, "b": 90, "c": 140, "d": 190}
    stored = flat(0)
    stored[:24, :32], stored[:24, 32:], stored[24:48, :32], stored[24:48, 32:] = levels.values()
    facts = replace(GOOD, coded=(64, 48), turns=turns)
    made = whole(facts)(av.VideoFrame.from_ndarray(stored, "yuv420p"))
    assert made.shape == ((72, 64) if turns % 2 == 0 else (96, 48))
    assert corners(made) == [levels[name] for name in upright]


def test_a_view_takes_a_part_and_scales_it() -> None:
    stored = flat(50)
    stored[12:24, 16:32] = 200
    facts = replace(GOOD, coded=(64, 48))
    view = view_of(facts, 16, 12, 32, 24, (32, 24))
    made = Taker(view)(av.VideoFrame.from_ndarray(stored, "yuv420p"))
    assert made.shape == (36, 32) and (made[:24] == 200).all()
    outside = view_of(facts, -9, -9, 99, 99, (64, 48))
    assert (outside.left, outside.top, outside.width, outside.height) == (0, 0, 64, 48)


def test_a_view_squares_pixels_and_takes_one_field() -> None:
    stored = flat(60, 64, 48)
    stored[1:48:2] = 200  # the other half picture
    facts = replace(GOOD, coded=(64, 48), interlaced=True, aspect=2.0)
    assert facts.shown == (128, 48)
    made = whole(facts)(av.VideoFrame.from_ndarray(stored, "yuv420p"))
    assert made.shape == (72, 128) and (made[:48] == 60).all()


def test_colours_become_those_of_bt_601() -> None:
    facts = replace(GOOD, coded=(64, 48))
    stored = flat(120, u=110, v=150)

    def shown(picture: np.ndarray, form: str, **tags: int) -> np.ndarray:
        frame = av.VideoFrame.from_ndarray(picture, form)
        for name, value in tags.items():
            setattr(frame, name, value)
        return np.abs(whole(facts)(frame).astype(int) - expected).max()

    expected = bt709_to_bt601(stored)
    assert shown(stored, "yuv420p", colorspace=1, color_range=1) <= 2
    expected = stored
    assert shown(stored, "yuv420p", colorspace=5, color_range=1) == 0
    assert shown(stored, "yuv420p") == 0  # small, so probably BT.601
    assert shown(stored.astype(np.uint16) * 4, "yuv420p10le", colorspace=5, color_range=1) <= 1
    full = np.rint((stored.astype(float) - 128) * 255 / 224 + 128)
    full[:48] = np.rint((stored[:48].astype(float) - 16) * 255 / 219)
    assert shown(full.astype(np.uint8), "yuvj420p", colorspace=5, color_range=2) <= 1
    large = np.kron(stored, np.ones((13, 13), np.uint8))  # 832 x 624, so probably BT.709
    facts, expected = replace(GOOD, coded=(832, 624)), bt709_to_bt601(large)
    assert shown(large, "yuv420p") <= 2


@pytest.mark.long
def test_high_dynamic_range_is_brought_down() -> None:
    facts = replace(GOOD, coded=(64, 48))
    frame = av.VideoFrame.from_ndarray(flat(130).astype(np.uint16) * 4, "yuv420p10le")
    frame.colorspace, frame.color_range = 9, 1
    frame.color_primaries, frame.color_trc = 9, 16  # PQ: this much is about 100 cd/m2
    made = whole(facts)(frame)
    assert 150 < made[5, 5] < 235 and np.abs(made[48:].astype(int) - 128).max() <= 2
