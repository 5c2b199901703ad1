"""Operation `graph@1`: the renderer, a network from planes to a crop in the person's own colours.

The graph takes `planes` f32[N, P, S/2, S/2] and, where it declares them, `coefficients` f32[N, C].
It gives `y` uint8[N, S, S], `u` and `v` uint8[N, S/2, S/2], BT.601 limited range: clamping and
rounding happen inside, so nothing is left to do per pixel here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.backend import Graph
from visavis.engines.errors import PersonFileError
from visavis.engines.person_manifest import GraphSpec

__all__ = ["Crop", "Render"]

Crop = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


class Render:
    """The stage. It holds no state of a session.

    Args:
        params: "graph", the name of the network.
        spec: what `person.json` says of it.
        graph: the network, ready to run.

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
        self.planes = planes
        self.coefficients = spec.inputs.get("coefficients")
        self._graph = graph

    def draw(self, planes: NDArray[np.float32], coefficients: NDArray[np.float32]) -> Crop:
        """Return y, u and v of a batch.

        Args:
            planes: f32[N, P, S/2, S/2].
            coefficients: f32[N, C]; used where the graph takes them.
        """
        feeds = {"planes": planes}
        if self.coefficients is not None:
            feeds["coefficients"] = coefficients
        outputs = self._graph.run(feeds)
        y, u, v = (np.asarray(outputs[name], np.uint8) for name in ("y", "u", "v"))
        return y, u, v


_INPUTS = {"planes", "coefficients"}
