"""A long short-term memory for one row at a time, as plain products: exporters make loops of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["LstmStep"]


class LstmStep(nn.Module):
    """What `torch.nn.LSTM` does with one row.

    Args:
        lstm: of one direction, without projection and, in evaluation, without dropout.
    """

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        if lstm.bidirectional or lstm.proj_size or not lstm.bias:
            raise ValueError("The LSTM must be of one direction, with biases.")
        self.lstm = lstm
        self.layers = lstm.num_layers

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the output f32[N, H] and both states after the row, f32[N, L, H].

        Args:
            x: f32[N, I].
            hidden, cell: f32[N, L, H], of the row before.
        """
        hiddens, cells = [], []
        for k in range(self.layers):
            weights = (getattr(self.lstm, f"{name}_l{k}") for name in _NAMES)
            from_input, from_hidden, bias_input, bias_hidden = weights
            gates = F.linear(x, from_input, bias_input)
            gates = gates + F.linear(hidden[:, k], from_hidden, bias_hidden)
            keep_in, forget, new, out = gates.chunk(4, dim=1)
            c = torch.sigmoid(forget) * cell[:, k] + torch.sigmoid(keep_in) * torch.tanh(new)
            x = torch.sigmoid(out) * torch.tanh(c)
            hiddens.append(x)
            cells.append(c)
        return x, torch.stack(hiddens, dim=1), torch.stack(cells, dim=1)


_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
