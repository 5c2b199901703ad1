"""The tracked face of a clip, and where the clip was cut; kept by the clip's hash.

What is kept shows a person, so it belongs into a cache outside the repository, and nowhere else.
Cuts are found in the pictures; a file `cuts.json` in the cache, seconds by the clip's name, wins.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from visavis.engines.errors import ConfigError, PersonFileError
from visavis.finetune.track import SCRIPT

__all__ = ["ClipTrack", "find_cuts", "track_clip"]

F64 = NDArray[np.float64]

# Faces of such pictures are large enough at half size, which is four times as quick.
_HALVE_ABOVE = 900
_THUMBNAIL = 96
# At a cut the picture changes so many times as much as just before and just after.
_CUT_RATIO = 3.0
_LEAST_CHANGE = 0.3


@dataclass(frozen=True, slots=True)
class ClipTrack:
    """A clip's pictures, as numbers.

    Attributes:
        time: float64[N], seconds, when each frame begins to be shown; the first at 0.
        landmarks: float32[N, 468, 3], of MediaPipe's mesh, in pixels of any scale.
        cuts: frames that begin another shot.
    """

    time: F64
    landmarks: NDArray[np.float32]
    cuts: list[int]

    @property
    def period(self) -> float:
        """Seconds from frame to frame."""
        return float(np.median(np.diff(self.time)))

    def shots(self) -> list[tuple[int, int]]:
        """First frame and frame after the last of every stretch between cuts."""
        edges = [0, *self.cuts, len(self.time)]
        return list(zip(edges[:-1], edges[1:], strict=True))


def find_cuts(change: F64) -> list[int]:
    """Return the frames that begin another shot.

    Args:
        change: float64[N], mean difference of luma to the frame before, in levels.
    """
    if len(change) < 4:
        return []
    # The first frame has none before it, so its change says nothing.
    beside = np.maximum(np.maximum(change[1:-2], change[3:]), _LEAST_CHANGE)
    return [int(i) + 2 for i in np.flatnonzero(change[2:-1] >= _CUT_RATIO * beside)]


def track_clip(path: Path, cache: Path, tracker: Path | None) -> ClipTrack:
    """Track a clip, or read what was tracked before.

    Args:
        path: of the clip.
        cache: folder, outside the repository; made when missing.
        tracker: Python with MediaPipe (`finetune/tracker/requirements.txt`).

    Raises:
        ConfigError: it was not tracked before and there is no tracker, or `cuts.json` is wrong.
        PersonFileError: it cannot be decoded, or the tracker fails or misses the face.
    """
    kept = cache / "tracks" / f"{hashlib.sha256(path.read_bytes()).hexdigest()}.npz"
    if kept.exists():
        with np.load(kept) as data:
            time, landmarks, change = data["time"], data["landmarks"], data["change"]
    elif tracker is None:
        raise ConfigError(f"{path.name} is not tracked yet: name the tracker with --tracker.")
    else:
        time, landmarks, change = _track(path, tracker)
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, time=time, landmarks=landmarks, change=change)
        partial.replace(kept)
    known = _known_cuts(cache / "cuts.json").get(path.stem)
    cuts = find_cuts(change) if known is None else np.searchsorted(time, known).tolist()
    return ClipTrack(time, landmarks, [c for c in cuts if 0 < c < len(time)])


def _known_cuts(path: Path) -> dict[str, list[float]]:
    if not path.exists():
        return {}
    try:
        # Half a frame earlier, so that a rounded time still finds its frame.
        return {
            str(name): [float(at) - 0.015 for at in cuts]
            for name, cuts in json.loads(path.read_text()).items()
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} must name clips with lists of seconds: {error}.") from error


def _frames(path: Path) -> Iterator[av.VideoFrame]:
    try:
        with av.open(str(path)) as container:
            yield from container.decode(container.streams.video[0])
    except (FFmpegError, IndexError) as error:
        raise PersonFileError(f"{path.name} cannot be decoded: {error}.") from error


def _size(path: Path) -> tuple[int, int]:
    frame = next(_frames(path), None)
    if frame is None:
        raise PersonFileError(f"{path.name} holds no pictures.")
    if frame.width > _HALVE_ABOVE:
        return frame.width // 4 * 2, frame.height // 4 * 2
    return frame.width, frame.height


def _track(path: Path, tracker: Path) -> tuple[F64, NDArray[np.float32], F64]:
    width, height = _size(path)
    times: list[float] = []
    changes: list[float] = []
    before: NDArray[np.float32] | None = None
    with tempfile.TemporaryDirectory() as folder:
        out, said = Path(folder) / "track.npz", Path(folder) / "said.txt"
        command = [str(tracker), str(SCRIPT), str(width), str(height), str(out)]
        # What it says goes to a file: a pipe that nobody reads would fill while we write.
        with said.open("wb") as errors:
            try:
                process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors
                )
            except OSError as error:
                raise PersonFileError(
                    f"The tracker {tracker} cannot be started: {error}."
                ) from error
            with process:
                assert process.stdin is not None
                try:
                    for frame in _frames(path):
                        rgb = frame.reformat(width, height, "rgb24").to_ndarray()
                        small = frame.reformat(_THUMBNAIL, _THUMBNAIL, "gray").to_ndarray()
                        now = small.astype(np.float32)
                        changes.append(
                            0.0 if before is None else float(np.abs(now - before).mean())
                        )
                        before = now
                        times.append(float(frame.time or 0.0))
                        process.stdin.write(rgb.tobytes())
                    process.stdin.close()
                except BrokenPipeError:
                    pass  # it ended early; what it said follows
        if process.returncode:
            last = said.read_text("utf-8", "replace").strip().splitlines()[-1:]
            raise PersonFileError(f"The tracker failed on {path.name}: {''.join(last)}.")
        with np.load(out) as arrays:
            landmarks = np.asarray(arrays["landmarks"], np.float32)
    missed = int(np.isnan(landmarks).any(axis=(1, 2)).sum())
    if missed:
        raise PersonFileError(f"{path.name}: no face was found in {missed} frames.")
    time = np.asarray(times, np.float64)
    return time - time[0], landmarks, np.asarray(changes, np.float64)
