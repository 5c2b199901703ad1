"""A blind test: which of two strips of mouths was filmed?

Forty numbered pictures, each with a filmed and a made strip of the same eight frames, in random
order. Somebody who has not seen the key writes A or B for every number; half right is guessing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.finetune.lips.lettering import lettering
from visavis.finetune.report.images import png

__all__ = ["FRAMES", "PAIRS", "choose", "write_blind"]

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]

PAIRS, FRAMES = 40, 8
PASSED = 0.75  # of the filmed ones found, at most
SCALE = 2
_PAPER, _INK = 250, 30
_LABEL, _BESIDE = 30, 12  # pixels


def choose(pieces: Sequence[I64], seed: int, pairs: int = PAIRS) -> list[int]:
    """Return where strips begin: as far apart as there is room for, in random order.

    Args:
        pieces: frames that follow each other, for each stretch.
        seed: of the order.
        pairs: how many are wanted; fewer where the clip is too short.
    """
    starts = [int(f) for piece in pieces for f in piece[: max(0, len(piece) - FRAMES + 1)]]
    if not starts:
        return []
    spread = np.unique(np.linspace(0, len(starts) - 1, pairs).round().astype(int))
    return [starts[i] for i in np.random.default_rng(seed).permutation(spread).tolist()]


def write_blind(
    folder: Path,
    starts: Sequence[int],
    strip: Callable[[str, int], U8],
    seed: int,
) -> Mapping[str, Any]:
    """Write the pictures `01.png` and so on, and `key.json`.

    Args:
        folder: is made.
        starts: first frames, of `choose`.
        strip: gives uint8[h, w, 3] for "real", "tracked" or "voice" and a first frame.
        seed: of the sides.

    Returns:
        what the key holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    entries = []
    for number, first in enumerate(starts, 1):
        made = ("tracked", "voice")[number % 2]
        kinds = ("real", made) if random.random() < 0.5 else (made, "real")
        (folder / f"{number:02d}.png").write_bytes(
            png(_sheet(number, [strip(kind, first) for kind in kinds]))
        )
        entries.append(
            {"number": number, "real": "AB"[kinds.index("real")], "made": made, "frame": first}
        )
    key = {
        "schema": "visavis-blind/1",
        "frames": FRAMES,
        "passed_if_real_found_at_most": PASSED,
        "pairs": entries,
    }
    (folder / "key.json").write_text(json.dumps(key, indent=1) + "\n")
    return key


def _sheet(number: int, strips: Sequence[U8]) -> U8:
    large = [np.kron(s, np.ones((SCALE, SCALE, 1), np.uint8)) for s in strips]
    width = max(s.shape[1] for s in large) + 2 * _BESIDE
    rows = []
    for name, picture in zip("AB", large, strict=True):
        head = np.full((_LABEL, width, 3), _PAPER, np.uint8)
        ink = lettering(f"{number:02d}  {name}")
        head[9 : 9 + len(ink), _BESIDE : _BESIDE + ink.shape[1]][ink] = _INK
        right = width - _BESIDE - picture.shape[1]
        rows += [
            head,
            np.pad(picture, ((0, 0), (_BESIDE, right), (0, 0)), constant_values=_PAPER),
        ]
    return np.pad(np.concatenate(rows), ((0, _BESIDE), (0, 0), (0, 0)), constant_values=_PAPER)
