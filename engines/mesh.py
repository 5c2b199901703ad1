"""Operation `mesh@1`: a face's mesh from coefficients and a pose, by a graph of the person.

The graph holds the person's face model, folded to what moves, and the camera of the system: what
it gives is clip space, and what every vertex shows there. `attributes@1` draws it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.backend import Graph
from visavis.engines.errors import PersonFileError
from visavis.engines.person_manifest import GraphSpec

__all__ = ["CLIP", "MeshGeometry"]

F32 = NDArray[np.float32]

CLIP = 4  # numbers of a vertex before its attributes: x, y, z and w
_PARAMS = {"graph", "take"}


class MeshGeometry:
    """The stage. It holds no state of a session.

    Args:
        params: "graph", the name of the network; "take", [first, after the last] of the
            coefficients that it is given, all where it is not there.
        spec: of the graph: inputs `coefficients` f32[N, C] and, where it poses the head, `pose`
            f32[N, R] of the frame that is drawn; output `vertices` f32[N, V, 4 + A], clip space and
            A attributes.
        graph: the network, ready to run.

    Attributes:
        vertex_count: V. size: 4 + A.

    Raises:
        PersonFileError: the graph is not of that form.
    """

    def __init__(self, params: Mapping[str, Any], spec: GraphSpec, graph: Graph) -> None:
        if unknown := sorted(params.keys() - _PARAMS):
            raise PersonFileError(f"mesh@1 has no parameter {', '.join(unknown)}.")
        name, take = params["graph"], params.get("take")
        taken, made = spec.inputs.get("coefficients", ()), spec.outputs.get("vertices", ())
        if (
            spec.inputs.keys() - {"coefficients", "pose"}
            or len(taken) != 1
            or spec.outputs.keys() != {"vertices"}
            or len(made) != 2
            or made[1] <= CLIP
            or spec.state
        ):
            raise PersonFileError(
                f"The graph {name!r} of the stage 'geometry' must take coefficients, may take a "
                "pose, and gives vertices [N, V, 4 + A] of at least one attribute."
            )
        self._take = slice(0, taken[0]) if take is None else slice(int(take[0]), int(take[1]))
        if self._take.start < 0 or self._take.stop - self._take.start != taken[0]:
            raise PersonFileError(f"The graph {name!r} takes {taken[0]} coefficients, not {take}.")
        self._whole = take is None
        self._posed = spec.inputs.get("pose")
        if self._posed is not None and len(self._posed) != 1:
            raise PersonFileError(f"The graph {name!r} takes a pose of shape {self._posed}.")
        self.vertex_count, self.size = made
        self._graph = graph

    def vertices(self, coefficients: F32, choices: Sequence[Any]) -> F32:
        """Return f32[N, V, 4 + A].

        Args:
            coefficients: f32[N, C].
            choices: N, the frames that are drawn, with their poses.

        Raises:
            ValueError: the motion gives fewer coefficients than the mesh takes, or with no "take"
                another number.
        """
        given, last = coefficients.shape[1], self._take.stop
        if given < last or (self._whole and given != last):
            raise ValueError(f"The mesh takes coefficients up to {last}, the motion gives {given}.")
        feeds = {"coefficients": np.ascontiguousarray(coefficients[:, self._take])}
        if self._posed is not None:
            count = self._posed[0]
            feeds["pose"] = np.stack([choice.pose[:count] for choice in choices])
        return np.asarray(self._graph.run(feeds)["vertices"], np.float32)
