"""The folder of a fine-tuning: what it refuses, and that nothing in it is half written."""

from __future__ import annotations

import errno
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from visavis.engines.errors import ConfigError
from visavis.export.file_hash import sha256_of
from visavis.finetune import make as making
from visavis.finetune.check import Plan
from visavis.finetune.environment import find_tracker
from visavis.finetune.make import Request, make
from visavis.finetune.record import Record
from visavis.finetune.renderer.generic import generic_renderer, pack_renderer
from visavis.finetune.renderer.people import People
from visavis.finetune.video import View
from visavis.finetune.workplace import Settings, Workplace, name_of, write_json
from visavis.models.renderer import Renderer

SHA = "0" * 64


def settings(**changes: Any) -> Settings:
    values = {
        "name": "anna",
        "display_name": "Anna",
        "minutes": 1.0,
        "seed": 0,
        "device": "cpu",
        "adversarial": False,
        **changes,
    }
    return Settings(**values)


def test_a_folder_is_begun_once_and_gone_on_with_on_request(tmp_path: Path) -> None:
    root = tmp_path / "anna"
    place = Workplace.open(root, settings(held_out=(3, 9)), SHA, resume=False)
    assert place.person_file == root / "anna.person"
    assert Record.read(root).clip_sha256 == SHA
    with pytest.raises(ConfigError, match="--resume"):
        Workplace.open(root, settings(held_out=(3, 9)), SHA, resume=False)
    Workplace.open(root, settings(held_out=(3, 9)), SHA, resume=True)
    with pytest.raises(ConfigError, match="crop 192, not 256"):
        Workplace.open(root, settings(held_out=(3, 9), crop=256), SHA, resume=True)
    # Until the training is planned, what only it asks for may change.
    other = settings(held_out=(3, 9), device="cuda", adversarial=True)
    Workplace.open(root, other, SHA, resume=True)
    assert json.loads((root / "settings.json").read_text())["device"] == "cuda"
    Workplace.open(root, settings(held_out=(3, 9)), SHA, resume=True)
    (root / "renderer").mkdir()
    write_json(root / "renderer" / "plan.json", {})
    with pytest.raises(ConfigError, match=r"minutes 1\.0, not 2\.0"):
        Workplace.open(root, settings(held_out=(3, 9), minutes=2.0), SHA, resume=True)
    with pytest.raises(ConfigError, match="clip_sha256"):
        Workplace.open(root, settings(held_out=(3, 9)), "1" * 64, resume=True)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="not made by visavis finetune"):
        Workplace.open(tmp_path, settings(), SHA, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    with pytest.raises(ConfigError, match="not made by visavis finetune"):
        Workplace.open(tmp_path / "letter.txt", settings(), SHA, resume=True)


def test_a_folder_from_before_there_were_other_crops_is_gone_on_with(tmp_path: Path) -> None:
    root = tmp_path / "anna"
    Workplace.open(root, settings(), SHA, resume=False)
    kept = json.loads((root / "settings.json").read_text())
    assert kept.pop("crop") == 192
    write_json(root / "settings.json", kept)
    Workplace.open(root, settings(), SHA, resume=True)


def test_a_full_disk_is_said_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Workplace.open(tmp_path / "anna", settings(), SHA, resume=False)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10**9))
    place.require_room(500)
    with pytest.raises(ConfigError, match=r"needs 3\.3 GB of disk, and 1\.0 are free"):
        place.require_room(7500)
    large = Workplace.open(tmp_path / "large", settings(crop=384), SHA, resume=False)
    with pytest.raises(ConfigError, match=r"needs 1\.1 GB of disk, and 1\.0 are free"):
        large.require_room(500)


def test_a_folder_in_it_is_whole_or_not_there(tmp_path: Path) -> None:
    place = Workplace.open(tmp_path / "anna", settings(), SHA, resume=False)
    with pytest.raises(KeyboardInterrupt), place.new_folder("lips") as partial:
        (partial / "half").write_text("x")
        raise KeyboardInterrupt
    assert not (place.root / "lips").exists()
    with place.new_folder("lips") as partial:
        (partial / "whole").write_text("x")
    assert [path.name for path in (place.root / "lips").iterdir()] == ["whole"]


def test_json_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="nan"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}


def test_names_are_made_of_what_people_are_called() -> None:
    assert name_of("Anna Müller 2") == "anna-m-ller-2"
    with pytest.raises(ConfigError, match="--name"):
        name_of("???")


