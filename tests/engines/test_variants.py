"""Which variant of a person's networks runs, on that person's own planes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.engines.tiny_person import PLANES, tiny_person, voice
from visavis.engines.person import Person, read_person, write_person
from visavis.engines.pipeline import Pipeline, Work


def with_int8(model: onnx.ModelProto) -> Person:
    """The tiny person with a second renderer, said to be int8."""
    person = tiny_person()
    manifest = {key: value for key, value in person.manifest.items() if key != "parts"}
    renderer = dict(manifest["graphs"]["renderer"])
    renderer["variants"] = {**renderer["variants"], "int8": "renderer.int8.onnx"}
    manifest["graphs"] = {**manifest["graphs"], "renderer": renderer}
    parts = {**person.parts, "renderer.int8.onnx": model.SerializeToString()}
    return read_person(write_person(manifest, parts))


def renderer() -> onnx.ModelProto:
    return onnx.load_from_string(tiny_person().parts["renderer.fp32.onnx"])


def brighter(levels: float) -> onnx.ModelProto:
    model = renderer()
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "b2")
    values = numpy_helper.to_array(bias) + np.float32(levels)
    bias.CopyFrom(numpy_helper.from_array(values, "b2"))
    return model


def slower(times: int) -> onnx.ModelProto:
    """The same picture after convolutions with an identity."""
    model = renderer()
    identity = np.zeros((PLANES, PLANES, 7, 7), np.float32)
    identity[range(PLANES), range(PLANES), 3, 3] = 1
    model.graph.initializer.append(numpy_helper.from_array(identity, "identity"))
    nodes, source = [], "planes"
    for index in range(times):
        nodes.append(
            helper.make_node("Conv", [source, "identity"], [f"same{index}"], pads=[3, 3, 3, 3])
        )
        source = f"same{index}"
    model.graph.node[0].input[0] = source
    nodes += list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def test_a_variant_that_draws_something_else_is_refused() -> None:
    pipeline = Pipeline(with_int8(brighter(6)))
    fp32, int8 = pipeline.variants["renderer"]
    assert (fp32.variant, fp32.chosen) == ("fp32", True)
    assert not int8.accepted and not int8.chosen
    assert "levels" in int8.deviation


def test_a_variant_that_is_not_faster_is_left() -> None:
    pipeline = Pipeline(with_int8(slower(3)))
    _, int8 = pipeline.variants["renderer"]
    assert int8.accepted and not int8.chosen


def test_a_variant_that_is_faster_and_agrees_runs() -> None:
    """Here fp32 is the slow one."""
    person = with_int8(brighter(0.4))
    parts = {**person.parts, "renderer.fp32.onnx": slower(3).SerializeToString()}
    manifest = {key: value for key, value in person.manifest.items() if key != "parts"}
    pipeline = Pipeline(read_person(write_person(manifest, parts)))
    _, int8 = pipeline.variants["renderer"]
    assert int8.accepted and int8.chosen
    told = Pipeline(person, variant="int8")
    states = [pipeline.initial_state(1), told.initial_state(1)]
    work = [Work(state, voice(1)[:1600]) for state in states]
    pipeline.advance(work[:1])
    told.advance(work[1:])
    assert np.array_equal(work[0].i420, work[1].i420)


@pytest.mark.parametrize("variant", ["fp32", "int8", "fp16"])
def test_a_variant_can_be_told(variant: str) -> None:
    pipeline = Pipeline(with_int8(brighter(20)), variant=variant)
    work = Work(pipeline.initial_state(1), voice(1)[:1600])
    pipeline.advance([work])
    plain = Pipeline(tiny_person(), variant="fp32")
    reference = Work(plain.initial_state(1), voice(1)[:1600])
    plain.advance([reference])
    assert work.i420 is not None and reference.i420 is not None
    assert np.array_equal(work.i420, reference.i420) == (variant != "int8")
    assert not pipeline.variants
