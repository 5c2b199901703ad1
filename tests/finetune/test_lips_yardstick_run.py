"""Clips, tracks and lips: from files and person files to a whole evaluation."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines import tiny_person
from visavis.engines.errors import ConfigError, PersonFileError, UnknownLookahead
from visavis.engines.person import Person
from visavis.finetune.geometry import LIP_LOWER, LIP_UPPER
from visavis.finetune.lips.yardstick.clips import TICK, Piece, read_clips
from visavis.finetune.lips.yardstick.continuous import show_clips
from visavis.finetune.lips.yardstick.evaluation import Options, evaluate
from visavis.finetune.lips.yardstick.hour import hour
from visavis.finetune.lips.yardstick.listener import Kept, PersonLips, Recorder, Shown, lips_of
from visavis.finetune.lips.yardstick.mouth import Mouth, mouth_of, without_pose
from visavis.finetune.lips.yardstick.tracks import find_cuts, track_clip

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

POINTS = 468


def face(opening: F64, turn: F64) -> NDArray[np.float32]:
    """A made-up mesh that opens its mouth and moves its head, float32[N, 468, 3] in pixels."""
    rng = np.random.default_rng(0)
    shape = rng.uniform(-0.5, 0.5, (POINTS, 3))
    shape[33], shape[263] = (-0.5, 0.0, 0.0), (0.5, 0.0, 0.0)
    shape[[152, 148, 377, 176, 400], 1] = 1.2
    shape[61], shape[291] = (-0.25, 0.7, 0.0), (0.25, 0.7, 0.0)
    frames = np.repeat(shape[None], len(opening), 0)
    frames[:, LIP_UPPER] = (0.0, 0.7, -0.1)
    frames[:, LIP_LOWER, 0], frames[:, LIP_LOWER, 2] = 0.0, -0.1
    frames[:, LIP_LOWER, 1] = 0.7 + opening
    c, s = np.cos(turn), np.sin(turn)
    zero, one = np.zeros_like(c), np.ones_like(c)
    roll = np.stack([[c, -s, zero], [s, c, zero], [zero, zero, one]]).transpose(2, 0, 1)
    moved = np.einsum("nij,nvj->nvi", roll, frames) * (80.0 + 5 * turn)[:, None, None]
    return (moved + 200.0 + 30 * turn[:, None, None]).astype(np.float32)


def test_a_mouth_is_measured_whatever_the_head_does() -> None:
    t = np.arange(120) / 25.0
    opening = 0.1 + 0.1 * np.sin(7 * t)
    mouth = mouth_of(without_pose(face(opening, 0.3 * np.sin(2 * t))))
    assert np.allclose(mouth.opening, opening, atol=1e-3)
    assert np.allclose(mouth.width, 0.5, atol=1e-3)
    assert mouth.protrusion.std() < 1e-3


def test_cuts_are_where_the_picture_changes_at_once() -> None:
    rng = np.random.default_rng(0)
    change = rng.uniform(0.8, 1.2, 200)
    change[0] = 0.0
    change[50] = 12.0
    change[100:110] = 8.0  # somebody moves: not a cut
    change[150] = 4.5
    assert find_cuts(change) == [50, 150]
    assert find_cuts(np.zeros(100)) == [] and find_cuts(np.zeros(2)) == []


def write_clip(path: Path, frames: int, cut: int | None = None, rate: int = 25) -> None:
    """A grey picture, brighter after the cut, and a tone that ends 40 ms before the picture."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=rate)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        rng = np.random.default_rng(1)
        for k in range(frames):
            level = 60 if cut is None or k < cut else 140
            picture = rng.integers(level, level + 8, (96, 64), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "yuv420p")))
        container.mux(video.encode(None))
        samples = int((frames / rate - 0.04) * 16000)
        tone = (8000 * np.sin(np.arange(samples) * 0.3)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(tone, "s16", "mono")
        frame.sample_rate = 16000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder of clips and, beside it, a cache in which they are tracked."""
    folder, tracks = tmp_path / "clips", tmp_path / "cache" / "tracks"
    folder.mkdir()
    tracks.mkdir(parents=True)
    made = (("a_long", 200, 120, 25), ("b_1", 75, None, 25), ("b_2", 75, None, 25))
    made += (("c_fast", 180, None, 30),)
    for name, frames, cut, rate in made:
        path = folder / f"{name}.mkv"
        write_clip(path, frames, cut, rate)
        t = np.arange(frames) / rate
        opening = 0.1 + 0.08 * np.sin(6.0 * (t + 0.5 / rate)) ** 2
        change = np.ones(frames)
        if cut:
            change[cut] = 30.0
        np.savez(
            tracks / f"{hashlib.sha256(path.read_bytes()).hexdigest()}.npz",
            time=t,
            landmarks=face(opening, 0.1 * np.sin(t)),
            change=change,
        )
    return folder


def test_clips_become_pieces_between_cuts(clips: Path) -> None:
    pieces = read_clips(clips, clips.parent / "cache", None)
    told = [(p.clip, p.family, p.kind, p.frames) for p in pieces]
    assert told == [
        ("a_long", "a_long", "a", 120),
        ("a_long", "a_long", "a", 80),
        ("b_1", "b", "b", 75),
        ("b_2", "b", "b", 75),
        ("c_fast", "c_fast", "c", 150),
    ]
    for piece in pieces:
        # Sound that is missing at the end is silence, not stretched.
        assert len(piece.sound) == 640 * piece.frames and piece.sound.dtype == np.float32
    assert (pieces[2].sound[-600:] == 0).all() and np.abs(pieces[2].sound[:1000]).max() > 0.1
    middle = (np.arange(150) + 0.5) / 25
    assert np.allclose(pieces[4].truth.opening, 0.1 + 0.08 * np.sin(6.0 * middle) ** 2, atol=2e-3)
    second = 120 / 25 + (np.arange(80) + 0.5) / 25
    assert np.allclose(pieces[1].truth.opening, 0.1 + 0.08 * np.sin(6.0 * second) ** 2, atol=2e-3)


def test_cuts_that_are_named_win(clips: Path) -> None:
    cache = clips.parent / "cache"
    (cache / "cuts.json").write_text(json.dumps({"a_long": [2.0, 6.0]}))
    frames = [p.frames for p in read_clips(clips, cache, None) if p.clip == "a_long"]
    assert frames == [50, 100, 50]
    (cache / "cuts.json").write_text("[2.0]")
    with pytest.raises(ConfigError, match=r"cuts\.json"):
        read_clips(clips, cache, None)


def test_what_was_not_tracked_needs_a_tracker(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--tracker"):
        read_clips(clips, tmp_path / "empty", None)
    with pytest.raises(ConfigError, match="no clip"):
        read_clips(tmp_path / "cache", tmp_path, None)
    with pytest.raises(ConfigError, match="no folder"):
        read_clips(tmp_path / "nowhere", tmp_path, None)


TRACKER = """#!{python}
import sys
import numpy as np
width, height, out = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
count = 0
while len(sys.stdin.buffer.read(width * height * 3)) == width * height * 3:
    count += 1
sys.stderr.write("what trackers say\\n" * 10000)
{end}
np.savez(out, landmarks=np.full((count, 468, 3), {value}, np.float32))
"""


def fake_tracker(folder: Path, *, end: str = "", value: str = "1.0") -> Path:
    path = folder / "tracker"
    path.write_text(TRACKER.format(python=sys.executable, end=end, value=value))
    path.chmod(0o755)
    return path


def test_a_clip_is_tracked_once(tmp_path: Path) -> None:
    clip = tmp_path / "x_y.mkv"
    write_clip(clip, 60, 30)
    first = track_clip(clip, tmp_path / "cache", fake_tracker(tmp_path))
    assert first.landmarks.shape == (60, 468, 3) and first.cuts == [30]
    assert first.period == pytest.approx(0.04, abs=1e-3) and first.shots() == [(0, 30), (30, 60)]
    again = track_clip(clip, tmp_path / "cache", None)
    assert np.array_equal(again.landmarks, first.landmarks) and again.cuts == first.cuts


def test_a_tracker_that_fails_is_told_of(tmp_path: Path) -> None:
    clip = tmp_path / "x_y.mkv"
    write_clip(clip, 60)
    with pytest.raises(PersonFileError, match="cannot be started"):
        track_clip(clip, tmp_path, tmp_path / "nobody")
    with pytest.raises(PersonFileError, match="it hurts"):
        track_clip(clip, tmp_path, fake_tracker(tmp_path, end="sys.exit('it hurts')"))
    with pytest.raises(PersonFileError, match="no face was found in 60 frames"):
        track_clip(clip, tmp_path, fake_tracker(tmp_path, value="np.nan"))
    assert not list((tmp_path / "tracks").glob("*"))


@pytest.fixture(scope="module")
def person() -> Person:
    return tiny_person.tiny_person()


class TinyLips(PersonLips):
    """The tiny person's mesh has no mouth: its first coefficients stand for one."""

    def mouth(self, coefficients: F32) -> Mouth:
        c = np.abs(coefficients.astype(np.float64)) * 0.1
        return Mouth(c[:, 0], c[:, 1], c[:, 2])


def test_lips_show_the_same_alone_and_in_company(person: Person) -> None:
    lips = TinyLips(person)
    sounds = [tiny_person.voice(s, seed=i)[: int(s * 25) * 640] for i, s in ((0, 2.0), (1, 1.2))]
    together = lips.show(sounds)
    assert [len(one.mouth) for one in together] == [50, 30]
    for sound, one in zip(sounds, together, strict=True):
        alone = lips.show([sound])[0]
        assert np.allclose(alone.mouth.opening, one.mouth.opening, atol=1e-6)
        assert np.allclose(alone.gate, one.gate) and np.allclose(alone.tract, one.tract)
        assert one.mouth.opening.std() > 0.001 and len(one.tract) == len(one.gate)


def test_lips_show_what_a_film_shows(person: Person) -> None:
    lips = TinyLips(person)
    sound = tiny_person.voice(1.0)[: 25 * 640]
    film = lips.film(sound)
    assert film.pictures.shape == (25, tiny_person.HEIGHT * 3 // 2, tiny_person.WIDTH)
    assert film.poses.shape == (25, 3, 4) and (film.poses[1:] != film.poses[:-1]).any()
    assert np.allclose(film.shown.mouth.opening, lips.show([sound])[0].mouth.opening)


def test_a_look_ahead_that_is_not_offered(person: Person) -> None:
    with pytest.raises(UnknownLookahead):
        PersonLips(person, 10)
    assert PersonLips(person, person.lookaheads_ms[-1]).lookahead_ms == person.lookaheads_ms[-1]


def test_what_is_kept_can_be_shown_again(person: Person, tmp_path: Path) -> None:
    recorder = Recorder(TinyLips(person))
    sounds = [tiny_person.voice(1.0)[: 25 * 640], np.zeros(10 * 640, np.float32)]
    shown = recorder.show(sounds)
    recorder.save(tmp_path / "kept.npz")
    kept = lips_of(str(tmp_path / "kept.npz"), lambda name: person)
    assert isinstance(kept, Kept) and kept.knows(sounds) and not kept.knows([sounds[0][1:]])
    for one, again in zip(shown, kept.show(sounds), strict=True):
        assert np.allclose(one.mouth.opening, again.mouth.opening, atol=1e-6)
        assert np.allclose(one.gate, again.gate)
    with pytest.raises(ConfigError):
        kept.show([np.ones(640, np.float32)])
    (tmp_path / "bad.npz").write_bytes(b"not an archive")
    with pytest.raises(ConfigError, match=r"bad\.npz"):
        lips_of(str(tmp_path / "bad.npz"), lambda name: person)


def test_an_evaluation_of_clips(clips: Path, tmp_path: Path) -> None:
    """Everything but synthesis: kept curves against clips, JSON without a NaN."""
    cache = clips.parent / "cache"
    pieces = read_clips(clips, cache, None)

    class Perfect:
        name, lookahead_ms = "perfect", 120

        def show(self, sounds: Sequence[F32]) -> list[Shown]:
            out = []
            for sound in sounds:
                curves = np.zeros((3, len(sound) // TICK))
                for p in pieces:
                    # Where in the session the piece is heard.
                    for first in range(curves.shape[1] - p.frames + 1):
                        heard = sound[first * TICK : (first + p.frames) * TICK]
                        if np.array_equal(heard, p.sound):
                            truth = (p.truth.opening, p.truth.width, p.truth.protrusion)
                            curves[:, first : first + p.frames] = truth
                one = curves[0].astype(np.float32)
                out.append(Shown(Mouth(*curves), one, np.ones_like(one)))
            return out

    recorder = Recorder(Perfect())
    show_clips(pieces, recorder.show)
    recorder.save(tmp_path / "perfect.npz")
    name = str(tmp_path / "perfect.npz")
    result = evaluate(
        Options(
            lips=name,
            load=lambda name: pytest.fail("nobody is loaded"),
            cache=cache,
            clips=clips,
            against=name,
            draws=20,
            voices=0,
        )
    )
    document = json.loads(json.dumps(result.document, allow_nan=False))
    assert document["schema"] == "visavis-lips/1"
    rows = {row["name"]: row for row in document["clips"]["rows"]}
    assert rows["measured"]["macro"]["r"]["value"] == pytest.approx(1.0)
    assert rows["against"]["gain"]["macro"]["value"] == 0.0
    assert set(rows["measured"]["families"]) == {"a_long", "b", "c_fast"}
    assert {"energy", "ridge, other people", "ridge, own clip", "smoothed"} <= set(rows)
    assert result.missed == []
    told = {t["key"]: t["met"] for t in document["targets"]}
    assert told["clips_r"] is True and told["closures"] is None
    assert any("Targets" in line for line in result.lines)


@pytest.mark.parametrize("drift", [0.0, 1e-5])
def test_an_hour_that_drifts_and_one_that_does_not(drift: float) -> None:
    """A mouth as open as the sound is loud, and a little more with every frame."""

    class Drifting:
        name, lookahead_ms = "drifting", 120

        def show(self, sounds: Sequence[F32]) -> list[Shown]:
            loud = np.abs(sounds[0].reshape(-1, 640)).mean(1).astype(np.float64)
            opening = loud + drift * np.arange(len(loud))
            one = np.ones(len(loud), np.float32)
            return [Shown(Mouth(opening, opening, opening), one, one)]

    sound = tiny_person.voice(4.0)[: 100 * 640]
    table = hour(Drifting(), sound, 60.0)
    assert table["passes"] == 15 and table["seconds"] == 60.0
    assert table["mean_difference_iod"] == pytest.approx(13 * 100 * drift)
    assert table["first_pass_difference_iod"] == pytest.approx(14 * 100 * drift)
    assert table["r"] == pytest.approx(1.0)


def test_pieces_of_a_clip_are_one_session_and_come_back_apart() -> None:
    """These lips show how much they have heard: a session goes on, a new clip begins anew."""

    def piece(clip: str, frames: int) -> Piece:
        nothing = np.zeros(frames)
        sound = np.ones(frames * TICK, np.float32)
        return Piece(clip, clip, clip, sound, Mouth(nothing, nothing, nothing))

    def show(sounds: Sequence[F32]) -> list[Shown]:
        out = []
        for sound in sounds:
            heard = np.cumsum(sound.reshape(-1, TICK).sum(1)) / TICK
            quiet = heard.astype(np.float32)
            out.append(Shown(Mouth(heard, heard, heard), quiet, quiet))
        return out

    shown = show_clips([piece("a", 5), piece("a", 7), piece("b", 6)], show)
    assert shown is not None
    assert [s.mouth.opening.tolist() for s in shown] == [
        [1.0, 2.0, 3.0, 4.0, 5.0],
        [6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0],
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    ]
    assert show_clips([piece("a", 5)], lambda _: None) is None
