"""The motion network: feature rows in, the movement of a mouth out, causal, with carried state.

Every tick takes four rows (40 ms of sound, ending at T). One trunk hears them; a head per
look-ahead L then says what the mouth does in the two 20 ms steps that begin at T - L. So the
look-ahead is a choice of the session, not of the training. About a million parameters, 0.1 GFLOP a
second of sound.

The trunk is convolutions to 20 ms, four dilated ones, and two minimal gated units (minGRU; Feng et
al., "Were RNNs all we needed?", 2024), whose gates do not look at the state: training needs no
matrix product per step, and the state is a convex mean of what was heard, so it cannot drift away.
Every head is linear in the hidden values of the last 200 ms. Beside it runs a ridge, linear in the
rows of the last 400 ms and fitted on its own (`finetune/lips/ridge.py`): what a head says of the
moves is the mean of both, by a share per move. The network knows more, the ridge is less easily
misled by a voice that it never heard.

`Motion` is the form to train: whole sequences, one call. `MotionStep` shares its weights and does
one tick; it is the form to export.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = [
    "CHANNELS",
    "LOOKAHEADS",
    "MOVES",
    "PROBABILITIES",
    "RIDGE_TICKS",
    "ROWS",
    "STEPS",
    "WINDOW",
    "Motion",
    "MotionConfig",
    "MotionStep",
    "State",
]

CHANNELS = 9
MOVES = 6
PROBABILITIES = CHANNELS - MOVES
ROWS = 4
STEPS = 2
LOOKAHEADS = (40, 80, 120, 160, 200)
WINDOW = 10  # steps of hidden values that a head reads: 200 ms
RIDGE_TICKS = 10  # ticks, each the mean of its rows, that the ridge reads: 400 ms

State = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class MotionConfig:
    """Sizes.

    Attributes:
        features: width of a row.
        stem, width, hidden: channels at 10 ms, at 20 ms, and of what the heads read.
        phones: of the auxiliary head.
        lookaheads: ms, one head each; multiples of 40, at most 200.
    """

    features: int = 66
    stem: int = 128
    width: int = 192
    hidden: int = 128
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    phones: int = 47
    dropout: float = 0.15
    lookaheads: tuple[int, ...] = LOOKAHEADS

    def as_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> MotionConfig:
        """The inverse of `as_dict`."""
        several = ("dilations", "lookaheads")
        values: dict[str, Any] = {k: tuple(v) if k in several else v for k, v in given.items()}
        return cls(**values)


class _Conv(nn.Conv1d):
    """A convolution along time over [N, T, C], without padding: the caller puts the past before."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class _Drop(nn.Module):
    """Dropout of whole channels of [N, T, C]: a value that is missing stays so for the stretch."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.share:
            return x
        n, _, c = x.shape
        keep = torch.rand(n, 1, c, device=x.device) >= self.share
        return x * (keep / (1.0 - self.share)).to(x.dtype)


class _MinGru(nn.Module):
    """h' = (1 - z) h + z c, with z and the candidate c from the input alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.both = nn.Linear(width, 2 * width)
        # Half-lives from a few steps to a second and a half.
        with torch.no_grad():
            self.both.bias[:width] = torch.linspace(0.5, -4.0, width)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """x f32[N, T, C], h f32[N, C]; gives f32[N, T, C]."""
        gate, candidate = self.both(x).float().chunk(2, 2)
        z, c = torch.sigmoid(gate), torch.tanh(candidate)
        keep, new = (1.0 - z).unbind(1), (z * c).unbind(1)
        out = []
        for k, n in zip(keep, new, strict=True):
            h = k * h + n
            out.append(h)
        return torch.stack(out, 1)


def _windows(x: Tensor, size: int, stride: int) -> Tensor:
    """Flat windows of [N, T, C], newest last: [N, (T - size) / stride + 1, size C]."""
    return x.unfold(1, size, stride).transpose(2, 3).flatten(2)


