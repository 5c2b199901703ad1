"""A sound file and a person in, a video out, by the same stages as live and as fast as they run."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import ConfigError, EngineError, UnknownLookahead
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Runner, Work
from visavis.engines.sound_file import OUTPUT_RATE, SoundFile
from visavis.engines.timeline import TICK_SAMPLES

__all__ = ["RenderSummary", "render_file"]

logger = logging.getLogger(__name__)

AUDIO_BITS_PER_SECOND = {"mono": 96_000, "stereo": 160_000}
# BT.601 as ITU-T H.273 numbers it: SMPTE 170M primaries, transfer and matrix, limited range.
_SMPTE170M, _LIMITED = 6, 1

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class RenderSummary:
    """What was made.

    Attributes:
        frames: of video.
        seconds: of sound.
        damaged_packets: of the sound file, left out.
    """

    frames: int
    seconds: float
    damaged_packets: int


def render_file(
    person: Person,
    audio: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    seed: int | None = None,
    lookahead_ms: int | None = None,
) -> RenderSummary:
    """Let a person speak a sound file.

    Args:
        person: who speaks.
        audio: any audio or video file that FFmpeg reads; its first audio stream is used.
        out: an mp4 to write: H.264 and AAC. It appears when it is complete, never before.
        progress: takes (frames done, frames in all, None where the file does not say).
        seed: of the idle movement; equal seeds give equal pictures.
        lookahead_ms: one that the person offers; the person's own choice where None.

    Raises:
        UnknownLookahead: the person does not offer it.
        AudioInputError: the sound cannot be used.
        ConfigError: `out` cannot be written.
        EngineError: the person does not run.
    """
    if lookahead_ms is None:
        lookahead_ms = person.lookahead_ms
    elif lookahead_ms not in person.lookaheads_ms:
        raise UnknownLookahead(person.name, lookahead_ms, person.lookaheads_ms)
    source, target = Path(audio), Path(out)
    _check_target(source, target)
    with SoundFile(source) as sound:
        runner = Pipeline(person)
        total = None
        if sound.duration_s is not None and sound.duration_s > 0:
            total = -int(-sound.duration_s * person.fps // 1)
        with _complete_or_nothing(target) as partial:
            video = _VideoFile(partial, person, sound.layout)
            with video:
                _render(runner, sound, video, seed, lookahead_ms, total, progress)
            if progress is not None:
                progress(video.frames, video.frames)
    return RenderSummary(video.frames, video.samples / OUTPUT_RATE, sound.damaged)


def _render(
    runner: Runner,
    sound: SoundFile,
    video: _VideoFile,
    seed: int | None,
    lookahead_ms: int,
    total: int | None,
    progress: Progress | None,
) -> None:
    state = runner.initial_state(seed, lookahead_ms)
    need = lookahead_ms * 16
    waiting: NDArray[np.float32] = np.zeros(0, np.float32)

    def ticks(pcm: NDArray[np.float32], until: float) -> None:
        """Render the ticks that `pcm` completes and that begin before `until` seconds."""
        nonlocal need, waiting
        waiting = np.concatenate((waiting, pcm))
        while len(waiting) >= need and video.frames < until * 25:
            work = Work(state, waiting[:need])
            runner.advance([work])
            if work.error is not None or work.i420 is None:
                raise EngineError(
                    f"Frame {video.frames} cannot be made: {work.error}."
                ) from work.error
            waiting, need = waiting[need:], TICK_SAMPLES
            video.show(work.i420)
            if progress is not None:
                progress(video.frames, None if total is None else max(total, video.frames))

    for frames, pcm in sound.samples():
        for frame in frames:
            video.hear(frame)
        ticks(pcm, until=float("inf"))
    # The last frames look ahead into silence; the last one may outlast the sound by 39 ms.
    while video.frames * OUTPUT_RATE < video.samples * 25:
        ticks(np.zeros(TICK_SAMPLES, np.float32), until=video.samples / OUTPUT_RATE)


class _VideoFile:
    """An mp4 that grows; interleaved, so that it needs no memory for what was written."""

    def __init__(self, path: Path, person: Person, layout: str) -> None:
        self.frames = 0
        self.samples = 0
        options = {"movflags": "+faststart"}
        try:
            self._container = av.open(str(path), "w", format="mp4", container_options=options)
        except OSError as error:
            raise _unwritable(path.parent, error) from error
        picture = self._container.add_stream("libx264", rate=person.fps)
        picture.width, picture.height, picture.pix_fmt = person.width, person.height, "yuv420p"
        self._tick = Fraction(1, person.fps)
        # Without B-frames the first picture has time stamp 0, as the first sample of sound has.
        picture.options = {"preset": "veryfast", "crf": "17", "g": "50", "bf": "0"}
        context = picture.codec_context
        context.color_range, context.colorspace = _LIMITED, _SMPTE170M
        context.color_primaries, context.color_trc = _SMPTE170M, _SMPTE170M
        self._picture = picture
        self._sound = self._container.add_stream("aac", rate=OUTPUT_RATE, layout=layout)
        self._sound.bit_rate = AUDIO_BITS_PER_SECOND[layout]

    def __enter__(self) -> _VideoFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._mux(self._picture, None)
                self._mux(self._sound, None)
        finally:
            self._container.close()

    def show(self, i420: NDArray[np.uint8]) -> None:
        """Append a picture."""
        frame = av.VideoFrame.from_ndarray(i420, "yuv420p")
        frame.pts, frame.time_base = self.frames, self._tick
        frame.color_range, frame.colorspace = _LIMITED, _SMPTE170M
        self._mux(self._picture, frame)
        self.frames += 1

    def hear(self, frame: av.AudioFrame) -> None:
        """Append sound."""
        frame.pts, frame.time_base = self.samples, Fraction(1, OUTPUT_RATE)
        self._mux(self._sound, frame)
        self.samples += frame.samples

    def _mux(self, stream: Any, frame: av.VideoFrame | av.AudioFrame | None) -> None:
        try:
            self._container.mux(stream.encode(frame))
        except OSError as error:
            raise ConfigError(f"The video cannot be written: {_words(error)}.") from error


@contextmanager
def _complete_or_nothing(target: Path) -> Iterator[Path]:
    """Yield a name beside `target`, which becomes `target` when the block ends well."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield partial
        os.replace(partial, target)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        # Also on Ctrl-C: a half file is worse than none.
        partial.unlink(missing_ok=True)


def _check_target(source: Path, target: Path) -> None:
    if target.is_dir():
        raise ConfigError(f"{target} is a folder; name the video file to write.")
    if not target.parent.is_dir():
        raise ConfigError(f"The folder {target.parent} does not exist; make it first.")
    if not os.access(target.parent, os.W_OK):
        raise ConfigError(f"The folder {target.parent} cannot be written to.")
    if target.exists() and source.exists() and target.samefile(source):
        raise ConfigError(f"{target} is the sound itself; name another file for the video.")


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path} cannot be written: {_words(error)}.")


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
