"""A trained motion network on whole recordings, through the stages that a live session uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.audio import HOP, LogMel
from visavis.engines.motion import MOVES, Tract
from visavis.models.motion import LOOKAHEADS, PROBABILITIES, ROWS, Motion

__all__ = ["Replay", "frames_of", "hear", "live_tract"]

F32 = NDArray[np.float32]

_TICK_MS = 40
_TICK = ROWS * HOP


def hear(motion: Motion, sound: F32, params: Mapping[str, float] | None = None) -> F32:
    """What the network says of a recording, from a fresh session.

    Args:
        motion: trained.
        sound: f32[n], 16 kHz; silence is taken to follow it.
        params: of `logmel@1`.

    Returns:
        f32[T, H, 2, 9]: per tick t, whose sound ends at 40 (t + 1) ms, two steps of every head; no
        logits. There are as many ticks after the sound as the longest look-ahead needs.
    """
    mel = LogMel(params)
    ticks = len(sound) // _TICK + max(motion.config.lookaheads) // _TICK_MS
    padded = np.zeros(ticks * _TICK, np.float32)
    padded[: min(len(sound), len(padded))] = sound[: len(padded)]
    rows = mel.step(mel.initial_state(), padded)
    with torch.no_grad():
        tract, _, _, _ = motion.eval()(torch.from_numpy(rows)[None], motion.initial_state(1))
    known = torch.cat((tract[..., :MOVES], torch.sigmoid(tract[..., -PROBABILITIES:])), 3)[0]
    heads = known.shape[0]
    ordered = known.reshape(heads, ticks, -1, MOVES + PROBABILITIES).transpose(0, 1)
    return np.ascontiguousarray(ordered.numpy(), np.float32)


def frames_of(ticks: F32, lookahead_ms: int, lookaheads: tuple[int, ...] = LOOKAHEADS) -> F32:
    """What one head says of every frame: f32[K, 2, 9], frame k being [40k, 40k + 40) ms.

    Args:
        ticks: of `hear`.
        lookahead_ms: of the head.
        lookaheads: of the network that `hear` asked.
    """
    head = lookaheads.index(lookahead_ms)
    first = lookahead_ms // _TICK_MS - 1
    frames = len(ticks) - max(lookaheads) // _TICK_MS
    return ticks[first : first + frames, head]


class Replay:
    """Stands in for the graph of `tract@2` and gives what was computed before, tick by tick."""

    def __init__(self, ticks: F32) -> None:
        self._ticks = ticks
        self._tick = 0

    def run(self, feeds: Mapping[str, F32]) -> dict[str, NDArray[np.generic]]:
        """The next tick, whatever the feeds."""
        self._tick += 1
        return {"tract": self._ticks[self._tick - 1][None]}


def live_tract(
    ticks: F32,
    sound: F32,
    lookahead_ms: int,
    params: Mapping[str, Any] | None = None,
    lookaheads: tuple[int, ...] = LOOKAHEADS,
    parts: Mapping[str, F32] | None = None,
) -> tuple[F32, F32]:
    """What a face would show of `hear`'s answer: gated, with closures enforced.

    Args:
        ticks, sound: of `hear`, and what it heard.
        lookahead_ms: which head is shown.
        params: of `tract@2`.
        parts: of `tract@2`, the person's; by default the plainest one, whose coefficients are the
            moves themselves.

    Returns:
        coefficients f32[K, C] and the gate f32[K].
    """
    person = parts or {
        "rest": np.zeros(MOVES, np.float32),
        "map": np.eye(MOVES, dtype=np.float32),
        "closed": np.zeros(MOVES, np.float32),
        "liptooth": np.array([0.03, 0.02, 0.0, 0.0, 1.0, 0.0], np.float32),
    }
    own = {**(params or {}), "state": [], "lookaheads": list(lookaheads)}
    stage = Tract(own, person, Replay(ticks))
    state = stage.initial_state(lookahead_ms)
    nothing = np.zeros((1, ROWS, 1), np.float32)
    detector = stage.voice_activity.initial_state()
    heard = np.zeros(len(ticks) * _TICK, np.float32)
    heard[: min(len(sound), len(heard))] = sound[: len(heard)]
    moves, gates = [], []
    for tick in range(len(ticks)):
        opinions = stage.voice_activity.step(detector, heard[tick * _TICK : (tick + 1) * _TICK])
        coefficients, gate = stage.step([state], nothing, [opinions])
        moves.append(coefficients[0])
        gates.append(gate[0])
    first = lookahead_ms // _TICK_MS - 1
    frames = len(ticks) - max(lookaheads) // _TICK_MS
    shown = slice(first, first + frames)
    return np.stack(moves)[shown], np.stack(gates)[shown]
