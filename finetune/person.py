"""From a clip to the folder of a trained person, all but its motion network."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.export.native import save_renderer
from visavis.finetune.background import BLEND, encode_video, jpeg, unrest, walk_parts
from visavis.finetune.geometry import Geometry, fit_geometry
from visavis.finetune.parts import PictureParts, picture_parts
from visavis.finetune.renderer.dataset import NONE, Examples
from visavis.finetune.texture import neutral_frame
from visavis.finetune.track import track_faces
from visavis.finetune.video import read_clip
from visavis.models.renderer import Renderer

__all__ = ["Clip", "fit_clip", "save_geometry", "write_folder"]

logger = logging.getLogger(__name__)

U8 = NDArray[np.uint8]

# Eyes' distance in pixels for which the crop of 192 pixels holds nose to collar.
SMALLEST, LARGEST = 105.0, 150.0
PREVIEW_FRAMES = 75
QUALITY, PREVIEW_QUALITY = 18, 24
CALIBRATION = 48


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip with everything that is fitted to it.

    Attributes:
        frames: uint8[N, H*3/2, W], I420, BT.601.
        sha256: of the file, in hex.
    """

    frames: U8
    geometry: Geometry
    parts: PictureParts
    sha256: str

    def examples(self) -> Examples:
        """Return what the renderer learns from."""
        return Examples(self.frames, self.geometry, self.parts)


def fit_clip(path: Path, tracker: Path, cache: Path) -> Clip:
    """Read, track and fit a clip.

    Args:
        path: of the video.
        tracker: see `track.track_faces`.
        cache: folder; `geometry.npz` is kept there and used the next time.

    Raises:
        PersonFileError: the clip cannot be used; the message says why.
    """
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    frames = read_clip(path)
    cache.mkdir(parents=True, exist_ok=True)
    kept, clip = cache / "geometry.npz", cache / "geometry.clip"
    if kept.exists() and clip.exists() and clip.read_text() == sha256:
        with np.load(kept) as arrays:
            geometry = Geometry(**{name: arrays[name] for name in Geometry.__slots__})
    else:
        logger.info("tracking %d frames", len(frames))
        geometry = fit_geometry(track_faces(frames, tracker))
        save_geometry(geometry, kept)
        clip.write_text(sha256)
    eyes = float(np.linalg.norm(geometry.pose[:, 0, :3], axis=1).mean())
    if not SMALLEST <= eyes <= LARGEST:
        raise PersonFileError(
            f"The eyes in {path} are {eyes:.0f} pixels apart; scale the clip by "
            f"{128.0 / eyes:.2f}, so that they are about 128."
        )
    return Clip(frames, geometry, picture_parts(frames, geometry), sha256)


def save_geometry(geometry: Geometry, path: Path) -> None:
    """Write a geometry as npz: its fields, and for the fit of the lips `rest` f32[C], silent."""
    neutral = neutral_frame(geometry)
    rest = geometry.coefficients[max(0, neutral - 3) : neutral + 4].mean(axis=0)
    np.savez(path, rest=rest, **{name: getattr(geometry, name) for name in Geometry.__slots__})


def write_folder(
    folder: Path,
    clip: Clip,
    renderer: Renderer,
    *,
    about: Mapping[str, Any],
    notices: str,
) -> None:
    """Write what `export.native.export_person` reads, except `motion/`.

    Args:
        folder: is made.
        clip: fitted.
        renderer: trained on it.
        about: name, display_name, consent, licence, made_by.
        notices: what must go with copies.
    """
    frames, geometry, parts = clip.frames, clip.geometry, clip.parts
    examples = clip.examples()
    mask = np.asarray(parts.raster["mask"], np.uint8)
    background = walk_parts(frames, geometry, mask, examples.origins)
    for stage, arrays in (
        ("geometry", parts.geometry),
        ("raster", {role: a for role, a in parts.raster.items() if role != "mask"}),
        ("background", background),
    ):
        (folder / stage).mkdir(parents=True, exist_ok=True)
        for role, array in arrays.items():
            np.save(folder / stage / f"{role}.npy", array, allow_pickle=False)
    np.save(folder / "mask.npy", mask, allow_pickle=False)
    picture = {
        "width": frames.shape[2],
        "height": frames.shape[1] * 2 // 3,
        "raster": parts.raster_params,
        "background": {**parts.walk_params, "blend": BLEND},
    }
    (folder / "picture.json").write_text(json.dumps(picture, indent=1) + "\n")
    (folder / "about.json").write_text(json.dumps(about, indent=1) + "\n")
    (folder / "notices.txt").write_text(notices)

    (folder / "background.mp4").write_bytes(encode_video(frames, quality=QUALITY))
    (folder / "poster.jpg").write_bytes(jpeg(frames[neutral_frame(geometry)]))
    # The calmest stretch, made to be looped.
    calm = np.convolve(unrest(geometry), np.ones(PREVIEW_FRAMES), "valid")
    first = int(calm.argmin())
    (folder / "preview.mp4").write_bytes(
        encode_video(
            _loop(frames[first : first + PREVIEW_FRAMES]), quality=PREVIEW_QUALITY, group=100
        )
    )
    rows = np.unique(np.linspace(0, len(frames) - 1, CALIBRATION).astype(np.int64))
    planes, _ = examples.batch(rows, np.random.default_rng(0), NONE)
    np.save(folder / "calibration.npy", planes.astype(np.float16), allow_pickle=False)
    save_renderer(renderer, folder / "renderer.pt")


def _loop(frames: U8) -> U8:
    """Return the frames with their end mixed into their beginning, so that they can be looped."""
    count = min(BLEND, len(frames) // 3)
    share = (np.arange(1, count + 1, dtype=np.float32) / (count + 1))[:, None, None]
    end = frames[-count:] * (1.0 - share) + frames[:count] * share
    return np.concatenate([frames[count:-count], np.rint(end).astype(np.uint8)])
