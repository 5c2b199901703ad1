"""Shared memory: what nobody may do to it, whoever holds its descriptor."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator

import numpy as np
import pytest

from visavis.engines.errors import EngineError
from visavis.engines.remote import memory
from visavis.engines.remote.doorbell import Doorbell


@pytest.fixture
def fd() -> Iterator[int]:
    fd = memory.create("test", 8192)
    yield fd
    os.close(fd)


def test_its_size_cannot_change(fd: int) -> None:
    for size in (0, 4096, 1 << 20):
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
    with pytest.raises(EngineError, match="has 8192 bytes, not 4096"):
        memory.map_readable(fd, 4096)


def test_memory_that_could_shrink_is_not_mapped(tmp_path: object) -> None:
    """It would kill its reader with a bus error."""
    fd = os.memfd_create("loose", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 4096)
    for flags in (0, fcntl.F_SEAL_SHRINK):
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, flags)
        with pytest.raises(EngineError, match="may change its size"):
            memory.map_writable(fd, 4096)
    os.close(fd)


def test_whoever_gets_an_output_can_only_read_it(fd: int) -> None:
    writable = memory.map_writable(fd, 8192)
    memory.seal_output(fd)
    readable = memory.map_readable(fd, 8192)
    writable[5] = 7
    assert readable[5] == 7
    with pytest.raises(ValueError, match="read-only"):
        readable[5] = 1
    with pytest.raises(PermissionError):
        mmap.mmap(fd, 8192)


def test_a_mapping_lives_as_long_as_an_array_of_it() -> None:
    fd = memory.create("short-lived", 8192)
    array = memory.map_writable(fd, 8192)
    os.close(fd)
    part = array[10:20].view(np.uint16)
    del array
    part[:] = 3
    assert mapped("short-lived") == 1
    del part
    assert mapped("short-lived") == 0


def mapped(name: str) -> int:
    with open("/proc/self/maps") as maps:
        return sum(f"visavis-{name}" in line for line in maps)


def test_a_lack_of_memory_is_an_error_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.listdir("/proc/self/fd")

    def full(fd: int, offset: int, length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(MemoryError, match="8192 bytes"):
        memory.create("test", 8192)
    assert os.listdir("/proc/self/fd") == before


def test_a_blob_comes_back_and_cannot_change() -> None:
    for data in (b"", b"x", bytes(range(256)) * 1000):
        fd = memory.share("blob", data)
        assert memory.read_blob(fd, len(data), 1 << 20) == data
        with pytest.raises(PermissionError):
            os.pwrite(fd, b"y", 0)
        os.close(fd)


def test_a_blob_that_is_not_what_was_said_is_refused(fd: int) -> None:
    with pytest.raises(EngineError, match="larger than any honest one"):
        memory.read_blob(fd, 1 << 30, 1 << 20)
    with pytest.raises(EngineError, match="ends after 8192"):
        memory.read_blob(fd, 9000, 1 << 20)


def test_a_doorbell_adds_up_and_never_waits() -> None:
    bell = Doorbell()
    other = Doorbell(os.dup(bell.fileno()))
    os.eventfd_write(bell.fileno(), 2**64 - 2)
    bell.ring()  # full: it is ringing
    other.hush()
    other.hush()
    bell.ring()
    assert os.eventfd_read(other.fileno()) == 1
    for one in (bell, other, bell):
        one.close()
    bell.ring()
