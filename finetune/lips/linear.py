"""The linear end of the motion network: what its heads and its ridge read, and their weights.

What they say can be computed again with other weights, without the trunk; and a linear correction
of what they say folds back into the weights exactly, so the graph stays the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.engines.audio import HOP, LogMel
from visavis.finetune.lips.listen import frames_of, live_tract
from visavis.models.motion import CHANNELS, MOVES, RIDGE_TICKS, ROWS, STEPS, WINDOW, Motion

__all__ = ["USUAL_MS", "Correction", "Heard", "fold", "listen", "of_head", "said"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

USUAL_MS = 120  # the head that says when somebody speaks, and that cross-validation looks at
_TICK, _TICK_MS = ROWS * HOP, 40


@dataclass(frozen=True, slots=True)
class Heard:
    """What a network hears of a sound, per tick: K frames and what the longest look-ahead needs.

    Attributes:
        hidden: f32[T, WINDOW D]; rows: f32[T, RIDGE_TICKS F], as heads and ridge read them.
        gate: f32[K], how far a session's gate is open; a person does not change it.
    """

    hidden: F32
    rows: F32
    gate: F32

    @property
    def frames(self) -> int:
        """K."""
        return len(self.gate)

    def at(self, lookahead_ms: int) -> slice:
        """The ticks whose head for a look-ahead shows the frames."""
        first = lookahead_ms // _TICK_MS - 1
        return slice(first, first + self.frames)


@dataclass(frozen=True, slots=True)
class Correction:
    """What a head says of the moves becomes scale * it + bias + hidden . x + rows . z.

    Attributes:
        scale, bias: f64[6]; hidden: f64[WINDOW D, 6]; rows: f64[RIDGE_TICKS F, 6].
    """

    scale: F64
    bias: F64
    hidden: F64
    rows: F64


def listen(motion: Motion, sound: F32) -> Heard:
    """Hear a sound from a fresh session; silence follows it.

    Args:
        sound: f32[640 K].
    """
    mel = LogMel()
    frames = len(sound) // _TICK
    ticks = frames + max(motion.config.lookaheads) // _TICK_MS
    padded = np.zeros(ticks * _TICK, np.float32)
    padded[: frames * _TICK] = sound[: frames * _TICK]
    rows = mel.step(mel.initial_state(), padded)
    with torch.no_grad():
        _, values, _, _ = motion.eval()(torch.from_numpy(rows)[None], motion.initial_state(1))
    blocks = rows.reshape(ticks, ROWS, -1).mean(1)
    hidden, past = _windows(values[0].numpy(), WINDOW, STEPS), _windows(blocks, RIDGE_TICKS, 1)
    known = Heard(hidden, past, np.zeros(frames, np.float32))
    heads = motion.config.lookaheads
    usual = USUAL_MS if USUAL_MS in heads else heads[len(heads) // 2]
    _, gate = live_tract(said(motion, known), sound, usual, lookaheads=heads)
    return Heard(hidden, past, gate)


def _windows(values: F32, size: int, stride: int) -> F32:
    """f32[N / stride, size C], newest last; nothing was heard before the first."""
    past = np.zeros((size - stride, values.shape[1]), np.float32)
    padded = np.concatenate((past, values)).astype(np.float32)
    views = np.lib.stride_tricks.sliding_window_view(padded, size, axis=0)[::stride]
    return np.ascontiguousarray(views.transpose(0, 2, 1)).reshape(len(views), -1)


def said(motion: Motion, heard: Heard) -> F32:
    """What `listen.hear` gives: f32[T, H, 2, 9], no logits."""
    shape = (len(heard.hidden), len(motion.config.lookaheads), STEPS)
    with torch.no_grad():
        tract = motion.heads(torch.from_numpy(heard.hidden)).reshape(*shape, CHANNELS)
        ridge = motion.ridge(torch.from_numpy(heard.rows)).reshape(*shape, MOVES)
        moves = tract[..., :MOVES]
        moves = moves + motion.ridge_share * (ridge - moves)
        shown = torch.cat((moves, torch.sigmoid(tract[..., MOVES:])), 3)
    return np.asarray(shown.numpy(), np.float32)


def fold(motion: Motion, corrections: Mapping[int, Correction]) -> Motion:
    """A network that says what corrections say, by look-ahead; one for every head.

    Where a move is corrected the ridge has half of the say, so that both of its kinds of inputs
    have a share.
    """
    out = Motion(motion.config)
    out.load_state_dict(motion.state_dict())
    heads = len(motion.config.lookaheads)
    head = out.heads.weight.data.view(heads, STEPS, CHANNELS, -1)
    head_bias = out.heads.bias.data.view(heads, STEPS, CHANNELS)
    ridge = out.ridge.weight.data.view(heads, STEPS, MOVES, -1)
    ridge_bias = out.ridge.bias.data.view(heads, STEPS, MOVES)

    def tensor(values: F64) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values.T, np.float32))

    ordered = [corrections[ms] for ms in motion.config.lookaheads]
    moved = np.zeros(MOVES, np.bool_)
    for c in ordered:
        moved |= (c.scale != 1.0) | (c.bias != 0.0) | c.hidden.any(0) | c.rows.any(0)
    own = torch.where(torch.from_numpy(moved), 0.5, motion.ridge_share)
    for index, c in enumerate(ordered):
        for move in np.flatnonzero(moved).tolist():
            share, scale = float(motion.ridge_share[move]), float(c.scale[move])
            a, b = 2.0 * (1.0 - share) * scale, 2.0 * share * scale
            head[index, :, move] = a * head[index, :, move] + 2.0 * tensor(c.hidden[:, move])
            head_bias[index, :, move] = a * head_bias[index, :, move] + 2.0 * float(c.bias[move])
            ridge[index, :, move] = b * ridge[index, :, move] + 2.0 * tensor(c.rows[:, move])
            ridge_bias[index, :, move] *= b
    out.ridge_share.copy_(own)
    return out.eval()


def of_head(motion: Motion, heard: Sequence[Heard], ms: int) -> tuple[F64, tuple[F64, F64]]:
    """What a head says of the moves of every frame, f64[N, 6], and what it reads."""
    heads = motion.config.lookaheads
    first = [frames_of(said(motion, h), ms, heads).mean(1)[:, :MOVES] for h in heard]
    hidden = np.concatenate([h.hidden[h.at(ms)] for h in heard]).astype(np.float64)
    rows = np.concatenate([h.rows[h.at(ms)] for h in heard]).astype(np.float64)
    return np.concatenate(first).astype(np.float64), (hidden, rows)
