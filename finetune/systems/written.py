"""Writes what the published programs leave, in their formats."""

from __future__ import annotations

import wave
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from visavis.export.imports.pictures import to_i420
from visavis.finetune.background import encode_video
from visavis.models.systems.state import StateLayout

__all__ = ["original_names", "write_crops", "write_sound"]

QUALITY = 12


def original_names(state: Mapping[str, Tensor], layout: StateLayout) -> dict[str, Tensor]:
    """Return a state dict of ours under the names of the published file.

    An alias is written, too, where the layout has one: the published file holds both.
    """
    back = {ours: theirs for theirs, ours in layout.renames.items()}
    doubled = {name: alias for alias, name in layout.aliases.items()}
    out: dict[str, Tensor] = {}
    for ours, tensor in state.items():
        theirs = _moved(ours, back)
        out[theirs] = tensor
        alias = _moved(theirs, doubled)
        if alias != theirs:
            out[alias] = tensor
    return out


def _moved(key: str, table: Mapping[str, str]) -> str:
    parts = key.split(".")
    for count in range(len(parts), 0, -1):
        prefix = ".".join(parts[:count])
        if prefix in table:
            return ".".join([table[prefix], *parts[count:]])
    return key


def write_crops(pictures: NDArray[np.uint8], path: Path) -> None:
    """Write uint8[N, S, S, 3], RGB, as a video of 25 frames a second."""
    path.write_bytes(encode_video(np.stack([to_i420(p) for p in pictures]), quality=QUALITY))


def write_sound(sound: NDArray[np.float32], path: Path) -> None:
    """Write f32[n], 16 kHz, as 16-bit PCM."""
    levels = np.rint(np.clip(sound, -1.0, 1.0) * 32767.0).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(levels.tobytes())
