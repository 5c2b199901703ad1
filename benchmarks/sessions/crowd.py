"""Many visitors, in processes of their own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from visavis.engines.errors import ConfigError

__all__ = ["Crowd"]

PER_PROCESS = 24
LEAD_S = 0.5  # from telling a generator the window to its begin
GRACE_S = 0.3  # for what is under way when the window ends
LEAVE_S = 30.0


class Crowd:
    """Generator processes; use as a context manager, which ends them.

    Args:
        url: of the server.
        speech: a recording that everybody says cuts of.
        persons: whom they see, in turn.
        count: how many visitors.
        codec: ``vp8`` or ``h264``.
        loop_s: length of what each says before it begins again.
        decode_every: one visitor in so many decodes what comes.
    """

    def __init__(
        self,
        url: str,
        speech: Path,
        persons: Sequence[str],
        count: int,
        *,
        codec: str,
        loop_s: float,
        decode_every: int,
    ) -> None:
        self._processes: list[subprocess.Popen[str]] = []
        self._job = {
            "url": url,
            "speech": str(speech),
            "persons": list(persons),
            "codec": codec,
            "loop_s": loop_s,
            "decode_every": decode_every,
        }
        self._count = count
        self.opened: list[str] = []
        self.refused: list[str] = []

    def __enter__(self) -> Crowd:
        try:
            for first in range(0, self._count, PER_PROCESS):
                process = subprocess.Popen(
                    [sys.executable, "-m", "visavis.benchmarks.sessions.generator"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                self._processes.append(process)
                count = min(PER_PROCESS, self._count - first)
                _tell(process, {**self._job, "first": first, "count": count})
            for process in self._processes:
                heard = _hear(process)
                self.opened += heard["opened"]
                self.refused += heard["refused"]
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def begin(self, seconds: float) -> tuple[float, float]:
        """Say from when to when everybody's figures count; monotonic times of this machine."""
        begin = time.monotonic() + LEAD_S
        window = {"begin": begin, "end": begin + seconds, "grace": GRACE_S}
        for process in self._processes:
            _tell(process, window)
        return begin, begin + seconds

    def figures(self) -> tuple[list[dict[str, Any]], float]:
        """After the window: each session's `arrivals.figures`, and cores that the visitors took."""
        heard = [_hear(process) for process in self._processes]
        sessions = [session for one in heard for session in one["sessions"]]
        return sessions, sum(one["cores"] for one in heard)

    def _end(self) -> None:
        for process in self._processes:
            if process.stdin is not None and not process.stdin.closed:
                with contextlib.suppress(BrokenPipeError):  # it has ended already
                    process.stdin.close()
        end = time.monotonic() + LEAVE_S
        for process in self._processes:
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _tell(process: subprocess.Popen[str], message: dict[str, Any]) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        raise ConfigError("A process of visitors ended; what it said stands above.") from None


def _hear(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise ConfigError("A process of visitors ended; what it said stands above.")
    heard: dict[str, Any] = json.loads(line)
    return heard
