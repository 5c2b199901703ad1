"""The motion network: feature rows in, the movement of a mouth out, causal, with carried state.

Every tick takes four rows (40 ms of sound) and gives two steps of nine channels. What a tick shows
lies in the past of its newest row by the look-ahead; that is a matter of which rows are fed when,
and the network is trained for one. About 0.8 million parameters, 0.08 GFLOP per second of sound.

`Motion` is the form to train: whole sequences, one call. `MotionStep` shares its weights and does
one tick with plain matrix products; it is the form to export.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["CHANNELS", "PROBABILITIES", "Motion", "MotionConfig", "MotionStep", "State"]

CHANNELS = 9
PROBABILITIES = 3
ROWS = 4
STEPS = 2

State = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class MotionConfig:
    """Sizes; `features` is the width of a row, `phones` that of the auxiliary head."""

    features: int = 66
    stem: int = 128
    width: int = 192
    phones: int = 47
    dropout: float = 0.15

    def as_dict(self) -> dict[str, float]:
        """For a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, float]) -> MotionConfig:
        """The inverse of `as_dict`."""
        whole = {k: int(v) for k, v in given.items() if k != "dropout"}
        return cls(**whole, dropout=float(given["dropout"]))


class Motion(nn.Module):
    """Convolutions to 20 ms, two dilated ones, two GRUs, and one head per look-ahead (one so far).

    The head reads both steps of a tick, so that the first of them, too, has heard all four rows.
    """

    def __init__(self, config: MotionConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or MotionConfig()
        self.conv1 = nn.Conv1d(c.features, c.stem, 5)
        self.conv2 = nn.Conv1d(c.stem, c.width, 4, stride=2)
        self.conv3 = nn.Conv1d(c.width, c.width, 3)
        self.conv4 = nn.Conv1d(c.width, c.width, 3, dilation=2)
        self.gru1 = nn.GRU(c.width, c.width, batch_first=True)
        self.gru2 = nn.GRU(c.width, c.width, batch_first=True)
        self.head = nn.Linear(STEPS * 2 * c.width, STEPS * CHANNELS)
        self.phones = nn.Linear(2 * c.width, c.phones)
        self.drop = nn.Dropout(c.dropout)

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes per session: contexts of the convolutions [rows, channels], then of the GRUs."""
        c = self.config
        return ((4, c.features), (2, c.stem), (2, c.width), (4, c.width), (c.width,), (c.width,))

    def initial_state(self, batch: int) -> State:
        """Zeros: a session that has heard nothing."""
        device = self.head.weight.device
        return tuple(torch.zeros(batch, *shape, device=device) for shape in self.state_shapes())

    def forward(self, features: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """A stretch of sound.

        Args:
            features: f32[N, 4K, F], K ticks.
            state: of `initial_state` or of the call before.

        Returns:
            tract f32[N, 2K, 9], the last three as logits; phone logits f32[N, 2K, phones]; the
            new state.
        """
        s1, s2, s3, s4, h1, h2 = state
        x1 = torch.cat((s1, features), 1)
        y = self.drop(torch.relu(self.conv1(x1.transpose(1, 2)).transpose(1, 2)))
        x2 = torch.cat((s2, y), 1)
        y = self.drop(torch.relu(self.conv2(x2.transpose(1, 2)).transpose(1, 2)))
        x3 = torch.cat((s3, y), 1)
        y = y + torch.relu(self.conv3(x3.transpose(1, 2)).transpose(1, 2))
        x4 = torch.cat((s4, y), 1)
        y = y + torch.relu(self.conv4(x4.transpose(1, 2)).transpose(1, 2))
        a, g1 = self.gru1(self.drop(y), h1.unsqueeze(0).contiguous())
        a = a + y
        b, g2 = self.gru2(self.drop(a), h2.unsqueeze(0).contiguous())
        both = self.drop(torch.cat((a, b), 2))
        n, steps, width = both.shape
        tract = self.head(both.reshape(n, steps // STEPS, STEPS * width)).reshape(
            n, steps, CHANNELS
        )
        new = (x1[:, -4:], x2[:, -2:], x3[:, -2:], x4[:, -4:], g1[0], g2[0])
        return tract, self.phones(both), new


_GRU_WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def _gru_step(gru: nn.GRU, x: Tensor, h: Tensor) -> Tensor:
    """One step by the definition (Cho et al. 2014, with the reset inside, as torch has it)."""
    weights = [cast(Tensor, getattr(gru, name)) for name in _GRU_WEIGHTS]
    gates = functional.linear(x, weights[0], weights[2])
    own = functional.linear(h, weights[1], weights[3])
    xr, xz, xn = gates.chunk(3, 1)
    hr, hz, hn = own.chunk(3, 1)
    z = torch.sigmoid(xz + hz)
    n = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
    return (1 - z) * n + z * h


class MotionStep(nn.Module):
    """One tick of a `Motion`, with sigmoids on the probabilities and no auxiliary head."""

    def __init__(self, motion: Motion) -> None:
        super().__init__()
        self.motion = motion

    def forward(
        self,
        features: Tensor,
        s1: Tensor,
        s2: Tensor,
        s3: Tensor,
        s4: Tensor,
        h1: Tensor,
        h2: Tensor,
    ) -> tuple[Tensor, ...]:
        """features f32[N, 4, F] and the state; gives tract f32[N, 2, 9] and the new state."""
        m = self.motion
        x1 = torch.cat((s1, features), 1)
        y = torch.relu(m.conv1(x1.transpose(1, 2)).transpose(1, 2))
        x2 = torch.cat((s2, y), 1)
        y = torch.relu(m.conv2(x2.transpose(1, 2)).transpose(1, 2))
        x3 = torch.cat((s3, y), 1)
        y = y + torch.relu(m.conv3(x3.transpose(1, 2)).transpose(1, 2))
        x4 = torch.cat((s4, y), 1)
        y = y + torch.relu(m.conv4(x4.transpose(1, 2)).transpose(1, 2))
        both = []
        for step in range(STEPS):
            h1 = _gru_step(m.gru1, y[:, step], h1)
            a = h1 + y[:, step]
            h2 = _gru_step(m.gru2, a, h2)
            both += [a, h2]
        tract = m.head(torch.cat(both, 1)).reshape(-1, STEPS, CHANNELS)
        known = CHANNELS - PROBABILITIES
        tract = torch.cat((tract[:, :, :known], torch.sigmoid(tract[:, :, known:])), 2)
        return tract, x1[:, -4:], x2[:, -2:], x3[:, -2:], x4[:, -4:], h1, h2
