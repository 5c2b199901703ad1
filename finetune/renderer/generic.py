"""The renderer that every person's training begins with.

It knows how planes become a picture, from many people who do not exist; what it does not know is
what this person looks like. `docs/finetune.md` says what it was trained on.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import torch

from visavis.models.renderer import Renderer

__all__ = ["generic_renderer", "pack_renderer"]

FILE = "generic.npz"


def generic_renderer() -> Renderer:
    """Return it, with weights as they are shipped."""
    with (
        files("visavis.finetune.renderer").joinpath(FILE).open("rb") as file,
        np.load(file, allow_pickle=False) as saved,
    ):
        renderer = Renderer(saved["widths"].tolist())
        renderer.load_state_dict(
            {
                name: torch.from_numpy(saved[name].astype(np.float32))
                for name in saved.files
                if name != "widths"
            }
        )
    return renderer


def pack_renderer(renderer: Renderer, path: str) -> None:
    """Write a renderer as it is shipped: npz, weights in 16 bits, nothing pickled."""
    arrays = {
        name: value.detach().cpu().numpy().astype(np.float16)
        for name, value in renderer.state_dict().items()
    }
    np.savez(path, widths=np.array(renderer.widths), **arrays)
