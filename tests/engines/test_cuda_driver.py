"""The CUDA driver, on a stand-in: which GPU there is, and memory that is really copied."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.engines.fake_cuda import FakeCuda
from visavis.engines import cuda_driver
from visavis.engines.cuda_driver import CudaMemory, Gpu, find_gpu
from visavis.engines.errors import EngineError


def test_a_gpu_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_driver, "_driver_version", lambda: "580.65.06")
    found = find_gpu("x", cuda=(13, 1), load=FakeCuda().load)
    assert found == Gpu("NVIDIA H200", 141 << 30, (9, 0), (13, 0), "580.65.06")


def test_the_drivers_version_is_read_as_the_kernel_module_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "version"
    path.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n"
        "GCC version:  gcc version 12.2.0\n"
    )
    assert cuda_driver._driver_version(path) == "580.65.06"
    path.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183  Sun May 12\n")
    assert cuda_driver._driver_version(path) == "535.183"
    path.write_text("something else\n")
    assert cuda_driver._driver_version(path) == ""
    assert cuda_driver._driver_version(tmp_path / "none") == ""


def test_memory_is_copied_there_and_back() -> None:
    cuda = FakeCuda(memory=4096)
    memory = CudaMemory(load=cuda.load)
    array = np.arange(100, dtype=np.float32)
    pointers = [memory.allocate(array.nbytes) for _ in range(2)]
    memory.upload(pointers[1], array)
    back = np.zeros_like(array)
    memory.download(back, pointers[1])
    memory.synchronize()
    assert np.array_equal(back, array) and cuda.waited == 1 and memory.stream == 7
    for pointer in pointers:
        memory.free(pointer)
    assert cuda.left == 4096 and not cuda.held


def test_what_the_driver_refuses_is_a_sentence() -> None:
    memory = CudaMemory(load=FakeCuda(memory=10).load)
    with pytest.raises(EngineError, match="^The GPU refuses cuMemAlloc_v2: out of memory"):
        memory.allocate(11)
    with pytest.raises(EngineError, match="refuses cuMemFree_v2: unknown error, error 1"):
        memory.free(5)
    with pytest.raises(EngineError, match="refuses cuDeviceGet: unknown error, error 101"):
        CudaMemory(load=FakeCuda(devices=0).load)
