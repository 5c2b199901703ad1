"""ONNX graphs run by torch, against ONNX Runtime: a person's own, and operators one by one."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto

from tests.engines.referenced import arrays, person_with
from tests.engines.small_models import made, node, picture_model, planes
from tests.engines.tiny_person import tiny_person
from visavis.engines import torch_device
from visavis.engines.agreement import BOUNDS, compare, past
from visavis.engines.backend import variants_of
from visavis.engines.device import host_array
from visavis.engines.errors import BackendUnavailable, EngineError, PersonFileError
from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.engines.person import Person, read_person
from visavis.engines.torch_device import TorchCpuBackend, TorchCudaBackend
from visavis.engines.verify import verify

PRESENTER = Path(__file__).parents[2] / "persons/presenter/presenter.person"
Feeds = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def presenter() -> Person:
    return read_person(PRESENTER.read_bytes())


def feeds_of(person: Person, graph: str, batch: int) -> Feeds:
    random = np.random.default_rng(batch)
    return {
        name: random.uniform(-1, 1, (batch, *shape)).astype(np.float32)
        for name, shape in person.graphs[graph].inputs.items()
    }


def both(model: bytes, feeds: Feeds) -> list[dict[str, NDArray[Any]]]:
    return [
        backend.load("m", model).run(feeds) for backend in (OnnxCpuBackend(), TorchCpuBackend())
    ]


@pytest.mark.parametrize("graph", ["motion", "renderer"])
def test_the_presenters_networks_agree(presenter: Person, graph: str) -> None:
    file = presenter.graphs[graph].variants["fp32"]
    wanted, found = both(presenter.parts[file], feeds_of(presenter, graph, 2))
    assert past(compare(wanted, found), BOUNDS["fp32"]) == ""
    assert max(float(np.ptp(array.astype(np.float64))) for array in wanted.values()) > 0.5


@pytest.mark.parametrize("batch", [1, 3])
def test_a_tiny_persons_networks_agree(batch: int) -> None:
    person = tiny_person()
    for name, spec in person.graphs.items():
        model = person.parts[spec.variants["fp32"]]
        wanted, found = both(model, feeds_of(person, name, batch))
        assert past(compare(wanted, found), BOUNDS["fp32"]) == ""
        assert all(found[key].dtype == wanted[key].dtype for key in wanted)


def test_verify_has_a_line_for_torch() -> None:
    found = verify(person_with(arrays()), [OnnxCpuBackend(), TorchCpuBackend()])
    lines = [(v.graph, v.past) for v in found if v.backend.startswith("torch-cpu")]
    assert lines == [("motion", ""), ("renderer", "")]


def single(operator: str, inputs: list[Any], **attributes: Any) -> bytes:
    """One operation on `x`, f32[N, 4, 6, 6]; further inputs are weights."""
    names = ["x", *(f"w{index}" if array is not None else "" for index, array in enumerate(inputs))]
    weights = {f"w{index}": array for index, array in enumerate(inputs) if array is not None}
    model = made([node(operator, names, ["y"], **attributes)], {"x": ["N", 4, 6, 6]}, {}, weights)
    proto = onnx.load_model_from_string(model)
    kind = TensorProto.UINT8 if attributes.get("to") == TensorProto.UINT8 else TensorProto.FLOAT
    proto.graph.output.append(onnx.helper.make_tensor_value_info("y", kind, None))
    return proto.SerializeToString()


R = np.random.default_rng(7)
W = R.normal(size=(4, 2, 3, 3)).astype(np.float32)
B = R.normal(size=4).astype(np.float32)
CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Conv", [W, B], {"group": 2, "pads": [1, 1, 1, 1]}),
    ("Conv", [W], {"group": 2, "pads": [0, 1, 2, 0], "strides": [2, 1]}),
    ("Conv", [W, B], {"group": 2, "pads": [2, 2, 2, 2], "dilations": [2, 2]}),
    ("Cast", [], {"to": TensorProto.UINT8}),
    ("Clip", [np.float32(-0.3)], {}),
    ("Clip", [None, np.float32(0.4)], {}),
    ("Concat", [B.reshape(1, 4, 1, 1).repeat(6, 2).repeat(6, 3)], {"axis": 0}),
    ("DepthToSpace", [], {"blocksize": 2, "mode": "CRD"}),
    ("Gather", [np.int64(-1)], {"axis": 1}),
    ("Gather", [np.array([[3, -4], [1, 1]])], {"axis": -1}),
    ("MatMul", [R.normal(size=(6, 5)).astype(np.float32)], {}),
    ("ReduceMean", [np.array([1, 3])], {"keepdims": 0}),
    ("ReduceMean", [np.array([-1])], {}),
    ("Reshape", [np.array([0, -1, 9])], {}),
    ("Resize", [None, np.array([1, 1, 2, 3], np.float32)],
     {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
    ("Round", [], {}),
    ("Slice", [np.array([-5, 1]), np.array([2**62, 4]), np.array([2, 1]), np.array([2, 1])], {}),
    ("Slice", [np.array([0]), np.array([1])], {}),
    ("Squeeze", [np.array([1])], {}),
    ("Transpose", [], {"perm": [0, 3, 1, 2]}),
    ("Transpose", [], {}),
    ("Unsqueeze", [np.array([-1, 1])], {}),
    ("Sub", [B.reshape(4, 1, 1)], {}),
    ("Tanh", [], {}),
    ("Abs", [], {}),
    ("AveragePool", [], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("AveragePool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("AveragePool", [],
     {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    ("ConvTranspose", [R.normal(size=(4, 3, 4, 4)).astype(np.float32), B[:3]],
     {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("ConvTranspose", [R.normal(size=(4, 2, 3, 3)).astype(np.float32)],
     {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1], "group": 2}),
    ("Cos", [], {}),
    ("Div", [np.abs(B).reshape(4, 1, 1) + 1], {}),
    ("Exp", [], {}),
    ("GridSample", [R.uniform(-1.2, 1.2, (2, 5, 7, 2)).astype(np.float32)], {"align_corners": 0}),
    ("GridSample", [R.uniform(-1.2, 1.2, (2, 5, 7, 2)).astype(np.float32)],
     {"align_corners": 1, "padding_mode": "border"}),
    ("InstanceNormalization", [B, B[::-1].copy()], {"epsilon": 1e-4}),
    ("LeakyRelu", [], {"alpha": 0.2}),
    ("Max", [B.reshape(4, 1, 1), np.float32(0.1)], {}),
    ("MaxPool", [], {"kernel_shape": [3, 3], "strides": [1, 2]}),
    ("MaxPool", [], {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("Min", [B.reshape(4, 1, 1)], {}),
    ("Neg", [], {}),
    ("PRelu", [B.reshape(4, 1, 1)], {}),
    ("Pad", [np.array([0, 0, 1, 2, 0, 0, 3, 0])], {"mode": "reflect"}),
    ("Pad", [np.array([0, 0, 1, 2, 0, 0, 3, 0]), np.float32(0.5)], {}),
    ("Pad", [np.array([0, 0, 1, 2, 0, 0, 3, 0])], {"mode": "edge"}),
    ("Pow", [np.float32(2.0)], {}),
    ("Reciprocal", [], {}),
    ("ReduceSum", [np.array([2, 3])], {"keepdims": 1}),
    ("Resize", [None, np.array([1, 1, 2, 2], np.float32)],
     {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
    ("Resize", [None, np.array([1, 1, 2, 2], np.float32)],
     {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}),
    ("Resize", [None, None, np.array([2, 4, 9, 7])],
     {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}),
    ("Sin", [], {}),
    ("Softmax", [], {"axis": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "inputs", "attributes"), CASES)
def test_operators_agree(operator: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    x = R.normal(size=(2, 4, 6, 6)).astype(np.float32)
    x[0, 0, 0, :4] = [0.5, 1.5, 2.5, -0.5]  # halves go to even
    if operator == "Cast":
        x = np.abs(x) * 50
    model = single(operator, inputs, **attributes)
    if operator == "Squeeze":
        slices = [np.array([0]), np.array([1]), np.array([1])]
        cut = onnx.load_model_from_string(single("Slice", slices))
        head = node("Slice", ["x", "a", "b", "b"], ["z"])
        proto = onnx.load_model_from_string(model)
        proto.graph.node[0].input[0] = "z"
        for name, tensor in zip("ab", cut.graph.initializer, strict=False):
            tensor.name = name
            proto.graph.initializer.append(tensor)
        proto.graph.node.insert(0, head)
        model = proto.SerializeToString()
    wanted, found = both(model, {"x": x})
    assert wanted["y"].shape == found["y"].shape and wanted["y"].dtype == found["y"].dtype
    assert np.allclose(wanted["y"], found["y"], atol=1e-5)


@pytest.mark.parametrize("attributes", [{"transB": 1, "alpha": 0.5, "beta": 2.0}, {}])
def test_gemm_agrees(attributes: dict[str, Any]) -> None:
    weight = R.normal(size=(36, 5) if not attributes else (5, 36)).astype(np.float32)
    nodes = [
        node("Reshape", ["x", "shape"], ["flat"]),
        node("Gemm", ["flat", "w", "b"], ["y"], **attributes),
    ]
    weights = {"shape": np.array([-1, 36]), "w": weight, "b": B[:1].repeat(5)}
    model = made(nodes, {"x": ["N", 4, 6, 6]}, {"y": (TensorProto.FLOAT, ["M", 5])}, weights)
    wanted, found = both(model, {"x": R.normal(size=(2, 4, 6, 6)).astype(np.float32)})
    assert np.allclose(wanted["y"], found["y"], atol=1e-5)


@pytest.mark.parametrize("attributes", [{"num_outputs": 2}, {}])
def test_split_agrees(attributes: dict[str, int]) -> None:
    weights = {} if attributes else {"sizes": np.array([2, 4])}
    split = node("Split", ["x", *weights], ["a", "b"], axis=1, **attributes)
    kinds = {"a": (TensorProto.FLOAT, None), "b": (TensorProto.FLOAT, None)}
    width = 5 if attributes else 6
    model = made([split], {"x": ["N", width]}, kinds, weights)  # type: ignore[arg-type]
    x = np.arange(2.0 * width, dtype=np.float32).reshape(2, width)
    wanted, found = both(model, {"x": x})
    assert all(np.array_equal(wanted[key], found[key]) for key in ("a", "b"))


def test_halves_are_computed_as_halves() -> None:
    """The toy that fails: one that computes everything in 32 bits."""
    nodes = [
        node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        node("Add", ["h", "one"], ["more"]),
        node("Cast", ["more"], ["y"], to=TensorProto.FLOAT),
    ]
    outputs = {"y": (TensorProto.FLOAT, ["N", 4])}
    model = made(nodes, {"x": ["N", 4]}, outputs, {"one": np.float16(2048)})
    x = np.array([[0.25, 1, 1.5, 3]], np.float32)
    found = TorchCpuBackend().load("m", model).run({"x": x})
    assert found["y"].tolist() == (x.astype(np.float16) + np.float16(2048)).tolist()
    assert found["y"].tolist() == [[2048, 2048, 2050, 2052]]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (single("Erf", []), "the operator 'Erf' is not carried out by this backend"),
        (single("Resize", [None, np.array([1, 1, 1.5, 2], np.float32)]), "Resize is not of the"),
        (single("DepthToSpace", [], blocksize=2), "not of the order CRD"),
        (single("Slice", [np.array([5]), np.array([0]), np.array([3]), np.array([-1])]), "backw"),
        (single("Conv", [W], auto_pad="SAME_UPPER", group=2), "pads by a rule"),
        (single("Squeeze", []), "names no axes"),
        (single("Concat", [], axis="one"), "has another type"),
        (b"nothing at all", "is not an ONNX model"),
        (picture_model()[:-40], "is not an ONNX model"),
    ],
)
def test_what_is_not_carried_out_is_refused_with_a_sentence(model: bytes, words: str) -> None:
    with pytest.raises(PersonFileError, match=words) as raised:
        TorchCpuBackend().load("m.onnx", model)
    assert str(raised.value).startswith("'m.onnx' ") and str(raised.value).endswith(".")


def test_sizes_that_depend_on_what_comes_in_are_refused() -> None:
    model = made(
        [node("Cast", ["x"], ["s"], to=TensorProto.INT64), node("Reshape", ["x", "s"], ["y"])],
        {"x": ["N"]},
        {"y": (TensorProto.FLOAT, None)},  # type: ignore[dict-item]
    )
    with pytest.raises(PersonFileError, match="computed as it runs"):
        TorchCpuBackend().load("m", model)


def test_eight_bits_are_left_to_processors(presenter: Person) -> None:
    file = presenter.graphs["renderer"].variants["int8"]
    assert "int8" not in variants_of(TorchCpuBackend())
    with pytest.raises(PersonFileError, match="8-bit integers, which are for processors"):
        TorchCpuBackend().load(file, presenter.parts[file])


def test_outputs_belong_to_the_caller() -> None:
    """A state that is handed through must not share memory with what was fed."""
    model = made(
        [node("Relu", ["x"], ["y"]), node("Identity", ["x"], ["z"])],
        {"x": ["N", 4]},
        {"y": (TensorProto.FLOAT, ["N", 4])},
    )
    with pytest.raises(PersonFileError, match="Identity"):
        TorchCpuBackend().load("m", model)
    cut = single("Slice", [np.array([0]), np.array([4]), np.array([1])])
    graph = TorchCpuBackend().load("m", cut)
    x = np.ones((1, 4, 6, 6), np.float32)
    first = graph.run({"x": x})["y"]
    x[:] = 2
    second = graph.run({"x": x})["y"]
    assert first.max() == 1 and second.min() == 2 and first.flags.writeable
    x.flags.writeable = False
    assert graph.run({"x": x})["y"].min() == 2


def test_threads_may_share_a_graph() -> None:
    graph = TorchCpuBackend().load("m", picture_model())
    wanted = {
        seed: OnnxCpuBackend().load("m", picture_model()).run(planes(2, seed)) for seed in (1, 2)
    }
    wrong: list[int] = []

    def work(seed: int) -> None:
        for _ in range(50):
            found = graph.run(planes(2, seed))
            if past(compare(wanted[seed], found), BOUNDS["fp32"]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("backend", [TorchCpuBackend(), OnnxCpuBackend()], ids=["torch", "onnx"])
def test_networks_run_between_addresses(backend: Any) -> None:
    graph = backend.load_device("m", picture_model(), max_batch=4)
    for batch in (1, 3, 4, 3):
        for seed in (0, 1):
            feeds = planes(batch, seed)
            wanted = OnnxCpuBackend().load("m", picture_model()).run(feeds)
            into = {key: np.zeros_like(array) for key, array in wanted.items()}
            graph.enqueue(
                {key: host_array(array) for key, array in feeds.items()},
                {key: host_array(array) for key, array in into.items()},
                0,
            )
            assert past(compare(wanted, into), BOUNDS["fp32"]) == ""


@pytest.mark.parametrize("backend", [TorchCpuBackend(), OnnxCpuBackend()], ids=["torch", "onnx"])
def test_arrays_that_do_not_fit_are_refused(backend: Any) -> None:
    graph = backend.load_device("m", picture_model(), max_batch=2)

    def run(feeds: Feeds, **outputs: NDArray[Any]) -> None:
        arrays = {key: host_array(array) for key, array in feeds.items()}
        graph.enqueue(arrays, {key: host_array(array) for key, array in outputs.items()}, 0)

    u = np.zeros((2, 8, 6), np.uint8)
    with pytest.raises(EngineError, match="differ in the output 'v'"):
        run(planes(2), u=u)
    with pytest.raises(EngineError, match="differ in the input"):
        run({**planes(2), "more": planes(2)["planes"]}, u=u, v=u.copy())
    with pytest.raises(EngineError, match="one batch of 1 to 2"):
        run(planes(3), u=np.zeros((3, 8, 6), np.uint8), v=np.zeros((3, 8, 6), np.uint8))
    with pytest.raises(EngineError, match="one batch of 1 to 2"):
        run(planes(1), u=u, v=u.copy())
    with pytest.raises(EngineError):
        run(planes(2), u=u.astype(np.float32), v=u.copy())
    with pytest.raises(EngineError):
        run({"planes": planes(2)["planes"][:, :2].copy()}, u=u, v=u.copy())


def test_an_array_that_is_not_contiguous_has_no_address() -> None:
    with pytest.raises(ValueError, match="C-contiguous"):
        host_array(np.zeros((4, 4))[:, :2])


def test_this_torch_is_built_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(BackendUnavailable, match="is built without CUDA"):
        TorchCudaBackend()


def test_cuda_is_refused_for_the_drivers_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.engines.fake_cuda import FakeCuda, without_driver

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(BackendUnavailable, match=r"there is no NVIDIA driver \(libcuda"):
        TorchCudaBackend(load_library=without_driver)
    with pytest.raises(BackendUnavailable, match=r"the driver runs CUDA 12.8, and 13.0 is needed"):
        TorchCudaBackend(load_library=FakeCuda(version=12080).load)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendUnavailable, match="torch finds no GPU that it can use"):
        TorchCudaBackend(load_library=FakeCuda().load)


def test_cuda_captures_once_and_replays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of things, on stand-ins that take what torch's own take; not that CUDA does it."""
    did: list[str] = []
    real_graph, real_flags = inspect.signature(torch.cuda.graph), torch.backends.cudnn.flags

    class Stream:
        def wait_stream(self, other: Any) -> None:
            did.append("wait")

    class Graph:
        def replay(self) -> None:
            did.append("replay")

    @contextmanager
    def noted(what: str) -> Iterator[None]:
        did.append(f"{what} begins")
        yield
        did.append(f"{what} ends")

    def capture(*args: Any, **options: Any) -> Any:
        real_graph.bind(*args, **options)
        assert options == {"capture_error_mode": "thread_local"}
        return noted("capture")

    def flags(**options: Any) -> Any:
        assert options["allow_tf32"] is False
        inspect.signature(real_flags).bind(**options)
        return noted("exact")

    def steps(tensors: Any) -> dict[str, torch.Tensor]:
        did.append("run")
        return {"y": tensors["x"] + 1}

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: noted("side"))
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.backends.cudnn, "flags", flags)
    captured = torch_device._Captured(steps, {"x": torch.zeros(2)})  # type: ignore[arg-type]
    warm = ["wait", "exact begins", "side begins", "run", "run", "run", "side ends", "wait"]
    assert did == [*warm, "capture begins", "run", "capture ends", "exact ends"]
    captured.replay()
    captured.replay()
    assert did[-2:] == ["replay", "replay"] and did.count("run") == 4
    assert captured.outputs["y"].tolist() == [1, 1]


def test_memory_of_the_gpu_is_described_as_torch_reads_it() -> None:
    array = host_array(np.zeros((2, 3), np.uint8))
    about = torch_device._CudaArray(array).__cuda_array_interface__
    assert about["data"] == (array.pointer, False) and about["shape"] == (2, 3)
    assert (about["typestr"], about["version"]) == ("|u1", 3)
