"""What the tests run as processes of their own: an engine, a worker, and a parent of an engine."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.engines.fakes import Collector
from tests.engines.remote.pairs import sound
from tests.engines.remote.tick_engine import TickEngine
from visavis.engines.remote.client import RemoteEngine
from visavis.engines.remote.serving import serve_engine


def say(word: str) -> None:
    print(word, flush=True)


def engine(socket: str, capacity: str) -> int:
    """Serve an engine until stdin ends."""
    return serve_engine(
        lambda: TickEngine(capacity=int(capacity)),
        Path(socket),
        on_ready=lambda: say("ready"),
        parent_fd=0,
        strip_seconds=0.0,
    )


def worker(socket: str, sessions: str) -> int:
    """Hold sessions that speak, until killed."""
    client, seen = RemoteEngine(socket, slots=16), Collector()
    count = int(sessions)
    opened = [client.open("ada", seen.on_frame) for _ in range(count)]
    for session in opened:
        session.push(sound(1600))
    seen.wait(frames=count)
    say("speaking")
    time.sleep(60)
    return 0


def parent(socket: str, capacity: str) -> int:
    """Start an engine, and be killed."""
    command = [sys.executable, "-m", "tests.engines.remote.child", "engine", socket, capacity]
    child = subprocess.Popen(command, stdin=subprocess.PIPE)
    say(str(child.pid))
    time.sleep(60)
    return 0


if __name__ == "__main__":
    sys.exit({"engine": engine, "worker": worker, "parent": parent}[sys.argv[1]](*sys.argv[2:]))
