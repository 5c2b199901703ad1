"""The recognizer that `style_avatar` hears with: Mozilla DeepSpeech 0.9, from sound to letters.

A. Hannun et al., "Deep Speech: scaling up end-to-end speech recognition", 2014, in Mozilla's form:
three dense layers on a window of coefficients, an LSTM that runs forward in time (S. Hochreiter, J.
Schmidhuber, "Long short-term memory", 1997), two more layers, the shares of 28 letters and a blank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["AROUND", "COEFFICIENTS", "LETTERS", "DeepSpeech", "Widths", "context", "state_dict"]

COEFFICIENTS = 26
AROUND = 9  # rows of 20 ms before and after the one that is told
LETTERS = 29
CLIP = 20.0  # of a rectifier
GATES = 4  # of the cell, in the file's order: input, candidate, forget, output
CELL = "cudnn_lstm/rnn/multi_rnn_cell/cell_0/cudnn_compatible_lstm_cell"


@dataclass(frozen=True, slots=True)
class Widths:
    """Channels of the layers; all are 2048 in the published network."""

    first: int = 2048
    second: int = 2048
    third: int = 2048
    cell: int = 2048
    fifth: int = 2048


class _Gate(nn.Module):
    """What the input and what was said before add up to."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.heard = nn.Linear(inputs, width)
        self.said = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        total: Tensor = self.heard(x) + self.said(hidden)
        return total


class DeepSpeech(nn.Module):
    """From windows of coefficients to letters, a row of 20 ms at a time or many.

    Args:
        widths: of the layers.
    """

    def __init__(self, widths: Widths | None = None) -> None:
        super().__init__()
        w = widths or Widths()
        self.widths = w
        self.first = nn.Linear(COEFFICIENTS * (2 * AROUND + 1), w.first)
        self.second = nn.Linear(w.first, w.second)
        self.third = nn.Linear(w.second, w.third)
        # A gate each: the matrix of all four is larger than a tensor of a person file may be.
        self.gates = nn.ModuleList(_Gate(w.third, w.cell) for _ in range(GATES))
        self.fifth = nn.Linear(w.cell, w.fifth)
        self.sixth = nn.Linear(w.fifth, LETTERS)

    def step(self, window: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return posteriors f32[N, 29] of one row, and the next two states.

        Args:
            window: f32[N, 494]; see `context`.
            hidden, cell: f32[N, cell], 0 where a sound begins.
        """
        x = _rectified(self.first(window))
        x = _rectified(self.second(x))
        x = _rectified(self.third(x))
        into, candidate, keep, out = (gate(x, hidden) for gate in self.gates)
        cell = torch.sigmoid(keep) * cell + torch.sigmoid(into) * torch.tanh(candidate)
        hidden = torch.sigmoid(out) * torch.tanh(cell)
        x = _rectified(self.fifth(hidden))
        return torch.softmax(self.sixth(x), -1), hidden, cell

    def forward(self, windows: Tensor) -> Tensor:
        """Return posteriors f32[N, M, 29] of whole sounds, f32[N, M, 494]."""
        hidden = cell = windows.new_zeros(len(windows), self.widths.cell)
        rows = []
        for row in windows.unbind(1):
            posteriors, hidden, cell = self.step(row, hidden, cell)
            rows.append(posteriors)
        return torch.stack(rows, 1)


def context(coefficients: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return what the network sees of each row, f32[M, 494]; before and after the sound is 0.

    Args:
        coefficients: f[M, 26], as of `cepstra@1` with the parameters of DeepSpeech.
    """
    rows = np.asarray(coefficients, np.float32)
    padded = np.pad(rows, ((AROUND, AROUND), (0, 0)))
    return np.concatenate([padded[i : i + len(rows)] for i in range(2 * AROUND + 1)], 1)


def state_dict(tensors: Mapping[str, NDArray[np.float32]]) -> tuple[Widths, dict[str, Tensor]]:
    """Return widths and our state dict of a TensorFlow checkpoint's tensors.

    Args:
        tensors: `layer_{1,2,3,5,6}/{weights,bias}` and the cell's `kernel` and `bias`, by name.

    Raises:
        KeyError: one is missing.
        ValueError: shapes that do not fit together.
    """
    dense = {n: tensors[f"layer_{n}/weights"] for n in (1, 2, 3, 5, 6)}
    kernel, bias = tensors[f"{CELL}/kernel"], tensors[f"{CELL}/bias"]
    if any(matrix.ndim != 2 for matrix in (*dense.values(), kernel)):
        raise ValueError("a layer's weights are no matrix")
    width = kernel.shape[1] // GATES
    first, second, third, fifth = (dense[n].shape[1] for n in (1, 2, 3, 5))
    widths = Widths(first, second, third, width, fifth)
    if kernel.shape != (widths.third + width, GATES * width) or bias.shape != (GATES * width,):
        raise ValueError(f"the cell's kernel has shape {list(kernel.shape)}")
    state: dict[str, NDArray[np.float32]] = {}
    for name, n in (("first", 1), ("second", 2), ("third", 3), ("fifth", 5), ("sixth", 6)):
        state[f"{name}.weight"] = dense[n].T
        state[f"{name}.bias"] = tensors[f"layer_{n}/bias"]
    for gate in range(GATES):
        columns = slice(gate * width, (gate + 1) * width)
        state[f"gates.{gate}.heard.weight"] = kernel[: widths.third, columns].T
        state[f"gates.{gate}.said.weight"] = kernel[widths.third :, columns].T
        # The cell of cuDNN adds nothing to the forget gate, whatever TensorFlow's own does.
        state[f"gates.{gate}.heard.bias"] = bias[columns]
    return widths, {
        key: torch.from_numpy(np.ascontiguousarray(value, np.float32))
        for key, value in state.items()
    }


def _rectified(x: Tensor) -> Tensor:
    return torch.clamp(x, 0.0, CLIP)
