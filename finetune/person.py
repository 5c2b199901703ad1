"""From a clip to the folder of a trained person, all but its motion network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.export.native import save_renderer
from visavis.finetune.background import encode_video, jpeg, unrest, walk_parts
from visavis.finetune.geometry import Geometry
from visavis.finetune.lips.fit import Measured
from visavis.finetune.parts import ANCHOR, PictureParts
from visavis.finetune.texture import neutral_frame
from visavis.models.renderer import Renderer

__all__ = ["load_geometry", "measured_of", "save_geometry", "write_folder"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

PREVIEW_FRAMES, PREVIEW_BLEND = 75, 8
QUALITY, PREVIEW_QUALITY = 20, 24


def save_geometry(geometry: Geometry, path: Path) -> None:
    """Write a geometry as npz, at once or not at all."""
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **{field.name: getattr(geometry, field.name) for field in fields(Geometry)})
    partial.replace(path)


def load_geometry(path: Path) -> Geometry:
    """Read what `save_geometry` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return Geometry(**{field.name: arrays[field.name] for field in fields(Geometry)})


def measured_of(geometry: Geometry) -> Measured:
    """Return what the lips are fitted to."""
    neutral = neutral_frame(geometry)
    return Measured(
        coefficients=geometry.coefficients,
        rest=geometry.coefficients[max(0, neutral - 3) : neutral + 4].mean(axis=0),
        size=np.sqrt(np.square(geometry.basis).sum(axis=(1, 2))),
        aperture=geometry.aperture,
        jaw=geometry.jaw,
        width=geometry.width,
    )


def write_folder(
    folder: Path,
    frames: U8,
    geometry: Geometry,
    parts: PictureParts,
    calibration: Sequence[F32],
    renderer: Renderer,
    *,
    about: Mapping[str, Any],
    notices: str,
) -> None:
    """Write what `export.native.export_person` reads, except `motion/`.

    Args:
        folder: is made.
        frames: uint8[N, H*3/2, W], I420: the part of the clip that the person is shown before.
        geometry: of those frames.
        parts: of the whole clip.
        calibration: planes f32[38, S/2, S/2] to choose the 8-bit ranges by.
        renderer: trained on the clip.
        about: name, display_name, consent, licence, made_by.
        notices: what must go with copies.
    """
    mask = np.asarray(parts.raster["mask"], np.uint8)
    background = walk_parts(frames, geometry, mask, len(mask), ANCHOR)
    for stage, arrays in (
        ("geometry", parts.geometry),
        ("raster", {role: a for role, a in parts.raster.items() if role != "mask"}),
        ("background", background.arrays),
    ):
        (folder / stage).mkdir(parents=True, exist_ok=True)
        for role, array in arrays.items():
            np.save(folder / stage / f"{role}.npy", array, allow_pickle=False)
    np.save(folder / "mask.npy", mask, allow_pickle=False)
    picture = {
        "width": frames.shape[2],
        "height": frames.shape[1] * 2 // 3,
        "raster": parts.raster_params,
        "background": {**parts.walk_params, **background.params},
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
    np.save(folder / "calibration.npy", np.stack(calibration).astype(np.float16))
    save_renderer(renderer, folder / "renderer.pt")


def _loop(frames: U8) -> U8:
    """Return the frames with their end mixed into their beginning, so that they can be looped."""
    count = min(PREVIEW_BLEND, len(frames) // 3)
    share = (np.arange(1, count + 1, dtype=np.float32) / (count + 1))[:, None, None]
    end = frames[-count:] * (1.0 - share) + frames[:count] * share
    return np.concatenate([frames[count:-count], np.rint(end).astype(np.uint8)])
