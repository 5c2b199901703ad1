"""Figures of a matte: how steady it is, and, where the truth is known, how near it comes.

The errors are those of C. Rhemann et al., "A perceptually motivated online benchmark for image
matting" (CVPR 2009): sum of absolute differences, mean squared error, and the error of the
gradient, here of plain differences.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from visavis.engines.errors import ConfigError

__all__ = ["errors", "figures", "flicker", "read_truth"]

U8 = NDArray[np.uint8]

THOUSAND = 1000.0
NAME = re.compile(r"(\d{1,6})\.png")


def flicker(alphas: U8) -> float:
    """Return the mean second difference in time of uint8[N, H, W], in levels of all pixels.

    An edge that moves evenly has little of it, one that trembles has much.
    """
    if len(alphas) < 3:
        return 0.0
    total = 0.0
    before, own = alphas[0].astype(np.int16), alphas[1].astype(np.int16)
    for after in alphas[2:]:
        after = after.astype(np.int16)
        total += float(np.abs(after - 2 * own + before).mean())
        before, own = own, after
    return total / (len(alphas) - 2)


def errors(alpha: U8, truth: U8) -> tuple[float, float, float]:
    """Return SAD in thousands, MSE in thousandths and gradient error in thousands of one frame.

    Args:
        alpha, truth: uint8[H, W].
    """
    a, t = alpha.astype(np.float32) / 255.0, truth.astype(np.float32) / 255.0
    difference = a - t
    steepness = [np.hypot(*np.gradient(plane)) for plane in (a, t)]
    return (
        float(np.abs(difference).sum()) / THOUSAND,
        float((difference * difference).mean()) * THOUSAND,
        float(np.abs(steepness[0] - steepness[1]).sum()) / THOUSAND,
    )


def figures(alphas: U8, truth: Mapping[int, U8]) -> dict[str, float]:
    """Return the figures of a matte.

    Args:
        alphas: uint8[N, H, W].
        truth: true mattes by index of the frame; may be empty.

    Returns:
        ``flicker`` and, where there is truth, ``sad``, ``mse`` and ``gradient``: means of frames.

    Raises:
        ConfigError: the truth is of other frames.
    """
    found = {"flicker": flicker(alphas)}
    rows = []
    for index, picture in truth.items():
        if index >= len(alphas) or picture.shape != alphas.shape[1:]:
            raise ConfigError(f"The true matte {index} is not of a frame of this person.")
        rows.append(errors(alphas[index], picture))
    if rows:
        found |= dict(zip(("sad", "mse", "gradient"), np.mean(rows, axis=0).tolist(), strict=True))
    return found


def read_truth(folder: Path) -> dict[int, U8]:
    """Return the pictures `NNNNN.png` of a folder, uint8[H, W], by their number.

    Raises:
        ConfigError: there are none, or one cannot be read.
    """
    found = {}
    try:
        for path in sorted(folder.iterdir()):
            if match := NAME.fullmatch(path.name):
                with av.open(str(path), format="image2") as container:
                    frame = next(container.decode(video=0))
                found[int(match[1])] = frame.to_ndarray(format="gray").astype(np.uint8, copy=False)
    except (OSError, FFmpegError, StopIteration) as error:
        raise ConfigError(f"The true mattes of {folder} cannot be read: {error}.") from error
    if not found:
        raise ConfigError(f"{folder} holds no true mattes; they are called 00000.png and so on.")
    return found
