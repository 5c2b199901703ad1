"""Processes that are killed, stopped and told to end, and those that go on."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.engines.fakes import Collector
from tests.engines.remote.pairs import QUICK, sound, until
from tests.engines.remote.tick_engine import DEVICE_LOST
from visavis.engines.errors import ConfigError, EngineAway, EngineFull
from visavis.engines.remote.client import RemoteEngine
from visavis.engines.remote.serving import EXIT_DEVICE_LOST, listen_at

ROOT = Path(__file__).resolve().parents[3]
FIRST, TICK = 1600, 640


class Process:
    """A child of the test, ended with it."""

    def __init__(self, *arguments: object) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.engines.remote.child", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def line(self) -> str:
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().strip()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.popen.send_signal(number)

    def end(self) -> None:
        self.popen.kill()
        self.popen.communicate()


class Stage:
    """A private folder with a socket, and processes around it."""

    def __init__(self, folder: Path, ending: contextlib.ExitStack) -> None:
        folder.chmod(0o700)
        self.path = folder / "engine"
        self._ending = ending

    def start(self, *arguments: object) -> Process:
        process = Process(*arguments)
        self._ending.callback(process.end)
        return process

    def engine(self, capacity: int = 8) -> Process:
        process = self.start("engine", self.path, capacity)
        assert process.line() == "ready"
        return process

    def client(self, **deadlines: float) -> RemoteEngine:
        client = RemoteEngine(
            str(self.path), slots=8, deadlines=dataclasses.replace(QUICK, **deadlines)
        )
        self._ending.callback(client.close)
        return client


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with contextlib.ExitStack() as ending:
        yield Stage(tmp_path, ending)


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def mappings(pid: int) -> int:
    return Path(f"/proc/{pid}/maps").read_text().count("memfd:visavis-")


def test_an_engine_that_is_killed_is_replaced_and_its_sessions_go_on(stage: Stage) -> None:
    first = stage.engine()
    client, seen = stage.client(), Collector()
    session = client.open("ada", seen.on_frame, on_error=seen.on_error)
    session.push(sound(FIRST))
    seen.wait(frames=1)
    first.kill()
    until(lambda: client.state().resting == 1)
    for count in range(2, 5):
        session.push(sound(TICK))
        seen.wait(frames=count)
    with pytest.raises(EngineAway):
        client.open("ada", seen.on_frame)
    # The socket of the dead one is still there; the next one takes its place.
    assert stage.path.is_socket()
    second = stage.engine()
    until(lambda: client.state().resting == 0)
    for _ in range(6):
        session.push(sound(TICK))
    until(lambda: seen.indices[-1] == 9 and seen.frames[-1].speech > 0)
    assert seen.indices == sorted(set(seen.indices)) and not seen.errors

    # It is told to end, and does.
    second.kill(signal.SIGTERM)
    assert second.popen.wait(10) == 0
    assert not stage.path.exists()


def test_a_worker_that_is_killed_frees_what_it_had(stage: Stage) -> None:
    engine = stage.engine(capacity=3)
    client, seen = stage.client(), Collector()
    session = client.open("ada", seen.on_frame)
    session.push(sound(FIRST))
    seen.wait(frames=1)
    before = descriptors(engine.pid), mappings(engine.pid)
    worker = stage.start("worker", stage.path, 2)
    assert worker.line() == "speaking"
    with pytest.raises(EngineFull, match="All 3 places"):
        client.open("ada", seen.on_frame)
    assert mappings(engine.pid) > before[1]
    worker.kill()
    until(lambda: mappings(engine.pid) == before[1] and descriptors(engine.pid) <= before[0])
    session.push(sound(TICK))
    seen.wait(frames=2)
    client.open("ada", seen.on_frame).close()


def test_an_engine_that_stands_still_is_given_up_until_it_goes_on(stage: Stage) -> None:
    engine = stage.engine()
    client, seen = stage.client(answer=0.2), Collector()
    session = client.open("ada", seen.on_frame)
    session.push(sound(FIRST))
    seen.wait(frames=1)
    engine.kill(signal.SIGSTOP)
    until(lambda: client.state().resting == 1)
    session.push(sound(TICK))
    seen.wait(frames=2)
    engine.kill(signal.SIGCONT)
    until(lambda: client.state().resting == 0)
    for _ in range(4):
        session.push(sound(TICK))
    until(lambda: seen.indices[-1] == 5 and seen.frames[-1].speech > 0)
    assert seen.indices == sorted(set(seen.indices))


def test_an_engine_whose_device_is_gone_asks_for_a_new_process(stage: Stage) -> None:
    engine = stage.engine()
    client, seen = stage.client(), Collector()
    session = client.open("ada", seen.on_frame, on_error=seen.on_error)
    session.push(np.full(FIRST, DEVICE_LOST, np.float32))
    assert engine.popen.wait(10) == EXIT_DEVICE_LOST
    until(lambda: client.state().resting == 1)
    assert not seen.errors


def test_an_engine_dies_with_its_parent(stage: Stage) -> None:
    parent = stage.start("parent", stage.path, 1)
    pid = int(parent.line())
    client = stage.client()
    assert client.state().connected
    parent.kill()
    until(lambda: not client.state().connected)
    until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in _state(pid))


def _state(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return "Z"


def test_a_worker_needs_nothing_that_an_engine_computes_with() -> None:
    code = (
        "import sys, visavis.engines.remote.client, visavis.engines.remote.serving\n"
        "heavy = {'numba', 'onnxruntime', 'torch', 'av', 'asyncio'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_only_this_user_may_come_in(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(ConfigError, match="only you may enter"), listen_at(tmp_path / "engine"):
        pass
    with pytest.raises(ConfigError, match="no folder"), listen_at(tmp_path / "none" / "engine"):
        pass
    tmp_path.chmod(0o700)
    path = tmp_path / "engine"
    with listen_at(path):
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(ConfigError, match="Another engine listens"), listen_at(path):
            pass
        assert path.exists()
    assert not path.exists()


def test_nothing_that_is_no_socket_is_removed(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    path = tmp_path / "engine"
    path.write_text("a letter")
    with pytest.raises(ConfigError, match="not a socket"), listen_at(path):
        pass
    assert path.read_text() == "a letter"
    long = tmp_path / ("e" * 120)
    with pytest.raises(ConfigError, match="cannot listen"), listen_at(long):
        pass


def test_who_is_let_in_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A door that stands open and is closed again."""
    from tests.engines.remote.tick_engine import TickEngine
    from visavis.engines.remote import host as module

    monkeypatch.setattr(module, "MAX_GUESTS", 2)
    tmp_path.chmod(0o700)
    before = set(threading.enumerate())
    with listen_at(tmp_path / "engine") as listener:
        host = module.EngineHost(TickEngine(), strip_seconds=0.0)
        host.listen(listener.dup())
        guests = []
        for _ in range(3):
            guest = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            guest.settimeout(20)
            guest.connect(str(tmp_path / "engine"))
            guests.append(guest)
        assert guests[2].recv(10) == b""
        host.close()
        host.close()
        assert [guest.recv(10) for guest in guests[:2]] == [b"", b""]
        for guest in guests:
            guest.close()
    assert set(threading.enumerate()) == before
