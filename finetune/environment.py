"""Where the tracker's own environment is: MediaPipe needs another numpy than everything else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from visavis.engines.errors import ConfigError

__all__ = ["find_tracker"]

USUAL = Path("build/tracker/bin/python")
HOW = "make it with `make finetune-env` (Python 3.9 to 3.12), or name one: --tracker PYTHON"
TIMEOUT_S = 120


def find_tracker(given: Path | None = None) -> Path:
    """Return the Python of the tracker: the one given, $VISAVIS_TRACKER, or the usual one.

    Raises:
        ConfigError: there is none, or it has no MediaPipe that works without a network.
    """
    named = given or (Path(text) if (text := os.environ.get("VISAVIS_TRACKER")) else None)
    beside = Path(__file__).resolve().parents[1] / USUAL
    python = named or next((path for path in (USUAL, beside) if path.exists()), None)
    if python is None:
        raise ConfigError(f"There is no environment with the face tracker; {HOW}.")
    try:
        done = subprocess.run(
            [str(python), "-c", "import mediapipe; mediapipe.solutions.face_mesh"],
            capture_output=True,
            timeout=TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"The tracker {python} cannot be run: {error}; {HOW}.") from error
    if done.returncode:
        raise ConfigError(f"{python} has no MediaPipe 0.10.21 with its models; {HOW}.")
    return python
