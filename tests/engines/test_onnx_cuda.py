"""ONNX Runtime's CUDA provider: refused for what is missing, and bound by address.

The stand-in falls back to the processor as the real one does: without an exception.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.engines.fake_cuda import FakeCuda, without_driver
from tests.engines.small_models import picture_model, planes
from visavis.engines import onnx_cuda
from visavis.engines.device import host_array
from visavis.engines.errors import BackendUnavailable, EngineError, PersonFileError
from visavis.engines.onnx_binding import MAX_BINDINGS
from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.engines.onnx_cuda import MAX_STREAMS, PROVIDER, OnnxCudaBackend
from visavis.engines.trial import trial

CPU = "CPUExecutionProvider"
FALLBACK = "session.disable_cpu_ep_fallback"
WANTED = OnnxCpuBackend().load("m", picture_model()).run(planes(3))


REFUSAL = (
    "This session contains graph nodes that are assigned to the default CPU EP, but fallback to "
    "CPU EP has been explicitly disabled by the user."
)


def strict(options: Any) -> bool:
    """Whether a session may not use the processor."""
    try:
        return bool(options.get_session_config_entry(FALLBACK) == "1")
    except RuntimeError:  # nothing was said of it
        return False


class FakeBinding:
    """Notes what is bound, and binds it on the processor."""

    def __init__(self, session: Any, notes: list[Any]) -> None:
        self.real = session.io_binding()
        self._notes = notes

    def bind_input(self, name: str, device: str, *rest: Any) -> None:
        self._notes.append((name, device, rest[-1]))
        self.real.bind_input(name, "cpu", *rest)

    def bind_output(self, name: str, device: str, *rest: Any) -> None:
        self._notes.append((name, device, rest[-1]))
        self.real.bind_output(name, "cpu", *rest)


class FakeRuntime(types.ModuleType):
    """The module `onnxruntime` of the wheel for GPUs, version 1.31.1.

    Args:
        loads: its provider's library and all that it needs are there.
        lacks: operators that it has no CUDA kernel for.
    """

    __version__ = "1.31.1"
    cuda_version = "13.0"

    def __init__(self, *, loads: bool = True, lacks: tuple[str, ...] = ()) -> None:
        super().__init__("onnxruntime")
        self.__file__ = "/nowhere/onnxruntime/__init__.py"
        self.loads, self.lacks = loads, lacks
        self.SessionOptions = onnxruntime.SessionOptions
        self.RunOptions = onnxruntime.RunOptions
        self.preloaded = 0
        self.options: list[dict[str, str]] = []
        self.bound: list[Any] = []
        self.runs: list[dict[str, str]] = []
        owner = self

        class InferenceSession:
            def __init__(self, model: bytes, options: Any, *, providers: Any) -> None:
                (name, chosen), *others = providers
                assert name == PROVIDER and not others
                owner.options.append(chosen)
                self._real = onnxruntime.InferenceSession(model, providers=[CPU])
                nodes = onnx.load_model_from_string(model).graph.node
                left = not owner.loads or {node.op_type for node in nodes} & set(owner.lacks)
                if left and strict(options):
                    raise RuntimeError(f"[ONNXRuntimeError] : 1 : FAIL : {REFUSAL}")

            def get_providers(self) -> list[str]:
                return [PROVIDER, CPU] if owner.loads else [CPU]

            def get_inputs(self) -> Any:
                return self._real.get_inputs()

            def get_outputs(self) -> Any:
                return self._real.get_outputs()

            def run(self, names: Any, feeds: Any) -> Any:
                return self._real.run(names, feeds)

            def io_binding(self) -> FakeBinding:
                return FakeBinding(self._real, owner.bound)

            def run_with_iobinding(self, binding: FakeBinding, options: Any) -> None:
                keys = ("gpu_graph_id", "disable_synchronize_execution_providers")
                owner.runs.append({key: options.get_run_config_entry(key) for key in keys})
                self._real.run_with_iobinding(binding.real)

        self.InferenceSession = InferenceSession

    def get_available_providers(self) -> list[str]:
        return ["TensorrtExecutionProvider", PROVIDER, CPU]

    def preload_dlls(self) -> None:
        print("Failed to load libcublas.so.13")
        self.preloaded += 1


def install(monkeypatch: pytest.MonkeyPatch, **options: Any) -> FakeRuntime:
    made = FakeRuntime(**options)
    monkeypatch.setitem(sys.modules, "onnxruntime", made)
    return made


def backend(load: Any = None) -> OnnxCudaBackend:
    return OnnxCudaBackend(load_library=load or FakeCuda().load)


def test_without_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendUnavailable, match="not installed. pip install 'visavis.gpu.'"):
        backend()


def test_the_wheel_for_processors_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """This one is real: the runtime that the tests are run with."""
    monkeypatch.setattr(onnx_cuda, "_installed", lambda name: name == "onnxruntime")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    with pytest.raises(BackendUnavailable, match="is built for processors only. pip uninstall"):
        backend()


def test_two_wheels_that_overwrite_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_cuda, "_installed", lambda name: True)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    with pytest.raises(BackendUnavailable, match="are both installed, and one has overwritten"):
        backend()


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (without_driver, r"there is no NVIDIA driver \(libcuda.so.1 is missing\). Install"),
        (FakeCuda(init=100).load, "the driver finds no GPU"),
        (FakeCuda(devices=0).load, "the driver finds no GPU. CUDA_VISIBLE_DEVICES"),
        (FakeCuda(init=803).load, "does not start .system has unsupported display driver, error"),
        (FakeCuda(init=999).load, "does not start .unknown error, error 999"),
        (FakeCuda(version=12080).load, "the driver runs CUDA 12.8, and 13.0 is needed. Install a"),
    ],
)
def test_drivers(monkeypatch: pytest.MonkeyPatch, load: Any, words: str) -> None:
    install(monkeypatch)
    with pytest.raises(BackendUnavailable, match=words):
        backend(load)


def test_a_driver_runs_what_is_older(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    backend(FakeCuda(version=14000).load)
    install(monkeypatch).cuda_version = ""
    backend(FakeCuda(version=11000).load)


def test_a_library_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The runtime gives a session on the processor and says nothing: the loader is asked."""
    runtime = install(monkeypatch, loads=False)

    def load(name: str, **options: Any) -> Any:
        if name == "libcuda.so.1":
            return FakeCuda()
        if name.endswith("providers_cuda.so"):
            raise OSError("libcublasLt.so.13: cannot open shared object file: No such file")
        assert Path(name).parent == Path("/nowhere/onnxruntime/capi")
        return None

    made = backend(load)
    assert runtime.preloaded == 1 and capsys.readouterr().out == ""
    words = r"its CUDA provider does not load \(libcublasLt.so.13: cannot open.*\). pip install"
    with pytest.raises(BackendUnavailable, match=words):
        made.load("m", picture_model())
    with pytest.raises(BackendUnavailable, match=words):
        trial("onnx-cuda", made)


