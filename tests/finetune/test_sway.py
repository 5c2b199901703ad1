"""How much sway a clip needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.finetune import sway

COUNT = 300


def clip(amplitude: float) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
    """Return params and parts of a walk whose head goes to and fro, so many pixels."""
    pose = np.zeros((COUNT, 3, 4), np.float32)
    pose[:, :, :3] = 130.0 * np.eye(3)
    time = np.arange(COUNT) / 25.0
    pose[:, 0, 3] = 256.0 + amplitude * np.sin(2 * np.pi * time / 3.0)
    pose[:, 1, 3] = 200.0
    enter = np.arange(0, 120, 10)
    jumps = np.stack([enter + 150, enter], axis=1).astype(np.int32)
    params = {"blend": 15, "size": 192, "anchor": [0.0, 0.91, -0.1], "width": 512, "height": 512}
    parts: dict[str, NDArray[np.generic]] = {
        "pose": pose,
        "jumps": jumps,
        "costs": np.full(len(jumps), 0.5, np.float32),
        "unrest": np.zeros(COUNT, np.float32),
        "blinks": np.zeros((0, 2), np.int32),
    }
    return params, parts


def test_a_head_that_moves_more_needs_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sway, "SEEDS", 2)
    monkeypatch.setattr(sway, "TICKS", 1000)
    assert sway.least_sway(*clip(0.5)) == min(sway.LEVELS)
    assert sway.least_sway(*clip(25.0)) > min(sway.LEVELS)
