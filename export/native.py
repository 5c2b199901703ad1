"""A trained native person: from the folder that `finetune` writes to one person file.

about.json         name, display_name, consent, licence, made_by: as in person.json; and
                   contains_licensed where it is true
notices.txt        what must go with copies
picture.json       width, height, params of the stages geometry, raster, composite, background
geometry/ raster/ background/ mask.npy    their arrays, by role
background.mp4     the person's own frames
poster.jpg preview.mp4
look.json look/     optional: "look" of person.json, and the parts that it names
renderer.pt        widths and weights of the renderer
calibration.npy    float16[K, 38, S/2, S/2], planes to choose 8-bit ranges by and to compare with
motion/            what `export.motion.write_motion` writes
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from visavis.engines.backend import Graph
from visavis.engines.errors import PersonFileError
from visavis.engines.npy import dump_array
from visavis.engines.person import Person, read_person, write_person
from visavis.engines.person_manifest import FORMAT
from visavis.engines.verify import Verdict, require
from visavis.export.compare import compare_frames, compare_graphs, watch_trained
from visavis.export.references import add_reference, picture_reference, ticks_reference
from visavis.export.renderer import (
    export_renderer,
    quantize_renderer,
    renderer_graph,
    with_half_weights,
)
from visavis.export.torch_backend import TorchGraph
from visavis.export.trained import (
    Trained,
    load_renderer,
    person_folder,
    read_motion,
    read_trained,
)
from visavis.models.motion import MotionStep
from visavis.models.renderer import Renderer, RendererGraph

__all__ = [
    "PRECISIONS",
    "Exported",
    "compare_motion",
    "default_lookahead",
    "export_person",
    "load_renderer",
    "person_bytes",
    "save_renderer",
]

RENDERER = "renderer.pt"
LOOK = "look.json"
LOOKAHEAD_MS = 120  # of a session that asks for none; the nearest below it that there is
# Not fp16: processors compute it in fp32, slower, and the file grows by a third of its networks.
PRECISIONS = ("fp32", "int8")
STAGES = {"geometry": "linear@1", "raster": "planes@2", "composite": "feather@1"}


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        size: of the file, in bytes.
        verdicts: on every variant of every network, and on the frames drawn with it.
    """

    size: int
    verdicts: tuple[Verdict, ...]


def save_renderer(renderer: Renderer, path: Path) -> None:
    """Write a renderer to `renderer.pt`, at once or not at all."""
    partial = path.with_suffix(".partial")
    torch.save({"widths": list(renderer.widths), "weights": renderer.state_dict()}, partial)
    partial.replace(path)


def export_person(
    folder: Path,
    out: Path,
    *,
    precisions: Collection[str] = PRECISIONS,
    say: Callable[[str], None] = lambda sentence: None,
    note: Callable[[str], None] = lambda person_id: None,
) -> Exported:
    """Write the person file of a trained person, and compare it with the trained networks.

    Args:
        folder: as described above, or one whose `person/` is that.
        out: the file. It is written at once, or not at all.
        precisions: of the renderer: fp32, which is always there, fp16, int8.
        say: called with a sentence before each step.
        note: called with the person's id before the file is put in its place.

    Raises:
        PersonFileError: the folder is not complete, what it holds does not fit together, or the
            file cannot be written.
        DeviationError: a network, or what the engine draws with it, is not what was trained.
    """
    data, verdicts = _build(
        person_folder(folder), None, precisions=precisions, compared=True, say=say
    )
    partial = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        try:
            partial.write_bytes(data)
            note(read_person(data).id)
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PersonFileError(f"{out} cannot be written: {reason}.") from error
    return Exported(len(data), tuple(verdicts))


def person_bytes(folder: Path, *, renderer: Path | None = None, compared: bool = True) -> bytes:
    """Return what `export_person` writes, in the usual precisions.

    Args:
        folder: as described above.
        renderer: another `renderer.pt` than the folder's.
        compared: with the trained networks, and with references in it; without, it is only for a
            look.

    Raises:
        PersonFileError, DeviationError: as there.
    """
    data, _ = _build(folder, renderer, precisions=PRECISIONS, compared=compared)
    return data


