"""Operations `graph@1` and `graph@2`: the renderer, a network that makes the face's crop.

`graph@1` takes `planes` f32[N, P, S/2, S/2] and, where it declares them, `coefficients` f32[N, C].
`graph@2` takes any of `planes` f32[N, P, H, W], `coefficients` f32[N, C] or some of them, and
`pose` f32[N, R] of the frame that is shown. Both give `y` uint8[N, S, S], `u` and `v`
uint8[N, S/2, S/2], BT.601 limited range: clamping and rounding happen inside, so nothing is left to
do per pixel here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.backend import Graph
from visavis.engines.errors import PersonFileError
from visavis.engines.person_manifest import GraphSpec, Shape

__all__ = ["Crop", "FreeRender", "Render", "RenderStage"]

F32 = NDArray[np.float32]
Crop = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


class Render:
    """The stage `graph@1`. It holds no state of a session.

    Args:
        params: "graph", the name of the network.
        spec: what `person.json` says of it.
        graph: the network, ready to run.

    Attributes:
        planes: (P, S/2, S/2). coefficients: (C,), or None where the graph takes none.

    Raises:
        PersonFileError: its inputs and outputs are not those described above.
    """

    def __init__(self, params: Mapping[str, Any], spec: GraphSpec, graph: Graph) -> None:
        name = params["graph"]
        planes = spec.inputs.get("planes", ())
        if len(planes) != 3 or planes[1] != planes[2] or spec.inputs.keys() - _INPUTS or spec.state:
            raise PersonFileError(
                f"The graph {name!r} of the stage 'render' must take planes of shape "
                "[N, P, S/2, S/2], may take coefficients, and carries no state."
            )
        half = planes[1]
        wanted = {"y": (2 * half, 2 * half), "u": (half, half), "v": (half, half)}
        if dict(spec.outputs) != wanted:
            raise PersonFileError(
                f"The graph {name!r} of the stage 'render' must give y, u and v for its planes."
            )
        self.planes: Shape = planes
        self.coefficients = spec.inputs.get("coefficients")
        self._graph = graph

    def draw(self, planes: F32, coefficients: F32, choices: Sequence[Any] = ()) -> Crop:
        """Return y, u and v of a batch.

        Args:
            planes: f32[N, P, S/2, S/2].
            coefficients: f32[N, C]; used where the graph takes them.
            choices: N, the frames that are shown; nothing of them is used.
        """
        feeds = {"planes": planes}
        if self.coefficients is not None:
            feeds["coefficients"] = coefficients
        return _crop(self._graph, feeds)


class FreeRender:
    """The stage `graph@2`. It holds no state of a session.

    Args:
        params: "graph", the name of the network; "take", [first, after the last] of the
            coefficients that it is given, all where it is not there.
        spec: what `person.json` says of the graph.
        graph: the network, ready to run.

    Attributes:
        planes: (P, H, W), or (0, 0, 0) where the graph takes none.
        coefficients: (C,) that the motion must give, or None where any will do.
        size: S.

    Raises:
        PersonFileError: its inputs and outputs are not those described above.
    """

    def __init__(self, params: Mapping[str, Any], spec: GraphSpec, graph: Graph) -> None:
        name, take = params["graph"], params.get("take")
        inputs = spec.inputs
        if unknown := sorted(params.keys() - {"graph", "take"}):
            raise PersonFileError(f"graph@2 has no parameter {', '.join(unknown)}.")
        if inputs.keys() - _FREE_INPUTS or spec.state or len(inputs.get("planes", (0, 0, 0))) != 3:
            raise PersonFileError(
                f"The graph {name!r} of the stage 'render' may take planes [N, P, H, W], "
                "coefficients and a pose, and carries no state."
            )
        size = spec.outputs.get("y", (0,))[-1]
        wanted = {"y": (size, size), "u": (size // 2, size // 2), "v": (size // 2, size // 2)}
        if size % 2 or dict(spec.outputs) != wanted:
            raise PersonFileError(
                f"The graph {name!r} of the stage 'render' must give y, u and v of an even square."
            )
        self.size = size
        self.planes: Shape = inputs.get("planes", (0, 0, 0))
        taken = inputs.get("coefficients")
        self._take = slice(None) if take is None else slice(int(take[0]), int(take[1]))
        self.coefficients = taken if take is None else None
        if take is not None and taken != (self._take.stop - self._take.start,):
            raise PersonFileError(f"The graph {name!r} takes {taken} coefficients, not {take}.")
        self._inputs = inputs.keys()
        self._graph = graph

    def draw(self, planes: F32, coefficients: F32, choices: Sequence[Any] = ()) -> Crop:
        """Return y, u and v of a batch.

        Args:
            planes: f32[N, P, H, W].
            coefficients: f32[N, C].
            choices: N, the frames that are shown, with their poses.
        """
        feeds: dict[str, F32] = {}
        if "planes" in self._inputs:
            feeds["planes"] = planes
        if "coefficients" in self._inputs:
            feeds["coefficients"] = np.ascontiguousarray(coefficients[:, self._take])
        if "pose" in self._inputs:
            feeds["pose"] = np.stack([choice.pose for choice in choices])
        return _crop(self._graph, feeds)


RenderStage = Render | FreeRender

_INPUTS = {"planes", "coefficients"}
_FREE_INPUTS = {"planes", "coefficients", "pose"}


def _crop(graph: Graph, feeds: Mapping[str, F32]) -> Crop:
    outputs = graph.run(feeds)
    y, u, v = (np.asarray(outputs[name], np.uint8) for name in ("y", "u", "v"))
    return y, u, v
