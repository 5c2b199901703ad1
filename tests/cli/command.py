"""The command as a user runs it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def visavis(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would, with no terminal."""
    return subprocess.run(
        [sys.executable, "-m", "visavis", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, **environment},
    )


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on standard error; fails where there is a traceback or more than one line."""
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("visavis: ") and lines[0].endswith(".")
    return lines[0]
