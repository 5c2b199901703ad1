"""The real device's calls, with a CuPy that is none: what it asks for, and how it refuses.

That the kernels run on a GPU is not shown here: only a GPU can show it.
"""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engines.cuda.fake_cupy import FakeCupy, FakeDriver, names
from tests.engines.cuda.simulator import SimulatedDevice, build
from tests.engines.tiny_person import tiny_person, voice
from visavis.engines.cuda.cupy_device import CupyDevice
from visavis.engines.cuda.layout import KERNELS, defines, source
from visavis.engines.cuda.runners import CudaRunners
from visavis.engines.errors import BackendUnavailable, DeviceLost, DeviceMemoryFull, VisavisError
from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.engines.pipeline import Work


def device(monkeypatch: pytest.MonkeyPatch, cupy: FakeCupy) -> CupyDevice:
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return CupyDevice(load_library=lambda name: FakeDriver())


def pictures(device: Any, count: int = 3) -> list[np.ndarray]:
    runner = CudaRunners(device, OnnxCpuBackend(), room=2)(tiny_person(), variant="fp32")
    states = [runner.initial_state(seed) for seed in range(2)]
    found = []
    sound = voice(2)
    for tick in range(count):
        first = 0 if tick == 0 else 1600 + 640 * (tick - 1)
        work = [Work(state, sound[first : 1600 + 640 * tick]) for state in states]
        runner.advance(work)
        found += [item.i420.copy() for item in work if item.i420 is not None]
    return found


def test_the_same_pictures_through_cupys_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = FakeCupy()
    real = device(monkeypatch, cupy)
    assert real.name == "Fake H200 (CuPy 14.0.0)"
    found, wanted = pictures(real), pictures(SimulatedDevice())
    assert len(found) == 6 and all(map(np.array_equal, found, wanted))
    assert "--fmad=false" in cupy.options and names(cupy.options) == set(defines())
    assert set(cupy.kernels) == set(KERNELS) and cupy.simulator.replays == 2
    gc.collect()
    assert cupy.simulator.used == 0


def test_capture_and_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = FakeCupy()
    stream = device(monkeypatch, cupy).stream()
    cupy.simulator.launches.clear()
    captured = stream.capture(lambda: stream.launch("clear_cover", (1, 1, 1), (1, 1, 1), 0))
    assert len(cupy.simulator.launches) == 1 and stream._stream.simulated._queued == []
    assert captured.launch is not None
    with pytest.raises(ZeroDivisionError):
        stream.capture(lambda: 1 // 0)
    assert stream._stream.simulated._capturing is None
    stream.close()
    stream.close()


def refused(error: VisavisError) -> str:
    text = str(error)
    assert "\n" not in text and text.endswith("."), text
    return text


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    with pytest.raises(BackendUnavailable, match="there is no NVIDIA driver") as error:
        CupyDevice(load_library=missing)
    refused(error.value)
    with pytest.raises(BackendUnavailable, match="finds no GPU"):
        CupyDevice(load_library=lambda name: FakeDriver(devices=0))
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendUnavailable, match="CuPy .*pip install cupy-cuda13x") as error:
        CupyDevice(load_library=lambda name: FakeDriver())
    refused(error.value)
    monkeypatch.setitem(sys.modules, "cupy", FakeCupy())
    with pytest.raises(BackendUnavailable, match=r"runs CUDA 12\.4, and 13\.0 is needed") as error:
        CupyDevice(load_library=lambda name: FakeDriver(version=12040))
    refused(error.value)
    with pytest.raises(BackendUnavailable, match="NVRTC does not compile the kernels") as error:
        device(monkeypatch, FakeCupy(compile_error="kernels.cu(3): error: no\nand more"))
    assert "and more" not in refused(error.value)


def test_memory_that_is_full_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    real = device(monkeypatch, FakeCupy(capacity=8 << 20))
    with pytest.raises(DeviceMemoryFull) as error:
        real.allocate(9 << 20)
    assert refused(error.value) == (
        "Fake H200 (CuPy 14.0.0) has 8 MiB of memory left, and 9 MiB are needed."
    )


def test_a_gpu_that_fails_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = FakeCupy()
    real = device(monkeypatch, cupy)
    stream, memory, pinned = real.stream(), real.allocate(64), real.pin(64)
    cupy.failing = True
    for call in (
        lambda: stream.upload(memory.pointer, pinned.array),
        lambda: stream.download(pinned.array, memory.pointer),
        lambda: stream.launch("clear_cover", (1, 1, 1), (1, 1, 1), memory.pointer),
        stream.wait,
    ):
        with pytest.raises(DeviceLost, match="failed: cudaErrorIllegalAddress") as error:
            call()
        assert "and more" not in refused(error.value)


@pytest.mark.long
def test_a_real_compiler_takes_the_kernels(tmp_path: Path) -> None:
    """What the simulator's headers allow and CUDA does not would show here."""
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("needs nvcc")
    code = tmp_path / "kernels.cu"
    code.write_text(source())
    options = [f"-D{name}={value}" for name, value in defines().items()]
    subprocess.run(
        [nvcc, "-cubin", "-arch=sm_90", "--fmad=false", "-Werror=all-warnings", *options, code],
        check=True, cwd=tmp_path, timeout=100,
    )  # fmt: skip
    cubin = (tmp_path / "kernels.cubin").read_bytes()
    assert all(name.encode() in cubin for name in KERNELS)


def test_the_layout_is_checked_by_the_compiler() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        build(("int vertices, components, contour;", "int vertices, components;int contour, more;"))
