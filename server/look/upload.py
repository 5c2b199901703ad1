"""Opens a picture in a process of its own, with bounded memory and time.

Whatever a visitor sends reaches a decoder written in C. It runs where it may fail:
:mod:`visavis.server.media.picture_file` is that process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import numpy as np
from numpy.typing import NDArray

from visavis.server.errors import RequestError

__all__ = ["read_picture"]

MEMORY_BYTES = 1536 << 20
"""Of address space; 16 million pixels are held three times, the libraries take some 500 MiB."""
CPU_SECONDS = 10
TIMEOUT_SECONDS = 20.0
FAILED = "The picture cannot be read; it is damaged, or takes more than it may."


def read_picture(
    data: bytes,
    width: int,
    height: int,
    *,
    memory_bytes: int = MEMORY_BYTES,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> NDArray[np.uint8]:
    """``u8[height * 3 / 2, width]``, I420: a JPEG's or PNG's middle, as much as fills that shape.

    Takes a third of a second and more, and blocks.

    Raises:
        RequestError: 415 where it is neither, 422 where it is damaged or has too many pixels.
    """
    command = [sys.executable, "-P", "-m", "visavis.server.media.picture_file"]
    command += [str(memory_bytes), str(CPU_SECONDS), str(width), str(height)]
    size = width * height * 3 // 2
    # A file, and not a pipe: of a file the process may write so much and no more.
    with tempfile.TemporaryFile() as answer:
        try:
            subprocess.run(
                command,
                input=data,
                stdout=answer,
                stderr=subprocess.DEVNULL,
                timeout=timeout_seconds,
                check=False,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except subprocess.TimeoutExpired:
            raise RequestError(FAILED, status=422) from None
        answer.seek(0)
        said = answer.read(size + 1)
    if said[:1] == b"+" and len(said) == size + 1:
        return np.frombuffer(said, np.uint8, offset=1).reshape(height * 3 // 2, width)
    status, _, sentence = said[1:500].decode("utf-8", "replace").partition(" ")
    if said[:1] == b"-" and status in ("415", "422"):
        raise RequestError(sentence, status=int(status))
    raise RequestError(FAILED, status=422)