def test_a_graph_is_not_split_with_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy that fails: one that looks at the first provider alone."""
    install(monkeypatch, lacks=("Round",))
    with pytest.raises(PersonFileError, match="'m' is refused by ONNX Runtime: .*fallback to CPU"):
        backend().load("m", picture_model())


def test_no_graph_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    with pytest.raises(PersonFileError, match="'m' is refused by ONNX Runtime: "):
        backend().load("m", b"nothing")


def test_a_session_that_is_on_the_processor_after_all(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = install(monkeypatch)
    monkeypatch.setattr(runtime.InferenceSession, "get_providers", lambda self: [CPU, PROVIDER])
    with pytest.raises(BackendUnavailable, match="would run on the processor"):
        backend().load("m", picture_model())


def test_it_runs_from_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = install(monkeypatch)
    found = backend().load("m", picture_model()).run(planes(3))
    assert all(np.array_equal(found[key], WANTED[key]) for key in WANTED)
    options = runtime.options[-1]
    assert options["use_tf32"] == "0" and "user_compute_stream" not in options


def test_it_runs_between_addresses_on_the_callers_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = install(monkeypatch)
    graph = backend().load_device("m", picture_model(), max_batch=3)
    feeds = planes(3)
    into = [{key: np.zeros_like(array) for key, array in WANTED.items()} for _ in range(2)]
    arrays = {key: host_array(array) for key, array in feeds.items()}

    def run(which: int, stream: int) -> None:
        graph.enqueue(arrays, {key: host_array(a) for key, a in into[which].items()}, stream)

    for which in (0, 1, 0, 1):
        run(which, 41)
    assert all(np.array_equal(made[key], WANTED[key]) for made in into for key in WANTED)
    # One session on that stream, one binding and one captured graph for each set of addresses.
    assert [options.get("user_compute_stream") for options in runtime.options] == ["41"]
    assert runtime.options[0]["enable_cuda_graph"] == "1"
    assert len(runtime.bound) == 6 and {device for _, device, _ in runtime.bound} == {"cuda"}
    assert runtime.bound[0][2] == arrays["planes"].pointer
    assert [noted["gpu_graph_id"] for noted in runtime.runs] == ["1", "2", "1", "2"]
    assert all(n["disable_synchronize_execution_providers"] == "1" for n in runtime.runs)
    for stream in range(MAX_STREAMS - 1):
        run(0, stream)
    with pytest.raises(EngineError, match=f"runs on {MAX_STREAMS} streams at most"):
        run(0, 99)


def test_addresses_without_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = install(monkeypatch)
    graph = backend().load_device("m", picture_model(), max_batch=1)
    made = [{key: np.zeros((1, 8, 6), np.uint8) for key in WANTED} for _ in range(MAX_BINDINGS + 2)]
    feeds = planes(1)
    for into in made:
        graph.enqueue(
            {key: host_array(array) for key, array in feeds.items()},
            {key: host_array(array) for key, array in into.items()},
            0,
        )
    assert [noted["gpu_graph_id"] for noted in runtime.runs[-3:]] == [str(MAX_BINDINGS), "-1", "-1"]
    assert len(graph._bound[0]._bindings) == MAX_BINDINGS
