"""The whole report, of a tiny person and of the built-in one's geometry."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines import tiny_person
from tests.finetune import presenter_clip
from tests.finetune.test_closed_loop import fake_tracker
from visavis.engines.errors import ConfigError, PersonFileError
from visavis.engines.person import load_person
from visavis.engines.pipeline import Pipeline, Work
from visavis.finetune.lips.yardstick.mouth import Mouth
from visavis.finetune.report import html
from visavis.finetune.report import report as report_module
from visavis.finetune.report.blind import PAIRS, choose
from visavis.finetune.report.evaluation import frames_of, learned_from
from visavis.finetune.report.footage import (
    Footage,
    cut_sound,
    footage_of,
    from_geometry,
    placed,
    stretches,
)
from visavis.finetune.report.plots import curves
from visavis.finetune.report.report import Report, report
from visavis.finetune.report.studio import Studio
from visavis.finetune.report.targets import TARGETS, verdicts
from visavis.finetune.report.words import adversarial, lines, was_seen
from visavis.finetune.report.writing import write_report

F32 = NDArray[np.float32]
FRAMES = 60


def gap(coefficients: NDArray[np.floating]) -> Mouth:
    """In place of MediaPipe's mesh, which a tiny person has not."""
    opening = 0.15 * np.abs(coefficients[:, 0].astype(np.float64))
    return Mouth(opening, opening, opening)


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Studio:
    monkeypatch.setattr(Studio, "asked", lambda self, coefficients: gap(coefficients))
    return Studio(tiny_person.tiny_person(), 100)


def footage(studio: Studio) -> Footage:
    """The tiny person's own frames, their poses, and a mouth that moves."""
    background = studio._stages.background
    frames = np.stack([background._clip.frame(i) for i in range(FRAMES)])
    pose = np.asarray(studio.person.stage_parts("background")["pose"], np.float32)
    time = np.arange(FRAMES)[:, None]
    coefficients = np.sin(time / np.arange(3.0, 9.0)).astype(np.float32)
    return Footage(frames, pose, coefficients, gap(coefficients), tiny_person.voice(FRAMES / 25))


def test_what_is_judged_is_what_the_engine_sends(studio: Studio) -> None:
    """The tracked-driven picture is bit by bit that of a session that asks for the same."""
    person = studio.person
    pipeline = Pipeline(person)
    state = pipeline.initial_state(0, 100)
    sound = tiny_person.voice(1.0)
    begin = 0
    for tick in range(12):
        end = 1600 + 640 * tick
        work = Work(state, sound[begin:end])
        begin = end
        pipeline.advance([work])
        assert work.error is None and work.coefficients is not None and work.i420 is not None
        behind = studio._stages.background.picture(work.choice)
        assert studio.origin(work.choice.pose) == work.choice.origin
        made = studio.tracked(behind, work.choice.pose, work.coefficients)
        np.testing.assert_array_equal(made, work.i420)

    out = np.zeros((2, *work.i420.shape), np.uint8)
    spoken = studio.speak(sound[: 12 * 640 + 1600], np.array([5, 11]), out)
    np.testing.assert_array_equal(out[1], work.i420)
    np.testing.assert_array_equal(spoken.coefficients[11], work.coefficients)
    assert spoken.poses.shape == (2, 3, 4) and len(spoken.gate) == 14


