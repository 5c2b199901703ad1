"""Networks against what the trained ones made: figures, bounds, and what a file may keep."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from tests.engines.referenced import Arrays, arrays, person_with
from tests.engines.tiny_person import tiny_person
from visavis.engines.agreement import BOUNDS, Figures, compare, past
from visavis.engines.backend import Feeds, Graph
from visavis.engines.errors import DeviationError, PersonFileError
from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.engines.references import reference_of
from visavis.engines.verify import Verdict, as_json, require, table, verify


class Wrong:
    """A backend whose outputs are changed on the way."""

    name = "wrong"

    def __init__(self, change: Any) -> None:
        self._change = change

    def load(self, name: str, model: bytes) -> Graph:
        graph, change = OnnxCpuBackend().load(name, model), self._change

        class Changed:
            def run(self, feeds: Feeds) -> dict[str, NDArray[np.generic]]:
                return {key: change(key, array) for key, array in graph.run(feeds).items()}

        return Changed()


class Refuses:
    name = "refuses"

    def load(self, name: str, model: bytes) -> Graph:
        raise PersonFileError(f"{name!r} is refused.")


def verdicts(change: Any) -> dict[str, Verdict]:
    person = person_with(arrays())
    return {verdict.graph: verdict for verdict in verify(person, [Wrong(change)])}


def test_what_computes_the_same_agrees() -> None:
    found = verify(person_with(arrays()), [OnnxCpuBackend()])
    assert [(v.graph, v.variant, v.past) for v in found] == [
        ("motion", "fp32", ""),
        ("renderer", "fp32", ""),
    ]
    assert all(v.figures.worst <= 1.0 and v.milliseconds > 0 for v in found)
    require(found)


def test_coarse_planes_are_spread_again() -> None:
    reference = reference_of(person_with(arrays()), "renderer")
    assert reference is not None
    planes = reference.inputs["planes"]
    assert planes.shape == (3, 38, 32, 32) and planes.dtype == np.float32
    assert np.array_equal(planes[:, :, ::4, ::4], planes[:, :, 3::4, 3::4])
    assert np.abs(planes).max() <= 1.0


def test_a_picture_that_is_brighter_is_past_its_bound() -> None:
    found = verdicts(lambda key, a: a + np.uint8(2) if a.dtype == np.uint8 else a)
    assert found["motion"].past == ""
    assert "mean" in found["renderer"].past
    with pytest.raises(DeviationError, match="renderer in fp32.*more than") as raised:
        require(list(found.values()))
    assert str(raised.value).endswith(".")


def test_one_output_that_is_wrong_is_not_thinned_by_the_others() -> None:
    found = verdicts(lambda key, a: a + np.uint8(1) if key == "v" else a)
    assert "mean" in found["renderer"].past


def test_a_state_that_is_not_carried_shows_in_what_follows() -> None:
    found = verdicts(lambda key, a: np.zeros_like(a) if key == "next_state_0" else a)
    assert found["motion"].past and not found["renderer"].past


def test_a_single_pixel_far_off_is_past_its_bound() -> None:
    def change(key: str, array: NDArray[Any]) -> NDArray[Any]:
        array = array.copy()
        if key == "y":
            array[:, 3, 3] ^= 8
        return array

    assert "largest" in verdicts(change)["renderer"].past


@pytest.mark.parametrize(
    "change",
    [
        lambda key, a: np.full_like(a, np.nan) if key == "tract" else a,
        lambda key, a: a[:, :1] if key == "tract" else a,
    ],
)
def test_what_cannot_be_compared_is_infinitely_far_off(change: Any) -> None:
    verdict = verdicts(change)["motion"]
    assert math.isinf(verdict.figures.mean) and verdict.past
    assert json.loads(json.dumps(as_json([verdict])))[0]["figures"]["mean"] is None


def test_a_backend_that_refuses_says_why() -> None:
    found = verify(person_with(arrays()), [OnnxCpuBackend(), Refuses()])
    assert [v.past for v in found if v.backend == "refuses"] == [
        "'motion.fp32.onnx' is refused.",
        "'renderer.fp32.onnx' is refused.",
    ]
    with pytest.raises(DeviationError, match="is refused"):
        require(found)
    assert "refused" in table(found)[2] and table(found)[1].endswith("ok")


def test_a_backend_that_breaks_is_told_apart_from_one_that_is_wrong() -> None:
    def change(key: str, array: NDArray[Any]) -> NDArray[Any]:
        raise RuntimeError("out of memory\nand more")

    assert verdicts(change)["renderer"].past == "it does not run: out of memory"


def test_other_weights_in_the_file_are_found() -> None:
    model = onnx.load_model_from_string(tiny_person().parts["renderer.fp32.onnx"])
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "b2")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(2), "b2"))
    person = person_with(arrays(), renderer__fp32__onnx=model.SerializeToString())
    assert any(v.past for v in verify(person, [OnnxCpuBackend()]) if v.graph == "renderer")


def test_a_file_without_references_says_so() -> None:
    with pytest.raises(PersonFileError, match="keeps nothing to compare"):
        verify(tiny_person(), [OnnxCpuBackend()])


def test_figures_of_floats_are_shares_of_each_channels_range() -> None:
    wanted = np.stack([np.linspace(0, 1, 101), np.linspace(0, 10, 101)], 1).astype(np.float32)
    given = wanted + np.array([0.01, 0.1], np.float32)
    figures = compare({"x": wanted}, {"x": given})
    assert figures.mean == pytest.approx(2.55, rel=1e-3) == figures.worst
    assert past(figures, figures) == ""


def test_bounds_grow_with_coarser_numbers() -> None:
    for name in ("mean", "rms", "tail", "worst"):
        fp32, fp16, int8 = (getattr(BOUNDS[v], name) for v in ("fp32", "fp16", "int8"))
        assert fp32 < fp16 < int8
    assert past(Figures(0, 0, 0, math.nan), BOUNDS["fp32"])


def changed(graph: str, side: str, key: str, value: NDArray[Any] | None) -> dict[str, Arrays]:
    made = copy.deepcopy(arrays())
    del made[graph][side][key]
    if value is not None:
        made[graph][side][key] = value
    return made


@pytest.mark.parametrize(
    ("references", "words"),
    [
        (changed("motion", "inputs", "features", None), "every input"),
        (changed("motion", "outputs", "tract", None), "outputs of the graph"),
        (changed("motion", "inputs", "features", np.zeros((10, 4, 65), np.float16)), "fit"),
        (changed("motion", "inputs", "features", np.zeros((9, 4, 66), np.float16)), "rows"),
        (changed("motion", "inputs", "features", np.zeros((10, 4, 66), np.int32)), "fit"),
        (changed("renderer", "inputs", "planes", np.zeros((3, 38, 7, 7), np.int8)), "fit"),
        (changed("renderer", "inputs", "planes", np.zeros((3, 38, 8, 4), np.int8)), "fit"),
        (changed("renderer", "inputs", "planes", np.zeros((3, 38, 64, 64), np.int8)), "fit"),
        (changed("renderer", "inputs", "planes", np.zeros((3, 38, 0, 0), np.int8)), "fit"),
        (changed("renderer", "inputs", "planes", np.float32(1)), "fit"),
        (changed("renderer", "outputs", "y", np.zeros((3, 32, 32), np.uint8)), "fit"),
        (changed("renderer", "outputs", "y", np.zeros((9, 64, 64), np.uint8)), "rows"),
    ],
)
def test_references_that_do_not_fit_are_refused(references: dict[str, Arrays], words: str) -> None:
    with pytest.raises(PersonFileError, match=words):
        person_with(references)


def test_references_that_are_too_large_are_refused() -> None:
    inputs: dict[str, NDArray[Any]] = {"planes": np.zeros((8, 38, 32, 32), np.float32)}
    outputs: dict[str, NDArray[Any]] = {
        key: np.zeros((8, size, size), np.uint8) for key, size in (("y", 64), ("u", 32), ("v", 32))
    }
    with pytest.raises(PersonFileError, match="at most 1024 KiB"):
        person_with({"renderer": {"inputs": inputs, "outputs": outputs}})


def test_a_state_is_no_reference() -> None:
    made = copy.deepcopy(arrays())
    made["motion"]["outputs"]["next_state_0"] = np.zeros((10, 8), np.float32)
    with pytest.raises(PersonFileError, match="other than its state"):
        person_with(made)


def test_eight_bits_on_a_processor_without_vnni_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    off = Verdict("r", "int8", "b", Figures(3, 9, 30, 90), BOUNDS["int8"], 1.0)
    monkeypatch.setattr("visavis.engines.verify.lacks_vnni", lambda: True)
    assert "more than the 1.2: this processor has no VNNI" in off.past
    assert "VNNI" not in Verdict("r", "fp32", "b", off.figures, BOUNDS["fp32"], 1.0).past
    monkeypatch.setattr("visavis.engines.verify.lacks_vnni", lambda: False)
    assert off.past and "VNNI" not in off.past


def test_a_variant_that_is_not_for_a_backend_is_not_asked_of_it() -> None:
    class Some(OnnxCpuBackend):
        name, variants = "some", frozenset({"fp32"})

        def load(self, name: str, model: bytes) -> Any:
            assert "int8" not in name
            return super().load(name, model)

    person = person_with(arrays())
    spec = person.graphs["renderer"]
    both = {**spec.variants, "int8": spec.variants["fp32"]}
    object.__setattr__(spec, "variants", both)
    found = verify(person, [Some(), OnnxCpuBackend()])
    pairs = [(v.backend[:4], v.variant) for v in found if v.graph == "renderer"]
    assert pairs == [("some", "fp32"), ("onnx", "fp32"), ("onnx", "int8")]
