"""The face tracker as a process that is asked for the faces of one picture after another."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.finetune.track import SCRIPT

__all__ = ["POINTS", "FaceFinder"]

POINTS = 468  # of a face
_SCRIPT = SCRIPT.with_name("find_faces.py")
_MOST_FACES = 3
_LONGEST_LINE = 1 << 20


class FaceFinder:
    """Finds faces in single pictures.

    Args:
        python: the interpreter of an environment made from `finetune/tracker/requirements.txt`.
        width, height: of the pictures.

    Raises:
        PersonFileError: it cannot be started.
    """

    def __init__(self, python: Path, width: int, height: int) -> None:
        self._shape = (height, width, 3)
        # What it says goes to a file: a pipe that nobody reads would fill.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            self._process = subprocess.Popen(
                [str(python), str(_SCRIPT), str(width), str(height)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
            )
        except OSError as error:
            self._said.close()
            raise PersonFileError(f"The tracker {python} cannot be started: {error}.") from error

    def __enter__(self) -> FaceFinder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Nothing is written when it ends, so it need not be asked to.
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def __call__(self, picture: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Return the faces in a picture, at most three, the largest first.

        Args:
            picture: uint8[H, W, 3], RGB.

        Returns:
            of each float32[468, 3], pixels; x right, y down, z away from the camera.

        Raises:
            PersonFileError: the tracker failed.
        """
        if picture.shape != self._shape:
            raise ValueError(f"pictures are {self._shape}, not {picture.shape}")
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(picture.tobytes())
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended; what it said follows
        line = self._process.stdout.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            self._said.seek(0)
            last = self._said.read().decode("utf-8", "replace").strip().splitlines()[-1:]
            raise PersonFileError(f"The tracker failed: {''.join(last) or 'it said nothing'}.")
        try:
            faces = [np.asarray(face, np.float32) for face in json.loads(line)]
        except (ValueError, TypeError):
            faces = [np.zeros(0, np.float32)]
        right = all(face.shape == (POINTS, 3) and np.isfinite(face).all() for face in faces)
        if not right or len(faces) > _MOST_FACES:
            raise PersonFileError("The tracker answered what is no list of faces.")
        return faces
