"""Who is in a picture: the identity encoder of `davs`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.systems.davs import FEATURE, channels
from visavis.models.systems.state import StateLayout

__all__ = ["LAYOUT", "IdentityEncoder"]

# Blocks by the number in the file's keys and the channels that they give; a pooling halves the
# picture before every group.
GROUPS = (
    ((11, 32), (12, 32), (13, 64), (14, 64)),
    ((21, 96), (22, 96), (23, 128), (24, 128), (25, 160), (26, 160)),
    ((31, 320), (32, 320), (33, 320), (34, 320)),
    ((41, 256), (42, 256)),
)
ENTRY = 32
ENTRY_NUMBERS = ("1", "01")  # one block, spelled differently in its own keys

_BLOCKS = [ENTRY_NUMBERS] + [(str(n), str(n)) for group in GROUPS for n, _ in group]
_BRANCHES = {"a": "first", "a_bn": "first_norm", "b": "second", "b_bn": "second_norm"}

LAYOUT = StateLayout(
    renames={
        f"block{block}.conv{number}_{theirs}": f"blocks.{index}.{ours}"
        for index, (block, number) in enumerate(_BLOCKS)
        for theirs, ours in _BRANCHES.items()
    }
)


class _Maxout(nn.Module):
    """The larger of two normalised convolutions (I. Goodfellow et al., "Maxout networks", 2013)."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, size, stride, size // 2)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(inputs, outputs, size, stride, size // 2)
        self.second_norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return torch.maximum(self.first_norm(self.first(x)), self.second_norm(self.second(x)))


class IdentityEncoder(nn.Module):
    """From a picture f32[N, 3, 256, 256], red, green, blue, 0 to 1, to what is used of a person.

    Args:
        feature: F, numbers of the vector; all widths go with it.
    """

    def __init__(self, *, feature: int = FEATURE) -> None:
        super().__init__()
        inputs = channels(ENTRY, feature)
        blocks = [_Maxout(3, inputs, 7, 2)]
        for group in GROUPS:
            size = 5 if group is GROUPS[-1] else 3
            for _, published in group:
                outputs = channels(published, feature)
                blocks.append(_Maxout(inputs, outputs, size))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Return a vector f32[N, F] and a map f32[N, 160 F / 256, 32, 32]: all that is used.

        Of the five levels of the original the decoder reads these two.
        """
        x = self.blocks[0](picture)
        levels = []
        index = 1
        for group in GROUPS:
            x = F.max_pool2d(x, 2)
            for block in self.blocks[index : index + len(group)]:
                x = block(x)
            index += len(group)
            levels.append(x)
        return F.avg_pool2d(x, x.shape[-1]).flatten(1), levels[1]
