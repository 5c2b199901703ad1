"""Reads any video in as the frames that everything after uses: 25 a second, I420, one size.

The frames lie in a file and are mapped, so five minutes of them need no memory; the sound lies
beside them. Both are made once, and used again where the video and the plan are the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import AudioInputError, PersonFileError
from visavis.finetune.check.cuts import breaks, cut_times, gaps, stretches, too_little
from visavis.finetune.check.findings import VideoRefused
from visavis.finetune.check.look import thumbnail
from visavis.finetune.check.plan import Plan
from visavis.finetune.check.sound import RATE, read_sound
from visavis.finetune.check.source import MOST_S, Facts, Pictures, read_facts
from visavis.finetune.video import Taker

__all__ = ["FPS", "Ingested", "at_25", "ingest", "read_back", "shifted"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

FPS = 25
_TICK = RATE // FPS
_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Ingested:
    """A video, read in.

    Attributes:
        frames: uint8[N, H*3/2, W], I420, BT.601, limited range; mapped from a file, not to be
            written to.
        sound: f32[640 N], mono, 16 kHz, in step with the frames; silence where there is none.
        cuts: frames with which something new begins: nothing may be learnt across them.
        stretches: first frame and frame after the last of what is whole for three seconds and
            more.
        sha256: of the video, in hex.
    """

    frames: U8
    sound: F32
    cuts: tuple[int, ...]
    stretches: tuple[tuple[int, int], ...]
    sha256: str


def at_25(
    pictures: Iterable[tuple[float, av.VideoFrame]], period: float
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield for every 40 ms the picture whose time is nearest, with that time.

    Args:
        pictures: with their times in seconds, rising from 0.
        period: how long the last one is shown.
    """
    count, most = 0, round(MOST_S * FPS)
    before: tuple[float, av.VideoFrame] | None = None
    for picture in pictures:
        while before is not None and count < most and count / FPS <= (before[0] + picture[0]) / 2:
            yield before
            count += 1
        before = picture
    while before is not None and count < most and count / FPS < before[0] + period - 0.5 / FPS:
        yield before
        count += 1


def shifted(sound: F32, offset_ms: float) -> F32:
    """Return f32[n] moved by so much, later where it is positive; silence comes in."""
    moved = np.zeros_like(sound)
    by = max(-len(sound), min(round(offset_ms * RATE / 1000), len(sound)))
    if by >= 0:
        moved[by:] = sound[: len(sound) - by]
    else:
        moved[:by] = sound[-by:]
    return moved


def ingest(path: Path, out_folder: Path, plan: Plan, *, sound_offset_ms: float = 0.0) -> Ingested:
    """Decode a video once and keep what is made of it.

    Args:
        path: of the video.
        out_folder: is made; `frames.i420`, `sound.npy` and `ingested.json` are kept there.
        plan: of `check_video`.
        sound_offset_ms: how much later the sound is to come than the file has it.

    Raises:
        VideoRefused: it cannot be read, or is cut so often that too little is left.
        PersonFileError: the plan is for another video, or the folder cannot be written to.
    """
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        # Through JSON, so that it can be compared with what was kept.
        key = json.loads(json.dumps({"schema": _SCHEMA, "sha256": sha256, "plan": asdict(plan)}))
        known = _known(out_folder, key)
        if known is None:
            facts = read_facts(path)
            if facts.coded != plan.coded:
                raise PersonFileError(f"The plan is not for {path.name}; check the video again.")
            out_folder.mkdir(parents=True, exist_ok=True)
            (out_folder / "ingested.json").unlink(missing_ok=True)
            known = {**key, **_read_in(facts, plan, out_folder)}
            text = json.dumps(known, indent=1) + "\n"
            _replace(out_folder / "ingested.json", text.encode())
        return _open(out_folder, known, sound_offset_ms)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PersonFileError(f"{path.name} cannot be read in: {reason}.") from error


