"""The mesh of a graph: what it is fed, and which graphs are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.engines.footage import FootageChoice
from visavis.engines.mesh import MeshGeometry
from visavis.engines.person_manifest import GraphSpec


class Echo:
    """A graph whose only vertex is what it was fed: the coefficients, then the pose."""

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        row = np.concatenate([feeds[name] for name in ("coefficients", "pose") if name in feeds], 1)
        return {"vertices": row[:, None]}


def spec(coefficients: int, pose: int | None, values: int, **more: Any) -> GraphSpec:
    inputs: dict[str, tuple[int, ...]] = {"coefficients": (coefficients,)}
    if pose is not None:
        inputs["pose"] = (pose,)
    fields: dict[str, Any] = {
        "inputs": inputs,
        "outputs": {"vertices": (1, values)},
        "state": (),
        "variants": {},
    }
    return GraphSpec(**{**fields, **more})


def choices(*poses: list[float]) -> list[FootageChoice]:
    return [
        FootageChoice(0, np.array(pose, np.float32), np.zeros((2, 3), np.float32)) for pose in poses
    ]


def test_takes_some_coefficients_and_the_first_numbers_of_the_pose() -> None:
    mesh = MeshGeometry({"graph": "mesh", "take": [1, 4]}, spec(3, 2, 5), Echo())
    coefficients = np.arange(12, dtype=np.float32).reshape(2, 6)
    found = mesh.vertices(coefficients, choices([10, 11, 12], [20, 21, 22]))
    assert found.tolist() == [[[1, 2, 3, 10, 11]], [[7, 8, 9, 20, 21]]]
    assert found.dtype == np.float32 and (mesh.vertex_count, mesh.size) == (1, 5)


def test_a_graph_need_not_pose() -> None:
    mesh = MeshGeometry({"graph": "mesh"}, spec(5, None, 5), Echo())
    rows = np.arange(5, dtype=np.float32)[None]
    assert mesh.vertices(rows, choices([1])).tolist() == [rows.tolist()]
    with pytest.raises(ValueError, match="coefficients up to 5, the motion gives 6"):
        mesh.vertices(np.zeros((1, 6), np.float32), choices([1]))


def test_too_few_coefficients() -> None:
    mesh = MeshGeometry({"graph": "mesh", "take": [2, 5]}, spec(3, 2, 5), Echo())
    with pytest.raises(ValueError, match="coefficients up to 5, the motion gives 4"):
        mesh.vertices(np.zeros((1, 4), np.float32), choices([1, 2]))


@pytest.mark.parametrize(
    ("params", "given"),
    [
        ({"graph": "mesh"}, spec(3, 2, 4)),  # nothing to show at a vertex
        ({"graph": "mesh"}, spec(3, 2, 5, state=(("a", "b"),))),
        ({"graph": "mesh"}, spec(3, 2, 5, inputs={"pose": (2,)})),
        ({"graph": "mesh"}, spec(3, 2, 5, inputs={"coefficients": (3,), "style": (2,)})),
        ({"graph": "mesh"}, spec(3, 2, 5, outputs={"vertices": (1, 5), "more": (1,)})),
        ({"graph": "mesh"}, spec(3, 2, 5, inputs={"coefficients": (3,), "pose": (2, 2)})),
        ({"graph": "mesh", "take": [0, 4]}, spec(3, 2, 5)),
        ({"graph": "mesh", "take": [-3, 0]}, spec(3, 2, 5)),
        ({"graph": "mesh", "scale": 2}, spec(3, 2, 5)),
    ],
)
def test_other_graphs_are_refused(params: dict[str, Any], given: GraphSpec) -> None:
    with pytest.raises(PersonFileError):
        MeshGeometry(params, given, Echo())
