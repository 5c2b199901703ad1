"""What `visavis finetune` is told of a face model: refused at once, or remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from visavis.engines.errors import ConfigError
from visavis.finetune.make import Request, make
from visavis.finetune.workplace import Settings, Workplace


def test_what_cannot_be_used_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    out = tmp_path / "out"
    request = Request(tmp_path / "a.mp4", out, expression_model=tmp_path)
    with pytest.raises(ConfigError, match="belongs to a --face-model"):
        make(request, base=None, say=print, tell=print)  # type: ignore[arg-type]
    (tmp_path / "words.mat").write_text("no model")
    request = Request(tmp_path / "a.mp4", out, face_model=tmp_path / "words.mat")
    with pytest.raises(ConfigError, match=r"is no \.mat file"):
        make(request, base=None, say=print, tell=print)  # type: ignore[arg-type]
    assert not out.exists()


def test_a_folder_goes_on_with_the_same_model_only(tmp_path: Path) -> None:
    def settings(face_model: dict[str, str] | None) -> Settings:
        return Settings("a", "A", 1.0, 0, "cpu", False, face_model=face_model)

    root = tmp_path / "out"
    Workplace.open(root, settings({"front.mat": "ab"}), "cd" * 32, resume=False)
    Workplace.open(root, settings({"front.mat": "ab"}), "cd" * 32, resume=True)
    for other in (None, {"front.mat": "ac"}):
        with pytest.raises(ConfigError, match="was begun with face_model"):
            Workplace.open(root, settings(other), "cd" * 32, resume=True)
