"""Networks back from the graphs of a person file, to be trained on.

The exporter keeps the names of weights, but for those of linear layers, which it transposes; they
are found by the bias that is added to their product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from visavis.engines.errors import PersonFileError
from visavis.engines.person import Person
from visavis.models.motion import Motion, MotionConfig
from visavis.models.renderer import Renderer

__all__ = ["motion_of", "restore_motion", "restore_renderer"]

HALF = ".half"  # of `renderer.with_half_weights`
NOT_EXPORTED = ("phones.weight", "phones.bias")  # of the motion network's auxiliary head


def restore_motion(person: Person) -> Motion:
    """Return the motion network of a person, but for its auxiliary head of phones.

    Raises:
        PersonFileError: it is not a network that this version makes.
    """
    return motion_of(_graph(person, "motion"), person.lookaheads_ms, person.name)


def motion_of(graph: Any, lookaheads: Sequence[int], name: str) -> Motion:
    """Return the motion network that was exported as a graph, but for its head of phones.

    Args:
        graph: onnx.GraphProto, from `export.motion.export_motion`.
        lookaheads: that it has heads for, in ms.
        name: of the person, for messages.

    Raises:
        PersonFileError: it is not a network that this version makes.
    """
    values = _weights(graph, "motion.")
    try:
        config = MotionConfig(
            features=values["conv1.weight"].shape[1],
            stem=values["conv1.weight"].shape[0],
            width=values["conv2.weight"].shape[0],
            hidden=values["narrow.bias"].shape[0],
            lookaheads=tuple(lookaheads),
        )
        motion = Motion(config)
        own = motion.state_dict()
        _load(motion, {**{name: own[name].numpy() for name in NOT_EXPORTED}, **values})
    except (KeyError, RuntimeError) as error:
        raise PersonFileError(f"The motion network of {name} is foreign: {error}.") from None
    return motion.eval()


def restore_renderer(person: Person) -> Renderer:
    """Return the renderer of a person.

    Raises:
        PersonFileError: it is not a network that this version makes.
    """
    values = _weights(_graph(person, "renderer"), "renderer.")
    try:
        count = len([name for name in values if name.startswith("down.")]) // 2
        widths = [values["enter.weight"].shape[0]]
        widths += [values[f"down.{i}.weight"].shape[0] for i in range(count)]
        renderer = Renderer(widths)
        _load(renderer, values)
    except (KeyError, RuntimeError) as error:
        raise PersonFileError(f"The renderer of {person.name} is foreign: {error}.") from None
    return renderer.eval()


def _graph(person: Person, name: str) -> Any:
    try:
        return onnx.load_model_from_string(person.parts[person.graphs[name].variants["fp32"]]).graph
    except KeyError:
        raise PersonFileError(f"{person.name} has no graph {name!r} in float32.") from None


def _weights(graph: Any, prefix: str) -> dict[str, NDArray[np.float32]]:
    """Return the network's own names and values."""
    initializers = {tensor.name.removesuffix(HALF): tensor for tensor in graph.initializer}
    values = {
        name.removeprefix(prefix): numpy_helper.to_array(tensor).astype(np.float32)
        for name, tensor in initializers.items()
        if name.startswith(prefix)
    }
    products = {node.output[0]: node for node in graph.node if node.op_type == "MatMul"}
    for node in graph.node:
        if node.op_type != "Add":
            continue
        for product, bias in (tuple(node.input), tuple(node.input)[::-1]):
            if product in products and bias.startswith(prefix) and bias.endswith(".bias"):
                weight = numpy_helper.to_array(initializers[products[product].input[1]])
                name = bias.removeprefix(prefix).removesuffix("bias") + "weight"
                values[name] = np.ascontiguousarray(weight.T).astype(np.float32)
    return values


def _load(network: torch.nn.Module, values: Mapping[str, NDArray[np.float32]]) -> None:
    # Copied: what is trained must not write into the person's own bytes.
    network.load_state_dict(
        {name: torch.from_numpy(value.copy()) for name, value in values.items()}
    )
