"""What `gpu.sh` runs on, printed as JSON. Nothing is loaded: it must not fail where much lacks.

Run as a script, with ``cuda`` or ``cpu``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from visavis.benchmarks.live.machine import machine, versions

__all__ = ["main"]

PACKAGES = (
    "torch",
    "cupy-cuda13x",
    "cupy-cuda12x",
    "triton",
    "onnxruntime-gpu",
    "tensorrt",
    "llvmlite",
)
QUERY = "name,driver_version,memory.total,clocks.max.sm,power.limit"


def main() -> int:
    """Print; 77 where a GPU is wanted and none answers."""
    found: dict[str, Any] = {"machine": machine(), "versions": versions()}
    for name in PACKAGES:
        try:
            found["versions"][name] = version(name)
        except PackageNotFoundError:
            continue
    found["gpu"] = _said(["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"])
    found["nvcc"] = (_said(["nvcc", "--version"]) or "").splitlines()[-1:]
    print(json.dumps(found))
    return 77 if sys.argv[1:] == ["cuda"] and found["gpu"] is None else 0


def _said(command: list[str]) -> str | None:
    """What a program prints; None where it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())
