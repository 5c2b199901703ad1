"""A published system that nobody published: small enough to be imported in a second."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.engines.npy import dump_array
from visavis.export.imports.crops import feather
from visavis.export.imports.draft import VIDEO, Draft
from visavis.export.imports.lip_map import LipMap
from visavis.export.imports.native_motion import native_motion
from visavis.export.imports.onnx_graph import ToI420, exported
from visavis.export.imports.request import Request

CROP, FRAME, COEFFICIENTS = 64, 96, 6
MOUTH = (16, 40, 48, 56)
CONSENT = {"subject": "nobody", "given": "a drawing agreed to nothing", "synthetic": True}


class SmallFace(nn.Module):
    """Coefficients to a face: a mouth whose rows grow dark as the first coefficient grows.

    Args:
        gain: how much; 0 makes a mouth that nothing moves.
    """

    def __init__(self, gain: float = 40.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.paint = nn.Conv2d(3, 3, 3, padding=1)
        with torch.no_grad():
            self.paint.weight.copy_(0.1 * torch.randn(3, 3, 3, 3, generator=generator))
            self.paint.bias.zero_()
        picture = torch.rand(3, CROP, CROP, generator=generator)
        mouth = torch.zeros(CROP, CROP)
        left, top, right, bottom = MOUTH
        mouth[top:bottom, left:right] = 1.0
        self.register_buffer("picture", picture)
        self.register_buffer("mouth", mouth)
        self.gain = gain
        self.to_i420 = ToI420()

    def forward(self, coefficients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        opened = torch.sigmoid(self.gain * coefficients[:, :1])[:, :, None, None]
        face = self.picture[None] * (1.0 - self.mouth * opened)
        return self.to_i420(0.5 + 0.5 * torch.tanh(self.paint(face) + face - 0.5))


def lips() -> LipMap:
    """Lips that open with the first coefficient alone."""
    move = np.zeros((COEFFICIENTS, 6), np.float32)
    move[0] = 1.0
    rest = np.zeros(COEFFICIENTS, np.float32)
    return LipMap(rest, move, rest - 0.05, rest)


def footage(count: int = 3) -> list[NDArray[np.uint8]]:
    """RGB frames that differ by their brightness."""
    ramp = np.linspace(40, 200, FRAME, dtype=np.uint8)[None, :, None]
    return [np.broadcast_to(ramp + 4 * k, (FRAME, FRAME, 3)).copy() for k in range(count)]


_RENDERERS: dict[tuple[object, ...], tuple[dict[str, Any], dict[str, bytes]]] = {}


def renderer(face: nn.Module, half: bool) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The graph of a face; one that was exported before is not exported again."""
    key = (type(face), getattr(face, "gain", None), half)
    if key not in _RENDERERS:
        _RENDERERS[key] = exported(
            "renderer",
            face,
            inputs={"coefficients": (COEFFICIENTS,)},
            outputs=["y", "u", "v"],
            half=half,
        )
    entry, parts = _RENDERERS[key]
    return copy.deepcopy(entry), dict(parts)


def small_draft(request: Request, face: nn.Module | None = None, **changes: Any) -> Draft:
    """The draft of a person of that system."""
    face = SmallFace() if face is None else face
    motion = native_motion(lips())
    entry, parts = renderer(face, request.half)
    frames = footage()
    middle = (FRAME - CROP) / 2
    place = np.array([[1, 0, middle], [0, 1, middle]], np.float32)
    arrays = {
        "background/pose.npy": np.zeros((len(frames), 1), np.float32),
        "background/place.npy": np.repeat(place[None], len(frames), 0),
        "mask.npy": feather(CROP),
    }
    nothing: dict[str, Any] = {"op": "none@1", "params": {}, "parts": {}}
    draft = Draft(
        stages={
            **motion.stages,
            "background": {
                "op": "footage@1",
                "params": {},
                "parts": {
                    "video": VIDEO,
                    "pose": "background/pose.npy",
                    "place": "background/place.npy",
                },
            },
            "geometry": nothing,
            "raster": nothing,
            "render": {"op": "graph@2", "params": {"graph": "renderer"}, "parts": {}},
            "composite": {"op": "paste@1", "params": {}, "parts": {"mask": "mask.npy"}},
        },
        graphs={**motion.graphs, "renderer": entry},
        parts={
            **motion.parts,
            **parts,
            **{name: dump_array(array) for name, array in arrays.items()},
        },
        frames=frames,
        lookahead_ms=motion.lookahead_ms,
        mouth=MOUTH,
        notices="The toy's own notice.",
        modules={"renderer": (face, ["coefficients"], ["y", "u", "v"])},
    )
    for name, value in changes.items():
        setattr(draft, name, value)
    return draft


def request(checkpoint: Path, **changes: Any) -> Request:
    """What asks for it."""
    given: dict[str, Any] = {
        "system": "davs",
        "checkpoints": (checkpoint,),
        "name": "toy",
        "display_name": "Toy",
        "consent": CONSENT,
    }
    return Request(**{**given, **changes})


def importer(face: nn.Module | None = None, **changes: Any) -> Callable[..., Draft]:
    """What `systems.importer_of` gives in its place."""
    return lambda request, say: small_draft(request, face, **changes)
