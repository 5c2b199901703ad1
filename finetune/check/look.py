"""One walk through the pictures of a video: how all of them change, and samples of the face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from visavis.finetune.check.source import Facts, Pictures
from visavis.finetune.check.wearing import bridge_line
from visavis.finetune.geometry import EYE_LEFT, EYE_RIGHT
from visavis.finetune.video import Taker, View, to_rgb

__all__ = ["Find", "Look", "Sample", "eye_distance", "look", "sample_size", "thumbnail", "view_of"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
# Picture uint8[H, W, 3] in, of each face float32[468, 3] out, in pixels.
Find = Callable[[U8], list[F32]]

MOST_SAMPLES = 120
_SAMPLES_A_SECOND = 2.0
_LONGEST = 960  # pixels of a sample
_THUMBNAIL = 96
# Pixels that are decoded for a look; of more, only the pictures that stand alone are.
_MOST_DECODED = 8e9
_LEAST_KEYS = 24
_WANTED_EYES = 128.0  # pixels between the eyes where they are looked at


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture that was looked at closely.

    Attributes:
        time: seconds.
        faces: float32[468, 3] each, the largest first, in pixels of the shown picture.
        colours: uint8[468, 3], Y, U and V at the points of the first face; None without a face.
        sharpness: of its eyes, fine details over coarser ones; not a number without a face.
        brightest: level that 95 % of the picture's luma stay under.
        bridge: of its nose, how dark a line crosses it; not a number without a face.
    """

    time: float
    faces: tuple[F32, ...]
    colours: U8 | None
    sharpness: float
    brightest: float
    bridge: float = float("nan")


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen.

    Attributes:
        time: float64[M], seconds, of the pictures that were decoded.
        change: float64[M], mean difference of luma to the picture before, in levels.
        whole: all pictures were decoded, so cuts can be told from `change`.
        samples: pictures that were looked at closely.
        damaged: packets that could not be decoded.
    """

    time: F64
    change: F64
    whole: bool
    samples: tuple[Sample, ...]
    damaged: int


def eye_distance(face: F32) -> float:
    """Return the distance of the outer eye corners of float32[468, 3], in space."""
    return float(np.linalg.norm(face[EYE_LEFT].astype(np.float64) - face[EYE_RIGHT]))


def view_of(
    facts: Facts, left: float, top: float, right: float, bottom: float, size: tuple[int, int]
) -> View:
    """Return the view of a box of the shown picture, in its pixels, made `size` large."""
    width, height = facts.upright
    across, down = width / facts.shown[0], height / facts.shown[1]
    x0, x1 = (2 * round(min(max(x * across, 0), width) / 2) for x in (left, right))
    y0, y1 = (2 * round(min(max(y * down, 0), height) / 2) for y in (top, bottom))
    x1, y1 = min(x1, width // 2 * 2), min(y1, height // 2 * 2)
    x0, y0 = min(x0, x1 - 2), min(y0, y1 - 2)
    return View(facts.turns, facts.interlaced, x0, y0, x1 - x0, y1 - y0, *size)


def sample_size(facts: Facts) -> tuple[int, int]:
    """Return width and height of what the face finder is shown."""
    scale = min(1.0, _LONGEST / max(facts.shown))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in facts.shown)
    return width, height


def thumbnail(frame: av.VideoFrame) -> F32:
    """Return the luma of a picture, made small; changes of it tell cuts."""
    small = frame.reformat(_THUMBNAIL, _THUMBNAIL, "gray", threads=1)
    return small.to_ndarray().astype(np.float32)


def look(facts: Facts, find: Find) -> Look:
    """Walk through the pictures once.

    Args:
        facts: of the video.
        find: finds faces in a picture of `sample_size`.

    Raises:
        VideoRefused, PersonFileError: it can no longer be read, or the finder failed.
    """
    pixels = len(facts.time) * facts.coded[0] * facts.coded[1]
    whole = pixels <= _MOST_DECODED or facts.keys < _LEAST_KEYS
    every = max(1.0 / _SAMPLES_A_SECOND, facts.used_s / MOST_SAMPLES)
    pictures = Pictures(facts, keys_only=not whole)
    small = Taker(view_of(facts, 0, 0, *facts.shown, sample_size(facts)))
    times: list[float] = []
    changes: list[float] = []
    samples: list[Sample] = []
    before: F32 | None = None
    for time, frame in pictures:
        now = thumbnail(frame)
        changes.append(0.0 if before is None else float(np.abs(now - before).mean()))
        times.append(time)
        before = now
        if time >= len(samples) * every - facts.period / 2 and len(samples) < MOST_SAMPLES:
            samples.append(_sample(facts, time, frame, small, find))
    return Look(
        np.asarray(times, np.float64),
        np.asarray(changes, np.float64),
        whole,
        tuple(samples),
        pictures.damaged,
    )


def _sample(facts: Facts, time: float, frame: av.VideoFrame, whole: Taker, find: Find) -> Sample:
    size = sample_size(facts)
    picture = whole(frame)
    luma = picture[: size[1]]
    found = find(to_rgb(picture))
    scale = np.array([facts.shown[0] / size[0], facts.shown[1] / size[1], facts.shown[0] / size[0]])
    faces = tuple((face * scale).astype(np.float32) for face in found)
    brightest = float(np.percentile(luma, 95))
    if not faces:
        return Sample(time, faces, None, float("nan"), brightest)
    eyes, moved = _eyes(facts, frame, faces[0])
    return Sample(
        time,
        faces,
        _colours(picture, found[0]),
        _sharpness(eyes),
        brightest,
        bridge_line(eyes, moved),
    )


def _colours(picture: U8, face: F32) -> U8:
    """Return Y, U and V around every point of a face, uint8[468, 3]."""
    height, width = len(picture) * 2 // 3, picture.shape[1]
    chroma = picture[height:].reshape(2, height // 2, width // 2)
    reach = max(1, round(0.03 * eye_distance(face)))
    out = np.empty((len(face), 3), np.uint8)
    for i, (plane, unit) in enumerate(((picture[:height], 1), (chroma[0], 2), (chroma[1], 2))):
        soft = ndimage.uniform_filter(plane, 2 * (reach // unit) + 1, mode="nearest")
        x, y = (np.rint(face[:, :2] / unit - 0.5)).astype(int).T
        out[:, i] = soft[y.clip(0, len(soft) - 1), x.clip(0, soft.shape[1] - 1)]
    return out


def _eyes(facts: Facts, frame: av.VideoFrame, face: F32) -> tuple[F32, F32]:
    """Return a picture of the eyes, 128 pixels apart at most, and the face in its pixels.

    Returns:
        luma float32[H, W], float32[468, 3].
    """
    eyes = eye_distance(face)
    scale = min(1.0, _WANTED_EYES / eyes)
    x, y = (face[EYE_RIGHT, :2] + face[EYE_LEFT, :2]) / 2
    half = np.array([0.75, 0.35]) * eyes
    size = tuple(max(16, 2 * round(side * scale)) for side in half)
    box = (x - half[0], y - half[1], x + half[0], y + half[1])
    view = view_of(facts, *box, (size[0], size[1]))
    taken = Taker(view, tone=False)(frame)
    # The box was moved to whole pixels and into the picture, and pixels need not be square.
    upright = np.array(facts.upright) / facts.shown
    shrunk = np.array([size[0] / view.width, size[1] / view.height])
    moved = np.empty_like(face)
    moved[:, :2] = (face[:, :2] * upright - (view.left, view.top)) * shrunk
    moved[:, 2] = face[:, 2] * upright[0] * shrunk[0]
    return taken[: size[1]].astype(np.float32), moved


def _sharpness(luma: F32) -> float:
    """Return how much finest detail the eyes have for what coarser detail they have."""
    fine = luma - ndimage.gaussian_filter(luma, 1.0)
    coarse = ndimage.gaussian_filter(luma, 1.0) - ndimage.gaussian_filter(luma, 2.5)
    return float(fine.std() / max(float(coarse.std()), 0.5))
