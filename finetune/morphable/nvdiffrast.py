"""NVIDIA's rasterizer behind the same protocol, where the user has installed it.

Its licence allows research and evaluation only, so nothing here needs it. We have not run it: the
adapter is tested with a stand-in.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor

from visavis.finetune.morphable.raster import Fragments, Rasterizer, draw

__all__ = ["Nvdiffrast", "best_rasterizer"]


class Nvdiffrast:
    """`raster.Rasterizer` on a GPU (S. Laine et al., 2020).

    Args:
        library: the module `nvdiffrast.torch`.
        device: of the tensors.
    """

    def __init__(self, library: Any, device: torch.device | str) -> None:
        self._library = library
        self._context = library.RasterizeCudaContext(device=device)

    def __call__(self, clip: Tensor, triangles: Tensor, height: int, width: int) -> Fragments:
        """Draw meshes; see `raster.Rasterizer`."""
        # f32[N, H, W, 4]: u, v, z/w, triangle + 1; row 0 is at y = -w, as ours.
        raster, _ = self._library.rasterize(
            self._context,
            clip.contiguous(),
            triangles.to(torch.int32).contiguous(),
            (height, width),
        )
        ids = raster[..., 3].detach().long() - 1
        picture, row, column = torch.nonzero(ids >= 0, as_tuple=True)
        u, v = raster[picture, row, column, :2].unbind(-1)
        shares = torch.stack([u, v, 1.0 - u - v], dim=-1)
        return Fragments(picture, row, column, ids[picture, row, column], shares)


def best_rasterizer(device: torch.device | str) -> Rasterizer:
    """Return NVIDIA's where it is installed and the device is a GPU, else our own."""
    if torch.device(device).type != "cuda":
        return draw
    try:
        library = importlib.import_module("nvdiffrast.torch")
    except ImportError:
        return draw
    return Nvdiffrast(library, device)
