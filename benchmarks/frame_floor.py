"""The least that a frame costs on a GPU: what each step must read and write, over the bandwidth.

Run as ``python -m visavis.benchmarks.frame_floor [PERSON]``. It is arithmetic on the person file
and needs no GPU: each step's input and output once, the network's layers in 16 bits. What a batch
shares (weights, tables, textures) is counted once a batch. `visavis bench floor` measures how near
the network comes.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from visavis.benchmarks.live.persons import load
from visavis.engines.cuda.layout import KERNELS, MESHES
from visavis.engines.onnx_model import Node, read_model
from visavis.engines.person import Person
from visavis.engines.planes import PLANES
from visavis.engines.warp import field_shape

__all__ = ["H200_BYTES_PER_S", "Step", "main", "steps_of", "table"]

H200_BYTES_PER_S = 4.8e12  # https://www.nvidia.com/en-us/data-center/h200/
FP16 = 2


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel, or one layer of the network.

    Attributes:
        name: of `layout.KERNELS`, or of the layer's output.
        reads, writes: bytes of each frame.
        shared: bytes that are read once for all frames of a person's batch.
    """

    name: str
    reads: int
    writes: int
    shared: int

    def seconds(self, batch: int, bytes_per_s: float) -> float:
        """The floor of a frame in a batch of one person."""
        return (self.reads + self.writes + self.shared / batch) / bytes_per_s


def steps_of(person: Person) -> list[Step]:
    """Return the steps of a frame in their order, the layers of the network in its place."""
    geometry, raster, behind = (
        {name: getattr(part, "nbytes", len(part)) for name, part in parts.items()}
        for parts in (person.stage_parts(stage) for stage in ("geometry", "raster", "background"))
    )
    frame = person.width * person.height * 3 // 2
    rows, columns = field_shape(person.width, person.height)
    field = 8 * rows * columns
    mask = person.stage_parts("raster")["mask"]
    assert not isinstance(mask, bytes)
    pixels = mask.size
    vertices = geometry["mean"]
    cover = 4 * MESHES * pixels * 5 // 4
    crop = pixels * 3 // 2
    looks = raster["appearance_mean"]
    triangles = sum(raster[name] for name in ("triangles", "upper_triangles", "lower_triangles"))
    tables = triangles + raster["uv"] + raster["appearance_uv"]
    textures = raster["texture"] + raster["upper"] + raster["lower"] + raster["mask"]
    # Shares come as bytes and lie there as floats.
    head = behind["depth"] + 4 * (behind["follow"] + behind["torso"])
    steps = {
        "head_field": (0, field, head),
        "warp_picture": (field + frame, frame, 0),
        "place_vertices": (0, vertices, geometry["basis"] + geometry["mean"]),
        "mix_looks": (0, looks, looks + raster["appearance_basis"]),
        "clear_cover": (0, cover, 0),
        "cover_pixels": (vertices, cover, triangles),
        "draw_planes": (cover + looks + vertices + crop, PLANES * pixels, tables + textures),
        "paste_crop": (2 * crop, crop, raster["mask"] * 5 // 4),
    }
    made = [Step(name, *steps[name]) for name in KERNELS]
    return [*made[:-1], *_layers(person), made[-1]]


def _layers(person: Person) -> list[Step]:
    """The convolutions of the renderer, in 16 bits."""
    name = person.stages["render"].params["graph"]
    spec = person.graphs[name]
    file = spec.variants["fp32"]
    model = read_model(file, person.parts[file])
    weights = dict(model.weights)
    side: dict[str, int] = {"planes": spec.inputs["planes"][1]}
    steps = []
    for node in model.nodes:
        if node.operator == "Cast" and node.inputs[0] in weights:
            weights[node.outputs[0]] = weights[node.inputs[0]]  # kept in 16 bits
            continue
        known = [side[given] for given in node.inputs if given in side]
        if not known:
            continue
        before = known[0]
        after = _grown(node, before)
        side.update(dict.fromkeys(node.outputs, after))
        if node.operator == "Conv":
            weight = weights[node.inputs[1]]
            steps.append(
                Step(
                    node.outputs[0],
                    FP16 * weight.shape[1] * before * before,
                    FP16 * weight.shape[0] * after * after,
                    FP16 * (weight.size + weight.shape[0]),
                )
            )
    return steps


def _grown(node: Node, side: int) -> int:
    """Return the side of what a node gives: only two kinds of them change it before the end."""
    if node.operator == "Conv":
        strides = node.attributes.get("strides", (1, 1))
        assert isinstance(strides, tuple)
        return side // int(strides[0])
    return 2 * side if node.operator == "Resize" else side


def table(person: Person, *, batch: int, bytes_per_s: float) -> str:
    """Return the floor as text for a terminal."""
    steps = steps_of(person)
    lines = [
        f"{person.name}, batch of {batch}, {bytes_per_s / 1e12:.2f} TB/s",
        f"{'step':20}{'KB a frame':>12}{'shared, KB':>12}{'floor, us':>12}",
    ]
    layers = [step for step in steps if step.name not in KERNELS]
    for step in steps:
        lines.append(_line(step.name[-19:], [step], batch, bytes_per_s))
    lines.append(_line("the network", layers, batch, bytes_per_s))
    kernels = [step for step in steps if step.name in KERNELS]
    lines.append(_line("our kernels", kernels, batch, bytes_per_s))
    lines.append(_line("the frame", steps, batch, bytes_per_s))
    return "\n".join(lines)


def _line(name: str, steps: list[Step], batch: int, bytes_per_s: float) -> str:
    moved = sum(step.reads + step.writes for step in steps)
    shared = sum(step.shared for step in steps)
    seconds = sum(step.seconds(batch, bytes_per_s) for step in steps)
    return f"{name:20}{moved / 1e3:12.1f}{shared / 1e3:12.1f}{seconds * 1e6:12.2f}"


def main(arguments: list[str] | None = None) -> int:
    """Print the floor of a person's frame."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("person", nargs="?", default="presenter")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--bandwidth", type=float, default=H200_BYTES_PER_S, help="bytes a second")
    given = parser.parse_args(arguments)
    print(table(load(given.person), batch=given.batch, bytes_per_s=given.bandwidth))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
