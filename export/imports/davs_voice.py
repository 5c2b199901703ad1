"""What moves the mouth of a person of `davs`: its own hearing, ours, or another's mouth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.cepstra import SYNCNET, Cepstra
from visavis.export.imports.davs_networks import MotionGraph, Networks
from visavis.export.imports.davs_picture import align, as_input, is_aligned, seen
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.pictures import read_clip
from visavis.export.imports.request import Request
from visavis.models.systems.davs import FROM_VIDEO

__all__ = ["LOOKAHEAD_MS", "heard", "performance"]

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

LOOKAHEAD_MS = 140  # a frame hears 80 ms before its begin to 135 ms after it, on a grid of 10 ms
ROWS, STEP = 20, 4
BATCH = 25


@torch.no_grad()
def heard(networks: Networks, voice: F32) -> F32:
    """Return what the system's own motion makes of a voice, f32[T, F], 25 a second.

    Args:
        voice: f32[n], mono, 16 kHz. Frames whose sound is there are made; before it is silence.
    """
    cepstra = Cepstra(SYNCNET)
    rows = cepstra.step(cepstra.initial_state(), voice)
    ahead = LOOKAHEAD_MS // 10
    count = max(0, (len(rows) - ahead) // STEP + 1) if len(rows) >= ahead else 0
    padded = np.concatenate((np.zeros((ROWS - ahead, rows.shape[1]), np.float32), rows))
    motion = MotionGraph(networks.sound)
    made = [
        motion(torch.from_numpy(np.stack([padded[STEP * k : STEP * k + ROWS] for k in batch])))
        for batch in _batches(count)
    ]
    return torch.cat(made).numpy() if made else np.zeros((0, networks.feature), np.float32)


@torch.no_grad()
def performance(
    networks: Networks, clip: Path, request: Request, say: Callable[[str], None]
) -> F32:
    """Return the mouth of a clip, f32[T, F], 25 frames a second, as the decoder takes it.

    Raises:
        ImportRefused: the clip cannot be read, or there is a frame without a face in it.
    """
    frames = read_clip(clip)
    say(f"Reading the mouth of {len(frames)} frames of {clip.name}.")
    made = []
    for batch in _batches(len(frames)):
        faces = _faces([frames[k] for k in batch], batch.start, clip, request)
        made.append(networks.mouth(torch.cat([as_input(face) for face in faces])))
    return (FROM_VIDEO * torch.cat(made)).numpy()


def _faces(frames: list[U8], first: int, clip: Path, request: Request) -> list[U8]:
    found = seen(request, frames)
    if found is None:
        if not all(map(is_aligned, frames)):
            raise ImportRefused(
                f"The faces in {clip} cannot be found: without a tracker a clip must be one that "
                "davs's own program aligned, 256 pixels square."
            )
        return [align(frame, ()).face for frame in frames]
    for place, points in enumerate(found):
        if points is None:
            raise ImportRefused(
                f"There is no face in {clip} at {(first + place) / 25:.2f} s; cut that out."
            )
    return [
        align(frame, points).face
        for frame, points in zip(frames, found, strict=True)
        if points is not None
    ]


def _batches(count: int) -> Iterator[range]:
    for start in range(0, count, BATCH):
        yield range(start, min(count, start + BATCH))
