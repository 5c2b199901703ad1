"""Strips of mouths, side by side: eight frames in a row, two persons, several voices and languages.

    python -m visavis.finetune.lips.strips --old OLD.person --new NEW.person --out strips.jpg

Above is the old one, below the new one; over every frame stands what is being said. Voices are
synthetic and held out from training; a scene begins just before a sound that shows something.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import ConfigError
from visavis.engines.person import load_person
from visavis.finetune.geometry import LIP_LOWER, LIP_UPPER
from visavis.finetune.lips.lettering import lettering
from visavis.finetune.lips.yardstick.clips import FPS, RATE, TICK
from visavis.finetune.lips.yardstick.listener import Film, PersonLips
from visavis.finetune.speech.phones import Phone
from visavis.finetune.speech.voices import Voice, installed, speak

__all__ = ["SCENES", "Scene", "main", "row_of", "sheet"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

FRAMES = 8
MAX_BYTES = 300_000
_LEVEL = np.float32(0.05)
_QUIET_S = 0.6
_FURTHEST = 8  # frames of look-ahead, at most
_LEAD = 2  # frames before the sound that a scene is about
# Of the mouth's box, in IOD: half its width, how far up and down from the middle of the lips.
_HALF, _UP, _DOWN = 0.46, 0.34, 0.38
_PAPER, _INK = 235, 20
_LABEL, _TITLE = 18, 24  # pixels of height
_GAP = 2


@dataclass(frozen=True, slots=True)
class Scene:
    """Something to look at.

    Attributes:
        voice: as the corpus names it, with or without a variant; language: that it speaks.
        text: what it says.
        phone, which: the first frame shown is two before that occurrence of that phone begins.
    """

    voice: str
    language: str
    text: str
    phone: str
    which: int = 0


SCENES: tuple[Scene, ...] = (
    Scene("flite:kal16", "en", "My mother bought some paper.", "m", 1),
    Scene("festival:kal", "en", "We knew it was you who moved.", "uw", 1),
    Scene("espeak:en-gb-scotland", "en", "Five of the fishermen ate soup.", "f", 0),
    Scene("espeak:it", "it", "La mamma prepara una buona pizza.", "m", 1),
    Scene("espeak:sv", "sv", "Barnen badar på sommaren.", "b", 1),
)


def _voice(scene: Scene) -> Voice:
    for voice in installed():
        if str(voice) == scene.voice or str(voice).split("+")[0] == scene.voice:
            return voice
    raise ConfigError(f"The voice {scene.voice} is not installed.")


def _say(scene: Scene) -> tuple[F32, list[Phone]]:
    """The sound float32[640 K] with silence around it, and its phones."""
    said = speak(_voice(scene), [scene.text])[0]
    quiet = np.zeros(round(_QUIET_S * RATE), np.float32)
    loud = said.sound * (_LEVEL / np.float32(np.sqrt(np.mean(said.sound**2)) + 1e-9))
    sound = np.concatenate((quiet, loud, quiet))
    sound = np.pad(sound, (0, -len(sound) % TICK))
    shift = len(quiet) / RATE
    return sound, [Phone(p.name, p.start + shift, p.end + shift, p.stress) for p in said.phones]


def _first_frame(scene: Scene, phones: Sequence[Phone], frames: int) -> int:
    starts = [p.start for p in phones if p.name == scene.phone]
    if len(starts) <= scene.which:
        raise ConfigError(f"{scene.voice} says {scene.phone} {len(starts)} times in that scene.")
    return int(np.clip(int(starts[scene.which] * FPS) - _LEAD, 0, frames - FRAMES))


def _names(phones: Sequence[Phone], first: int) -> list[str]:
    """What is said during each frame, at most two phones."""
    out = []
    for k in range(first, first + FRAMES):
        a, b = k / FPS, (k + 1) / FPS
        spoken = [p.name for p in phones if p.start < b - 0.005 and p.end > a + 0.005]
        out.append(" ".join("-" if name == "pau" else name for name in spoken[:2]))
    return out


def _crop(picture: U8, pose: F32, middle: NDArray[np.float64]) -> U8:
    """The mouth's box, uint8[h, w, 3], from an I420 frame."""
    rows, width = picture.shape
    height = rows * 2 // 3
    frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
    rgb = np.asarray(frame.reformat(format="rgb24", src_colorspace="ITU601").to_ndarray())
    iod = float(np.linalg.norm(pose[:, 0]))
    x, y = (pose[:, :3] @ middle + pose[:, 3])[:2]
    size = (round((_UP + _DOWN) * iod), round(2 * _HALF * iod))
    top = int(np.clip(round(y - _UP * iod), 0, height - size[0]))
    left = int(np.clip(round(x - _HALF * iod), 0, width - size[1]))
    return np.asarray(rgb[top : top + size[0], left : left + size[1]], np.uint8)


