"""Person files: what is read, and the sentence with which everything else is refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.engines import sample_file
from visavis.engines import person_zip
from visavis.engines.errors import PersonFileError
from visavis.engines.npy import dump_array, parse_array
from visavis.engines.person import load_person, read_person, write_person

VALID = write_person(sample_file.manifest(), sample_file.parts())


def test_what_is_written_is_read() -> None:
    person = read_person(VALID)
    assert person.name == "sample"
    assert person.stages["motion"].op == "tract@2"
    assert (person.lookahead_ms, person.lookaheads_ms) == (100, (40, 100, 200))
    assert person.graphs["motion"].inputs == {"features": (4, 66), "state_0": (8,)}
    assert person.graphs["motion"].state == (("state_0", "next_0"),)
    assert person.parts == sample_file.parts()
    assert person.poster == sample_file.PARTS["poster.jpg"]
    rest = person.stage_parts("motion")["rest"]
    assert isinstance(rest, np.ndarray) and rest.shape == (6,) and not rest.flags.writeable


def test_the_id_is_the_hash_of_the_document() -> None:
    with zipfile.ZipFile(io.BytesIO(VALID)) as archive:
        document = archive.read("person.json")
    assert read_person(VALID).id == hashlib.sha256(document).hexdigest()


def test_writing_is_deterministic_whatever_the_order_of_parts() -> None:
    backwards = dict(reversed(sample_file.parts().items()))
    assert write_person(sample_file.manifest(), backwards) == VALID


def test_other_zip_readers_agree() -> None:
    with zipfile.ZipFile(io.BytesIO(VALID)) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[0] == "person.json"


def test_a_file_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "sample.person"
    path.write_bytes(VALID)
    person = load_person(path, trusted=True)
    path.unlink()
    assert person.parts == sample_file.parts()


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "it"
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(PersonFileError, match="cannot be read|is not a file"):
        load_person(path)


# --- the container ------------------------------------------------------------------------------


def zipped(*members: tuple[zipfile.ZipInfo | str, bytes], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def info(name: str, **attributes: Any) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    for key, value in attributes.items():
        setattr(entry, key, value)
    return entry


def patched(data: bytes, offset: int, value: bytes, *, directory: bool = False) -> bytes:
    """Overwrite bytes of the first local header, or of the first directory entry."""
    start = data.index(b"PK\x01\x02") if directory else 0
    return data[: start + offset] + value + data[start + offset + len(value) :]


PAIR = zipped(("person.json", b"{}"), ("a.npy", b"1234"))


def overlapping() -> bytes:
    """The second entry points at the first member's content."""
    data = bytearray(zipped(("a", b"same"), ("b", b"same")))
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    return bytes(data)


def gap() -> bytes:
    """Bytes that belong to no member between the last one and the directory."""
    data = zipped(("a", b"x"))
    start = data.index(b"PK\x01\x02")
    data = data[:start] + b"GAP!" + data[start:]
    return data[:-6] + struct.pack("<I", start + 4) + data[-2:]


