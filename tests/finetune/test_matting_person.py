"""`visavis matte`: the look is added to a person file, with a stand-in for the tracker."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.engines.matted import matted_file
from tests.engines.tiny_person import FRAMES, HEIGHT, WIDTH, tiny_person
from tests.export import tiny_folder
from tests.finetune import presenter_clip
from tests.finetune.test_matting import SIZE, U8, clip, mean_errors
from visavis.cli.exit_codes import ExitCode
from visavis.cli.main import main
from visavis.engines.clip import Clip
from visavis.engines.errors import PersonFileError
from visavis.engines.person import Person, load_person, read_person, write_person
from visavis.export import native
from visavis.export.video_coding import GROUP, encode_video
from visavis.finetune.environment import USUAL
from visavis.finetune.matting.face import face_by_pose, face_in
from visavis.finetune.matting.folder import write_look
from visavis.finetune.matting.masks import person_masks
from visavis.finetune.matting.measure import errors
from visavis.finetune.matting.person import MATTE, PLATE, with_look
from visavis.persons import builtin

ROOT = Path(__file__).resolve().parents[2]
# What it answers with lies in a file beside it.
TRACKER = """\
#!{python} -SE
import shutil, sys
width, height, out = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if "track_faces" in sys.argv[1]:
    shutil.copyfile({faces!r}, out)
    sys.exit()
read = len(sys.stdin.buffer.read())
if read != {count} * width * height * 3:
    sys.exit(f"{{read}} bytes came in")
shutil.copyfile({masks!r}, out)
"""


def looped(clips: U8) -> U8:
    return clips[np.arange(FRAMES) % len(clips)]


def tracker(folder: Path, masks: U8) -> Path:
    """A program that is started like the tracker's Python, and answers with these masks."""
    np.save(folder / "answer.npy", masks)
    landmarks = np.full((20, 468, 3), np.nan, np.float32)
    landmarks[3:, 10], landmarks[3:, 152] = (64.0, 40.0, 0.0), (64.0, 88.0, 0.0)
    np.savez(folder / "faces.npz", landmarks=landmarks, triangles=np.zeros((1, 3), np.int32))
    path = folder / "python"
    path.write_text(
        TRACKER.format(
            python=sys.executable,
            masks=str(folder / "answer.npy"),
            faces=str(folder / "faces.npz"),
            count=len(masks),
        )
    )
    path.chmod(0o755)
    return path


@functools.cache
def filmed(*, pan: float = 0.0) -> bytes:
    """The tiny person, filmed as the disc before its wall."""
    assert (WIDTH, HEIGHT) == (SIZE, SIZE)
    tiny = tiny_person()
    video = encode_video(looped(clip(pan=pan)[0]), quality=14, group=10)
    manifest = {key: value for key, value in tiny.manifest.items() if key != "parts"}
    return write_person(manifest, {**tiny.parts, "background.mp4": video})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Person:
    folder = tmp_path_factory.mktemp("tracker")
    person = read_person(filmed())
    looked = with_look(person, tracker(folder, looped(clip()[1])), measured=True)
    assert looked.made is not None
    assert looked.made.figures["matte"]["flicker"] < looked.made.figures["network"]["flicker"]
    return read_person(looked.data)


def starts(video: bytes) -> list[int]:
    return Clip(video)._starts


def test_only_the_look_is_added(made: Person) -> None:
    before = read_person(filmed())
    assert made.parts.keys() - before.parts.keys() == {MATTE, PLATE}
    assert all(made.parts[name] == part for name, part in before.parts.items())
    changed = {key for key in made.manifest if made.manifest[key] != before.manifest.get(key)}
    assert changed == {"look", "parts"}
    assert made.face == (0.5, 0.5, 0.375)  # the tracker found it, but for three frames


def test_the_matte_is_coded_like_the_frames_it_is_of(made: Person) -> None:
    assert made.matte is not None
    assert starts(made.matte) == starts(made.parts["background.mp4"]) == list(range(0, 60, 10))
    matte = Clip(made.matte, luma=True)
    assert len(matte) == FRAMES
    alphas = np.stack([matte.frame(index) for index in range(24)])
    # All and none keep their levels: nothing squeezed them into a range of 16 to 235.
    assert np.quantile(alphas, 0.02) <= 1 and np.quantile(alphas, 0.98) >= 254
    assert mean_errors(alphas)[0] < 0.15
    # Each belongs to its own frame: any other is much worse.
    truth = clip()[2]
    assert errors(alphas[6], truth[6])[0] * 5 < errors(alphas[6], truth[9])[0]


def test_a_look_is_made_anew(made: Person, tmp_path: Path) -> None:
    """The parts of the old one, which a different program may have called otherwise, go."""
    data = with_look(read_person(matted_file()), tracker(tmp_path, looped(clip()[1])))
    again = read_person(data.data)
    assert set(again.parts) - set(tiny_person().parts) == {MATTE, PLATE}
    assert again.matte != read_person(matted_file()).matte


def test_the_face_alone_leaves_the_matte(tmp_path: Path) -> None:
    person = read_person(matted_file())
    with pytest.raises(PersonFileError, match="by the tracker alone"):
        with_look(person, None, matte=False)
    looked = with_look(person, tracker(tmp_path, looped(clip()[1])), matte=False)
    again = read_person(looked.data)
    assert again.matte == person.matte and again.plate == person.plate
    assert again.face == (0.5, 0.5, 0.375) != person.face


