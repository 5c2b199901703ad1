"""`scripts/finetune-gpu`: what is packed, in which order it trains, and what comes back."""

from __future__ import annotations

import json
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "finetune-gpu"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    loader = SourceFileLoader("finetune_gpu", str(SCRIPT))
    spec = spec_from_loader("finetune_gpu", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


class Finetune:
    """Stands in for the command: writes what it would."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str]]] = []

    def __call__(self, clip: Path, out: Path, options: list[str], site: Path | None = None) -> None:
        assert clip.read_bytes() == b"a video"
        self.calls.append((out.name, options))
        for name in ("clip", "track", "lips", "renderer"):
            (out / name).mkdir(parents=True, exist_ok=True)
        (out / "clip" / "frames.i420").write_bytes(b"0" * 100)
        for name in ("settings.json", "check.json", "finetune.json"):
            (out / name).write_text(out.name)
        (out / "geometry.npz").write_bytes(b"g")
        if "--prepare" in options:
            return
        start = out / "renderer" / "start.pt"
        assert (start.read_text() if start.exists() else None) == (
            "held out of first" if out.name == "whole" else None
        )
        (out / "renderer" / "held-out.pt").write_text(f"held out of {out.name}")
        for name in ("anna.person", "report.html", "report.json"):
            assert out.name == "first" or not (out / name).exists()
            (out / name).write_text(out.name)


def test_a_first_person_and_from_it_the_whole_one(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = Finetune()
    monkeypatch.setattr(script, "finetune", command)
    video = tmp_path / "me.mp4"
    video.write_bytes(b"a video")
    folder, out = tmp_path / "anna", tmp_path / "out"
    script.pack(video, folder, ["--consent", "I agree. Anna"], wheels=False)
    assert not (folder / "first" / "clip").exists() and not (folder / "first" / "track").exists()
    assert (folder / "first" / "geometry.npz").exists()
    script.train(folder, 540.0, out, "cuda", 3.0)
    own = ["--name", "anna", "--consent", "I agree. Anna"]
    assert command.calls[0] == ("first", [*own, "--prepare"])
    usual = [*own, "--resume", "--device", "cuda", "--minutes"]
    assert command.calls[1] == ("first", [*usual, "3.000", "--no-adversarial"])
    assert json.loads((folder / "about.json").read_text()) == {"clip": "clip.mp4", "options": own}
    name, options = command.calls[2]
    assert name == "whole" and options[-1] == "--adversarial"
    assert 8.0 < float(options[-2]) < 540 / 60 - script.SPARE_S / 60 + 0.1
    assert sorted(path.name for path in out.iterdir()) == [
        "first.html", "first.json", "first.person",
        "times.json", "whole.html", "whole.json", "whole.person",
    ]  # fmt: skip
    assert (out / "whole.person").read_text() == "whole"
    # What the second writes is not what the first wrote.
    assert (folder / "first" / "settings.json").read_text() == "first"
    assert set(json.loads((out / "times.json").read_text())) == {"first", "whole"}


def test_too_little_time_for_the_adversary_leaves_the_first(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "finetune", Finetune())
    video = tmp_path / "me.mp4"
    video.write_bytes(b"a video")
    script.pack(video, tmp_path / "anna", [], wheels=False)
    with pytest.raises(SystemExit, match="too few"):
        script.train(tmp_path / "anna", 60.0, tmp_path / "out", "cuda", 0.5)
    assert (tmp_path / "out" / "first.person").exists()


def test_what_cannot_be_carried_is_said(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "finetune", Finetune())
    monkeypatch.setattr(script, "MOST_MIB", 1e-6)
    video = tmp_path / "me.mp4"
    video.write_bytes(b"a video")
    with pytest.raises(SystemExit, match="shorter or smaller"):
        script.pack(video, tmp_path / "anna", [], wheels=False)


def test_a_video_of_the_clone_is_not_carried_twice(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "finetune", Finetune())
    monkeypatch.setattr(script, "ROOT", tmp_path / "clone")
    video = tmp_path / "clone" / "persons" / "me.mp4"
    video.parent.mkdir(parents=True)
    video.write_bytes(b"a video")
    script.pack(video, tmp_path / "anna", [], wheels=False)
    assert not (tmp_path / "anna" / "clip.mp4").exists()
    # Both may lie elsewhere when it trains.
    (tmp_path / "clone").rename(tmp_path / "copy")
    monkeypatch.setattr(script, "ROOT", tmp_path / "copy")
    script.train(tmp_path / "anna", 540.0, tmp_path / "out", "cuda", 3.0)
    assert (tmp_path / "out" / "whole.person").exists()
