"""One process of ours: spawned, told its settings, listened to, and ended.

What it is told comes as one line of JSON on its standard input, which then stays open: its end
tells the child that we are gone, however we went. What it says when it is ready, or why it cannot
be, is one line of JSON on its standard output. What it logs goes to our standard error, with its
name in front.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from visavis.engines.errors import ConfigError, EngineError, PersonFileError, VisavisError

__all__ = ["Child", "ChildSpec", "describe_failure", "python"]

LINE_BYTES = 16 * 1024
LAST_WORDS_SECONDS = 1.0
KINDS: dict[str, type[VisavisError]] = {
    "config": ConfigError,
    "person": PersonFileError,
    "engine": EngineError,
}


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run.

    Attributes:
        name: in the log and in the metrics: ``engine``, ``worker-0``.
        argv: a program and its arguments.
        settings: what it is told.
    """

    name: str
    argv: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


def describe_failure(error: Exception) -> dict[str, str]:
    """What a child says when it cannot start; :attr:`Child.ready` raises it again."""
    kind = next((name for name, of in KINDS.items() if isinstance(error, of)), "engine")
    sentence = str(error) if isinstance(error, VisavisError) else f"{type(error).__name__}: {error}"
    return {"kind": kind, "error": sentence}


class Child:
    """A running process.

    Attributes:
        ready: what it said when it was ready; raises what it said instead, or that it ended.
    """

    def __init__(self, spec: ChildSpec, process: subprocess.Popen[bytes]) -> None:
        self.spec = spec
        self._process = process
        self.ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._ended = asyncio.create_task(self._run())

    @classmethod
    async def start(cls, spec: ChildSpec) -> Child:
        """Spawn it."""
        return cls(spec, await asyncio.to_thread(_spawn, spec))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait until it has ended; returns its exit status, negative for a signal."""
        return await asyncio.shield(self._ended)

    def send_signal(self, number: signal.Signals) -> None:
        """Nothing happens where it has ended."""
        self._process.send_signal(number)

    async def stop(self, grace: float, first: signal.Signals = signal.SIGTERM) -> int:
        """A signal; after so many seconds SIGKILL. Waits for the end; may be called again."""
        self.send_signal(first)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                return await self.wait()
        self.send_signal(signal.SIGKILL)
        return await self.wait()

    async def _run(self) -> int:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        assert process.stderr is not None
        async with contextlib.AsyncExitStack() as pipes:
            pipes.callback(_close, process.stdin)
            said = await pipes.enter_async_context(_reading(process.stdout))
            logged = await pipes.enter_async_context(_reading(process.stderr))
            tasks = [
                asyncio.create_task(self._listen(said)),
                asyncio.create_task(self._copy(logged)),
            ]
            try:
                await _exit_of(process.pid)
                status = process.wait()
                # A process of its own may still hold the pipes; it is not waited for.
                await asyncio.wait(tasks, timeout=LAST_WORDS_SECONDS)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                self._hear(b"")
        return status

    async def _listen(self, stream: asyncio.StreamReader) -> None:
        self._hear(await _line(stream))
        # What else it prints is for people.
        await self._copy(stream)

    def _hear(self, line: bytes) -> None:
        if self.ready.done():
            return
        try:
            said = json.loads(line)
            if not isinstance(said, dict):
                raise ValueError
        except ValueError:
            self._refuse(EngineError(f"The {self.spec.name} process ended before it was ready."))
            return
        if "error" in said:
            of = KINDS.get(str(said.get("kind")), EngineError)
            self._refuse(of(str(said["error"])))
        else:
            self.ready.set_result(said)

    def _refuse(self, error: VisavisError) -> None:
        self.ready.set_exception(error)
        self.ready.exception()  # whoever asks still gets it; nobody need ask

    async def _copy(self, stream: asyncio.StreamReader) -> None:
        while line := await _line(stream):
            text = line.decode("utf-8", "replace").rstrip("\n")
            # Our own standard error may be gone (a closed terminal); that must not end a child.
            with contextlib.suppress(OSError, ValueError):
                if text:
                    sys.stderr.write(f"[{self.spec.name} {self.pid}] {text}\n")


def _spawn(spec: ChildSpec) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        spec.argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Ctrl-C goes to a whole group of processes; only we are to hear it.
        start_new_session=True,
    )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended already, as is soon seen
        process.stdin.write(json.dumps(spec.settings).encode() + b"\n")
        process.stdin.flush()
    return process


def _close(pipe: IO[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError):
        pipe.close()


@contextlib.asynccontextmanager
async def _reading(pipe: IO[bytes]) -> AsyncIterator[asyncio.StreamReader]:
    stream = asyncio.StreamReader(limit=LINE_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), pipe
    )
    try:
        yield stream
    finally:
        transport.close()


async def _exit_of(pid: int) -> None:
    """Wait until a process has ended; it is not reaped."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(pid)
    try:
        loop.add_reader(descriptor, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line; of a longer one its pieces; empty at the end."""
    try:
        return await stream.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError as error:
        return await stream.read(max(1, error.consumed))


def python(module: str) -> tuple[str, ...]:
    """How to run a module with this very interpreter."""
    return (sys.executable, "-m", module)
