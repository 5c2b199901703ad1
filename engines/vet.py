"""Opens a foreign person file in a process of its own first, with bounded memory and time.

The checks of `read_person` keep out what they know. What they let through still reaches FFmpeg and
ONNX Runtime, and a model of allowed operators can still ask for any amount of memory. So the whole
load, one frame included, first happens where it may fail: ``python -m visavis.engines.vet`` reads
the file from standard input, so that what is tried is what is used.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from visavis.engines.errors import PersonFileError, VisavisError
from visavis.engines.process_limits import limit_process

__all__ = ["main", "vet"]

MEMORY_BYTES = 4 << 30
CPU_SECONDS = 120
TIMEOUT_SECONDS = 240.0
COPIES = 8
_WRITE_BYTES = 64 << 20  # numba keeps its compiled kernels in files


def vet(
    data: bytes, *, memory_bytes: int | None = None, timeout_seconds: float | None = None
) -> None:
    """Load `data` and make one frame of it in a limited process.

    Args:
        data: a person file.
        memory_bytes: address space of the process; `bounds` of the file's size where None.
        timeout_seconds: of the wall clock; likewise. Its processor time is bounded as well.

    Raises:
        PersonFileError: that failed, ran out of bounds or crashed.
    """
    usual = bounds(len(data))
    memory_bytes = usual[0] if memory_bytes is None else memory_bytes
    timeout_seconds = usual[2] if timeout_seconds is None else timeout_seconds
    limits = [str(memory_bytes), str(usual[1])]
    command = [sys.executable, "-P", "-m", "visavis.engines.vet", *limits]
    try:
        result = subprocess.run(
            command,
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_seconds,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired:
        raise PersonFileError(
            f"The person file was tried in a process of its own and did not finish within "
            f"{timeout_seconds:.0f} s."
        ) from None
    try:
        answer = json.loads(result.stdout)
        error = answer["error"]
    except (ValueError, TypeError, KeyError):
        raise PersonFileError(
            "The person file was tried in a process of its own, which ended with code "
            f"{result.returncode}; it is damaged, unsafe or too large."
        ) from None
    if error is not None:
        raise PersonFileError(str(error)[:500])


def bounds(size: int) -> tuple[int, int, float]:
    """Return bytes of memory, seconds of a processor and of the clock for a file of `size` bytes.

    Networks of hundreds of megabytes are held several times while they are made ready, and a
    picture of them takes seconds.
    """
    share = size / (256 << 20)
    return (
        MEMORY_BYTES + COPIES * size,
        round(CPU_SECONDS * (1.0 + share)),
        TIMEOUT_SECONDS * (1.0 + share),
    )


def main(arguments: list[str]) -> int:
    """Read a person file from standard input and write ``{"error": null}`` or a sentence."""
    memory_bytes, cpu_seconds = map(int, arguments)
    limit_process(memory_bytes, cpu_seconds, _WRITE_BYTES)
    error: str | None = None
    try:
        from visavis.engines.person import read_person
        from visavis.engines.pipeline import try_person

        try_person(read_person(sys.stdin.buffer.read()))
    except VisavisError as problem:
        error = str(problem)
    except MemoryError:
        error = f"The person file needs more than {memory_bytes >> 20} MiB of memory."
    sys.stdout.write(json.dumps({"error": error}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
