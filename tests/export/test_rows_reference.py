"""References of any network: what fits is kept, as fine as it fits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.engines.backend import Feeds
from visavis.engines.person_manifest import GraphSpec, ReferenceSpec
from visavis.engines.reference_parts import check_references
from visavis.engines.references import Reference, expanded
from visavis.export.references import rows_reference

SIDE = 32
PICTURE = GraphSpec(
    {"planes": (3, SIDE, SIDE), "pose": (2,)}, {"y": (SIDE, SIDE)}, (), {"fp32": "a.onnx"}
)
TICKS = GraphSpec(
    {"features": (4,), "state": (4,)},
    {"sum": (4,), "next": (4,)},
    (("state", "next"),),
    {"fp32": "b.onnx"},
)


class Mean:
    """A picture: the mean of its planes, lighter by the pose."""

    def run(self, feeds: Feeds) -> dict[str, NDArray[np.generic]]:
        level = 100 + 50 * feeds["planes"].mean(axis=1) + feeds["pose"][:, :1, None]
        return {"y": np.rint(level).astype(np.uint8)}


class Sum:
    """What was heard since the start."""

    def run(self, feeds: Feeds) -> dict[str, NDArray[np.generic]]:
        heard = feeds["state"] + feeds["features"]
        return {"sum": heard, "next": heard}


def pictures(count: int, largest: float = 1.0) -> Reference:
    rng = np.random.default_rng(0)
    planes = rng.uniform(-largest, largest, (count, 3, SIDE, SIDE)).astype(np.float32)
    pose = rng.uniform(0, 9, (count, 2)).astype(np.float32)
    return Reference(
        {"planes": planes, "pose": pose}, {"y": np.zeros((count, SIDE, SIDE), np.uint8)}
    )


@pytest.mark.parametrize("largest", [1.0, 7.0])
@pytest.mark.parametrize("room", [1 << 20, 6000, 2000])
def test_pictures_are_as_fine_as_they_fit_and_outputs_are_of_what_is_kept(
    room: int, largest: float
) -> None:
    arrays = rows_reference(Mean(), PICTURE, pictures(5, largest), room)
    assert arrays is not None
    size = sum(array.nbytes for side in arrays.values() for array in side.values())
    assert size <= room
    planes = arrays["inputs"]["planes"]
    assert planes.dtype == (np.int8 if largest == 1.0 else np.float16)
    whole = {key: expanded(array, PICTURE.inputs[key]) for key, array in arrays["inputs"].items()}
    assert np.array_equal(Mean().run(whole)["y"], arrays["outputs"]["y"])
    assert np.ptp(arrays["outputs"]["y"]) > 0
    if room == 1 << 20:
        assert planes.shape == (2, 3, SIDE, SIDE)


def test_what_does_not_fit_is_left_out() -> None:
    assert rows_reference(Mean(), PICTURE, pictures(5), 900) is None


def test_ticks_follow_each_other_from_the_start() -> None:
    features = np.random.default_rng(0).standard_normal((80, 4)).astype(np.float32)
    seen = Reference({"features": features}, {"sum": features})
    arrays = rows_reference(Sum(), TICKS, seen, 1 << 20)
    assert arrays is not None and arrays.keys() == {"inputs", "outputs"}
    assert arrays["outputs"].keys() == {"sum"}
    np.testing.assert_allclose(
        arrays["outputs"]["sum"], np.cumsum(features[:50], axis=0), rtol=1e-4, atol=1e-5
    )
    few = rows_reference(Sum(), TICKS, seen, 700)
    assert few is not None and len(few["inputs"]["features"]) == 20


def test_they_are_what_a_person_file_takes() -> None:
    arrays = rows_reference(Mean(), PICTURE, pictures(5), 6000)
    assert arrays is not None
    names = {side: {key: f"{side}.{key}" for key in of} for side, of in arrays.items()}
    files = {f"{side}.{key}": array for side, of in arrays.items() for key, array in of.items()}
    spec = GraphSpec(
        PICTURE.inputs,
        PICTURE.outputs,
        (),
        PICTURE.variants,
        ReferenceSpec(names["inputs"], names["outputs"]),
    )
    check_references({"renderer": spec}, files)
