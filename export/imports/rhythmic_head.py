"""Head motion of `rhythmic` for one voice, made when the person is imported.

The published networks look at a voice that was smoothed over 21 frames, 0.4 s to either side, and
what the live voice gives is lips only. So the motion of one voice is kept as a track of poses,
which is played forth and back and does not follow the live voice.

A head of another clip may be followed as well: how it moves around its own middle pose.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.engines.sketch import rotation_of
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.rhythmic_networks import HeadNetworks
from visavis.export.imports.rhythmic_track import vector_of
from visavis.models.systems.rhythmic.head_motion import (
    MOTION_DEVIATION,
    MOTION_MEAN,
    audio_rows,
)

__all__ = ["HISTORY", "followed", "moved_head", "smoothed"]

F64 = NDArray[np.float64]

HISTORY = 64  # frames by which the networks know how a head moves
FULL_SCALE = 32768.0  # the published program takes 16-bit integers as they are
AUDIO_WINDOW, POSE_WINDOW = 21, 11  # frames, of smoothing
SAMPLES = 640  # of a frame
AT_ONCE = 200  # frames
MOST_FRAMES = 2500  # of a voice


@torch.no_grad()
def moved_head(networks: HeadNetworks, pose: F64, voice: NDArray[np.float32]) -> F64:
    """Return poses f64[T - 64, 6] for the frames after the first 64 of a voice.

    Args:
        pose: f64[64 or more, 6], of the person in those frames, of a crop of 256 pixels.
        voice: f32[n], 16 kHz, full scale +-1, in step with them.

    Raises:
        ImportRefused: there are less poses or less voice.
    """
    frames = min(len(voice) // SAMPLES, MOST_FRAMES)
    if len(pose) < HISTORY or frames < HISTORY + AUDIO_WINDOW:
        raise ImportRefused(
            f"The head's motion is made from how it moved before: {HISTORY} poses and "
            f"{HISTORY + AUDIO_WINDOW} frames of the clip's voice are needed, {len(pose)} and "
            f"{frames} came."
        )
    rows = audio_rows(torch.from_numpy(voice * np.float32(FULL_SCALE)), 0, frames)
    heard = _embedded(networks, torch.from_numpy(smoothed(rows.numpy(), AUDIO_WINDOW)))
    mean, deviation = np.array(MOTION_MEAN), np.array(MOTION_DEVIATION)
    moved = smoothed((pose[: 2 * HISTORY] - mean) / deviation, POSE_WINDOW)[:HISTORY]
    past = networks.history(torch.from_numpy(moved).float()[None], heard[None, :HISTORY])
    matrix, added = networks.decoder(past)
    found = (heard[None, HISTORY:] @ matrix + added)[0].double().numpy()
    return np.asarray(found * deviation + mean)


def _embedded(networks: HeadNetworks, rows: Tensor) -> Tensor:
    """f32[T, 256]; in pieces that overlap by the two frames that each frame sees to a side."""
    pieces = []
    for start in range(0, len(rows), AT_ONCE):
        first, last = max(start - 2, 0), min(start + AT_ONCE + 2, len(rows))
        piece = networks.audio(rows[None, first:last].float())[0]
        pieces.append(piece[start - first : start - first + min(AT_ONCE, len(rows) - start)])
    return torch.cat(pieces)


def smoothed(rows: NDArray[np.floating], window: int) -> NDArray[np.float32]:
    """Return rows, smoothed over the first axis by a Hann window; the ends are mirrored.

    As the published program does it, a frame late.
    """
    weights = np.hanning(window)
    weights /= weights.sum()
    reach = window // 2
    padded = np.concatenate([rows[reach + 1 : 0 : -1], rows, rows[-2 : -reach - 1 : -1]])
    total = np.zeros(rows.shape, np.float64)
    for k, weight in enumerate(weights):
        total += weight * padded[k : k + len(rows)]
    return total.astype(np.float32)


def followed(track: F64, middle: F64) -> F64:
    """Return poses f64[T, 6] of a head that moves around a pose as another one does around its own.

    Args:
        track: f64[T, 6], of the other head.
        middle: f64[6], around which this one moves.
    """
    others = np.median(track, axis=0)
    turned, here = rotation_of(others[:3]), rotation_of(middle[:3])
    rows = []
    for pose in track:
        # A pose shows x as R^T (x - t); what is taken over is what comes after the middle.
        rotation = here @ turned.T @ rotation_of(pose[:3])
        shift = middle[3:] + here @ turned.T @ (pose[3:] - others[3:])
        rows.append(np.concatenate((vector_of(rotation), shift)))
    return np.stack(rows)