def _build(
    folder: Path,
    weights: Path | None,
    *,
    precisions: Collection[str],
    compared: bool,
    say: Callable[[str], None] = lambda sentence: None,
) -> tuple[bytes, list[Verdict]]:
    try:
        trained = read_trained(folder, weights or folder / RENDERER)
        say("Exporting the networks.")
        manifest, parts = _assemble(folder, trained, precisions)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise PersonFileError(f"{folder} is not a trained person: {error}.") from error
    data = write_person(manifest, parts)
    if not compared:
        return data, []
    if not len(trained.held_out):
        raise PersonFileError(f"{folder} keeps too few planes (calibration.npy) to compare with.")
    person = read_person(data)
    networks = _networks(trained, person)
    say("Comparing each network with the trained one.")
    seen = watch_trained(person, networks)
    verdicts = compare_graphs(person, networks, seen, trained.held_out)
    require(verdicts)
    say("Comparing the engine's frames.")
    frames = compare_frames(person, seen)
    require(frames)
    render, motion = (person.graphs[name] for name in ("renderer", "motion"))
    for name, arrays in (
        ("renderer", picture_reference(networks["renderer"], render, trained.held_out)),
        ("motion", ticks_reference(networks["motion"], motion, seen.references["motion"])),
    ):
        add_reference(name, arrays, manifest, parts)
    return write_person(manifest, parts), [*verdicts, *frames]


def compare_motion(
    manifest: dict[str, Any], parts: dict[str, bytes], network: bytes, folder: Path
) -> None:
    """Compare a motion network that takes the place of another; its reference is added, in place.

    Args:
        manifest, parts: what `write_person` takes, the new network among them.
        network: as `write_motion` wrote it.
        folder: where that lies, for messages.

    Raises:
        PersonFileError: the network is damaged, or the person does not run.
        DeviationError: what is in `parts` does not compute what the network does.
    """
    person = read_person(write_person(manifest, parts))
    spec = person.graphs["motion"]
    step = MotionStep(read_motion(network, person.lookaheads_ms, folder))
    networks = {"motion": TorchGraph(step, list(spec.inputs), list(spec.outputs))}
    seen = watch_trained(person, networks)
    nothing = np.zeros((0, 0, 0, 0), np.float32)
    require(compare_graphs(person, networks, seen, nothing))
    reference = ticks_reference(networks["motion"], spec, seen.references["motion"])
    add_reference("motion", reference, manifest, parts)


def _networks(trained: Trained, person: Person) -> dict[str, Graph]:
    """Return the trained networks as the graphs that they were exported to."""
    return {
        name: TorchGraph(
            module, list(person.graphs[name].inputs), list(person.graphs[name].outputs)
        )
        for name, module in (
            ("motion", MotionStep(trained.motion())),
            ("renderer", RendererGraph(trained.renderer)),
        )
    }


def _assemble(
    folder: Path, trained: Trained, precisions: Collection[str]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return what `write_person` takes."""
    about = json.loads((folder / "about.json").read_text())
    picture = json.loads((folder / "picture.json").read_text())
    parts = {
        str(path.relative_to(folder).as_posix()): dump_array(np.load(path, allow_pickle=False))
        for pattern in ("mask.npy", "*/*.npy")
        for path in sorted(folder.glob(pattern))
    }
    for name in ("background.mp4", "poster.jpg", "preview.mp4"):
        parts[name] = (folder / name).read_bytes()
    look = json.loads((folder / LOOK).read_text()) if (folder / LOOK).exists() else {}
    for key in ("matte", "plate"):
        if key in look:
            parts[look[key]] = (folder / look[key]).read_bytes()
    motion = trained.stage
    parts[motion["graphs"]["motion"]["variants"]["fp32"]] = with_half_weights(trained.network)

    size = int(picture["background"]["size"])
    exact = export_renderer(trained.renderer, size)
    variants = {"fp32": "renderer.fp32.onnx"}
    parts[variants["fp32"]] = with_half_weights(exact)
    if "fp16" in precisions:
        variants["fp16"] = "renderer.fp16.onnx"
        parts[variants["fp16"]] = export_renderer(trained.renderer, size, half=True)
    if "int8" in precisions:
        variants["int8"] = "renderer.int8.onnx"
        parts[variants["int8"]] = quantize_renderer(exact, trained.calibration)

    stages: dict[str, Any] = {**motion["stages"], "render": {
        "op": "graph@1", "params": {"graph": "renderer"}
    }}  # fmt: skip
    for stage, operation in {**STAGES, "background": "walk@2"}.items():
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
        "contains_licensed": bool(about.get("contains_licensed", False)),
    }
    if look:
        manifest["look"] = look
    return manifest, parts


def default_lookahead(offered: Sequence[int]) -> int:
    """Return the look-ahead of a session that asks for none, of those that a person offers."""
    return max((ms for ms in offered if ms <= LOOKAHEAD_MS), default=min(offered))