def test_a_face_is_between_hairline_and_chin() -> None:
    points = np.array([[[50.0, 20.0], [54.0, 60.0]]] * 3 + [[[np.nan] * 2] * 2])
    found = face_in(points, (200, 100))
    assert found is not None
    assert found == [0.26, 0.4, pytest.approx(np.hypot(4, 40) / 100, abs=1e-4)]
    assert face_in(points[3:], (200, 100)) is None


def test_the_presenter_s_face_is_where_it_is() -> None:
    geometry = presenter_clip.geometry()
    found = face_by_pose(geometry.pose, geometry.mean, (512, 512))
    assert found is not None
    with np.load(presenter_clip.TRUTH) as data:
        true = np.median(data["landmarks68_px"][presenter_clip.FRAMES], axis=0)
    chin, brows = true[8, 1] / 512, true[17:27, 1].mean() / 512
    x, y, size = found
    assert abs(x - true[27:31, 0].mean() / 512) < 0.02
    assert abs(y + size / 2 - chin) < 0.03
    assert 0.03 < brows - (y - size / 2) < 0.2  # the hairline is above the brows


def test_the_trained_folder_holds_it_for_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "PRECISIONS", ("fp32",))  # 8-bit integers take long
    nothing = np.zeros((24, 38, 32, 32), np.float32)  # to calibrate by
    monkeypatch.setattr(tiny_folder, "planes", lambda: nothing)
    folder = tiny_folder.write(tmp_path / "person")
    said: list[str] = []
    frames, geometry = looped(clip()[0]), presenter_clip.geometry()
    write_look(folder, frames, geometry, None, matte=True, say=said.append)
    assert "no other backgrounds. There is no tracker" in said[0]
    assert json.loads((folder / "look.json").read_text()).keys() == {"face"}
    python = tracker(tmp_path, looped(clip()[1]))
    write_look(folder, frames, geometry, python, matte=True, say=said.append)
    assert len(said) == 1
    person = read_person(native.person_bytes(folder, compared=False))
    assert person.face is not None
    assert person.matte is not None and starts(person.matte) == list(range(0, 60, GROUP))
    # Nothing that is not needed later stays.
    assert not list(tmp_path.glob("matte-*"))


def test_the_command_replaces_the_file_or_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from visavis.finetune import environment

    monkeypatch.setattr(environment, "find_tracker", lambda given: Path(given))
    python = tracker(tmp_path, looped(clip()[1]))
    file = tmp_path / "a.person"
    file.write_bytes(moving := filmed(pan=1.0))
    arguments = ["matte", str(file), "--tracker", str(python)]
    assert main(arguments) == ExitCode.PERSON_REFUSED
    assert "stands still" in capsys.readouterr().err
    assert file.read_bytes() == moving
    file.write_bytes(filmed())
    assert main([*arguments, "--json"]) == ExitCode.OK
    told = json.loads(capsys.readouterr().out)
    person = load_person(file, trusted=True)
    assert person.matte is not None and person.plate is not None
    assert told["look_bytes"] == len(person.matte) + len(person.plate)
    assert [path.name for path in tmp_path.glob("*.part")] == []


def test_the_command_says_what_is_wrong_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, words in (
        (["presenter"], "is built in"),
        (["presenter", "--out", str(tmp_path)], "name a file"),
        (["presenter", "--out", str(tmp_path / "p"), "--truth", str(tmp_path)], "no true mattes"),
    ):
        assert main(["matte", *arguments]) == ExitCode.STARTUP_FAILURE
        assert words in capsys.readouterr().err


def test_last_words_and_masks_of_other_frames_are_told(tmp_path: Path) -> None:
    frames = clip()[0]
    with pytest.raises(PersonFileError, match="cannot be started"):
        person_masks(frames, tmp_path / "nowhere", tmp_path / "m.npy")
    with pytest.raises(PersonFileError, match="failed: .* bytes came in"):
        person_masks(frames, tracker(tmp_path, clip()[1][:9]), tmp_path / "m.npy")
    python = tracker(tmp_path, clip()[1])
    np.save(tmp_path / "answer.npy", clip()[1][:9])
    with pytest.raises(PersonFileError, match="gave 9 of 24"):
        person_masks(frames, python, tmp_path / "m.npy")


def test_the_network_sees_the_presenter(tmp_path: Path) -> None:
    python = next((path for path in (USUAL, ROOT / USUAL) if path.exists()), None)
    if python is None:
        pytest.skip("needs the tracker's environment: make finetune-env")
    masks = person_masks(presenter_clip.frames()[::40], python, tmp_path / "m.npy")
    assert masks.shape == (3, 512, 512)
    assert masks[:, 260, 256].min() == 255 and masks[:, :60, :60].max() == 0
    assert 0.3 < (masks >= 128).mean() < 0.55


def test_the_presenter_has_a_matte_and_stays_small() -> None:
    file = builtin("presenter").read_bytes()
    person = load_person(file, trusted=True)
    assert person.matte is not None and person.plate is not None and person.face is not None
    assert len(person.matte) + len(person.plate) < 600_000 and len(file) < 10_000_000
    assert starts(person.matte) == starts(person.parts["background.mp4"])
    matte = Clip(person.matte, luma=True)
    assert len(matte) == 582
    # The true mattes of eight frames have 0.601 to 0.605 of the picture outside.
    outside = [float((matte.frame(index) < 128).mean()) for index in (20, 300, 580)]
    assert all(0.59 < share < 0.615 for share in outside)
