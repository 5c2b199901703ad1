"""Adds to a person file what visitors' looks need: where the face is, the matte and the plate."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from visavis.engines.clip import Clip
from visavis.engines.errors import PersonFileError
from visavis.engines.person import Person, write_person
from visavis.export.video_coding import encode_video, jpeg
from visavis.finetune.matting.clip import matte_of
from visavis.finetune.matting.face import face_of_person
from visavis.finetune.matting.masks import person_masks
from visavis.finetune.matting.measure import figures

__all__ = ["MATTE", "PLATE", "Looked", "MatteParts", "matte_parts", "with_look"]

U8 = NDArray[np.uint8]

MATTE, PLATE = "look/matte.mp4", "look/plate.jpg"
QUALITY = 24  # x264's crf
GREY = 128


@dataclass(frozen=True, slots=True)
class MatteParts:
    """What is added to a person file.

    Attributes:
        parts: by name: `MATTE` and `PLATE`.
        figures: of the network's masks, of the matte, and of the matte as it is coded; see
            `measure.figures`. Empty where they were not asked for.
        seen: the share of the plate that some frame shows.
    """

    parts: dict[str, bytes]
    figures: dict[str, dict[str, float]]
    seen: float


@dataclass(frozen=True, slots=True)
class Looked:
    """A person with a look.

    Attributes:
        data: of the person file.
        face: [x, y, size], or None where it is not known.
        made: the matte; None where none was asked for.
    """

    data: bytes
    face: list[float] | None
    made: MatteParts | None


def with_look(
    person: Person,
    tracker: Path | None,
    *,
    matte: bool = True,
    truth: dict[int, U8] | None = None,
    measured: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
) -> Looked:
    """Return a person with `look` in its `person.json`; one that was there is replaced.

    All other parts stay as they are, to the byte.

    Args:
        person: any whose background is a video.
        tracker: the interpreter of an environment made from `finetune/tracker/requirements.txt`;
            None where there is none, and then there is no matte.
        matte: make one; otherwise only the face is written, and a matte that is there stays.
        truth: true mattes by index of the frame.
        measured: return the figures.
        say: called with a sentence before each step.

    Raises:
        PersonFileError: the matte cannot be made; the message says why.
    """
    video = person.stage_parts("background").get("video")
    if not isinstance(video, bytes):
        raise PersonFileError("This person's background is no video, so it has no look.")
    with tempfile.TemporaryDirectory(prefix="visavis-matte-") as name:
        folder = Path(name)
        frames = _frames(video, folder)
        face = face_of_person(person, frames, tracker)
        if not matte and face is None:
            raise PersonFileError("Where the face is can be said by the tracker alone.")
        made = None
        if matte:
            made = matte_parts(
                frames,
                tracker,
                folder,
                group=_group(video),
                truth=truth,
                measured=measured,
                say=say,
            )
    look: dict[str, Any] = dict(person.manifest.get("look", {}))
    parts = dict(person.parts)
    if face is not None:
        look["face"] = face
    if made is not None:
        for name in _old(person):
            del parts[name]
        look |= {"matte": MATTE, "plate": PLATE}
        parts |= made.parts
    manifest = {key: item for key, item in person.manifest.items() if key != "parts"}
    return Looked(write_person({**manifest, "look": look}, parts), look.get("face"), made)


def matte_parts(
    frames: U8,
    tracker: Path | None,
    folder: Path,
    *,
    group: int,
    truth: dict[int, U8] | None = None,
    measured: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
) -> MatteParts:
    """Return the matte and the plate of a clip, coded.

    Args:
        frames: uint8[N, H*3/2, W], I420.
        tracker, truth, measured, say: as for `with_look`.
        folder: for files that are not needed later.
        group: frames in a group of pictures, as in the person's video.

    Raises:
        PersonFileError: none can be made; the message says why.
    """
    if tracker is None:
        raise PersonFileError("There is no tracker here, which finds the person in the frames.")
    say(f"Looking for the person in {len(frames)} frames.")
    masks = person_masks(frames, tracker, folder / "masks.npy")
    say("Finding the person's edge in each.")
    matte = matte_of(frames, masks, folder)
    say("Coding the matte.")
    coded = _coded(matte.alphas, group, folder)
    found = {}
    if measured:
        clip = Clip(coded, luma=True)
        out = np.lib.format.open_memmap(folder / "coded.npy", "w+", np.uint8, masks.shape)
        for index in range(len(clip)):
            out[index] = clip.frame(index)
        for name, alphas in (("network", masks), ("matte", matte.alphas), ("coded", out)):
            found[name] = figures(alphas, truth or {})
    parts = {MATTE: coded, PLATE: jpeg(matte.plate.i420)}
    return MatteParts(parts, found, float(matte.plate.seen.mean()))


def _old(person: Person) -> set[str]:
    """Return the parts of the look that is replaced; none that something else needs, too."""
    look = person.manifest.get("look", {})
    used = {file for stage in person.stages.values() for file in stage.parts.values()}
    return {look[key] for key in ("matte", "plate") if key in look} - used


def _frames(video: bytes, folder: Path) -> U8:
    """Return the frames of a person's video, uint8[N, H*3/2, W]; in a file, not in memory."""
    clip = Clip(video)
    shape = (len(clip), clip.height * 3 // 2, clip.width)
    frames = np.lib.format.open_memmap(folder / "frames.npy", "w+", np.uint8, shape)
    for index in range(len(clip)):
        frames[index] = clip.frame(index)
    return frames


def _group(video: bytes) -> int:
    """Return how many frames the longest group of pictures has."""
    with av.open(io.BytesIO(video), "r", format="mp4") as container:
        keys = [bool(packet.is_keyframe) for packet in container.demux(video=0) if packet.size]
    starts = np.flatnonzero([*keys, True])
    return int(np.diff(starts).max())


def _coded(alphas: U8, group: int, folder: Path) -> bytes:
    """Return a matte as mp4: its levels are the luma as they are, chroma is grey."""
    count, height, width = alphas.shape
    shape = (count, height * 3 // 2, width)
    pictures = np.lib.format.open_memmap(folder / "pictures.npy", "w+", np.uint8, shape)
    for picture, alpha in zip(pictures, alphas, strict=True):
        picture[:height], picture[height:] = alpha, GREY
    return encode_video(pictures, quality=QUALITY, group=group)
