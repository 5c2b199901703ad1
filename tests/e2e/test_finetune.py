"""`visavis finetune` as people use it: a video, one command, a kill in between, and a person."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.finetune.presenter_clip import CLIP
from visavis.engines.errors import ConfigError
from visavis.engines.person import load_person
from visavis.engines.pipeline import Pipeline, Work
from visavis.finetune.environment import find_tracker

pytestmark = pytest.mark.timeout(600)

SECONDS = 13
STARTED_S = 240.0


def cut(target: Path) -> None:
    """The first seconds of the presenter's clip, with sound."""
    with av.open(str(CLIP)) as source, av.open(str(target), "w") as out:
        picture = out.add_stream("libx264", rate=25, options={"crf": "16", "preset": "veryfast"})
        picture.width, picture.height, picture.pix_fmt = 512, 512, "yuv420p"
        sound = out.add_stream("aac", rate=48_000, layout="mono")
        for frame in source.decode(video=0):
            if frame.time >= SECONDS:
                break
            frame.pict_type = av.video.frame.PictureType.NONE
            out.mux(picture.encode(frame))
        source.seek(0)
        resampler = av.AudioResampler("fltp", "mono", 48_000)
        for frame in source.decode(audio=0):
            if frame.time >= SECONDS:
                break
            for piece in resampler.resample(frame):
                piece.time_base = Fraction(1, 48_000)
                out.mux(sound.encode(piece))
        for stream in (picture, sound):
            out.mux(stream.encode(None))


def command(video: Path, out: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "visavis", "finetune", str(video), "--out", str(out)),
        *("--minutes", "0.5", "--name", "Anna", "--consent", "Nobody is shown.", *more),
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder that was begun, killed while it trained, and gone on with; and what was said."""
    try:
        find_tracker()
    except ConfigError:
        if sys.version_info >= (3, 13):
            pytest.skip("needs a Python that the face tracker has wheels for")
        raise
    place = tmp_path_factory.mktemp("finetune")
    video, out = place / "anna.mp4", place / "anna"
    cut(video)
    first = subprocess.Popen(command(video, out), stderr=subprocess.PIPE, text=True)
    plan = out / "renderer" / "plan.json"
    end = time.monotonic() + STARTED_S
    while not plan.exists():
        assert first.poll() is None and time.monotonic() < end, "it never trained"
        time.sleep(0.2)
    time.sleep(2.0)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert not (out / "anna.person").exists()
    again = subprocess.run(command(video, out), capture_output=True, text=True)
    assert again.returncode == 3 and "--resume" in again.stderr
    other = subprocess.run(
        command(video, out, "--resume", "--seed", "5"), capture_output=True, text=True
    )
    assert other.returncode == 3 and "seed 0, not 5" in other.stderr
    done = subprocess.run(command(video, out, "--resume"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    yield out, done.stderr


def test_it_goes_on_where_it_was_killed(made: tuple[Path, str]) -> None:
    _, said = made
    assert "Tracking" not in said and "Fitting the lips" not in said
    assert "Training the renderer" in said


def test_the_person_runs_and_says_who_agreed(made: tuple[Path, str]) -> None:
    out, _ = made
    person = load_person(out / "anna.person")
    assert (person.name, person.display_name) == ("anna", "Anna")
    assert person.manifest["consent"]["given"] == "Nobody is shown."
    made_by = person.manifest["made_by"]
    assert made_by["clip_frames"] == SECONDS * 25 and made_by["metrics"]
    # The clip's camera stands still, so there is a matte, and nothing was said against it.
    assert person.matte is not None and person.face is not None
    assert "no other backgrounds" not in made[1]
    pipeline = Pipeline(person, variant="fp32")
    work = Work(pipeline.initial_state(1), np.zeros(3200, np.float32))
    pipeline.advance([work])
    assert work.error is None and work.i420 is not None


def test_the_report_is_of_frames_that_were_left_out(made: tuple[Path, str]) -> None:
    out, _ = made
    report = json.loads((out / "report.json").read_text())
    first, last = report["settings"]["held_out"][0]
    assert last - first == round(0.15 * SECONDS * 25) and last <= SECONDS * 25
    assert report["settings"]["seen"] is False
    tracked = next(row for row in report["picture"] if row["name"] == "tracked-driven")
    assert tracked["ssim"] > 0.75
    assert report["loop"]["tracked"]["r"] > 0.9
    assert "<html" in (out / "report.html").read_text()


def test_everything_goes_with_the_folder(made: tuple[Path, str]) -> None:
    out, _ = made
    done = subprocess.run(
        [sys.executable, "-m", "visavis", "delete", str(out), "--yes"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not out.exists() and not list(out.parent.glob(".deleting*"))


def test_without_a_tracker_it_says_how_to_get_one(tmp_path: Path) -> None:
    video = tmp_path / "any.mp4"
    video.write_bytes(b"none")
    missing = str(tmp_path / "python")
    done = subprocess.run(
        command(video, tmp_path / "out", "--tracker", missing), capture_output=True, text=True
    )
    assert done.returncode == 3 and "make finetune-env" in done.stderr
    assert not (tmp_path / "out").exists()