CONTAINERS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "too short"),
    "text": (b"hello, I am not a zip file at all", "does not end like a zip"),
    "no members": (zipped(), "between 1 and"),
    "cut off": (PAIR[:-5], "after the end|does not end like a zip"),
    "trailing bytes": (PAIR + b"\n", "after the end of the zip"),
    "leading bytes": (b"#!/bin/sh\n" + PAIR, "not where its end says"),
    "comment": (PAIR[:-2] + b"\x02\x00hi", "after the end|comment"),
    "duplicate": (patched(zipped(("a", b"1"), ("b", b"2")), 0, b""), "holds no|twice"),
    "case": (zipped(("a.npy", b"1"), ("A.npy", b"2")), "upper and lower case"),
    "link": (zipped((info("a", external_attr=0o120777 << 16), b"/etc/passwd")), "is a link"),
    "device": (zipped((info("a", external_attr=0o020666 << 16), b"")), "not a plain file"),
    "folder": (zipped(("motion/", b"")), "not a plain file"),
    "folder by name": (
        zipped((info("motion/x"), b"")).replace(b"motion/x", b"motionx/"),
        "is a folder",
    ),
    "overlap": (overlapping(), "overlaps"),
    "gap": (gap(), "belong to no member"),
    "compressed": (zipped(("a", b"0" * 99), compression=zipfile.ZIP_DEFLATED), "is compressed"),
    "encrypted": (patched(PAIR, 8, b"\x01\x00", directory=True), "is encrypted"),
    "descriptor": (patched(PAIR, 8, b"\x08\x00", directory=True), "after its content"),
    "other flag": (patched(PAIR, 8, b"\x40\x00", directory=True), "zip feature"),
    "flag in front": (patched(PAIR, 6, b"\x01\x00"), "is encrypted"),
    "method in front": (patched(PAIR, 8, b"\x08\x00"), "is compressed"),
    "zip64 member": (patched(PAIR, 20, b"\xff" * 8, directory=True), "64-bit extension"),
    "zip64 end": (PAIR[:-12] + b"\xff\xff" * 2 + PAIR[-8:], "64-bit|not where|disks"),
    "several disks": (PAIR[:-18] + b"\x01\x00" + PAIR[-16:], "several disks"),
    "counts differ": (PAIR[:-14] + b"\x01\x00" + PAIR[-12:], "several disks"),
    "sizes differ": (patched(PAIR, 20, b"\x03\0\0\0", directory=True), "two different sizes"),
    "checksum": (patched(PAIR, 14, b"\0\0\0\0"), "differs between"),
    "other name in front": (patched(PAIR, 30, b"X"), "another name in front"),
    "extra field": (zipped((info("a", extra=b"\x01\x00\x02\x00ab"), b"1")), "extra fields"),
    "member comment": (zipped((info("a", comment=b"hi"), b"1")), "has a comment"),
    "absolute": (zipped(("/etc/passwd", b"1")), "absolute path"),
    "drive": (zipped(("C:a", b"1")), "absolute path"),
    "climbing": (zipped(("a/../../b", b"1")), "climbs out"),
    "backslash": (zipped(("aXb", b"1")).replace(b"aXb", b"a\\b"), "backslash"),
    "null": (zipped(("aXb", b"1")).replace(b"aXb", b"a\0b"), "not a name"),
    "umlaut": (zipped(("\u00e4", b"1")), "ASCII only"),
    "hidden": (zipped((".bashrc", b"1")), "not a name"),
    "long name": (zipped(("a" * 200, b"1")), "not a name"),
    "too many": (zipped(*((f"m{k}", b"") for k in range(300))), "between 1 and 256"),
    "damaged": (PAIR.replace(b"1234", b"1235"), "checksum differs"),
    "no document": (zipped(("a.npy", b"1")), "holds no person.json"),
}


@pytest.mark.parametrize("case", CONTAINERS)
def test_a_malformed_container_is_refused(case: str) -> None:
    data, sentence = CONTAINERS[case]
    with pytest.raises(PersonFileError, match=sentence):
        read_person(data)


def test_a_member_twice_is_refused() -> None:
    data = zipped(("a.npy", b"1"), ("b.npy", b"2")).replace(b"b.npy", b"a.npy")
    with pytest.raises(PersonFileError, match="twice"):
        read_person(data)


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(person_zip, "MAX_PART_BYTES", 3)
    with pytest.raises(PersonFileError, match="larger than"):
        read_person(PAIR)
    monkeypatch.setattr(person_zip, "MAX_FILE_BYTES", 30)
    with pytest.raises(PersonFileError, match="The file is larger than"):
        read_person(PAIR)


# --- person.json --------------------------------------------------------------------------------


def repacked(document: bytes, parts: dict[str, bytes] | None = None) -> bytes:
    members = {"person.json": document, **(sample_file.parts() if parts is None else parts)}
    return person_zip.pack(members, first="person.json")


def document() -> dict[str, Any]:
    return dict(read_person(VALID).manifest)


