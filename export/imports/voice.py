"""The voice that an import listens to, from any file that has sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import AudioInputError
from visavis.engines.sound_file import SoundFile
from visavis.export.imports.errors import ImportRefused

__all__ = ["RATE", "read_voice"]

RATE = 16000
MOST_S = 600.0


def read_voice(path: Path, most_s: float = MOST_S) -> NDArray[np.float32]:
    """Return the sound of a file, f32[n], mono, 16 kHz, full scale +-1.

    Args:
        path: anything that FFmpeg reads.
        most_s: seconds, of which no more are read.

    Raises:
        ImportRefused: it cannot be read, or there is nothing to hear in it.
    """
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
    if not np.any(np.abs(voice) > 1e-4):
        raise ImportRefused(f"There is nothing to hear in {path}: it is silent.")
    return np.ascontiguousarray(voice, np.float32)