class Motion(nn.Module):
    """The trunk and its heads, for stretches of sound."""

    def __init__(self, config: MotionConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or MotionConfig()
        self.conv1 = _Conv(c.features, c.stem, 5)
        self.conv2 = _Conv(c.stem, c.width, 4, stride=2)
        self.dilated = nn.ModuleList(_Conv(c.width, c.width, 3, dilation=d) for d in c.dilations)
        self.gru1 = _MinGru(c.width)
        self.gru2 = _MinGru(c.width)
        self.narrow = nn.Linear(3 * c.width, c.hidden)
        self.heads = nn.Linear(WINDOW * c.hidden, len(c.lookaheads) * STEPS * CHANNELS)
        self.phones = nn.Linear(c.hidden, c.phones)
        outputs = len(c.lookaheads) * STEPS * MOVES
        self.ridge = nn.Linear(RIDGE_TICKS * c.features, outputs).requires_grad_(False)
        # 0 while the network is trained; the ridge is fitted after it.
        self.ridge_share = nn.Buffer(torch.zeros(MOVES))
        self.drop = _Drop(c.dropout)

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Per session: contexts of the convolutions, the units, and what heads and ridge read."""
        c = self.config
        dilated = [(2 * d, c.width) for d in c.dilations]
        units = [(c.width,), (c.width,)]
        windows = [(WINDOW - STEPS, c.hidden), (RIDGE_TICKS - 1, c.features)]
        return ((4, c.features), (2, c.stem), *dilated, *units, *windows)

    def initial_state(self, batch: int) -> State:
        """Zeros: a session that has heard nothing."""
        device = self.phones.weight.device
        return tuple(torch.zeros(batch, *shape, device=device) for shape in self.state_shapes())

    def run(self, features: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Both forms' common part.

        Args:
            features: f32[N, 4K, F]; state: of the call before.

        Returns:
            tract f32[N, K, H, 2, 9] with logits, hidden f32[N, 2K, D], the new state.
        """
        past = list(state)
        new: list[Tensor] = []

        def with_past(x: Tensor) -> Tensor:
            x = torch.cat((past[len(new)].to(x.dtype), x), 1)
            new.append(x[:, x.shape[1] - past[len(new)].shape[1] :])
            return x

        y = self.drop(torch.relu(self.conv1(with_past(features))))
        y = self.drop(torch.relu(self.conv2(with_past(y))))
        for conv in self.dilated:
            y = y + torch.relu(conv(with_past(y)))
        a = self.gru1(self.drop(y), past[len(new)])
        new.append(a[:, -1])
        b = self.gru2(self.drop(a + y), past[len(new)])
        new.append(b[:, -1])
        hidden = with_past(self.narrow(self.drop(torch.cat((y, a, b), 2))))
        n, rows, width = features.shape
        ticks, heads = rows // ROWS, len(self.config.lookaheads)
        blocks = with_past(features.reshape(n, ticks, ROWS, width).mean(2))

        tract = self.heads(_windows(self.drop(hidden), WINDOW, STEPS))
        tract = tract.reshape(n, ticks, heads, STEPS, CHANNELS)
        ridge = self.ridge(_windows(blocks, RIDGE_TICKS, 1))
        ridge = ridge.reshape(n, ticks, heads, STEPS, MOVES)
        moves = tract[..., :MOVES]
        moves = moves + self.ridge_share * (ridge - moves)
        tract = torch.cat((moves, tract[..., MOVES:]), 4)
        return tract, hidden[:, WINDOW - STEPS :], tuple(new)

    def forward(self, features: Tensor, state: State) -> tuple[Tensor, Tensor, Tensor, State]:
        """A stretch of sound.

        Args:
            features: f32[N, 4K, F], K ticks.
            state: of `initial_state` or of the call before.

        Returns:
            tract f32[N, H, 2K, 9] with logits in the last three channels, where tick k of head L
            shows the 40 ms that begin L before the end of the tick's sound; hidden f32[N, 2K, D];
            phone logits f32[N, 2K, P]; the new state.
        """
        tract, hidden, new = self.run(features, state)
        return tract.transpose(1, 2).flatten(2, 3), hidden, self.phones(hidden), new


class MotionStep(nn.Module):
    """One tick of a `Motion`: features f32[N, 4, F] and the states, to tract f32[N, H, 2, 9] with
    probabilities in place of logits, and the new states.
    """

    def __init__(self, motion: Motion) -> None:
        super().__init__()
        self.motion = motion

    def forward(self, features: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        tract, _, new = self.motion.run(features, state)
        shown = torch.cat((tract[..., :MOVES], torch.sigmoid(tract[..., MOVES:])), 4)
        return shown[:, 0], *new