DOCUMENTS: dict[str, tuple[bytes, str]] = {
    "not json": (b"{", "not valid JSON"),
    "not utf-8": (b'{"a": "\xff"}', "not valid JSON"),
    "surrogate": (b'{"a": "\\ud800"}', "not valid JSON"),
    "list": (b"[]", "must hold one object"),
    "nan": (b'{"format": NaN}', "NaN is not a number"),
    "infinity": (b'{"format": 1e999}', "too large"),
    "twice": (b'{"format": 1, "format": 1}', "appears twice"),
    "deep": (b'{"a":' + b"[" * 50 + b"]" * 50 + b"}", "nested deeper"),
    "deeper": (b'{"a":' + b"[" * 100000, "nested deeper"),
    "brackets in text": (b'{"a": "' + b"[" * 50 + b'"}', "format"),
    "long number": (b'{"a": ' + b"1" * 5000 + b"}", "not valid JSON"),
    "huge": (b'{"a": "' + b"x" * (1 << 20) + b'"}', "larger than 1024 KiB"),
    "empty": (b"{}", "has format 'None'"),
    "future": (b'{"format": 2}', "this version reads 1"),
    "truth": (b'{"format": true}', "this version reads 1"),
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_a_malformed_document_is_refused(case: str) -> None:
    data, sentence = DOCUMENTS[case]
    with pytest.raises(PersonFileError, match=sentence):
        read_person(repacked(data))


Change = Callable[[dict[str, Any]], object]


def motion_params(document: dict[str, Any]) -> dict[str, Any]:
    params: dict[str, Any] = document["stages"]["motion"]["params"]
    return params


FIELDS: dict[str, tuple[Change, str]] = {
    "missing": (lambda d: d.pop("licence"), "lacks 'licence'"),
    "unknown": (lambda d: d.update(extra=1), "'extra', which is not known"),
    "name": (lambda d: d.update(name="../x"), "name must look like"),
    "name type": (lambda d: d.update(name=3), "name must be a text"),
    "control": (lambda d: d.update(display_name="a\x1b[31m"), "control characters"),
    "fps": (lambda d: d.update(fps=30), "fps must be 25"),
    "fps type": (lambda d: d.update(fps=25.0), "fps must be 25"),
    "odd width": (lambda d: d.update(width=65), "multiple of 2"),
    "huge": (lambda d: d.update(height=1 << 20), "whole number from 64 to 2048"),
    "look-ahead": (lambda d: d.update(lookahead_ms=20), "from 40 to 2000"),
    "look-ahead step": (lambda d: d.update(lookahead_ms=45), "multiple of 10"),
    "look-ahead without a head": (lambda d: d.update(lookahead_ms=60), "one of the motion's"),
    "no look-aheads": (lambda d: motion_params(d).pop("lookaheads"), "lookaheads must be a list"),
    "empty look-aheads": (lambda d: motion_params(d).update(lookaheads=[]), "1 to 16 different"),
    "look-aheads twice": (
        lambda d: motion_params(d).update(lookaheads=[40, 100, 100]),
        "different numbers in rising order",
    ),
    "look-aheads in disorder": (
        lambda d: motion_params(d).update(lookaheads=[100, 40]),
        "different numbers in rising order",
    ),
    "too many look-aheads": (
        lambda d: motion_params(d).update(lookaheads=list(range(40, 220, 10))),
        "1 to 16 different",
    ),
    "look-aheads of no step": (
        lambda d: motion_params(d).update(lookaheads=[45, 100]),
        "multiple of 10",
    ),
    "look-aheads of no type": (
        lambda d: motion_params(d).update(lookaheads=[40.0, 100]),
        "whole number from 40 to 2000",
    ),
    "requires": (lambda d: d["requires"].append("raster@9"), "newer visavis"),
    "requires too little": (lambda d: d["requires"].pop(), "must list exactly"),
    "stage missing": (lambda d: d["stages"].pop("motion"), "stages lacks 'motion'"),
    "stage unknown": (lambda d: d["stages"].update(sing={"op": "x"}), "which is not known"),
    "operation": (
        lambda d: d["stages"]["motion"].update(op="tract@9"),
        "operation 'tract@9' of the stage 'motion'",
    ),
    "operation elsewhere": (
        lambda d: d["stages"]["motion"].update(op="logmel@1"),
        "operation 'logmel@1' of the stage 'motion'",
    ),
    "no such graph": (
        lambda d: d["stages"]["motion"]["params"].update(graph="other"),
        "there is no graph 'other'",
    ),
    "no such part": (
        lambda d: d["stages"]["motion"]["parts"].update(rest="gone.npy"),
        "'gone.npy', which is not among the parts",
    ),
    "poster kind": (lambda d: d.update(poster="background.mp4"), "not a .jpg file"),
    "no fp32": (
        lambda d: d["graphs"]["motion"].update(variants={"int8": "motion.fp32.onnx"}),
        "must hold fp32",
    ),
    "variant": (
        lambda d: d["graphs"]["motion"]["variants"].update(fp4="motion.fp32.onnx"),
        "must hold fp32",
    ),
    "state": (
        lambda d: d["graphs"]["motion"].update(state=[["features", "next_0"]]),
        "same shape",
    ),
    "state name": (lambda d: d["graphs"]["motion"].update(state=[["a", "b"]]), "same shape"),
    "batch": (
        lambda d: d["graphs"]["motion"]["inputs"].update(features=[1, 4, 66]),
        "must begin with 'N'",
    ),
    "tensor": (
        lambda d: d["graphs"]["motion"]["inputs"].update(features=["N", 1 << 20, 1 << 20]),
        "larger than a tensor may be",
    ),
    "shape": (
        lambda d: d["graphs"]["motion"]["inputs"].update(features=["N", 4, 65]),
        r"has shape \[4, 66\] after the batch",
    ),
    "inputs": (
        lambda d: d["graphs"]["motion"]["inputs"].update(more=["N", 1]),
        "differ in the input 'more'",
    ),
    "size": (
        lambda d: d["parts"]["poster.jpg"].update(size=1),
        "person.json says 1",
    ),
    "hash": (
        lambda d: d["parts"]["poster.jpg"].update(sha256="0" * 64),
        "its hash differs",
    ),
    "hash form": (
        lambda d: d["parts"]["poster.jpg"].update(sha256="x"),
        "sha256 must look like",
    ),
    "unlisted": (lambda d: d["parts"].pop("motion/rest.npy"), "not among the parts"),
    "not there": (
        lambda d: d["parts"].update({"x.npy": {"sha256": "0" * 64, "size": 0}}),
        "not in the file",
    ),
    "kind": (
        lambda d: d["parts"].update({"run.sh": {"sha256": "0" * 64, "size": 0}}),
        "no kind that a person file holds",
    ),
    "frame size": (lambda d: d.update(width=128), "is 64x64, person.json says 128x64"),
    "consent": (lambda d: d.update(consent="yes"), "consent must be an object"),
}


@pytest.mark.parametrize("case", FIELDS)
def test_a_wrong_field_is_refused(case: str) -> None:
    change, sentence = FIELDS[case]
    value = json.loads(json.dumps(document()))
    change(value)
    with pytest.raises(PersonFileError, match=sentence):
        read_person(repacked(json.dumps(value).encode()))


def test_an_unlisted_member_is_refused() -> None:
    data = repacked(json.dumps(document()).encode(), {**sample_file.parts(), "more.npy": b"x"})
    with pytest.raises(PersonFileError, match="in the file but not in person.json"):
        read_person(data)


# --- arrays -------------------------------------------------------------------------------------


def saved(array: np.ndarray[Any, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


GOOD_ARRAY = saved(np.arange(6, dtype=np.float32).reshape(2, 3))
ARRAYS: dict[str, tuple[bytes, str]] = {
    "no array": (b"hello", "not an npy array"),
    "objects": (saved(np.array([{}], object), allow_pickle=True), "pickled objects"),
    "column order": (saved(np.asfortranarray(np.ones((2, 3), np.float32))), "row order"),
    "text": (saved(np.array(["a"])), "is of type <U1"),
    "doubles": (saved(np.ones(3)), "is of type <f8"),
    "big-endian": (saved(np.ones(3, ">f4")), "is of type >f4"),
    "nan": (saved(np.array([np.nan], np.float32)), "not finite"),
    "huge": (
        GOOD_ARRAY.replace(b"(2, 3), }          ", b"(999999, 999999), }"),
        r"holds 24 bytes, not shape \(999999, 999999\)",
    ),
    "cut": (GOOD_ARRAY[:-1], "holds 23 bytes"),
    "longer": (GOOD_ARRAY + b"\0", "holds 25 bytes"),
    "code": (GOOD_ARRAY.replace(b"'shape': (2, 3)", b"'shape': (f(), )"), "npy header"),
    "negative": (GOOD_ARRAY.replace(b"(2, 3), }", b"(-2,-3),}"), "npy header"),
    "dimensions": (saved(np.ones((1,) * 7, np.float32)), "not shape"),
    "truth": (saved(np.ones(1, bool))[:-1] + b"\x02", "truth values"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_a_malformed_array_is_refused(case: str) -> None:
    data, sentence = ARRAYS[case]
    with pytest.raises(PersonFileError, match=sentence):
        write_person(sample_file.manifest(), {**sample_file.parts(), "motion/rest.npy": data})


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 4), (1, 2, 3, 4)])
@pytest.mark.parametrize("kind", ["<f4", "<f2", "<i4", "|u1", "|b1"])
def test_arrays_survive(shape: tuple[int, ...], kind: str) -> None:
    array = np.arange(24)[: int(np.prod(shape))].reshape(shape).astype(kind)
    assert np.array_equal(parse_array("it", dump_array(array)), array)
    assert parse_array("it", saved(array)).dtype == array.dtype


# --- networks -----------------------------------------------------------------------------------


def motion() -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.ParseFromString(sample_file.PARTS["motion.fp32.onnx"])
    return model


def with_node(*arguments: Any, **attributes: Any) -> onnx.ModelProto:
    model = motion()
    model.graph.node.append(helper.make_node(*arguments, **attributes))
    return model


def with_tensor(tensor: onnx.TensorProto) -> onnx.ModelProto:
    model = motion()
    model.graph.initializer.append(tensor)
    return model


def external() -> onnx.ModelProto:
    model = motion()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return model


def opset(version: int) -> onnx.ModelProto:
    model = motion()
    model.opset_import[0].version = version
    return model


def two_domains() -> onnx.ModelProto:
    model = motion()
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


def function() -> onnx.ModelProto:
    model = motion()
    model.functions.append(
        helper.make_function("own", "F", ["x"], ["y"], [], [helper.make_opsetid("", 20)])
    )
    return model


def declared(change: Callable[[onnx.ValueInfoProto], object]) -> onnx.ModelProto:
    model = motion()
    change(model.graph.input[0])
    return model


def default() -> onnx.ModelProto:
    return with_tensor(numpy_helper.from_array(np.zeros((1, 8), np.float32), "state_0"))


_THEN = helper.make_graph([], "g", [], [helper.make_tensor_value_info("z", 1, [1])])
_TENSOR = numpy_helper.from_array(np.ones(2, np.float32), "c")
_HUGE = helper.make_tensor("huge", TensorProto.FLOAT, [1], b"1234", raw=True)
_HUGE.dims[:] = [1 << 20, 1 << 20]
_SHORT = helper.make_tensor("short", TensorProto.FLOAT, [1], b"1234", raw=True)
_SHORT.dims[:] = [2]
_TEXT = helper.make_tensor("text", TensorProto.STRING, [1], [b"x"])

MODELS: dict[str, tuple[onnx.ModelProto | bytes, str]] = {
    "no model": (b"\xff" * 20, "is not an ONNX model"),
    "empty": (b"", "is not an ONNX model: it has no graph"),
    "cut": (sample_file.PARTS["motion.fp32.onnx"][:-3], "is not an ONNX model"),
    "two graphs": (sample_file.PARTS["motion.fp32.onnx"] * 2, "appears twice"),
    "operator": (with_node("NonZero", ["features"], ["z"]), "operator 'NonZero'"),
    "random": (with_node("RandomNormal", [], ["z"], shape=[2]), "operator 'RandomNormal'"),
    "if": (
        with_node("If", ["c"], ["z"], then_branch=_THEN, else_branch=_THEN),
        "control flow|subgraphs",
    ),
    "subgraph": (with_node("Mul", ["c"], ["z"], body=_THEN), "subgraphs"),
    "domain": (with_node("Gelu", ["c"], ["z"], domain="com.microsoft"), "com.microsoft"),
    "imported domain": (two_domains(), "com.microsoft"),
    "function": (function(), "defines functions"),
    "other file": (external(), "in another file"),
    "huge tensor": (with_tensor(_HUGE), "larger than 64 MiB"),
    "short tensor": (with_tensor(_SHORT), "data and shape differ"),
    "text tensor": (with_tensor(_TEXT), "type that is not used"),
    "text constant": (with_node("Constant", [], ["z"], value=_TEXT), "type that is not used"),
    "new": (opset(99), "operator set 99"),
    "old": (opset(9), "operator set 9"),
    "default": (default(), "has a default for its input"),
    "type": (declared(lambda v: v.type.tensor_type.__setattr__("elem_type", 7)), "type not used"),
    "fixed batch": (
        declared(lambda v: v.type.tensor_type.shape.dim[0].__setattr__("dim_value", 1)),
        "does not leave the batch free",
    ),
    "other name": (declared(lambda v: v.__setattr__("name", "x")), "differ in the input"),
    "sequence": (
        declared(lambda v: v.type.sequence_type.elem_type.tensor_type.__setattr__("elem_type", 1)),
        "no tensor",
    ),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_model_outside_the_list_is_refused(case: str) -> None:
    model, sentence = MODELS[case]
    data = model if isinstance(model, bytes) else model.SerializeToString()
    with pytest.raises(PersonFileError, match=sentence):
        write_person(sample_file.manifest(), {**sample_file.parts(), "motion.fp32.onnx": data})


def test_too_many_nodes_are_refused() -> None:
    model = motion()
    model.graph.node.extend([helper.make_node("Relu", ["features"], ["z"])] * 5000)
    parts = {**sample_file.parts(), "motion.fp32.onnx": model.SerializeToString()}
    with pytest.raises(PersonFileError, match="more than 4096 nodes"):
        write_person(sample_file.manifest(), parts)


# --- pictures -----------------------------------------------------------------------------------

PICTURES: dict[str, tuple[str, bytes, str]] = {
    "other codec": ("background.mp4", sample_file.video(codec="mpeg4"), "H.264"),
    "other size": ("background.mp4", sample_file.video(width=96), "is 96x64"),
    "no mp4": ("background.mp4", b"#EXTM3U\nfile:///etc/passwd\n", "not an mp4"),
    "broken mp4": ("background.mp4", sample_file.video()[:200], "cannot be decoded|H.264"),
    "no jpeg": ("poster.jpg", b"<svg/>", "not a JPEG"),
    "broken jpeg": ("poster.jpg", b"\xff\xd8\xff" + b"\0" * 50 + b"\xff\xd9", "cannot be decoded"),
}


@pytest.mark.parametrize("case", PICTURES)
def test_a_malformed_picture_is_refused(case: str) -> None:
    name, data, sentence = PICTURES[case]
    with pytest.raises(PersonFileError, match=sentence):
        write_person(sample_file.manifest(), {**sample_file.parts(), name: data})


# --- whatever else ------------------------------------------------------------------------------


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=6),
    st.integers(0, len(VALID)),
)
@example([], len(VALID))
def test_damage_never_raises_anything_else(changes: list[tuple[int, int]], length: int) -> None:
    damaged = bytearray(VALID)
    for position, value in changes:
        damaged[position] = value
    data = bytes(damaged[:length])
    try:
        read_person(data)
    except PersonFileError as error:
        assert str(error).endswith(".")
    else:
        # Only timestamps and the version that made it carry nothing.
        assert [m for m in person_zip.unpack(data).items()] == [
            m for m in person_zip.unpack(VALID).items()
        ]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(sample_file.PARTS)),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_a_damaged_part_with_a_right_hash_never_raises_anything_else(
    name: str, changes: list[tuple[int, int]]
) -> None:
    part = bytearray(sample_file.PARTS[name])
    for position, value in changes:
        part[position % len(part)] = value
    try:
        write_person(sample_file.manifest(), {**sample_file.parts(), name: bytes(part)})
    except PersonFileError as error:
        assert str(error).endswith(".")


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    st.data(),
)
def test_any_value_in_any_field_is_refused_or_read(value: object, data: st.DataObject) -> None:
    changed = json.loads(json.dumps(document()))
    target, key = changed, data.draw(st.sampled_from(sorted(changed)))
    while isinstance(target[key], dict) and target[key] and data.draw(st.booleans()):
        target, key = target[key], data.draw(st.sampled_from(sorted(target[key])))
    target[key] = value
    try:
        read_person(repacked(json.dumps(changed).encode()))
    except PersonFileError as error:
        assert str(error).endswith(".")
