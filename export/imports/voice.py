"""The voice that an import listens to, from any file that has sound."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import AudioInputError
from visavis.engines.sound_file import SoundFile
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.request import Request

__all__ = ["RATE", "clip_voice", "read_voice"]

RATE = 16000
FPS = 25.0
MOST_S = 600.0
QUIET = 1e-4  # full scale is 1


def read_voice(path: Path, most_s: float = MOST_S) -> NDArray[np.float32]:
    """Return the sound of a file, f32[n], mono, 16 kHz, full scale +-1.

    Args:
        path: anything that FFmpeg reads.
        most_s: seconds, of which no more are read.

    Raises:
        ImportRefused: it cannot be read, or there is nothing to hear in it.
    """
    voice = _sound(path, most_s)
    if not np.any(np.abs(voice) > QUIET):
        raise ImportRefused(f"There is nothing to hear in {path}: it is silent.")
    return voice


def clip_voice(request: Request, frames: int) -> NDArray[np.float32] | None:
    """Return what is said in the frames of the clip, f32[n]; None where it is a silent film.

    Args:
        request: its `speech` is the clip's sound, kept apart, where it is given.
        frames: of the clip, 25 a second.

    Raises:
        ImportRefused: the sound that there is cannot be read.
    """
    assert request.clip is not None
    if request.speech is not None:
        return read_voice(request.speech, frames / FPS)
    try:
        with av.open(str(request.clip)) as container:
            if not container.streams.audio:
                return None
    except (av.FFmpegError, OSError) as error:
        raise ImportRefused(f"{request.clip} cannot be read: {error}.") from error
    voice = _sound(request.clip, frames / FPS)
    return voice if np.any(np.abs(voice) > QUIET) else None


def _sound(path: Path, most_s: float) -> NDArray[np.float32]:
    most, heard, pieces = int(most_s * RATE), 0, []
    try:
        with SoundFile(path) as file:
            for _, samples in file.samples():
                pieces.append(samples)
                heard += len(samples)
                if heard >= most:
                    break
    except AudioInputError as error:
        raise ImportRefused(str(error)) from error
    voice = np.concatenate(pieces)[:most] if pieces else np.zeros(0, np.float32)
    return np.ascontiguousarray(voice, np.float32)
