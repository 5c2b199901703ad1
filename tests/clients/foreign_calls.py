"""Runs calls of a foreign library in its own environment, against a real server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.test_session import TOKEN, running

__all__ = ["calls_of"]

ROOT = Path(__file__).resolve().parents[2]


def calls_of(library: str, name: str) -> dict[str, Any]:
    """What `LIBRARY_calls.py` says it saw; skips the test where the library is not installed."""
    python = ROOT / f".venv-{library}/bin/python"
    if not python.exists():
        pytest.skip(f"{name} is not installed: scripts/install-test-agents {library}")
    with running() as served:
        done = subprocess.run(
            [python, f"tests/clients/{library}_calls.py", served.url, TOKEN],
            cwd=ROOT,
            env={"PYTHONPATH": "src", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=90,
        )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
