"""Who is in a picture: the remembered identity features of `headpose`.

A ResNet-18 (K. He et al., "Deep residual learning for image recognition", 2016) asks a table of
keys; the nearest one's value is the feature that the generator takes (S. Yoo et al., "Coloring with
limited data: few-shot colorization via memory augmented networks", 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.systems.state import StateLayout

__all__ = ["LAYOUT", "Memory", "MemoryNetwork", "normalised"]

WIDTHS = (64, 128, 256, 512)
FEATURE = 512
# Of the pictures that the published weights were first trained on, red, green, blue.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# The file holds the residual network four times, under names of four paths to the same modules.
_NETWORK = "ResNet18.model"
_NUMBERED = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}

LAYOUT = StateLayout(
    renames={_NETWORK: "residual", "Linear": "query"},
    aliases={
        f"{path}.{number}": f"{_NETWORK}.{name}"
        for path in ("ResNet18.body", "body.0.body")
        for number, name in _NUMBERED.items()
    }
    | {"body.0.model": _NETWORK, "body.1": "Linear"},
    unused=("ResNet18.model.fc.*", "body.0.model.fc.*"),
)


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        moved = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(moved + (x if self.downsample is None else self.downsample(x)))


class _Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        inputs = WIDTHS[0]
        for level, width in enumerate(WIDTHS, 1):
            stride = 1 if level == 1 else 2
            blocks = nn.Sequential(_Block(inputs, width, stride), _Block(width, width, 1))
            self.add_module(f"layer{level}", blocks)
            inputs = width

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for level in range(1, len(WIDTHS) + 1):
            x = self.get_submodule(f"layer{level}")(x)
        return x.mean((2, 3))


class MemoryNetwork(nn.Module):
    """From pictures to questions to the memory."""

    def __init__(self) -> None:
        super().__init__()
        self.residual = _Residual()
        self.query = nn.Linear(FEATURE, FEATURE)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return unit queries f32[N, 512] and the features that they come from, f32[N, 512].

        Args:
            pictures: f32[N, 3, 256, 256] of `normalised`.
        """
        features = self.residual(pictures)
        return F.normalize(cast(Tensor, self.query(features)), dim=1), features


@dataclass(frozen=True, slots=True)
class Memory:
    """What was remembered of the training frames, M rows (30000 in a published file).

    Attributes:
        keys: f32[M, 512], unit rows.
        values: f32[M, 512], identity features.
        ages: f32[M], steps since a row was last used; training alone reads it.
        frames: f32[M], the frame that a row came from.
    """

    keys: Tensor
    values: Tensor
    ages: Tensor
    frames: Tensor

    def nearest(self, queries: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
        """Return cosines f32[N, count], the largest first, and their rows int64[N, count]."""
        scores, rows = torch.topk(queries @ self.keys.T, count)
        return scores, rows

    def feature(self, queries: Tensor) -> Tensor:
        """Return the identity feature of the nearest row, f32[N, 512]."""
        return self.values[self.nearest(queries)[1][:, 0]]


def normalised(pictures: Tensor) -> Tensor:
    """Return u8[..., H, W, 3], red, green, blue, as f32[..., 3, H, W] for the network."""
    x = (pictures.float() / 255.0 - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    return x.movedim(-1, -3)