def row_of(film: Film, first: int, middle: NDArray[np.float64]) -> U8:
    """Eight mouths beside each other, uint8[h, 8 w, 3]; all of the size of the first.

    Args:
        film: the frames and poses.
        first: frame.
        middle: float64[3], of the lips in head space.
    """
    crops = [_crop(film.pictures[k], film.poses[k], middle) for k in range(first, first + FRAMES)]
    height, width = min(c.shape[0] for c in crops), min(c.shape[1] for c in crops)
    even = [c[:height, :width] for c in crops]
    return np.concatenate([np.pad(c, ((0, 0), (0, _GAP), (0, 0))) for c in even], axis=1)


def _write(image: U8, text: str, x: int, y: int) -> None:
    ink = lettering(text)
    height, width = min(ink.shape[0], image.shape[0] - y), min(ink.shape[1], image.shape[1] - x)
    image[y : y + height, x : x + width][ink[:height, :width]] = _INK


def sheet(old: PersonLips, new: PersonLips, scenes: Sequence[Scene] = SCENES) -> U8:
    """Draw all scenes, uint8[H, W, 3]."""
    blocks = []
    for scene in scenes:
        sound, phones = _say(scene)
        rows = []
        first = _first_frame(scene, phones, len(sound) // TICK)
        # Nothing that is shown hears further.
        sound = sound[: (first + FRAMES + _FURTHEST) * TICK]
        for lips in (old, new):
            mean = np.asarray(lips.person.stage_parts("geometry")["mean"], np.float64)
            middle = mean[[LIP_UPPER, LIP_LOWER]].mean(axis=0)
            rows.append(row_of(lips.film(sound), first, middle))
        width = min(row.shape[1] for row in rows)
        pair = np.concatenate([np.pad(r[:, :width], ((0, _GAP), (0, 0), (0, 0))) for r in rows])
        head = np.full((_TITLE + _LABEL, width, 3), _PAPER, np.uint8)
        title = f"{scene.voice}, {scene.language}, from {first / FPS - _QUIET_S:.2f} s"
        _write(head, title, 4, 4)
        for index, name in enumerate(_names(phones, first)):
            _write(head, name, index * width // FRAMES + 4, _TITLE)
        blocks.append(np.concatenate((head, pair)))
    widest = max(block.shape[1] for block in blocks)
    even = widest + widest % 2
    padded = [
        np.pad(b, ((0, 0), (0, even - b.shape[1]), (0, 0)), constant_values=_PAPER) for b in blocks
    ]
    whole = np.concatenate(padded)
    return np.pad(whole, ((0, len(whole) % 2), (0, 0), (0, 0)), constant_values=_PAPER)


def _jpeg(image: U8, quality: int) -> bytes:
    picture = av.VideoFrame.from_ndarray(image, "rgb24")
    full = picture.reformat(format="yuvj420p", dst_color_range="JPEG", dst_colorspace="ITU601")
    context: Any = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt = full.width, full.height, "yuvj420p"
    context.time_base = Fraction(1, FPS)
    context.options = {"qmin": str(quality), "qmax": str(quality)}
    return b"".join(bytes(p) for p in [*context.encode(full), *context.encode(None)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: writes the sheet, as good as fits into 300 kB."""
    parser = argparse.ArgumentParser(prog="visavis.finetune.lips.strips")
    parser.add_argument("--old", type=Path, required=True, help="person file, above")
    parser.add_argument("--new", type=Path, required=True, help="person file, below")
    parser.add_argument("--out", type=Path, required=True, help="the JPEG to write")
    parser.add_argument(
        "--scene",
        nargs=4,
        action="append",
        metavar=("VOICE", "LANGUAGE", "TEXT", "PHONE"),
        help="instead of those that the documentation shows; may be given again",
    )
    options = parser.parse_args(arguments)
    old, new = (PersonLips(load_person(path)) for path in (options.old, options.new))
    scenes = [Scene(*given) for given in options.scene] if options.scene else SCENES
    image = sheet(old, new, scenes)
    for quality in range(2, 32):
        data = _jpeg(image, quality)
        if len(data) <= MAX_BYTES:
            break
    options.out.write_bytes(data)
    print(f"{options.out}: {image.shape[1]} x {image.shape[0]}, {len(data) / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
