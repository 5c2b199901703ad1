"""What an import is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FindPoints", "Request"]

# RGB uint8[T, H, W, 3] to the usual 68 landmarks f32[68, 2] of each picture, (x, y) in pixels; None
# where there is no face.
FindPoints = Callable[[NDArray[np.uint8]], Sequence[NDArray[np.float32] | None]]


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that makes the person; a system's importer takes what it knows.

    Attributes:
        system: by its name in `systems.SYSTEMS`.
        checkpoints: as they were published or trained, in any order.
        image: a picture of the person; clip: a video of them.
        coefficients: file or folder of the numbers that the system itself tracked in the clip.
        face_model: file or folder of a face model; expression_model: folder of its expressions,
            where they are apart.
        references: pictures of the person, where a system is shown several.
        styles: style codes (.npy), or tracked numbers that they are made of.
        drive: clips whose mouth or head may be played.
        motion: "native", or "original" for the system's own network.
        name: in addresses; display_name: for people.
        consent, licence: as in person.json.
        half: keep weights in 16 bits.
        points: the face's in the picture, (x, y) in pixels, where nobody finds them: 68, or those
            that the system says it needs.
        speech: a voice, where the clip has none.
        ahead: frames that a raster draws ahead; the system's own choice where None.
        lookahead_ms: of the system's own motion; its own choice where None.
        frames: of the clip that are shown, at most; the system's own choice where None.
        face_only: the crop is the whole picture.
        tune: steps of the system's tuning to the picture; its own choice where None.
        find_points: finds landmarks in pictures; None where there is no tracker.
    """

    system: str
    checkpoints: tuple[Path, ...]
    image: Path | None = None
    clip: Path | None = None
    coefficients: Path | None = None
    face_model: Path | None = None
    expression_model: Path | None = None
    references: tuple[Path, ...] = ()
    styles: tuple[Path, ...] = ()
    drive: tuple[Path, ...] = ()
    motion: str = "native"
    name: str = "person"
    display_name: str = "Person"
    consent: Mapping[str, Any] = field(default_factory=dict)
    licence: str = "not stated"
    half: bool = False
    points: tuple[tuple[float, float], ...] = ()
    speech: Path | None = None
    ahead: int | None = None
    lookahead_ms: int | None = None
    frames: int | None = None
    face_only: bool = False
    tune: int | None = None
    find_points: FindPoints | None = None