def read_back(folder: Path) -> Ingested:
    """Return what `ingest` made, its sound not moved.

    Raises:
        PersonFileError: nothing was read in there.
    """
    try:
        return _open(folder, json.loads((folder / "ingested.json").read_text()), 0.0)
    except (OSError, ValueError, KeyError) as error:
        raise PersonFileError(f"No video was read in at {folder}: {error}.") from error


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(path)


def _known(folder: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    """Return what was kept of the same video and plan, if all of it is there."""
    try:
        known = json.loads((folder / "ingested.json").read_text())
        same = all(known[name] == value for name, value in key.items())
        frames = int(known["frames"])
        view = known["plan"]["view"]
        size = frames * view["out_width"] * view["out_height"] * 3 // 2
        whole = (folder / "frames.i420").stat().st_size == size
        whole = whole and (folder / "sound.npy").exists()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return known if same and whole else None


def _open(folder: Path, known: dict[str, Any], offset_ms: float) -> Ingested:
    view = known["plan"]["view"]
    shape = (int(known["frames"]), int(view["out_height"]) * 3 // 2, int(view["out_width"]))
    sound = np.load(folder / "sound.npy", allow_pickle=False)
    return Ingested(
        np.memmap(folder / "frames.i420", np.uint8, "r", shape=shape),
        shifted(sound, offset_ms),
        tuple(known["cuts"]),
        tuple((a, b) for a, b in known["stretches"]),
        known["sha256"],
    )


def _read_in(facts: Facts, plan: Plan, folder: Path) -> dict[str, Any]:
    """Write frames and sound; return what is to be kept about them."""
    pictures = Pictures(facts)
    times: list[float] = []
    changes: list[float] = []

    def watched() -> Iterator[tuple[float, av.VideoFrame]]:
        """Yield the pictures, and see how they change."""
        before: F32 | None = None
        for time, frame in pictures:
            now = thumbnail(frame)
            changes.append(0.0 if before is None else float(np.abs(now - before).mean()))
            times.append(time)
            before = now
            yield time, frame

    partial = folder / "frames.partial"
    try:
        shown = _write(at_25(watched(), facts.period), Taker(plan.view), partial)
        if not shown:
            raise VideoRefused("unreadable", f"No picture of {facts.path.name} can be decoded.")
        missing = gaps(np.asarray(times))
        cuts = cut_times(np.asarray(times), np.asarray(changes))
        end = times[-1] + facts.period
        broken = too_little(cuts, missing, end)
        if broken is not None:
            raise VideoRefused(broken.kind, broken.text)
        partial.replace(folder / "frames.i420")
    finally:
        partial.unlink(missing_ok=True)

    def frame_at(time: float) -> int:
        """Return the first frame whose picture is not older."""
        return int(np.searchsorted(shown, time - 1e-6))

    edges = [frame_at(time) for time in breaks(cuts, missing)]
    _keep_sound(facts, len(shown), folder / "sound.npy")
    return {
        "frames": len(shown),
        "cuts": sorted({edge for edge in edges if 0 < edge < len(shown)}),
        "stretches": [(frame_at(a), frame_at(b)) for a, b in stretches(cuts, missing, end)],
        "damaged": pictures.damaged,
    }


def _write(
    pictures: Iterable[tuple[float, av.VideoFrame]], taker: Taker, path: Path
) -> list[float]:
    """Write the pictures one after another; return their times."""
    shown: list[float] = []
    made = b""
    with path.open("wb") as file:
        for time, frame in pictures:
            if not shown or time != shown[-1]:
                made = taker(frame).tobytes()
            file.write(made)
            shown.append(time)
    return shown


def _keep_sound(facts: Facts, frames: int, path: Path) -> None:
    """Write the sound of so many frames, silence where there is none."""
    sound = np.zeros(0, np.float32)
    if facts.sound:
        with contextlib.suppress(AudioInputError):  # the check has told
            sound = read_sound(facts)[: frames * _TICK]
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, np.pad(sound, (0, frames * _TICK - len(sound))), allow_pickle=False)
    partial.replace(path)
