"""Which backends there are: found by a network that they have run, refused with a sentence."""

from __future__ import annotations

import logging
import sys
from typing import Any

import numpy as np
import onnx
import pytest

from tests.engines.fake_cuda import FakeCuda, without_driver
from tests.engines.fake_tensorrt import FakeTensorrt
from visavis.engines import backends, tensorrt_backend
from visavis.engines.backend import Feeds, Graph, Outputs
from visavis.engines.backends import NAMES, available, choose, find, look, survey
from visavis.engines.device import DeviceBackend
from visavis.engines.errors import BackendUnavailable, ConfigError, PersonFileError
from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.engines.tensorrt_backend import TensorrtBackend
from visavis.engines.trial import TRIAL_MODEL, expected, trial


def test_every_backend_is_found_or_refused_with_a_sentence() -> None:
    found = survey()
    assert tuple(finding.name for finding in found) == NAMES
    for finding in found:
        assert (finding.backend is None) != (finding.problem is None)
        if finding.backend is not None:
            assert finding.backend.name.startswith(f"{finding.name} (")
            assert isinstance(finding.backend, DeviceBackend)
        else:
            words = str(finding.problem)
            assert words.startswith(f"{finding.name} cannot be used: ") and "\n" not in words
    names = [backend.name.split()[0] for backend in available()]
    assert {"onnx-cpu", "torch-cpu"} <= set(names)


def test_the_trial_is_a_network_that_others_read() -> None:
    model = onnx.load_model_from_string(TRIAL_MODEL)
    onnx.checker.check_model(model, full_check=True)
    found = OnnxCpuBackend().load("t", TRIAL_MODEL).run({"x": np.ones((2, 2, 8, 8), np.float32)})
    assert np.allclose(found["y"], expected(np.ones((2, 2, 8, 8), np.float32)), atol=1e-4)
    assert np.ptp(found["y"]) > 0.5


class Broken:
    """A backend that fails in one of the ways in which libraries do."""

    name = "broken"

    def __init__(self, change: Any) -> None:
        self._change = change

    def load(self, name: str, model: bytes) -> Graph:
        graph, change = OnnxCpuBackend().load(name, model), self._change

        class Changed:
            def run(self, feeds: Feeds) -> Outputs:
                return {key: change(array) for key, array in graph.run(feeds).items()}

        return Changed()


def fail(array: Any) -> Any:
    raise RuntimeError("CUDNN_STATUS_NOT_INITIALIZED\nand more")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (np.zeros_like, "computes a small network wrongly"),
        (lambda a: a * np.float32(1.01), "computes a small network wrongly"),
        (lambda a: a[:1], "computes a small network wrongly"),
        (fail, r"does not run a small network \(CUDNN_STATUS_NOT_INITIALIZED\)"),
    ],
    ids=["zeros", "a hundredth off", "one row", "fails"],
)
def test_a_backend_that_loads_and_does_not_work_is_none(
    monkeypatch: pytest.MonkeyPatch, change: Any, words: str
) -> None:
    trial("broken", Broken(lambda a: a))
    monkeypatch.setitem(backends._MAKERS, "onnx-cpu", lambda: Broken(change))
    with pytest.raises(BackendUnavailable, match=words):
        find("onnx-cpu")
    assert look("onnx-cpu").backend is None


def test_a_library_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def make() -> Any:
        raise OSError("libsomething.so\nis broken")

    monkeypatch.setitem(backends._MAKERS, "onnx-cpu", make)
    problem = look("onnx-cpu").problem
    assert problem is not None and problem.reason == "OSError: libsomething.so is broken"


def test_libraries_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnxruntime", "torch", "tensorrt"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in [name for name in sys.modules if name.startswith("visavis.engines.")]:
        if name.endswith(("onnx_cpu", "torch_device", "torch_graph", "torch_operators")):
            monkeypatch.delitem(sys.modules, name)
    found = {finding.name: str(finding.problem) for finding in survey()}
    assert "ONNX Runtime is not installed. pip install 'visavis[cpu]'." in found["onnx-cpu"]
    assert "ONNX Runtime is not installed. pip install 'visavis[gpu]'." in found["onnx-cuda"]
    assert "torch is not installed. pip install torch." in found["torch-cpu"]
    assert "torch is not installed" in found["torch-cuda"]
    assert "TensorRT is not installed" in found["tensorrt"]
    with pytest.raises(BackendUnavailable, match="ONNX Runtime is not installed"):
        choose()


