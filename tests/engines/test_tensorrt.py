"""TensorRT, on a stand-in that fails as it does: versions, building, caching, taking over."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engines.fake_cuda import FakeCuda, without_driver
from tests.engines.fake_tensorrt import FakeTensorrt
from tests.engines.small_models import picture_model, planes
from tests.engines.tiny_person import tiny_person
from visavis.engines.backend import variants_of
from visavis.engines.device import host_array
from visavis.engines.errors import BackendUnavailable, ConfigError, EngineError, PersonFileError
from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.engines.person import read_person
from visavis.engines.tensorrt_backend import TensorrtBackend
from visavis.engines.tensorrt_build import Built, Profile, SeparateBuild, build_plan
from visavis.engines.tensorrt_cache import MAX_FILES, PlanCache, default_folder

ROOT = Path(__file__).parents[2]
PRESENTER = ROOT / "persons/presenter/presenter.person"
WANTED = OnnxCpuBackend().load("m", picture_model()).run(planes(3))
LOGGERS = ("visavis.engines.tensorrt_backend", "visavis.engines.tensorrt_cache")


@pytest.fixture(params=["10.16.1.11", "11.4.0.106"])
def both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FakeTensorrt:
    return install(monkeypatch, request.param)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTensorrt:
    return install(monkeypatch, "11.4.0.106")


def install(monkeypatch: pytest.MonkeyPatch, version: str) -> FakeTensorrt:
    made = FakeTensorrt(version)
    monkeypatch.setitem(sys.modules, "tensorrt", made)
    return made


class Here:
    """Builds in this process, when it is let."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.stopped = False
        self.timing = b""

    def __call__(self, name: str, model: bytes, profile: Profile, *, timing: bytes = b"") -> Built:
        self.timing = timing
        self.entered.set()
        assert self.gate.wait(20)
        if self.stopped:
            raise EngineError("stopped")
        return build_plan(sys.modules["tensorrt"], name, model, profile, timing=timing)

    def stop(self) -> None:
        self.stopped = True
        self.gate.set()


def backend(cuda: FakeCuda | None = None, **options: Any) -> TensorrtBackend:
    options.setdefault("build", Here())
    return TensorrtBackend(load_library=(cuda or FakeCuda()).load, **options)


def same(found: Any) -> bool:
    return all(np.array_equal(found[key], WANTED[key]) for key in WANTED)


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "plans")


def plan_file(tmp_path: Path) -> Path:
    found = [path for path in (tmp_path / "plans").iterdir() if not path.name.startswith("timing")]
    assert len(found) == 1
    return found[0]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name in LOGGERS]


# Is it there?


def test_without_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(BackendUnavailable, match="TensorRT is not installed. pip install") as said:
        backend()
    assert str(said.value).startswith("tensorrt cannot be used: ")


@pytest.mark.parametrize("version", ["8.6.1", "9.3.0", "12.0.1", "?"])
def test_other_major_versions_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    install(monkeypatch, version)
    words = rf"TensorRT {version.replace('?', '[?]')} is installed, and 10 or 11 is needed"
    with pytest.raises(BackendUnavailable, match=words):
        backend()


