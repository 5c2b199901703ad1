"""Where the face is in every frame of a clip."""

from __future__ import annotations

import contextlib
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


def track_faces(frames: NDArray[np.uint8], python: Path, *, may_miss: bool = False) -> Track:
    """Track the face through `frames`.

    Args:
        frames: uint8[N, H*3/2, W], I420.
        python: the interpreter of an environment made from `finetune/tracker/requirements.txt`.
        may_miss: leave NaN where there is no face.

    Raises:
        PersonFileError: the tracker does not run, or misses the face in some frame.
    """
    height, width = frames.shape[1] * 2 // 3, frames.shape[2]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as said:
        out = Path(folder) / "track.npz"
        command = [str(python), str(SCRIPT), str(width), str(height), str(out)]
        try:
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
            ) as process:
                _feed(process, frames)
        except OSError as error:
            raise PersonFileError(f"The tracker {python} cannot be started: {error}.") from error
        if process.returncode:
            said.seek(0)
            last = said.read().decode("utf-8", "replace").strip().splitlines()[-1:]
            raise PersonFileError(f"The tracker failed: {''.join(last)}.")
        with np.load(out) as arrays:
            landmarks, triangles = arrays["landmarks"], arrays["triangles"]
    missed = np.flatnonzero(np.isnan(landmarks).any(axis=(1, 2)))
    if len(missed) and not may_miss:
        raise PersonFileError(
            f"No face was found in {len(missed)} frames, the first at {missed[0] / 25:.2f} s; "
            "cut them out."
        )
    return Track(landmarks, triangles)


def _feed(process: subprocess.Popen[bytes], frames: NDArray[np.uint8]) -> None:
    """Write pictures one by one, so that a long clip need not be in memory."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended: exit code and last words say why
        for frame in frames:
            process.stdin.write(to_rgb(frame).tobytes())
        process.stdin.close()
