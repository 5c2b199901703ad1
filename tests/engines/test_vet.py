"""Foreign files are tried in a process that may fail."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.engines import tiny_person
from visavis.engines.errors import PersonFileError
from visavis.engines.person import load_person, read_person, write_person
from visavis.engines.vet import main, vet


def with_renderer(change: onnx.ModelProto) -> bytes:
    """The tiny person with another renderer, hashes and all."""
    person = tiny_person.tiny_person()
    manifest = {key: value for key, value in person.manifest.items() if key != "parts"}
    parts = {**person.parts, "renderer.fp32.onnx": change.SerializeToString()}
    return write_person(manifest, parts)


def renderer() -> onnx.ModelProto:
    return onnx.load_from_string(tiny_person.tiny_person().parts["renderer.fp32.onnx"])


def hungry() -> bytes:
    """Allowed operators that ask for 64 GiB: a tensor of ones, spread over a huge shape."""
    model = renderer()
    graph = model.graph
    graph.initializer.append(
        numpy_helper.from_array(np.array([1, 1 << 17, 1 << 17], np.int64), "many")
    )
    graph.node.extend(
        [
            helper.make_node("ConstantOfShape", ["many"], ["ones"]),
            helper.make_node("ReduceSum", ["ones"], ["total"], keepdims=0),
            helper.make_node("Mul", ["total", "low"], ["nothing"]),
            helper.make_node("Add", ["b2", "nothing"], ["b2_and_nothing"]),
        ]
    )
    conv = next(node for node in graph.node if "b2" in node.input and node.op_type == "Conv")
    conv.input[2] = "b2_and_nothing"
    moved = list(graph.node)[-4:] + list(graph.node)[:-4]
    del graph.node[:]
    graph.node.extend(moved)
    return with_renderer(model)


def wrong_shape() -> bytes:
    """A network that is well formed and cannot run: its weights are for other channels."""
    model = renderer()
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "w1")
    weights.CopyFrom(numpy_helper.from_array(np.zeros((8, 7, 3, 3), np.float32), "w1"))
    return with_renderer(model)


def test_a_good_person_is_let_through(tmp_path: Path) -> None:
    path = tmp_path / "tiny.person"
    path.write_bytes(tiny_person.tiny_file())
    assert load_person(path).id == tiny_person.tiny_person().id


def test_a_network_that_cannot_run_is_refused() -> None:
    data = wrong_shape()
    read_person(data)  # nothing in the file itself says so
    with pytest.raises(PersonFileError, match=r"ONNX Runtime|does not run"):
        load_person(data)


def test_a_network_that_asks_for_too_much_memory_is_refused() -> None:
    data = hungry()
    read_person(data)
    with pytest.raises(PersonFileError, match=r"does not run|refused|own, which ended|memory"):
        load_person(data)


def test_memory_is_bounded() -> None:
    with pytest.raises(PersonFileError, match=r"MiB of memory|own, which ended|does not run"):
        vet(tiny_person.tiny_file(), memory_bytes=300 << 20)


def test_time_is_bounded() -> None:
    with pytest.raises(PersonFileError, match="did not finish within 0 s"):
        vet(tiny_person.tiny_file(), timeout_seconds=0.1)


def test_the_process_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The limits are left out: they would bind the test's own process."""
    stream = io.TextIOWrapper(io.BytesIO(b"hello, this is no zip file"))
    monkeypatch.setattr("sys.stdin", stream)
    monkeypatch.setattr("visavis.engines.vet.limit_process", lambda *limits: None)
    assert main(["1", "60"]) == 0
    assert "does not end like a zip" in capsys.readouterr().out