def test_libraries_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the bindings fail where pip brought them without their libraries."""
    words = "libnvinfer.so.11: cannot open shared object file: No such file or directory"
    (tmp_path / "tensorrt.py").write_text(f"raise ImportError({words!r})\n")
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendUnavailable, match=r"does not load \(libnvinfer.so.11: cannot"):
        backend()


def test_without_a_driver_or_gpu(fake: FakeTensorrt) -> None:
    with pytest.raises(BackendUnavailable, match="there is no NVIDIA driver"):
        TensorrtBackend(load_library=without_driver)
    with pytest.raises(BackendUnavailable, match="the driver finds no GPU"):
        backend(FakeCuda(init=100))


# Building and running


def test_a_graph_runs_with_either_version(both: FakeTensorrt) -> None:
    graph = backend().load("m", picture_model())
    assert same(graph.run(planes(3)))
    one = graph.run(planes(1, 5))
    assert one["u"].shape == (1, 8, 6) and one["u"].dtype == np.uint8
    network, config = both.networks[0], both.configs[0]
    strongly = int(both.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    assert network.flags == 1 << strongly
    # Precision is the graph's: no flag for it, and no TF32 either.
    assert config.flags == set()
    assert config.profiles[0].shapes["planes"] == ((1, 3, 8, 6), (8, 3, 8, 6), (8, 3, 8, 6))
    assert set(both.streams) == {7}


def test_the_presenters_motion_and_its_states(fake: FakeTensorrt) -> None:
    person = read_person(PRESENTER.read_bytes())
    spec = person.graphs["motion"]
    model = person.parts[spec.variants["fp32"]]
    random = np.random.default_rng(0)
    feeds = {
        name: random.normal(size=(2, *shape)).astype(np.float32)
        for name, shape in spec.inputs.items()
    }
    wanted = OnnxCpuBackend().load("m", model).run(feeds)
    found = backend().load("m", model).run(feeds)
    assert all(np.array_equal(found[key], wanted[key]) for key in wanted)


def test_the_presenters_renderer_is_made_fit(fake: FakeTensorrt) -> None:
    """Its casts are not where TensorRT takes them; without the edit the parser refuses."""
    person = read_person(PRESENTER.read_bytes())
    model = person.parts[person.graphs["renderer"].variants["fp32"]]
    assert build_plan(fake, "renderer", model, Profile(1, 1)).plan
    parser = fake.OnnxParser(fake.Builder(Quiet()).create_network(0), Quiet())
    assert not parser.parse(model) and "UINT8" in parser.get_error(0).desc()


class Quiet:
    ready = True

    def log(self, severity: Any, msg: str) -> None:
        pass


def test_a_graph_runs_on_memory_of_the_device(fake: FakeTensorrt) -> None:
    graph = backend().load_device("m", picture_model(), max_batch=3)
    feeds = planes(3)
    into = {key: np.zeros_like(array) for key, array in WANTED.items()}
    arrays = {key: host_array(array) for key, array in into.items()}
    graph.enqueue({key: host_array(array) for key, array in feeds.items()}, arrays, 99)
    assert same(into) and fake.streams[-1] == 99 and graph.capture_key is not None
    with pytest.raises(EngineError, match="one batch of 1 to 3"):
        four, made = planes(4), np.zeros((4, 8, 6), np.uint8)
        more = {key: host_array(made) for key in WANTED}
        graph.enqueue({"planes": host_array(four["planes"])}, more, 0)
    with pytest.raises(EngineError, match="its caller float64"):
        wide = feeds["planes"].astype(np.float64)
        graph.enqueue({"planes": host_array(wide)}, arrays, 0)


def test_memory_of_the_gpu_goes_with_the_graph(fake: FakeTensorrt) -> None:
    cuda = FakeCuda()
    graph = backend(cuda).load("m", picture_model())
    assert same(graph.run(planes(3))) and cuda.held
    del graph
    import gc

    gc.collect()
    assert not cuda.held


def test_eight_bits_are_left_to_processors(fake: FakeTensorrt) -> None:
    made = backend()
    assert variants_of(made) == {"fp32", "fp16"}
    person = read_person(PRESENTER.read_bytes())
    file = person.graphs["renderer"].variants["int8"]
    with pytest.raises(PersonFileError, match="is refused by TensorRT: .*Linear: .*UINT8"):
        made.load(file, person.parts[file])


def test_what_is_no_graph_is_refused(fake: FakeTensorrt) -> None:
    for model in (b"", b"nothing", picture_model()[:-50]):
        with pytest.raises(PersonFileError, match="'m'.*(refused by TensorRT|not an ONNX model)"):
            backend().load("m", model)


def test_a_build_without_memory(both: FakeTensorrt) -> None:
    both.out_of_memory = True
    with pytest.raises(EngineError, match="cannot build 'm': Error Code 10: Internal Error"):
        backend().load("m", picture_model())


def test_a_context_without_memory(fake: FakeTensorrt) -> None:
    fake.no_context = True
    with pytest.raises(EngineError, match="cannot run 'm': Error Code 2: OutOfMemory"):
        backend().load("m", picture_model())


def test_buffers_without_memory(fake: FakeTensorrt) -> None:
    with pytest.raises(EngineError, match="GPU refuses cuMemAlloc_v2: out of memory, error 2"):
        backend(FakeCuda(memory=1000)).load("m", picture_model())


# The cache


def test_a_plan_is_built_once(
    fake: FakeTensorrt, cache: PlanCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert same(backend(cache=cache).load("m", picture_model()).run(planes(3)))
    assert same(backend(cache=cache).load("m", picture_model()).run(planes(3)))
    assert fake.builds == 1 and not [w for w in said(caplog) if "cached" in w]
    assert plan_file(tmp_path).parent.stat().st_mode & 0o777 == 0o700
    # Another graph, and other batches, are other plans.
    backend(cache=cache).load_device("m", picture_model(), max_batch=4)
    motion = tiny_person().parts["motion.fp32.onnx"]
    backend(cache=cache).load("m", motion)
    assert fake.builds == 3


def test_what_a_build_has_learnt_is_given_to_the_next(fake: FakeTensorrt, cache: PlanCache) -> None:
    first, second = Here(), Here()
    backend(cache=cache, build=first).load("m", picture_model())
    backend(cache=cache, build=second).load_device("m", picture_model(), max_batch=2)
    assert (first.timing, second.timing) == (b"", b"+")


@pytest.mark.parametrize("timing", [b"foreign", b"other GPU"])
def test_what_was_learnt_elsewhere_is_left(fake: FakeTensorrt, timing: bytes) -> None:
    built = build_plan(fake, "m", picture_model(), Profile(1, 2), timing=timing)
    assert built.timing == b"+"


def test_a_plan_of_another_version_is_said_and_built_anew(
    monkeypatch: pytest.MonkeyPatch,
    cache: PlanCache,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    install(monkeypatch, "10.16.1.11")
    backend(cache=cache).load("m", picture_model())
    newer = install(monkeypatch, "11.4.0.106")
    assert same(backend(cache=cache).load("m", picture_model()).run(planes(3)))
    assert newer.builds == 1
    assert "was built for another TensorRT (10.16.1.11, now 11.4.0.106)" in said(caplog)[0]
    assert "it is not used, and built anew" in said(caplog)[0]
    plan_file(tmp_path)  # it replaced the other


def test_a_plan_of_another_driver(
    fake: FakeTensorrt, cache: PlanCache, caplog: pytest.LogCaptureFixture
) -> None:
    backend(cache=cache).load("m", picture_model())
    backend(FakeCuda(version=13010), cache=cache).load("m", picture_model())
    assert fake.builds == 2 and "another driver (unknown, CUDA 13.0, now" in said(caplog)[0]


def damage(data: bytes, how: str) -> bytes:
    line = data.index(b"\n", data.index(b"\n") + 1)
    return {
        "foreign": b"ftrt" + data,
        "empty": b"",
        "cut head": data[:40],
        "cut plan": data[:-30],
        "a byte": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        "head": data[: line - 4] + b"}}}}" + data[line:],
        "list": data[: data.index(b"\n") + 1] + b"[]" + data[line:],
        "more": data + b"!",
    }[how]


@pytest.mark.parametrize(
    "how", ["foreign", "empty", "cut head", "cut plan", "a byte", "head", "list", "more"]
)
def test_a_damaged_plan_is_said_and_built_anew(
    fake: FakeTensorrt,
    cache: PlanCache,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    how: str,
) -> None:
    backend(cache=cache).load("m", picture_model())
    path = plan_file(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(damage(whole, how))
    assert same(backend(cache=cache).load("m", picture_model()).run(planes(3)))
    assert fake.builds == 2 and path.read_bytes() == whole
    words = [line for line in said(caplog) if str(path) in line]
    assert len(words) == 1 and "built anew" in words[0]


def test_a_plan_that_tensorrt_does_not_take(
    fake: FakeTensorrt, cache: PlanCache, caplog: pytest.LogCaptureFixture
) -> None:
    """Key and hash are right, and the engine is not to be had all the same."""
    made = backend(cache=cache)
    key = made._key(picture_model(), Profile(8, 8))
    cache.store(key, b"plan of a library that says it is this version")
    assert same(made.load("m", picture_model()).run(planes(3)))
    assert fake.builds == 1 and "magicTag does not match" in said(caplog)[0]
    assert cache.load(key) is not None


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "plans"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="others may write to it, and a plan is code"):
        PlanCache(folder)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be kept in"):
        PlanCache(tmp_path / "file" / "plans")


def test_a_disk_that_is_full_costs_the_next_start_time_only(
    fake: FakeTensorrt,
    cache: PlanCache,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert same(backend(cache=cache).load("m", picture_model()).run(planes(3)))
    assert any("No space left on device" in line for line in said(caplog))
    assert list((tmp_path / "plans").iterdir()) == []


def test_old_plans_go(fake: FakeTensorrt, cache: PlanCache, tmp_path: Path) -> None:
    folder = tmp_path / "plans"
    for index in range(MAX_FILES + 3):
        path = folder / f"{index}.plan"
        path.touch()
        __import__("os").utime(path, (index, index))
    backend(cache=cache).load("m", picture_model())
    names = {path.name for path in folder.iterdir()}
    assert len(names) == MAX_FILES and not {"0.plan", "1.plan", "2.plan"} & names


def test_where_plans_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_CACHE_DIR", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert default_folder() == Path("/a/tensorrt")
    monkeypatch.delenv("VISAVIS_CACHE_DIR")
    assert default_folder() == Path("/b/visavis/tensorrt")


# Building while somebody is served


class Counting(OnnxCpuBackend):
    """Another backend, whose runs are counted."""

    runs = 0

    def load(self, name: str, model: bytes) -> Any:
        graph, owner = super().load(name, model), self

        class Counted:
            def run(self, feeds: Any) -> Any:
                owner.runs += 1
                return graph.run(feeds)

        return Counted()


def until(true: Any) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture
def slow() -> Iterator[Here]:
    made = Here()
    made.gate.clear()
    yield made
    made.stop()


def test_another_backend_runs_until_the_plan_is_there(
    fake: FakeTensorrt, cache: PlanCache, slow: Here, caplog: pytest.LogCaptureFixture
) -> None:
    interim = Counting()
    made = backend(cache=cache, interim=interim, build=slow)
    graph = made.load("renderer.fp16.onnx", picture_model())
    assert slow.entered.wait(20)
    for count in (1, 2, 3):
        assert same(graph.run(planes(3))) and interim.runs == count
    assert "until it is done, onnx-cpu (ONNX Runtime" in said(caplog)[0]
    slow.gate.set()
    until(lambda: any("from now on" in line for line in said(caplog)))
    before = len(fake.streams)
    assert same(graph.run(planes(3)))
    assert interim.runs == 3 and len(fake.streams) == before + 1
    assert not made.failures
    made.close()
    # The next start has nothing to wait for.
    again = backend(cache=cache, interim=interim)
    assert same(again.load("renderer.fp16.onnx", picture_model()).run(planes(3)))
    assert interim.runs == 3 and fake.builds == 1


def test_what_was_captured_is_told_to_be_of_no_use(
    fake: FakeTensorrt, cache: PlanCache, slow: Here
) -> None:
    made = backend(cache=cache, interim=OnnxCpuBackend(), build=slow)
    graph = made.load_device("m", picture_model(), max_batch=3)
    feeds = planes(3)
    into = {key: np.zeros_like(array) for key, array in WANTED.items()}

    def run() -> None:
        for array in into.values():
            array[:] = 0
        graph.enqueue(
            {key: host_array(array) for key, array in feeds.items()},
            {key: host_array(array) for key, array in into.items()},
            0,
        )

    run()
    assert same(into) and graph.capture_key is None and not fake.streams
    slow.gate.set()
    until(lambda: graph.capture_key is not None)
    run()
    assert same(into) and fake.streams[-1] == 0
    made.close()


def test_a_build_that_fails_leaves_the_other_backend(
    fake: FakeTensorrt, cache: PlanCache, caplog: pytest.LogCaptureFixture
) -> None:
    fake.out_of_memory = True
    made = backend(cache=cache, interim=Counting())
    graph = made.load("m", picture_model())
    until(lambda: made.failures)
    assert "TensorRT cannot build 'm'" in made.failures[0]
    until(lambda: any("onnx-cpu (" in line and "goes on" in line for line in said(caplog)))
    assert same(graph.run(planes(3)))
    # The next one is built all the same.
    fake.out_of_memory = False
    made.load("n", picture_model())
    until(lambda: fake.builds == 2 and "from now on" in said(caplog)[-1])
    made.close()


def test_an_end_does_not_wait_for_builds(
    fake: FakeTensorrt, cache: PlanCache, slow: Here, caplog: pytest.LogCaptureFixture
) -> None:
    made = backend(cache=cache, interim=Counting(), build=slow)
    graphs = [made.load(name, picture_model()) for name in ("a", "b")]
    assert slow.entered.wait(20)
    made.close()
    made.close()
    assert slow.stopped and fake.builds == 0 and not made.failures
    assert all(same(graph.run(planes(3))) for graph in graphs)
    assert not [t for t in threading.enumerate() if t.name == "visavis-tensorrt-build"]


def test_too_many_builds_are_told(
    fake: FakeTensorrt,
    cache: PlanCache,
    slow: Here,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("visavis.engines.tensorrt_backend.MAX_WAITING", 1)
    made = backend(cache=cache, interim=Counting(), build=slow)
    made.load("a", picture_model())
    assert slow.entered.wait(20)
    for name in ("b", "c"):
        assert same(made.load(name, picture_model()).run(planes(3)))
    assert list(made.failures) == ["'c' is not built: too many builds wait."]
    made.close()


# In a process of its own


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder before all others on the path of the process that builds."""
    folder = tmp_path / "library"
    folder.mkdir()
    path = f"{folder}:{ROOT}"
    monkeypatch.setenv("PYTHONPATH", path)
    return folder


