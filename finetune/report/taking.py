"""A video of a person as footage: read, cut and scaled as the person's own clip was, tracked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import AudioInputError
from visavis.engines.person import Person
from visavis.finetune.check import check_video
from visavis.finetune.check.plan import CROP, CROPS
from visavis.finetune.check.source import read_facts
from visavis.finetune.ingest import ingest
from visavis.finetune.lips.yardstick.clips import FPS, read_sound
from visavis.finetune.report.footage import Footage, cut_sound, footage_of
from visavis.finetune.tracking import track_clip
from visavis.finetune.video import read_clip

__all__ = ["Taken", "take"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

_RATE_OFF = 0.01  # frames a second


@dataclass(frozen=True, slots=True)
class Taken:
    """A video as footage.

    Attributes:
        clip: its frames may be mapped from the folder that `take` was given.
        sha256: of the video, in hex.
    """

    clip: Footage
    sha256: str


def take(
    video: Path, person: Person, tracker: Path, folder: Path, *, sound_offset_ms: float = 0.0
) -> Taken:
    """Read and track a video of a person.

    A video of the person's own size, 25 frames a second, is taken as it is; others are cut and
    scaled around the face, as `visavis finetune` does.

    Args:
        video: with one face, and sound.
        person: whose it is.
        tracker: Python with MediaPipe.
        folder: for what is read; it must outlive the footage.
        sound_offset_ms: the sound is moved later by so much.

    Raises:
        PersonFileError: the video cannot be read or tracked, or its frames are not of the person's
            size in the end.
        AudioInputError: it has no sound that can be decoded.
    """
    facts = read_facts(video)
    if not facts.sound:
        raise AudioInputError(f"{video} has no sound, so nothing can be said of it.")
    cuts: tuple[int, ...] = ()
    own = facts.coded == (person.width, person.height) and not facts.turns
    if own and abs(1.0 / facts.period - FPS) < _RATE_OFF:
        frames, sound = read_clip(video), read_sound(video)
        with video.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    else:
        size = person.manifest["stages"]["background"].get("params", {}).get("size")
        checked = check_video(video, tracker, size if size in CROPS else CROP)
        # What is too short to learn from can still be judged by.
        read = ingest(video, folder / "clip", checked.known_plan or checked.plan)
        frames, sound, cuts, sha256 = read.frames, read.sound, read.cuts, read.sha256
    track = track_clip(frames, tracker, folder / "track")
    heard = cut_sound(sound, len(frames), sound_offset_ms)
    return Taken(footage_of(person, frames, track, heard, cuts), sha256)
