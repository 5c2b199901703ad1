"""Exporters that are silently wrong: each must fail the comparison with the torch module."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from tests.engines.tiny_person import SIZE
from tests.export import tiny_folder
from visavis.engines.errors import DeviationError, PersonFileError
from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.engines.person import load_person, write_person
from visavis.engines.references import reference_of
from visavis.engines.torch_device import TorchCpuBackend
from visavis.engines.verify import as_json, require, table, verify
from visavis.export import native
from visavis.export import renderer as exporter
from visavis.export.native import Exported, export_person
from visavis.export.plain_backend import PlainBackend
from visavis.models.renderer import Renderer, RendererGraph

F32 = NDArray[np.float32]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder.write(tmp_path_factory.mktemp("person"))


@pytest.fixture(scope="module")
def file(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Exported]:
    out = tmp_path_factory.mktemp("out") / "made.person"
    return out, export_person(folder, out, precisions=("fp32", "fp16", "int8"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "made.person"


@functools.cache
def right_graph() -> bytes:
    """What the exporter makes of the folder's renderer."""
    return exporter.export_renderer(tiny_folder.renderer(), SIZE)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The renderer is exported once for all."""
    monkeypatch.setattr(native, "export_renderer", lambda net, size: right_graph())


def refused(
    folder: Path,
    out: Path,
    kind: type[Exception] = DeviationError,
    precisions: tuple[str, ...] = ("fp32",),
) -> str:
    """The sentence with which an export fails, which leaves nothing behind."""
    out.parent.mkdir(exist_ok=True)
    with pytest.raises(kind) as raised:
        export_person(folder, out, precisions=precisions)
    assert list(out.parent.iterdir()) == []
    words = str(raised.value)
    assert words.endswith(".") and "\n" not in words
    return words


def test_every_variant_is_compared_and_agrees(file: tuple[Path, Exported]) -> None:
    path, made = file
    assert made.size == path.stat().st_size
    assert [(v.graph, v.variant) for v in made.verdicts] == [
        ("motion", "fp32"),
        *(("renderer", variant) for variant in ("fp32", "fp16", "int8")),
        *(("frames", variant) for variant in ("fp32", "fp16", "int8")),
    ]
    assert not any(verdict.past for verdict in made.verdicts)
    by = {(v.graph, v.variant): v.figures for v in made.verdicts}
    # Coarser numbers are further off, so what is compared is not the same graph thrice.
    assert by["renderer", "fp32"].rms < by["renderer", "fp16"].rms < by["renderer", "int8"].rms


def test_half_precision_computes_in_half(file: tuple[Path, Exported]) -> None:
    model = onnx.load_model_from_string(
        load_person(file[0], trusted=True).parts["renderer.fp16.onnx"]
    )
    weights = [tensor for tensor in model.graph.initializer if len(tensor.dims) == 4]
    assert len(weights) == 9
    assert {tensor.data_type for tensor in weights} == {onnx.TensorProto.FLOAT16}
    used = {name for node in model.graph.node if node.op_type == "Conv" for name in node.input}
    assert {tensor.name for tensor in weights} <= used  # without a cast between


def test_the_file_keeps_what_verify_needs(file: tuple[Path, Exported]) -> None:
    person = load_person(file[0], trusted=True)
    kept = [part for name, part in person.parts.items() if name.startswith("reference/")]
    assert 0 < sum(map(len, kept)) < 300_000
    found = reference_of(person, "motion")
    assert found is not None and found.inputs["features"].shape[1:] == (4, 66)
    assert np.ptp(found.outputs["tract"], axis=0).max() > 0.05  # something is heard
    verdicts = verify(person, [OnnxCpuBackend(), TorchCpuBackend()])
    require(verdicts)
    assert {v.graph for v in verdicts} == {"motion", "renderer"}
    by = {(v.backend.split()[0], v.graph, v.variant): v.figures for v in verdicts}
    # 8 bits are not for torch; it computes halves as halves, and is further off for it.
    assert ("torch-cpu", "renderer", "int8") not in by and ("onnx-cpu", "renderer", "int8") in by
    assert by["torch-cpu", "renderer", "fp16"].mean > by["torch-cpu", "renderer", "fp32"].mean
    assert len(table(verdicts)) == len(verdicts) + 1
    assert all(row["ok"] and row["milliseconds"] > 0 for row in as_json(verdicts))


def broken_graph(change: Any) -> Any:
    """An exporter of something other than the renderer."""

    def export(net: Renderer, size: int, *, half: bool = False) -> bytes:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exporter, "RendererGraph", change)
            return exporter.export_renderer(net, size)

    return export


class NoClamp(RendererGraph):
    def forward(self, planes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        levels = torch.round(self.renderer(planes) * 128.0 + 128.0)
        luma = nn.functional.pixel_shuffle(levels[:, :4], 2)[:, 0]
        return luma.to(torch.uint8), levels[:, 4].to(torch.uint8), levels[:, 5].to(torch.uint8)


class Swapped(RendererGraph):
    def forward(self, planes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y, u, v = super().forward(planes)
        return y, v, u


@pytest.mark.parametrize("change", [NoClamp, Swapped])
def test_a_wrong_exporter_is_found_out(
    folder: Path, out: Path, change: type[RendererGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "export_renderer", broken_graph(change))
    words = refused(folder, out)
    assert words.startswith("renderer in fp32") and "levels" in words


def test_stale_weights_are_found_out(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        native,
        "export_renderer",
        lambda net, size: exporter.export_renderer(tiny_folder.renderer(seed=4), size),
    )
    assert "renderer in fp32" in refused(folder, out)


@pytest.mark.usefixtures("quick")
def test_a_motion_network_with_stale_weights_is_found_out(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(network: bytes) -> bytes:
        model = onnx.load_model_from_string(network)
        for tensor in model.graph.initializer:
            if tensor.name == "motion.conv2.weight":
                values = numpy_helper.to_array(tensor) * np.float32(0.5)
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        return exporter.with_half_weights(model.SerializeToString())

    monkeypatch.setattr(native, "with_half_weights", stale)
    assert "motion in fp32" in refused(folder, out)


@pytest.mark.usefixtures("quick")
def test_a_wrong_scale_of_integers_is_found_out(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        native,
        "quantize_renderer",
        lambda model, planes: exporter.quantize_renderer(model, planes * np.float32(0.05)),
    )
    assert "renderer in int8" in refused(folder, out, precisions=("fp32", "int8"))


def test_weights_that_are_not_finite(folder: Path, out: Path, tmp_path: Path) -> None:
    net = tiny_folder.renderer()
    with torch.no_grad():
        net.enter.bias[0] = float("nan")
    copy = shutil.copytree(folder, tmp_path / "person")
    native.save_renderer(net, copy / "renderer.pt")
    assert "not finite (enter.bias)" in refused(copy, out, PersonFileError)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("/tmp/visavis-was-executed"),)


@pytest.mark.parametrize("kind", ["truncated", "foreign", "empty", "other"])
def test_a_renderer_that_is_none(folder: Path, out: Path, tmp_path: Path, kind: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "person")
    path = copy / "renderer.pt"
    if kind == "foreign":
        torch.save({"widths": [8], "weights": Evil()}, path)
    elif kind == "other":
        torch.save({"widths": [8, 8], "weights": tiny_folder.renderer().state_dict()}, path)
    else:
        path.write_bytes(path.read_bytes()[: 4000 if kind == "truncated" else 0])
    assert "renderer.pt" in refused(copy, out, PersonFileError)
    assert not Path("/tmp/visavis-was-executed").exists()


def test_folders_that_are_no_person(folder: Path, out: Path, tmp_path: Path) -> None:
    training = tmp_path / "training"
    assert "not a folder" in refused(training, out, PersonFileError)
    training.mkdir()
    assert "neither" in refused(training, out, PersonFileError)
    (training / "settings.json").write_text("{}")
    assert "--resume" in refused(training, out, PersonFileError)
    shutil.copytree(folder, training / "person")
    (training / "person" / "motion" / "motion.fp32.onnx").write_bytes(b"\x08\x07 no model")
    assert "motion" in refused(training, out, PersonFileError)


@pytest.mark.usefixtures("quick")
def test_a_motion_graph_with_an_operator_that_is_not_allowed(
    folder: Path, out: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "person")
    path = copy / "motion" / "motion.fp32.onnx"
    model = onnx.load(path)
    model.graph.node.append(onnx.helper.make_node("RandomNormal", [], ["noise"], shape=[1]))
    path.write_bytes(model.SerializeToString())
    assert "RandomNormal" in refused(copy, out, PersonFileError)


def test_node_by_node_it_is_the_same_file(file: tuple[Path, Exported]) -> None:
    verdicts = verify(load_person(file[0], trusted=True), [PlainBackend()])
    require(verdicts)
    assert {verdict.backend for verdict in verdicts} == {PlainBackend.name}


def test_verify_finds_a_file_whose_network_was_changed(file: tuple[Path, Exported]) -> None:
    person = load_person(file[0], trusted=True)
    manifest = {key: value for key, value in person.manifest.items() if key != "parts"}
    parts = {**person.parts, "renderer.int8.onnx": person.parts["renderer.fp32.onnx"]}
    require(verify(load_person(write_person(manifest, parts), trusted=True), [OnnxCpuBackend()]))
    model = onnx.load_model_from_string(person.parts["renderer.fp32.onnx"])
    last = next(t for t in model.graph.initializer if t.name == "renderer.leave.weight.half")
    values = numpy_helper.to_array(last) * np.float16(0.9)
    last.CopyFrom(numpy_helper.from_array(values, last.name))
    parts["renderer.fp32.onnx"] = model.SerializeToString()
    changed = load_person(write_person(manifest, parts), trusted=True)
    with pytest.raises(DeviationError, match="renderer in fp32"):
        require(verify(changed, [OnnxCpuBackend()]))