def test_a_process_builds(library: Path, fake: FakeTensorrt, tmp_path: Path) -> None:
    (library / "tensorrt.py").write_text(
        "import sys\n"
        "from tests.engines.fake_tensorrt import FakeTensorrt\n"
        "print('a library that talks')\n"
        "sys.modules['tensorrt'] = FakeTensorrt()\n"
    )
    made = backend(build=SeparateBuild(), cache=PlanCache(tmp_path / "plans"))
    assert same(made.load("m", picture_model()).run(planes(3)))
    assert fake.builds == 0
    with pytest.raises(PersonFileError, match="'m' is (refused by TensorRT|not an ONNX)"):
        made.load("m", b"nothing")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os._exit(3)", "ended with code 3 and without a result"),
        ("raise ImportError('libnvinfer.so.11: cannot')", "does not load .libnvinfer.so.11"),
        ("import time; time.sleep(60)", "did not build 'm' within 1 s"),
    ],
)
def test_a_process_that_fails_is_a_sentence(library: Path, code: str, words: str) -> None:
    (library / "tensorrt.py").write_text(code + "\n")
    build = SeparateBuild(timeout_seconds=1.0 if "sleep" in code else 60.0)
    with pytest.raises(EngineError, match=words):
        build("m", picture_model(), Profile(1, 1))
    build.stop()
    with pytest.raises(EngineError, match="was stopped"):
        build("m", picture_model(), Profile(1, 1))
