"""What the server's process does once around everything it serves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

SERVE = """
import gc, sys
from tests.server.fake_engine import FakeEngine
from visavis.server.config import ServerConfig
from visavis.server.run import run_server
code = run_server(ServerConfig(port=0), FakeEngine)
print(gc.get_freeze_count())
sys.exit(code)
"""


def test_what_is_loaded_is_not_walked_by_the_garbage_collector() -> None:
    """Else a collection that comes while somebody speaks would stop every voice."""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", SERVE],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=root,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("Open ")
            process.send_signal(signal.SIGTERM)
            frozen = int(process.communicate(timeout=20)[0])
        finally:
            process.kill()
    assert frozen > 10_000
