"""The report made again, from a person file and a video of the same person."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import ConfigError
from visavis.engines.person import Person
from visavis.finetune.report.report import DRAWS, Report, report
from visavis.finetune.report.taking import take

__all__ = ["Options", "evaluate", "frames_of", "learned_from"]

I64 = NDArray[np.int64]

SHARE = 0.15  # of the video, from its end, where nothing says what to judge


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure.

    Attributes:
        person: who is shown.
        video: of the same person, with sound; see `taking.take`.
        tracker: Python with MediaPipe.
        frames: "A:B", the frames to judge; either may be missing. None for those that the file says
            were held out of this very video, otherwise the last 15 %.
        sound_offset_ms: the video's sound is moved later by so much.
        blind: folder for the blind test, or None.
        draws: of the bootstrap.
    """

    person: Person
    video: Path
    tracker: Path
    frames: str | None = None
    sound_offset_ms: float = 0.0
    blind: Path | None = None
    draws: int = DRAWS


def evaluate(options: Options) -> Report:
    """Read and track the video, and measure the person on it.

    Frames that are not judged teach the appearance model.

    Raises:
        ConfigError: the frames are not of the video.
        PersonFileError: the video cannot be used, or the person does not run.
        AudioInputError: the video has no sound that can be decoded.
    """
    person = options.person
    made_by = person.manifest["made_by"]
    with tempfile.TemporaryDirectory(prefix="visavis-video-") as folder:
        taken = take(
            options.video,
            person,
            options.tracker,
            Path(folder),
            sound_offset_ms=options.sound_offset_ms,
        )
        count = len(taken.clip)
        spared = _spared(made_by) if made_by.get("clip_sha256") == taken.sha256 else None
        judged = frames_of(options.frames, count, spared)
        return report(
            person,
            taken.clip,
            held_out=judged,
            training=np.setdiff1d(np.arange(count), judged),
            tracker=options.tracker,
            seen=learned_from(made_by, taken.sha256, judged),
            notes={"video_sha256": taken.sha256, "sound_offset_ms": options.sound_offset_ms},
            blind=options.blind,
            draws=options.draws,
        )


def frames_of(text: str | None, count: int, spared: tuple[int, int] | None = None) -> I64:
    """Return the frames to judge.

    Args:
        text: "A:B", first frame and the one after the last; or None.
        count: frames of the video.
        spared: what to take where `text` is None; None for the last 15 %.

    Raises:
        ConfigError: that is no range of frames of the video.
    """
    if text is None:
        first, last = spared or (round(count * (1.0 - SHARE)), count)
        return np.arange(first, min(last, count))
    before, colon, after = text.partition(":")
    try:
        first, last = int(before or 0), int(after or count)
    except ValueError:
        colon = ""
        first = last = 0
    if not colon or not 0 <= first < last <= count:
        raise ConfigError(
            f"{text!r} is no range of frames: say A:B with 0 <= A < B <= {count}, as many as the "
            "video has."
        )
    return np.arange(first, last)


def _spared(made_by: Mapping[str, Any]) -> tuple[int, int] | None:
    """What `made_by` says the renderer did not learn from: first frame, and after the last."""
    settings = made_by.get("settings")
    value = settings.get("held_out") if isinstance(settings, Mapping) else None
    if isinstance(value, list) and len(value) == 2 and all(isinstance(v, int) for v in value):
        return value[0], value[1]
    return None


def learned_from(made_by: Mapping[str, Any], sha256: str, judged: I64) -> bool | None:
    """Say whether the renderer learned from any of the frames that are judged.

    Args:
        made_by: of `person.json`.
        sha256: of the video.
        judged: its frames.

    Returns:
        None where the person was made from another file: that may show the same.
    """
    if made_by.get("clip_sha256") != sha256:
        return None
    spared = _spared(made_by)
    return spared is None or bool(((judged < spared[0]) | (judged >= spared[1])).any())
