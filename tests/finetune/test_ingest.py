"""Any video as frames of one kind: rate, colours, window, sound, and what is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.finetune.made_clips import flat, scene, write
from visavis.engines.errors import PersonFileError
from visavis.finetune.check import Plan, VideoRefused
from visavis.finetune.check.look import view_of
from visavis.finetune.check.source import read_facts
from visavis.finetune.ingest import Ingested, at_25, ingest, read_back, shifted

FILES = {"frames.i420", "sound.npy", "ingested.json"}


def plan_for(path: Path, size: tuple[int, int] | None = None) -> Plan:
    """Everything of the picture, made `size` large."""
    facts = read_facts(path)
    width, height = facts.shown
    size = size or (int(width), int(height))
    view = view_of(facts, 0, 0, width, height, size)
    return Plan(facts.coded, view, 1.0, 0, 0, width, height, 128.0, round(facts.used_s * 25))


def levels(clip: Ingested) -> list[int]:
    return [int(level) for level in clip.frames[:, 5, 5]]


def tags(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def nearest(times: np.ndarray, period: float) -> list[int]:
    """The pictures that `at_25` takes, by number."""
    return [int(k) for _, k in at_25(zip(times.tolist(), range(len(times)), strict=True), period)]


@pytest.mark.parametrize("rate", [23.976, 25.0, 29.97, 30.0, 50.0, 60.0])
def test_constant_rates(rate: float) -> None:
    times = np.arange(int(10 * rate)) / rate
    taken = nearest(times, 1 / rate)
    assert abs(len(taken) - len(times) / rate * 25) <= 1
    ideal = np.arange(len(taken)) / 25
    assert np.abs(times[taken] - ideal).max() <= max(0.5 / rate, 0.5 / 25) + 1e-6
    if rate == 25.0:
        assert taken == list(range(250))
    if rate == 50.0:
        assert taken == list(range(0, 500, 2))


def test_a_rate_that_varies() -> None:
    rng = np.random.default_rng(0)
    times = np.concatenate([[0.0], np.cumsum(rng.uniform(0.015, 0.06, 300))])
    taken = nearest(times, 0.04)
    ideal = np.arange(len(taken)) / 25
    best = np.abs(times[:, None] - ideal).min(axis=0)
    assert np.allclose(np.abs(times[taken] - ideal), best)


def test_no_more_than_five_minutes() -> None:
    assert len(nearest(np.arange(8000) / 25, 0.04)) == 7500


def test_frames_sound_and_cuts(tmp_path: Path) -> None:
    sound = np.zeros(15 * 16000, np.float32)
    sound[16000] = 0.8
    clip = write(
        tmp_path / "clip.mkv", scene(240) + scene(60, 1) + scene(150, 2), rate=30, sound=sound
    )
    made = ingest(clip, tmp_path / "out", plan_for(clip, (128, 96)))
    frames = round(450 / 30 * 25)
    assert isinstance(made.frames, np.memmap) and not made.frames.flags.writeable
    assert made.frames.shape == (frames, 144, 128) and made.frames.dtype == np.uint8
    assert made.cuts == (200, 250)
    assert made.stretches == ((0, 200), (250, frames))
    assert made.sound.shape == (640 * frames,) and made.sound.dtype == np.float32
    assert int(made.sound.argmax()) == pytest.approx(16000, abs=20)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    # The nearest picture: frame k shows picture 1.2 k.
    source = scene(60, 0)
    large = made.frames[30, :96][::2, ::2].astype(float)
    assert np.abs(large - source[36][:48]).mean() < 6


def test_colours_and_a_turned_picture(tmp_path: Path) -> None:
    stored = flat(100, u=110, v=150)
    stored[:24, :32] = 180
    clip = write(
        tmp_path / "clip.mp4", [stored] * 310, turn=-90, tags={"colorspace": 1, "color_range": 1}
    )
    made = ingest(clip, tmp_path / "out", plan_for(clip))
    assert made.frames.shape == (310, 96, 48)
    assert (
        np.abs(made.frames[5, :64].astype(int)[[2, 2, -3], [2, -3, 2]] - [102, 182, 102]).max() <= 3
    )
    assert np.abs(made.frames[5, 70].astype(int) - 108).max() <= 2


def test_what_is_there_is_used_again(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.mp4", scene(310))
    plan, out = plan_for(clip), tmp_path / "out"
    first = ingest(clip, out, plan)
    before = tags(out)
    again = ingest(clip, out, plan)
    back = read_back(out)
    assert np.array_equal(back.frames, first.frames) and np.array_equal(back.sound, first.sound)
    assert (back.cuts, back.stretches, back.sha256) == (again.cuts, again.stretches, again.sha256)
    with pytest.raises(PersonFileError, match="No video was read in"):
        read_back(tmp_path)
    assert tags(out) == before and np.array_equal(first.frames, again.frames)
    assert again.sha256 == first.sha256 and again.cuts == first.cuts == ()
    ingest(clip, out, replace(plan, eyes=120.0))
    assert tags(out)["frames.i420"] != before["frames.i420"]
    before = tags(out)
    (out / "frames.i420").write_bytes(b"short")
    assert ingest(clip, out, replace(plan, eyes=120.0)).frames.shape == (310, 72, 64)
    clip.write_bytes(write(tmp_path / "other.mp4", scene(320, 5)).read_bytes())
    assert len(ingest(clip, out, plan).frames) == 320


def test_what_was_kept_is_not_trusted(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.mp4", scene(310))
    plan, out = plan_for(clip), tmp_path / "out"
    ingest(clip, out, plan)
    for text in ("", "[]", '{"frames": 3}'):
        (out / "ingested.json").write_text(text)
        assert len(ingest(clip, out, plan).frames) == 310


def test_a_video_in_pieces_leaves_nothing(tmp_path: Path) -> None:
    pieces = [frame for seed in range(10) for frame in scene(40, seed)]
    clip = write(tmp_path / "clip.mp4", pieces)
    with pytest.raises(VideoRefused, match="Only 0.0 s") as caught:
        ingest(clip, tmp_path / "out", plan_for(clip))
    assert caught.value.finding.kind == "cuts"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_frozen_picture_is_cut_out(tmp_path: Path) -> None:
    times = [k / 25 + (2.0 if k >= 160 else 0.0) for k in range(400)]
    clip = write(tmp_path / "clip.mkv", scene(400), times=times)
    made = ingest(clip, tmp_path / "out", plan_for(clip))
    assert len(made.frames) == 450
    assert len(made.cuts) == 2 and made.stretches[0][1] <= 160 <= 184 <= made.stretches[1][0]


def test_a_plan_for_another_video(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.mp4", scene(5))
    with pytest.raises(PersonFileError, match="not for clip.mp4"):
        ingest(clip, tmp_path / "out", replace(plan_for(clip), coded=(32, 32)))
    with pytest.raises(PersonFileError, match="no such file"):
        ingest(tmp_path / "missing.mp4", tmp_path / "out", plan_for(clip))


def test_sound_is_moved(tmp_path: Path) -> None:
    sound = np.arange(1, 1601, dtype=np.float32)
    assert np.array_equal(shifted(sound, 50)[800:], sound[:800])
    assert np.array_equal(shifted(sound, -50)[:800], sound[800:])
    assert not shifted(sound, 50)[:800].any() and not shifted(sound, -50)[800:].any()
    assert np.array_equal(shifted(sound, 0), sound)
    assert not shifted(sound, 9e9).any() and not shifted(sound, -9e9).any()
    click = np.zeros(13 * 16000, np.float32)
    click[32000] = 0.8
    clip = write(tmp_path / "clip.mkv", scene(310), sound=click)
    moved = ingest(clip, tmp_path / "out", plan_for(clip), sound_offset_ms=-240.0)
    assert int(moved.sound.argmax()) == pytest.approx(32000 - 3840, abs=20)
