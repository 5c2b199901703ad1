"""`visavis import` and `visavis share` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.cli.command import sentence, visavis
from tests.export.imports import samples
from visavis.cli.main import main
from visavis.engines.person import load_person
from visavis.export.imports import make
from visavis.finetune import importing


def test_a_web_page_is_refused_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    page = tmp_path / "101_DAVS_checkpoint.pth.tar"
    page.write_text("<!DOCTYPE html><html><title>Google Drive</title></html>")
    done = visavis("import", "davs", page, "--out", tmp_path / "anna.person")
    assert done.returncode == 4
    assert "web page" in sentence(done)
    assert sorted(path.name for path in tmp_path.iterdir()) == [page.name]


def test_an_unknown_system_is_told_with_those_there_are(tmp_path: Path) -> None:
    done = visavis("import", "wav2lip", tmp_path / "x.pth", "--out", tmp_path / "x.person")
    assert done.returncode == 4
    assert "style_avatar" in sentence(done)


def test_what_is_no_person_is_not_shared(tmp_path: Path) -> None:
    path = tmp_path / "x.person"
    path.write_bytes(b"nothing")
    done = visavis("share", path, "--to", tmp_path / "outbox")
    assert done.returncode == 4
    assert sentence(done)
    assert not (tmp_path / "outbox").exists()


def test_options_reach_the_system_and_the_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def draft(request, say):  # type: ignore[no-untyped-def]
        asked.append(request)
        return samples.small_draft(request)

    monkeypatch.setattr(make, "importer_of", lambda system: draft)
    checkpoint, out = tmp_path / "toy.pth", tmp_path / "Anna B.person"
    torch.save({"a": torch.zeros(1)}, checkpoint)
    words = "import davs --motion original --points 1,2 3,4 --frames 9 --ahead 3 --tune 0 --half"
    words += " --lookahead 240 --face-only --licence CC0-1.0 --json"
    given = [*words.split(), "--consent", "Yes. Anna", "--out", str(out), "--image", "a.png"]
    assert main([*given[:2], str(checkpoint), *given[2:]]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["mouth"]["moved"] > 10 and said["licensed"] is None
    assert Path(said["sheet"]).exists()
    person = load_person(out.read_bytes(), trusted=True)
    assert (person.name, person.display_name) == ("anna-b", "Anna B")
    assert person.manifest["consent"]["given"] == "Yes. Anna"
    assert person.manifest["licence"] == "CC0-1.0"
    request = asked[0]
    assert isinstance(request.find_points, importing.Points68)
    assert (request.motion, request.points, request.image) == (
        "original",
        ((1.0, 2.0), (3.0, 4.0)),
        Path("a.png"),
    )
    assert (request.frames, request.ahead, request.tune, request.lookahead_ms) == (9, 3, 0, 240)
    assert request.half and request.face_only