def test_a_video_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: no such file"):
        sha256_of(tmp_path / "me.mp4")


def test_an_environment_without_mediapipe_is_no_tracker() -> None:
    with pytest.raises(ConfigError, match=r"no MediaPipe.*make finetune-env"):
        find_tracker(Path(sys.executable))


def test_what_is_wrong_is_said_before_anything_is_made(tmp_path: Path) -> None:
    def ask(**changes: Any) -> None:
        request = Request(tmp_path / "me.mp4", tmp_path / "me", **changes)
        make(request, base=None, say=print, tell=print)  # type: ignore[arg-type]

    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no CUDA device"):
            ask(device="cuda")
    with pytest.raises(Exception, match="consent"):
        ask(consent={"given": 3})
    with pytest.raises(ConfigError, match="me.mp4 cannot be read"):
        ask()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "word"),
    [(OSError(errno.ENOSPC, "No space left on device"), "is full"), (MemoryError(), "memory")],
)
def test_what_lacks_is_a_sentence_and_the_rest_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, word: str
) -> None:
    video = tmp_path / "me.mp4"
    video.write_bytes(b"a video")
    plan = Plan((64, 48), View(0, False, 0, 0, 64, 48, 64, 48), 1.0, 0, 0, 64, 48, 128.0, 300)
    checked = SimpleNamespace(findings=(), require_accepted=lambda: None, plan=plan)
    monkeypatch.setattr(making, "find_tracker", lambda given: Path("python"))
    monkeypatch.setattr(making, "check_video", lambda *given: checked)
    monkeypatch.setattr(making, "ingest", Mock(side_effect=error))
    with pytest.raises(ConfigError, match=f"{word}.*--resume"):
        make(Request(video, tmp_path / "me"), base=None, say=print, tell=print)  # type: ignore[arg-type]
    assert Record.read(tmp_path / "me").clip_sha256 == sha256_of(video)
    # Going on does not look at the video again.
    assert making._known_plan(tmp_path / "me") == plan
    monkeypatch.setattr(making, "check_video", Mock(side_effect=AssertionError))
    with pytest.raises(ConfigError, match=f"{word}.*--resume"):
        make(Request(video, tmp_path / "me", resume=True), base=None, say=print, tell=print)  # type: ignore[arg-type]


def test_without_a_tracker_only_what_was_tracked_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "find_tracker", Mock(side_effect=ConfigError("no tracker")))
    request = Request(tmp_path / "me.mp4", tmp_path, resume=True)
    said: list[str] = []
    with pytest.raises(ConfigError, match="no tracker"):
        making._tracker(request, tracked=True, say=said.append)
    (tmp_path / "geometry.npz").touch()
    assert making._tracker(request, tracked=True, say=said.append) is None
    assert "no closed loop" in said[0]
    with pytest.raises(ConfigError, match="no tracker"):
        making._tracker(request, tracked=False, say=said.append)


def test_the_generic_renderer_is_packed_and_unpacked(tmp_path: Path) -> None:
    torch.manual_seed(0)
    renderer = Renderer((4, 8))
    pack_renderer(renderer, str(tmp_path / "generic.npz"))
    with np.load(tmp_path / "generic.npz", allow_pickle=False) as saved:
        assert saved["widths"].tolist() == [4, 8]
        assert saved["enter.weight"].dtype == np.float16
    shipped = generic_renderer()
    # One that had learnt nothing would add nothing to what is drawn.
    assert float(shipped.leave.weight.detach().abs().max()) > 1e-3


def test_many_people_are_drawn_from_as_one() -> None:
    class One:
        voiced = False

        def __init__(self, count: int, mark: float) -> None:
            self.openness = np.full(count, mark)
            self._mark = mark

        def __len__(self) -> int:
            return len(self.openness)

        def batch(
            self, indices: np.ndarray, random: object, how: object
        ) -> tuple[np.ndarray, np.ndarray]:
            assert (indices >= 0).all() and (indices < len(self)).all()
            values = indices + 100.0 * self._mark
            return values[:, None], -values[:, None]

    people = People([One(3, 0.0), One(2, 1.0)])  # type: ignore[list-item]
    assert len(people) == 5 and people.openness.tolist() == [0, 0, 0, 1, 1]
    planes, pictures = people.batch(np.array([4, 0, 3, 2]), np.random.default_rng(0), None)  # type: ignore[arg-type]
    assert sorted(planes[:, 0].tolist()) == [0, 2, 100, 101]
    assert np.array_equal(planes, -pictures)
