"""A trained motion network on whole recordings, through the stages that a live session uses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.audio import HOP, RATE, LogMel
from visavis.engines.errors import AudioInputError
from visavis.engines.motion import MOVES, Tract
from visavis.finetune.lips.train import ROWS_AHEAD
from visavis.models.motion import PROBABILITIES, ROWS, STEPS, Motion

__all__ = ["Replay", "frame_tract", "hear", "live_tract", "read_audio"]

F32 = NDArray[np.float32]


def read_audio(path: Path) -> F32:
    """The first sound track of a file, mono at 16 kHz, f32[n].

    Raises:
        AudioInputError: when there is none.
    """
    blocks: list[F32] = []
    with av.open(str(path)) as container:
        if not container.streams.audio:
            raise AudioInputError(f"There is no sound in {path.name}.")
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        for frame in container.decode(container.streams.audio[0]):
            blocks += [f.to_ndarray()[0] for f in resampler.resample(frame)]
        blocks += [f.to_ndarray()[0] for f in resampler.resample(None)]
    return np.concatenate(blocks).astype(np.float32) if blocks else np.zeros(0, np.float32)


def hear(motion: Motion, sound: F32, params: Mapping[str, float] | None = None) -> F32:
    """What the network says of a recording, from a fresh session.

    Args:
        motion: trained for a look-ahead of ROWS_AHEAD + 4 rows.
        sound: f32[n], 16 kHz; silence is taken to follow it.
        params: of `logmel@1`.

    Returns:
        f32[K, 2, 9]: per frame k, which shows [40k, 40k + 40) ms, two steps; no logits.
    """
    mel = LogMel(params)
    frames = len(sound) // (ROWS * HOP)
    ahead = np.zeros((ROWS_AHEAD + ROWS) * HOP, np.float32)
    rows = mel.step(mel.initial_state(), np.concatenate((sound, ahead)))
    # As the engine does: what would come before the first row is empty.
    before = -ROWS_AHEAD % ROWS
    rows = np.concatenate((np.zeros((before, mel.size), np.float32), rows))
    warm = (before + ROWS_AHEAD) // ROWS
    rows = rows[: (warm + frames) * ROWS]
    with torch.no_grad():
        tract, _, _ = motion.eval()(torch.from_numpy(rows)[None], motion.initial_state(1))
        tract = torch.cat(
            (tract[..., :MOVES], torch.sigmoid(tract[..., -PROBABILITIES:])), 2
        ).reshape(-1, STEPS, MOVES + PROBABILITIES)
    return np.asarray(tract.numpy()[warm:], np.float32)


class Replay:
    """Stands in for the graph of `tract@1` and gives what was computed before, tick by tick."""

    def __init__(self, tract: F32) -> None:
        self._tract = tract
        self._tick = 0

    def run(self, feeds: Mapping[str, F32]) -> dict[str, NDArray[np.generic]]:
        """The next tick, whatever the feeds."""
        self._tick += 1
        return {"tract": self._tract[self._tick - 1][None]}


def live_tract(tract: F32, params: Mapping[str, Any] | None = None) -> tuple[F32, F32]:
    """What a face would show of `hear`'s answer: gated, with closures enforced.

    The person of it is the plainest: its coefficients are the moves themselves.

    Returns:
        moves f32[K, 6] and the gate f32[K].
    """
    teeth = np.array([0.03, 0.02, 0.0, 0.0, 1.0, 0.0], np.float32)
    parts = {
        "rest": np.zeros(MOVES, np.float32),
        "map": np.eye(MOVES, dtype=np.float32),
        "closed": np.zeros(MOVES, np.float32),
        "liptooth": teeth,
    }
    stage = Tract({**(params or {}), "state": []}, parts, Replay(tract))
    state = stage.initial_state()
    nothing = np.zeros((1, ROWS, 1), np.float32)
    done = [stage.step([state], nothing) for _ in range(len(tract))]
    return np.concatenate([c for c, _ in done]), np.concatenate([g for _, g in done])


def frame_tract(tract: F32) -> F32:
    """Mean of a frame's two steps, f32[K, 9]."""
    return np.asarray(tract.mean(1), np.float32)
