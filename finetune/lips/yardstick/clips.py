"""Real recordings as a yardstick: sound, and what the tracked mouth did, in uncut pieces.

The folder is read, and nothing of it is kept but tracks in the cache. Names say what belongs
together: clips whose names begin alike, up to the first `_`, are recordings of one kind, and what
is trained on one of them is never measured on another. Of a kind, clips under five seconds count
as one family; every longer clip is a family of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import ConfigError
from visavis.engines.sound_file import SoundFile
from visavis.finetune.lips.yardstick.mouth import Mouth, mouth_of, without_pose
from visavis.finetune.lips.yardstick.tracks import ClipTrack, track_clip

__all__ = [
    "FPS",
    "RATE",
    "TICK",
    "Piece",
    "find_clips",
    "frame_times",
    "pieces_of",
    "read_clips",
    "read_sound",
]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

FPS = 25
RATE = 16000
TICK = RATE // FPS
_SHORT_S = 5.0
_LEAST_FRAMES = 40
_SUFFIXES = {".mp4", ".mpg", ".mpeg", ".mkv", ".mov", ".webm", ".avi"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a clip between two cuts.

    Attributes:
        clip: name of its file, without the suffix.
        family: what it weighs with; kind: what it is left out with.
        sound: float32[640 K], 16 kHz; where the recording is short of sound, silence.
        truth: what the tracked mouth did at the middle of K frames of 40 ms.
    """

    clip: str
    family: str
    kind: str
    sound: F32
    truth: Mouth

    @property
    def frames(self) -> int:
        """K."""
        return len(self.truth)


def frame_times(frames: int) -> F64:
    """Middle of every frame, seconds, float64[K]."""
    return np.asarray((np.arange(frames) + 0.5) / FPS, np.float64)


def read_sound(path: Path) -> F32:
    """The first sound track of a file, mono at 16 kHz, float32[n].

    Raises:
        AudioInputError: there is none that can be decoded.
    """
    with SoundFile(path) as file:
        return np.concatenate([pcm for _, pcm in file.samples()])


def find_clips(folder: Path) -> list[Path]:
    """The clips of a folder, by name.

    Raises:
        ConfigError: it is no folder, or holds no clip.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder.")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES)
    if not paths:
        raise ConfigError(f"There is no clip in {folder}.")
    return paths


def read_clips(folder: Path, cache: Path, tracker: Path | None) -> list[Piece]:
    """Read and track every clip of a folder.

    Args:
        folder: clips with one face and its own sound.
        cache: where tracks are kept, see `track_clip`.
        tracker: Python with MediaPipe, needed for clips that were not tracked before.

    Raises:
        ConfigError: the folder holds no clip, or one must be tracked and there is no tracker.
        PersonFileError, AudioInputError: a clip cannot be used.
    """
    return [piece for path in find_clips(folder) for piece in _read(path, cache, tracker)]


def _read(path: Path, cache: Path, tracker: Path | None) -> list[Piece]:
    return pieces_of(path, track_clip(path, cache, tracker))


def pieces_of(path: Path, track: ClipTrack) -> list[Piece]:
    """The stretches of a tracked clip between its cuts.

    Raises:
        AudioInputError: its sound cannot be decoded.
    """
    period = track.period
    kind = path.stem.split("_")[0]
    short = len(track.time) * period < _SHORT_S
    sound = read_sound(path)
    pieces = []
    for first, stop in track.shots():
        start, length = float(track.time[first]), (stop - first) * period
        frames = int(length * FPS + 1e-6)
        if frames < _LEAST_FRAMES:
            continue
        mouth = mouth_of(without_pose(track.landmarks[first:stop]))
        # A frame of a video stands for the time that it is shown, as a frame of ours does.
        shown = track.time[first:stop] - start + period / 2
        at = frame_times(frames)
        truth = Mouth(
            *(np.interp(at, shown, c) for c in (mouth.opening, mouth.width, mouth.protrusion))
        )
        begin = round(start * RATE)
        heard = sound[begin : begin + frames * TICK]
        heard = np.pad(heard, (0, frames * TICK - len(heard)))
        pieces.append(Piece(path.stem, kind if short else path.stem, kind, heard, truth))
    return pieces
