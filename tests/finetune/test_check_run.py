"""The whole check, with recorded faces for the tracker's answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.finetune import presenter_clip
from tests.finetune.made_clips import scene, write
from tests.finetune.test_check_finder import answers
from visavis.finetune.check import VideoRefused, check_video, format_findings

HALF = 256


def half(picture: np.ndarray) -> np.ndarray:
    """An I420 picture at half its size."""
    height = len(picture) * 2 // 3
    chroma = picture[height:].reshape(2, height // 2, -1)[:, ::2, ::2]
    return np.concatenate([picture[:height:2, ::2].ravel(), chroma.ravel()]).reshape(-1, HALF)


def presenter(folder: Path, name: str = "clip.mp4") -> tuple[Path, Path]:
    """A clip of 13 s with the presenter at half size and without sound, and its tracker."""
    order = np.abs(np.arange(325) % 202 - 101)
    pictures = [half(presenter_clip.frames()[k]) for k in order]
    clip = write(folder / name, pictures)
    faces = presenter_clip.track().landmarks / 2
    seen = [int(np.ceil(25 * 0.5 * i - 0.5 - 1e-9)) for i in range(26)]
    return clip, answers(folder, *(json.dumps([faces[order[k]].tolist()]) for k in seen))


def test_everything_is_found_in_one_run(tmp_path: Path) -> None:
    checked = check_video(*presenter(tmp_path))
    assert {f.kind: f.level for f in checked.findings} == {
        "small-face": "warning",
        "no-sound": "refused",
    }
    assert checked.refused
    with pytest.raises(VideoRefused, match="no sound"):
        checked.require_accepted()
    with pytest.raises(VideoRefused, match="no sound"):
        _ = checked.plan
    assert checked.known_plan is not None
    assert checked.known_plan.eyes == pytest.approx(65.5 * 1.8, abs=2)
    assert checked.known_plan.frames == 325
    told = format_findings(checked.findings).splitlines()
    assert [line.split()[0] for line in told] == ["refused", "warning"]


def test_a_video_without_a_face(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.mp4", scene(50))
    checked = check_video(clip, answers(tmp_path, *["[]"] * 4))
    assert {f.kind for f in checked.findings} == {"short", "no-face", "no-sound"}
    assert checked.known_plan is None and checked.refused


def test_what_cannot_be_read_is_one_finding(tmp_path: Path) -> None:
    checked = check_video(tmp_path / "missing.mp4", tmp_path / "python")
    assert [f.kind for f in checked.findings] == ["unreadable"] and checked.refused


def test_what_was_found_before_the_end_is_kept(tmp_path: Path) -> None:
    small = write(tmp_path / "small.ts", scene(10)).read_bytes()
    large = write(tmp_path / "large.ts", scene(10, width=96, height=64)).read_bytes()
    (tmp_path / "both.ts").write_bytes(small + large)
    checked = check_video(tmp_path / "both.ts", answers(tmp_path, *["[]"] * 4))
    assert "size-changes" in {f.kind for f in checked.findings} and checked.refused
