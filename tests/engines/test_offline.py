"""Sound files to videos: the sound exactly under the lips, and a sentence for what cannot be."""

from __future__ import annotations

import os
import tracemalloc
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines.tiny_person import HEIGHT, WIDTH, tiny_person, voice
from visavis.engines import offline
from visavis.engines.errors import AudioInputError, ConfigError, UnknownLookahead
from visavis.engines.offline import render_file
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Work

F32 = NDArray[np.float32]


@pytest.fixture(scope="module")
def person() -> Person:
    return tiny_person()


def write_wav(path: Path, pcm: F32, rate: int = 16000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        levels = np.clip(np.repeat(pcm, channels), -1, 1) * 32767
        file.writeframes(levels.astype("<i2").tobytes())
    return path


def write_with(path: Path, pcm: F32, codec: str, rate: int, layout: str) -> Path:
    """Encode with PyAV; the sound is the same in every channel."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        resampler = av.AudioResampler(stream.format, layout, rate, 1024)
        frame = av.AudioFrame.from_ndarray(pcm[None], "flt", "mono")
        frame.sample_rate = rate
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


def decode(path: Path) -> tuple[list[NDArray[np.uint8]], list[float], F32]:
    """Pictures, their times in seconds, and the first channel at 48 kHz from time 0."""
    pictures, times = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            pictures.append(frame.to_ndarray(format="yuv420p"))
            assert frame.time is not None
            times.append(frame.time)
    sound = np.zeros(0, np.float32)
    with av.open(str(path)) as container:
        for piece in container.decode(audio=0):
            assert piece.time is not None
            start = round(piece.time * 48000)
            samples = piece.to_ndarray()[0]
            sound = np.pad(sound, (0, max(0, start + len(samples) - len(sound))))
            first = max(0, -start)
            sound[start + first : start + len(samples)] = samples[first:]
    return pictures, times, sound


def blocks(i420: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Means of 4x4 pixels of luma: what H.264 keeps best."""
    return i420[:HEIGHT].reshape(HEIGHT // 4, 4, WIDTH // 4, 4).mean(axis=(1, 3))


def test_what_is_heard_is_under_the_lips(person: Person, tmp_path: Path) -> None:
    """A click stays at its sample, and the pictures are those of the pipeline, frame for frame."""
    pcm = voice(2.0)
    pcm[16000:16160] += 0.5
    source = write_wav(tmp_path / "in.wav", pcm)
    summary = render_file(person, source, tmp_path / "out.mp4", seed=3)
    pictures, times, sound = decode(tmp_path / "out.mp4")
    assert summary.frames == len(pictures) == 50
    assert times == pytest.approx([0.04 * k for k in range(50)])
    # Sound: the best agreement with the input is at shift 0.
    wanted = np.zeros(96000, np.float32)
    wanted[::3] = pcm
    spectrum = np.fft.rfft(sound[:96000], 1 << 18) * np.conj(np.fft.rfft(wanted, 1 << 18))
    correlation = np.fft.irfft(spectrum)
    shift = int(np.argmax(correlation))
    assert min(shift, (1 << 18) - shift) <= 2
    # Pictures: each is nearest to what the same stages make of its own tick, not of a neighbour.
    pipeline = Pipeline(person)
    state = pipeline.initial_state(3)
    heard = np.pad(np.round(pcm * 32767) / 32768, (0, 4000)).astype(np.float32)
    made = []
    for index in range(50):
        start = 0 if index == 0 else 1600 + 640 * (index - 1)
        work = Work(state, heard[start : 1600 + 640 * index])
        pipeline.advance([work])
        assert work.i420 is not None
        made.append(blocks(work.i420))
    for index, picture in enumerate(pictures):
        near = range(max(0, index - 3), min(50, index + 4))
        apart = {k: np.square(blocks(picture) - made[k]).mean() for k in near}
        assert min(apart, key=lambda k: apart[k]) == index


def test_a_look_ahead_moves_neither_sound_nor_picture(person: Person, tmp_path: Path) -> None:
    """Frame k stays the frame of [40k, 40k + 40) ms; only what it heard beyond is more or less."""
    source = write_wav(tmp_path / "in.wav", voice(1.0))
    render_file(person, source, tmp_path / "out.mp4", seed=3, lookahead_ms=230)
    pictures, _, _ = decode(tmp_path / "out.mp4")
    pipeline = Pipeline(person)
    heard = np.pad(np.round(voice(1.0) * 32767) / 32768, (0, 4000)).astype(np.float32)
    made = {}
    for lookahead_ms in (100, 230):
        state, need = pipeline.initial_state(3, lookahead_ms), 16 * lookahead_ms
        made[lookahead_ms] = []
        for index in range(25):
            start = 0 if index == 0 else need + 640 * (index - 1)
            work = Work(state, heard[start : need + 640 * index])
            pipeline.advance([work])
            assert work.i420 is not None
            made[lookahead_ms].append(blocks(work.i420))
    assert len(pictures) == 25
    apart = {ms: np.square(np.stack(made[ms]) - [blocks(p) for p in pictures]) for ms in made}
    assert apart[230].mean() < 0.5 * apart[100].mean()


def test_a_look_ahead_that_is_not_offered_leaves_nothing(person: Person, tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", voice(0.3))
    with pytest.raises(UnknownLookahead, match="not by 120"):
        render_file(person, source, tmp_path / "out.mp4", lookahead_ms=120)
    assert not (tmp_path / "out.mp4").exists()


def test_colours_are_said_in_the_file(person: Person, tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", voice(0.3))
    render_file(person, source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.width, context.height) == (WIDTH, HEIGHT)
        assert (context.color_range, context.colorspace) == (1, 6)
        assert (context.color_primaries, context.color_trc) == (6, 6)
        assert container.streams.audio[0].codec_context.name == "aac"
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # plays before it is loaded


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout", "channels"),
    [
        ("a.wav", "pcm_s16le", 8000, "mono", 1),
        ("a.wav", "pcm_s24le", 44100, "stereo", 2),
        ("a.flac", "flac", 96000, "mono", 1),
        ("a.mka", "pcm_s16le", 48000, "5.1", 2),
        ("a.ogg", "libopus", 48000, "stereo", 2),
        ("a.mp4", "aac", 22050, "mono", 1),
    ],
)
def test_any_rate_and_layout(
    person: Person, tmp_path: Path, name: str, codec: str, rate: int, layout: str, channels: int
) -> None:
    pcm = np.interp(np.arange(rate) / rate, np.arange(16000) / 16000, voice(1.0))
    source = write_with(tmp_path / name, pcm.astype(np.float32), codec, rate, layout)
    summary = render_file(person, source, tmp_path / "out.mp4")
    assert summary.seconds == pytest.approx(1.0, abs=0.1)  # codecs fill their last frame
    assert summary.frames == -int(-summary.seconds * 25 // 1)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio[0].codec_context.layout.nb_channels == channels


@pytest.mark.parametrize("samples", [100, 639, 640, 641, 16000 // 25 * 3])
def test_every_sample_is_under_a_frame(person: Person, tmp_path: Path, samples: int) -> None:
    source = write_wav(tmp_path / "in.wav", voice(1.0)[:samples])
    summary = render_file(person, source, tmp_path / "out.mp4")
    assert summary.frames == -(-samples // 640)


@pytest.mark.parametrize("kind", ["silent", "clipped"])
def test_odd_sound_is_still_sound(person: Person, tmp_path: Path, kind: str) -> None:
    pcm = np.zeros(8000, np.float32) if kind == "silent" else np.sign(voice(0.5)) * 4
    source = write_wav(tmp_path / "in.wav", pcm.astype(np.float32))
    assert render_file(person, source, tmp_path / "out.mp4").frames == 13


def test_a_file_that_was_cut_off_is_used_as_far_as_it_goes(person: Person, tmp_path: Path) -> None:
    whole = write_wav(tmp_path / "in.wav", voice(2.0)).read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    summary = render_file(person, tmp_path / "cut.wav", tmp_path / "out.mp4")
    assert summary.seconds == pytest.approx(1.0, abs=0.01)


def no_sound(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            picture = np.zeros((96, 64), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "yuv420p")))
        container.mux(stream.encode(None))


def bad_input(path: Path, case: str) -> Path:
    if case == "folder":
        path.mkdir()
    elif case == "empty":
        path.touch()
    elif case == "text":
        path.write_text("These are words and not a sound. " * 50)
    elif case == "no samples":
        write_wav(path, np.zeros(0, np.float32))
    elif case == "no audio":
        no_sound(path)
    elif case == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    return path


INPUTS = {
    "missing": "cannot be read: no such file",
    "folder": "cannot be read: is a directory",
    "empty": "is empty",
    "text": "no audio or video file",
    "noise": "no audio or video file|nothing to hear",
    "no samples": "nothing to hear|no audio or video",
    "no audio": "no audio stream",
}


@pytest.mark.parametrize("case", INPUTS)
def test_what_is_no_sound_is_refused(person: Person, tmp_path: Path, case: str) -> None:
    source = bad_input(tmp_path / "in.bin", case)
    with pytest.raises(AudioInputError, match=INPUTS[case]):
        render_file(person, source, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_a_target_that_cannot_be_is_refused(person: Person, tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", voice(0.2))
    with pytest.raises(ConfigError, match="does not exist; make it first"):
        render_file(person, source, tmp_path / "no" / "out.mp4")
    with pytest.raises(ConfigError, match="is a folder"):
        render_file(person, source, tmp_path)
    with pytest.raises(ConfigError, match="is the sound itself"):
        render_file(person, source, source)


def test_a_folder_that_is_read_only_is_refused(
    person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question is asked of the system; the superuser would be told yes for any folder."""
    source = write_wav(tmp_path / "in.wav", voice(0.2))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ConfigError, match="cannot be written to"):
        render_file(person, source, tmp_path / "out.mp4")


@pytest.mark.parametrize("problem", [KeyboardInterrupt, RuntimeError])
def test_what_is_not_finished_leaves_nothing(
    person: Person, tmp_path: Path, problem: type[BaseException]
) -> None:
    source = write_wav(tmp_path / "in.wav", voice(1.0))
    (tmp_path / "out.mp4").write_bytes(b"what was there before")

    def stop(done: int, total: int | None) -> None:
        if done == 5:
            raise problem

    with pytest.raises(problem):
        render_file(person, source, tmp_path / "out.mp4", progress=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.wav", "out.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == b"what was there before"


def test_progress_ends_at_the_end(person: Person, tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", voice(0.5))
    seen: list[tuple[int, int | None]] = []
    render_file(person, source, tmp_path / "o.mp4", progress=lambda d, t: seen.append((d, t)))
    assert [done for done, _ in seen] == [*range(1, 14), 13]
    assert {total for _, total in seen} == {13}


def test_memory_does_not_grow_with_the_sound(person: Person, tmp_path: Path) -> None:
    """Peaks of Python's own memory for 2 s and for 20 s; pictures of 20 s alone are 12 MB."""
    peaks = []
    for seconds in (2, 20):
        source = write_wav(tmp_path / f"{seconds}.wav", voice(seconds))
        tracemalloc.start()
        render_file(person, source, tmp_path / f"{seconds}.mp4")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1_000_000


def test_the_same_seed_gives_the_same_file(person: Person, tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", voice(0.5))
    for name in ("a.mp4", "b.mp4"):
        render_file(person, source, tmp_path / name, seed=9)
    first, second = decode(tmp_path / "a.mp4")[0], decode(tmp_path / "b.mp4")[0]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_full_disk_is_a_sentence(
    person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_wav(tmp_path / "in.wav", voice(0.5))

    def full(self: object, stream: object, frame: object) -> None:
        raise ConfigError("The video cannot be written: no space left on device.")

    monkeypatch.setattr(offline._VideoFile, "_mux", full)
    with pytest.raises(ConfigError, match="no space left"):
        render_file(person, source, tmp_path / "out.mp4")
    assert not list(tmp_path.glob(".*"))
