"""Writes a trained person's look into the folder that `export.native` reads."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.export.video_coding import GROUP
from visavis.finetune.geometry import Geometry
from visavis.finetune.matting.face import face_by_pose
from visavis.finetune.matting.person import MATTE, PLATE, matte_parts

__all__ = ["write_look"]


def write_look(
    folder: Path,
    frames: NDArray[np.uint8],
    geometry: Geometry,
    tracker: Path | None,
    *,
    matte: bool,
    say: Callable[[str], None],
) -> None:
    """Write `look.json` and, where one can be made, `look/matte.mp4` and `look/plate.jpg`.

    A person without a matte is a whole person, so what stands in its way is said and no more.

    Args:
        folder: of the trained person.
        frames: uint8[N, H*3/2, W], I420, those of its background.
        geometry: of those frames.
        tracker: see `matting.person.matte_parts`.
        matte: whether one is wanted.
        say: called with a sentence.
    """
    size = (frames.shape[2], frames.shape[1] * 2 // 3)
    look: dict[str, Any] = {}
    face = face_by_pose(geometry.pose, geometry.mean, size)
    if face is not None:
        look["face"] = face
    if matte:
        try:
            with tempfile.TemporaryDirectory(prefix="matte-", dir=folder.parent) as scratch:
                made = matte_parts(frames, tracker, Path(scratch), group=GROUP)
        except PersonFileError as error:
            say(f"The person will have no other backgrounds. {error}")
        else:
            for name, data in made.parts.items():
                path = folder / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(data)
            look |= {"matte": MATTE, "plate": PLATE}
    (folder / "look.json").write_text(json.dumps(look, indent=1) + "\n")
