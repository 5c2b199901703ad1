"""The three sizes of a picture, and which of them a bit rate is enough for. Pure.

Fewer pixels look better than coarse ones when there are few bits. A step costs a key frame, so
there is a gap between going down and coming up again, and coming up waits.
"""

from __future__ import annotations

import math

__all__ = ["SIZE_STEPS", "SizeLadder", "bitrate_for"]

SIZE_STEPS = (1.0, 0.75, 0.5)
"""Of the person's own width and height: 512, 384 and 256 of 512."""
ENOUGH = 0.40
"""Of :func:`bitrate_for`: with less, the next smaller size looks better."""
PLENTY = 0.50
"""With more of the larger size's rate, the larger size is worth a key frame."""
UP_SECONDS = 2.0


def bitrate_for(width: int, height: int) -> int:
    """Bits per second: 1.2 Mbit/s at 512x512, growing a little slower than the area."""
    return int(1_200_000 * math.pow(width * height / 512**2, 0.75))


class SizeLadder:
    """Chooses a step of :data:`SIZE_STEPS`: down at once, up after two seconds of plenty.

    Args:
        width: of the full picture.
        height: of the full picture.
        halves: how many pictures of one size it is made of, one above the other.
    """

    def __init__(self, width: int, height: int, *, halves: int = 1) -> None:
        self._sizes = [(_even(width * s), halves * _even(height / halves * s)) for s in SIZE_STEPS]
        self._sizes[0] = (width, height)
        self._step = 0
        self._plenty_since: float | None = None
        self.changes = 0

    @property
    def step(self) -> int:
        """0 is the full size."""
        return self._step

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the chosen step."""
        return self._sizes[self._step]

    def choose(self, target: int, now: float) -> tuple[int, int]:
        """The size for a target in bits per second; ask for every frame."""
        before = self._step
        while self._step < len(self._sizes) - 1 and target < ENOUGH * bitrate_for(*self.size):
            self._step += 1
        if self._step and target > PLENTY * bitrate_for(*self._sizes[self._step - 1]):
            if self._plenty_since is None:
                self._plenty_since = now
            elif now - self._plenty_since >= UP_SECONDS:
                self._step -= 1
                self._plenty_since = None
        else:
            self._plenty_since = None
        self.changes += self._step != before
        return self.size


def _even(length: float) -> int:
    return max(2, int(length) // 2 * 2)
