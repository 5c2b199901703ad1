"""Where the face is in every frame of a clip."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.finetune.video import to_rgb

__all__ = ["Track", "track_faces"]

SCRIPT = Path(__file__).parent / "tracker" / "track_faces.py"


@dataclass(frozen=True, slots=True)
class Track:
    """The face mesh of a clip.

    Attributes:
        landmarks: float32[N, V, 3], pixels; x right, y down, z away from the camera.
        triangles: int32[T, 3], with holes at the eyes and between the lips.
    """

    landmarks: NDArray[np.float32]
    triangles: NDArray[np.int32]


def track_faces(frames: NDArray[np.uint8], python: Path) -> Track:
    """Track the face through `frames`.

    Args:
        frames: uint8[N, H*3/2, W], I420.
        python: the interpreter of an environment made from `finetune/tracker/requirements.txt`.

    Raises:
        PersonFileError: the tracker does not run, or misses the face in some frame.
    """
    height, width = frames.shape[1] * 2 // 3, frames.shape[2]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "track.npz"
        command = [str(python), str(SCRIPT), str(width), str(height), str(out)]
        try:
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            ) as process:
                # The pictures go through a thread of Popen.communicate, so that neither pipe fills.
                _, said = process.communicate(b"".join(to_rgb(f).tobytes() for f in frames))
        except OSError as error:
            raise PersonFileError(f"The tracker {python} cannot be started: {error}.") from error
        if process.returncode:
            last = said.decode("utf-8", "replace").strip().splitlines()[-1:]
            raise PersonFileError(f"The tracker failed: {''.join(last)}.")
        with np.load(out) as arrays:
            landmarks, triangles = arrays["landmarks"], arrays["triangles"]
    missed = np.flatnonzero(np.isnan(landmarks).any(axis=(1, 2)))
    if len(missed):
        raise PersonFileError(
            f"No face was found in {len(missed)} frames, the first at {missed[0] / 25:.2f} s; "
            "cut them out."
        )
    return Track(landmarks, triangles)