@pytest.fixture
def made(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    monkeypatch.setattr(report_module, "IDLE_FRAMES", 300)
    judged = [*range(10, 26), *range(40, 52)]
    return report(
        studio.person,
        footage(studio),
        held_out=judged,
        training=[i for i in range(FRAMES) if i not in judged],
        tracker=fake_tracker(tmp_path),
        seen=False,
        notes={"seconds": {"track": 3.0, "renderer": 60.5}, "peak_mib": 512.3, "cpu": "<small>"},
        blind=tmp_path / "blind",
        draws=20,
    )


class Links(HTMLParser):
    """Everything that a page would fetch or go to, and what it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.images = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("script", "link", "iframe", "object", "a", "form", "base"):
            self.found.append(tag)
        for name in ("src", "href", "srcset", "xlink:href"):
            value = values.get(name)
            if value is not None:
                self.images += 1
                if not re.match(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+$", value):
                    self.found.append(value[:80])
        self.found += [name for name in values if name.startswith("on")]


def test_the_report_of_a_tiny_person(made: Report, tmp_path: Path) -> None:
    document = made.document
    rows = {row["name"]: row for row in document["picture"]}
    assert set(rows) == {
        "tracked-driven", "voice-driven", "drawn without a network",
        "next real frame, head held still", "half resolution, up again", "blur 1.4 and grain",
    }  # fmt: skip
    # Too few frames to learn from, so nothing says what it does not know.
    assert made.figures["over_baseline"] is None
    untaught = rows["tracked-driven"]
    assert untaught["ssim"] < 0.6 and untaught["ring"] > 2.0  # random weights draw no mouth
    assert rows["half resolution, up again"]["mouth"]["energy"][0] < 0.8
    assert rows["blur 1.4 and grain"]["mouth"]["coherence"][0] < 0.5
    assert rows["voice-driven"]["ssim"] is None
    assert document["settings"]["held_out"] == [[10, 26], [40, 52]]
    assert document["loop"]["tracked"]["frames"] == 28
    assert len(document["curves"]) == len(made.curves) == 2
    assert len(document["curves"][0]["series"]["tracked-driven, tracked again"]) == 16
    assert document["idle"]["jumps"] > 3 and document["idle"]["jitter"] < 3.0
    assert document["idle"]["blinking"]["per_minute"] > 5
    assert [t["key"] for t in document["targets"]] == [t.key for t in TARGETS]
    assert not document["targets"][0]["gpu"]["met"]

    page, data = tmp_path / "out" / "report.html", tmp_path / "out" / "report.json"
    assert write_report(made, tmp_path / "out") == (data, page)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
    ]

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no number of JSON")

    assert json.loads(data.read_text(), parse_constant=refuse) == document
    text = page.read_text("utf-8")
    assert "The face model" not in text
    assert "The face model" in html.page(replace(made, fitted=made.faces))
    links = Links()
    links.feed(text)
    assert links.found == [] and links.images == 3 + 3 * len(made.mouths) == 9
    assert not re.search(r"url\(|@import|https?://", text)
    assert "&lt;small&gt;" in text and "<small>" not in text
    assert "not measured" in text and "512 MiB" in text and "63.5 s" in text
    short = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert short.startswith("# ") and "| tracked-driven | " in short and "512 MiB" in short
    assert not re.search(r"\b(nan|inf|None)\b|<img|data:", short)
    widths = {
        len(block.splitlines()[0].split("|")) == len(line.split("|"))
        for block in short.split("\n\n")
        if block.startswith("|")
        for line in block.splitlines()
    }
    assert widths == {True}
    words = re.sub(r"base64,[^\"]+", "", text)
    assert text.count("<svg") == 2 and not re.search(r"\b(nan|inf|None)\b", words)
    assert "prefers-color-scheme: dark" in text

    said = "\n".join(lines(document))
    assert "did not learn from these frames" in said and "not measured" in said


def test_the_blind_test_hides_which_is_which(made: Report, tmp_path: Path) -> None:
    folder = tmp_path / "blind"
    key = json.loads((folder / "key.json").read_text())
    # 9 and 5 places to begin: fewer than forty.
    assert made.document["blind"]["pairs"] == len(key["pairs"]) == 14
    assert {p.name for p in folder.iterdir()} == {
        "key.json", *(f"{entry['number']:02d}.png" for entry in key["pairs"])
    }  # fmt: skip
    assert {entry["real"] for entry in key["pairs"]} == {"A", "B"}
    assert {entry["made"] for entry in key["pairs"]} == {"tracked", "voice"}
    assert all((folder / f"{n:02d}.png").read_bytes().startswith(b"\x89PNG") for n in (1, 14))


def test_strips_are_spread_over_the_clip() -> None:
    starts = choose([np.arange(100, 500)], 1)
    assert len(starts) == PAIRS == len(set(starts)) and starts != sorted(starts)
    assert min(starts) == 100 and max(starts) == 492
    assert starts == choose([np.arange(100, 500)], 1) != choose([np.arange(100, 500)], 2)
    assert choose([np.arange(7), np.arange(20, 28)], 0) == [20] and choose([], 0) == []


def test_what_cannot_be_judged_is_refused(studio: Studio) -> None:
    clip = footage(studio)
    with pytest.raises(PersonFileError, match="nothing to judge"):
        report(studio.person, clip, held_out=[60], training=[])
    with pytest.raises(PersonFileError, match="must not teach"):
        report(studio.person, clip, held_out=[3], training=[2, 3])
    away = clip.pose[0].copy()
    away[0, 3] += 40
    with pytest.raises(PersonFileError, match="too near to the border"):
        studio.tracked(clip.frames[0], away, clip.coefficients[0])


def test_a_clip_laid_onto_the_person_is_where_it_was_when_the_person_was_made() -> None:
    person = load_person(presenter_clip.CLIP.with_suffix(".person"), trusted=True)
    frames, track = presenter_clip.frames(), presenter_clip.track()
    sound = np.zeros(640 * len(frames), np.float32)
    clip = footage_of(person, frames, track, sound)
    own = np.asarray(person.stage_parts("background")["pose"])[presenter_clip.FRAMES]
    mouth = np.array([0.0, 0.8, -0.2, 1.0])
    off = (clip.pose - own)[4:-4, :2].astype(np.float64) @ mouth
    # Pixels; a piece of the clip has another mean mesh than the whole.
    assert np.abs(off).mean() < 0.1 and np.abs(off).max() < 0.3
    # The coefficients are those of the picture, the opening is the tracker's own.
    shown = Studio.asked(_Shape(person), clip.coefficients).opening
    assert np.corrcoef(shown, clip.mouth.opening)[0, 1] > 0.99
    assert np.abs(shown - clip.mouth.opening).max() < 0.04
    with pytest.raises(PersonFileError, match="256 x 256"):
        footage_of(person, np.zeros((3, 384, 256), np.uint8), track, sound)
    with pytest.raises(PersonFileError, match="102 frames are tracked"):
        footage_of(person, frames[:50], track, sound)
    with pytest.raises(PersonFileError, match="another person"):
        from_geometry(person, frames, presenter_clip.geometry(), sound)


class _Shape:
    """What `Studio.asked` reads, without a pipeline."""

    def __init__(self, person: object) -> None:
        parts = person.stage_parts("geometry")
        self._mean = np.asarray(parts["mean"], np.float64)
        self._basis = np.asarray(parts["basis"], np.float64)


def test_sound_is_cut_to_the_frames() -> None:
    sound = np.arange(1, 6401, dtype=np.float32)
    assert len(cut_sound(sound, 12)) == 12 * 640 and not cut_sound(sound, 12)[6400:].any()
    assert cut_sound(sound, 2, 10)[160] == 1 and not cut_sound(sound, 2, 10)[:160].any()
    assert cut_sound(sound, 2, -10)[0] == 161
    assert [p.tolist() for p in stretches([5, 3, 4, 9])] == [[3, 4, 5], [9]]
    assert [start for start, _ in placed(np.array([3, 4, 5, 9]))] == [0, 3]
    assert stretches([]) == []


def test_which_frames_are_judged() -> None:
    assert frames_of("3:7", 10).tolist() == [3, 4, 5, 6]
    assert frames_of("8:", 10).tolist() == [8, 9] and len(frames_of(":", 10)) == 10
    assert frames_of(None, 100).tolist() == list(range(85, 100))
    assert frames_of(None, 100, (20, 30)).tolist() == list(range(20, 30))
    for text in ("7", "7:3", "-1:4", "0:11", "a:b", "3:3"):
        with pytest.raises(ConfigError, match="A:B"):
            frames_of(text, 10)


def test_whether_frames_were_learned_is_said() -> None:
    judged = np.arange(10, 20)
    assert learned_from({}, "x", judged) is None
    assert learned_from({"clip_sha256": "y"}, "x", judged) is None
    assert learned_from({"clip_sha256": "x"}, "x", judged) is True
    spared = {"clip_sha256": "x", "settings": {"held_out": [10, 30]}}
    assert learned_from(spared, "x", judged) is False
    assert learned_from(spared, "x", np.arange(9, 20)) is True
    for seen, word in ((True, "too kind"), (False, "did not learn"), (None, "does not say")):
        assert word in was_seen({"settings": {"seen": seen}})
    for settings, word in (
        ({"adversarial_from": None}, "No adversarial stage was run."),
        ({"adversarial_from": 4000, "steps": 9000}, "from step 4000 of 9000 on"),
        ({}, "does not say"),
    ):
        assert word in adversarial({"made_by": {"settings": settings}})


def test_a_figure_is_judged_as_it_is_shown() -> None:
    entries = {e["key"]: e for e in verdicts({"voice_coarse": 0.8496, "ring": 2.004, "ssim": 0.86})}
    assert entries["voice_coarse"]["gpu"] == {"low": 0.85, "high": 1.15, "met": True}
    assert entries["ring"]["cpu"]["met"] is True
    assert entries["ssim"]["cpu"]["met"] and not entries["ssim"]["gpu"]["met"]
    assert entries["loop_r"]["value"] is None and entries["loop_r"]["cpu"]["met"] is None


def test_curves_stay_in_their_picture() -> None:
    svg = curves({"a<b": [0.0, 0.1, None, 0.2], "c": [0.3, 0.2, 0.1, 0.0]}, 17.08, 0.04)
    assert "a&lt;b" in svg and svg.count('class="curve') == 2
    numbers = re.findall(r"[ML]([\d.]+) ([\d.]+)", svg)
    assert all(0 <= float(x) <= 1000 and 0 <= float(y) <= 220 for x, y in numbers)
    assert curves({"flat": [0.0, 0.0]}, 0.0, 0.04).count("<path") >= 2
