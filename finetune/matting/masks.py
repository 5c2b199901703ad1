"""Where the person is, roughly, by a network that runs in the tracker's environment."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.engines.errors import PersonFileError
from visavis.finetune.track import SCRIPT as TRACK_SCRIPT
from visavis.finetune.video import to_rgb

__all__ = ["person_masks"]

SCRIPT = TRACK_SCRIPT.with_name("segment_person.py")


def person_masks(frames: NDArray[np.uint8], python: Path, out: Path) -> NDArray[np.uint8]:
    """Return uint8[N, H, W], 255 where a pixel is surely the person's; a view of the file `out`.

    Args:
        frames: uint8[N, H*3/2, W], I420.
        python: the interpreter of an environment made from `finetune/tracker/requirements.txt`.
        out: an .npy file, which is written.

    Raises:
        PersonFileError: the program does not run, or sees no person at all.
    """
    height, width = frames.shape[1] * 2 // 3, frames.shape[2]
    command = [str(python), str(SCRIPT), str(width), str(height), str(out)]
    with tempfile.TemporaryFile() as said:
        try:
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
            ) as process:
                assert process.stdin is not None
                # It has ended where the pipe breaks: exit code and last words say why.
                with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
                    for frame in frames:
                        pipe.write(to_rgb(frame).tobytes())
        except OSError as error:
            raise PersonFileError(f"The tracker {python} cannot be started: {error}.") from error
        if process.returncode:
            said.seek(0)
            last = said.read().decode("utf-8", "replace").strip().splitlines()[-1:]
            raise PersonFileError(f"The segmentation failed: {''.join(last)}.")
    masks: NDArray[np.uint8] = np.load(out, mmap_mode="r", allow_pickle=False)
    if masks.shape != (len(frames), height, width):
        raise PersonFileError(f"The segmentation gave {len(masks)} of {len(frames)} masks.")
    return masks