def test_a_name_that_is_none() -> None:
    with pytest.raises(ConfigError, match="no backend 'gpu'; there are: tensorrt, onnx-cuda,"):
        find("gpu")
    with pytest.raises(ConfigError, match="no backend 'gpu'"):
        choose("gpu")


@pytest.mark.parametrize("name", ["tensorrt", "onnx-cuda", "torch-cuda"])
def test_what_is_asked_for_and_cannot_be_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The toy that fails: one that gives the processor instead."""
    monkeypatch.setitem(backends._MAKERS, name, lambda: refuse(name))
    with pytest.raises(BackendUnavailable, match=f"{name} cannot be used: it is not there"):
        choose(name)


def refuse(name: str) -> Any:
    raise BackendUnavailable(name, "it is not there")


def use_gpu(monkeypatch: pytest.MonkeyPatch, load: Any) -> None:
    original = backends.find_gpu
    monkeypatch.setattr(backends, "find_gpu", lambda name: original(name, load=load))


def test_without_a_gpu_it_is_the_processor(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use_gpu(monkeypatch, without_driver)
    monkeypatch.setitem(backends._MAKERS, "torch-cuda", lambda: pytest.fail("asked in vain"))
    with caplog.at_level(logging.INFO):
        assert choose().name.startswith("onnx-cpu (")
    assert "Networks run on the processor: there is no NVIDIA driver" in caplog.text
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_a_gpu_that_is_not_used_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use_gpu(monkeypatch, FakeCuda().load)
    for name in ("tensorrt", "onnx-cuda", "torch-cuda"):
        monkeypatch.setitem(backends._MAKERS, name, lambda name=name: refuse(name))
    assert choose().name.startswith("onnx-cpu (")
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert [words.split()[0] for words in warned] == ["tensorrt", "onnx-cuda", "torch-cuda"]


def test_tensorrt_comes_with_a_named_stand_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeTensorrt()
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    cuda = FakeCuda()
    use_gpu(monkeypatch, cuda.load)

    def make(**options: Any) -> TensorrtBackend:
        from tests.engines.test_tensorrt import Here

        return TensorrtBackend(load_library=cuda.load, build=Here(), **options)

    monkeypatch.setitem(backends._MAKERS, "tensorrt", make)
    monkeypatch.setattr(tensorrt_backend, "TensorrtBackend", make)
    monkeypatch.setitem(backends._MAKERS, "onnx-cuda", lambda: refuse("onnx-cuda"))
    monkeypatch.setitem(backends._MAKERS, "torch-cuda", lambda: refuse("torch-cuda"))
    chosen = choose("auto", plans=tmp_path / "plans")
    assert isinstance(chosen, TensorrtBackend) and (tmp_path / "plans").is_dir()
    graph = chosen.load("m", TRIAL_MODEL)
    x = np.ones((1, 2, 8, 8), np.float32)
    assert np.allclose(graph.run({"x": x})["y"], expected(x), atol=1e-4)
    assert "TensorRT builds 'm' in the background; until it is done, onnx-cpu (" in caplog.text
    chosen.close()
    # Asked for by name without a cache to speak of, and refused where it is not there.
    monkeypatch.setitem(backends._MAKERS, "tensorrt", lambda: refuse("tensorrt"))
    with pytest.raises(BackendUnavailable, match="tensorrt cannot be used"):
        choose("tensorrt", plans=tmp_path / "other")


def test_a_graph_that_onnx_runtime_refuses_is_a_sentence() -> None:
    for backend in available():
        with pytest.raises(PersonFileError, match="'broken.onnx' ") as raised:
            backend.load("broken.onnx", b"nothing")
        assert "\n" not in str(raised.value)
