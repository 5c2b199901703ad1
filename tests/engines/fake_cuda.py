"""A stand-in for libcuda.so.1: a GPU whose memory is the processor's."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

SUCCESS, OUT_OF_MEMORY, NO_DEVICE, INVALID_VALUE = 0, 2, 100, 1


class FakeCuda:
    """Takes what the driver takes: references to write to, and numbers wrapped by ctypes.

    Args:
        init: what `cuInit` answers.
        version: what the driver says it runs, as 13000.
        devices: how many there are.
        memory: bytes that may be allocated.
    """

    def __init__(
        self, *, init: int = SUCCESS, version: int = 13000, devices: int = 1, memory: int = 1 << 30
    ) -> None:
        self.init, self.version, self.devices, self.left = init, version, devices, memory
        self.held: dict[int, Any] = {}
        self.waited = 0

    def load(self, name: str, **options: Any) -> Any:
        """As `ctypes.CDLL`."""
        if name != "libcuda.so.1":
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        return self

    def cuInit(self, flags: int) -> int:
        return self.init

    def cuGetErrorString(self, status: int, text: Any) -> int:
        words = {OUT_OF_MEMORY: b"out of memory", 803: b"system has unsupported display driver"}
        text._obj.value = words.get(status)
        return SUCCESS if status in words else INVALID_VALUE

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = self.devices
        return SUCCESS

    def cuDriverGetVersion(self, version: Any) -> int:
        version._obj.value = self.version
        return SUCCESS

    def cuDeviceGet(self, device: Any, index: int) -> int:
        device._obj.value = index
        return SUCCESS if index < self.devices else 101

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:
        name.value = b"NVIDIA H200"
        return SUCCESS

    def cuDeviceTotalMem_v2(self, size: Any, device: Any) -> int:
        size._obj.value = 141 << 30
        return SUCCESS

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:
        value._obj.value = {75: 9, 76: 0}[attribute]
        return SUCCESS

    def cuDevicePrimaryCtxRetain(self, context: Any, device: Any) -> int:
        context._obj.value = 1
        return SUCCESS

    def cuCtxSetCurrent(self, context: Any) -> int:
        return SUCCESS

    def cuStreamCreate(self, stream: Any, flags: int) -> int:
        stream._obj.value = 7
        return SUCCESS

    def cuStreamSynchronize(self, stream: Any) -> int:
        self.waited += 1
        return SUCCESS if stream.value == 7 else 400

    def cuMemAlloc_v2(self, pointer: Any, size: Any) -> int:
        if size.value > self.left:
            return OUT_OF_MEMORY
        self.left -= size.value
        buffer = ctypes.create_string_buffer(size.value)
        pointer._obj.value = ctypes.addressof(buffer)
        self.held[ctypes.addressof(buffer)] = buffer
        return SUCCESS

    def cuMemFree_v2(self, pointer: Any) -> int:
        buffer = self.held.pop(pointer.value, None)
        if buffer is None:
            return INVALID_VALUE
        self.left += len(buffer)
        return SUCCESS

    def cuMemcpyHtoDAsync_v2(self, target: Any, source: Any, size: Any, stream: Any) -> int:
        return self._copy(target, source, size, target)

    def cuMemcpyDtoHAsync_v2(self, target: Any, source: Any, size: Any, stream: Any) -> int:
        return self._copy(target, source, size, source)

    def _copy(self, target: Any, source: Any, size: Any, device: Any) -> int:
        buffer = self.held.get(device.value)
        if buffer is None or size.value > len(buffer):
            return INVALID_VALUE
        ctypes.memmove(target.value, source.value, size.value)
        return SUCCESS


def without_driver(name: str, **options: Any) -> Any:
    """As `ctypes.CDLL` on a machine without NVIDIA's driver."""
    raise OSError(f"{name}: cannot open shared object file: No such file or directory")


Loader = Callable[..., Any]
