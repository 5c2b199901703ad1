"""A trained native person: from the folder that `finetune` writes to one person file.

about.json         name, display_name, consent, licence, made_by: as in person.json
notices.txt        what must go with copies
picture.json       width, height, params of the stages geometry, raster, composite, background
geometry/ raster/ background/ mask.npy    their arrays, by role
background.mp4     the person's own frames
poster.jpg preview.mp4
renderer.pt        widths and weights of the renderer
calibration.npy    float16[K, 32, S/2, S/2], planes to choose the 8-bit ranges by
motion/            what `export.motion.write_motion` writes
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from visavis.engines.errors import PersonFileError
from visavis.engines.npy import dump_array
from visavis.engines.person import write_person
from visavis.engines.person_manifest import FORMAT
from visavis.export.renderer import (
    export_renderer,
    quantize_renderer,
    renderer_graph,
    with_half_weights,
)
from visavis.models.renderer import Renderer

__all__ = [
    "default_lookahead",
    "export_person",
    "load_renderer",
    "person_bytes",
    "save_renderer",
]

RENDERER = "renderer.pt"
LOOKAHEAD_MS = 120  # of a session that asks for none; the nearest below it that there is
STAGES = {"geometry": "linear@1", "raster": "planes@1", "composite": "feather@1"}


def save_renderer(renderer: Renderer, path: Path) -> None:
    """Write a renderer to `renderer.pt`, at once or not at all."""
    partial = path.with_suffix(".partial")
    torch.save({"widths": list(renderer.widths), "weights": renderer.state_dict()}, partial)
    partial.replace(path)


def load_renderer(path: Path) -> Renderer:
    """Read a renderer from `renderer.pt`."""
    saved = torch.load(path, weights_only=True)
    renderer = Renderer(saved["widths"])
    renderer.load_state_dict(saved["weights"])
    return renderer.eval()


def export_person(folder: Path, out: Path) -> int:
    """Write the person file of a trained person.

    Args:
        folder: as described above.
        out: the file.

    Returns:
        its size in bytes.

    Raises:
        PersonFileError: the folder is not complete, or what it holds does not fit together.
    """
    data = person_bytes(folder)
    partial = out.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(out)
    return len(data)


def person_bytes(folder: Path, *, renderer: Path | None = None) -> bytes:
    """Return what `export_person` writes.

    Args:
        folder: as described above.
        renderer: another `renderer.pt` than the folder's.

    Raises:
        PersonFileError: as there.
    """
    try:
        return write_person(*_assemble(folder, renderer or folder / RENDERER))
    except (OSError, KeyError, ValueError) as error:
        raise PersonFileError(f"{folder} is not a trained person: {error}.") from error


def _assemble(folder: Path, weights: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return what `write_person` takes."""
    about = json.loads((folder / "about.json").read_text())
    picture = json.loads((folder / "picture.json").read_text())
    motion = json.loads((folder / "motion" / "stage.json").read_text())
    parts = {
        str(path.relative_to(folder).as_posix()): dump_array(np.load(path, allow_pickle=False))
        for pattern in ("mask.npy", "*/*.npy")
        for path in sorted(folder.glob(pattern))
    }
    for name in ("background.mp4", "poster.jpg", "preview.mp4"):
        parts[name] = (folder / name).read_bytes()
    for name in motion["graphs"]["motion"]["variants"].values():
        parts[name] = with_half_weights((folder / "motion" / name).read_bytes())

    renderer = load_renderer(weights)
    size = int(picture["background"]["size"])
    exact = export_renderer(renderer, size)
    calibration = np.load(folder / "calibration.npy", allow_pickle=False).astype(np.float32)
    variants = {"fp32": "renderer.fp32.onnx", "int8": "renderer.int8.onnx"}
    parts[variants["fp32"]] = with_half_weights(exact)
    parts[variants["int8"]] = quantize_renderer(exact, calibration)

    stages: dict[str, Any] = {**motion["stages"], "render": {
        "op": "graph@1", "params": {"graph": "renderer"}
    }}  # fmt: skip
    for stage, operation in {**STAGES, "background": "walk@1"}.items():
        roles = {Path(name).stem: name for name in parts if name.startswith(f"{stage}/")}
        if stage in ("raster", "composite"):
            roles["mask"] = "mask.npy"
        if stage == "background":
            roles["video"] = "background.mp4"
        stages[stage] = {"op": operation, "params": picture.get(stage, {}), "parts": roles}
    manifest = {
        "format": FORMAT,
        **about,
        "system": "native",
        "fps": 25,
        "width": picture["width"],
        "height": picture["height"],
        "sample_rate": 16000,
        "lookahead_ms": default_lookahead(stages["motion"]["params"]["lookaheads"]),
        "requires": sorted(stage["op"] for stage in stages.values()),
        "stages": stages,
        "graphs": {**motion["graphs"], "renderer": renderer_graph(size, variants)},
        "poster": "poster.jpg",
        "preview": "preview.mp4",
        "notices": (folder / "notices.txt").read_text(),
        "contains_licensed": False,
    }
    return manifest, parts


def default_lookahead(offered: Sequence[int]) -> int:
    """Return the look-ahead of a session that asks for none, of those that a person offers."""
    return max((ms for ms in offered if ms <= LOOKAHEAD_MS), default=min(offered))
