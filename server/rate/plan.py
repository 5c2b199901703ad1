"""What the encoder is asked for, frame by frame: a bit rate and a size. Pure."""

from __future__ import annotations

from visavis.server.rate.controller import LEAST, RateController, Report
from visavis.server.rate.sizes import SizeLadder, bitrate_for

__all__ = ["SendPlan"]


class SendPlan:
    """The rate controller and the ladder of sizes of one session's picture.

    Args:
        width: of the full picture.
        height: of the full picture.
    """

    def __init__(self, width: int, height: int) -> None:
        self._rate = RateController(bitrate_for(width, height), least=LEAST)
        self._ladder = SizeLadder(width, height)
        self._target = bitrate_for(width, height)
        self._changes = 0  # of the size, by ladders before this one
        self.key_frames = 0

    @property
    def target(self) -> int:
        """Bits per second, as last asked."""
        return self._target

    @property
    def estimate(self) -> int | None:
        """What the receiver thinks it can take, in bits per second."""
        return self._rate.estimate

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, as last asked."""
        return self._ladder.size

    @property
    def size_changes(self) -> int:
        """How often the size was changed; each costs a key frame."""
        return self._changes + self._ladder.changes

    def resize(self, width: int, height: int, *, halves: int = 1) -> None:
        """The full picture has another size from now on; see `SizeLadder`. What is known of the
        path stays."""
        self._changes += 1 + self._ladder.changes
        self._ladder = SizeLadder(width, height, halves=halves)
        self._rate.need(bitrate_for(width, height))

    def ask(self, now: float) -> tuple[int, tuple[int, int]]:
        """Bits per second, and width and height, for the next frame."""
        self._target = self._rate.target(now)
        return self._target, self._ladder.choose(self._target, now)

    def sent(self, size: int, now: float, *, key: bool) -> None:
        """A frame of so many bytes left."""
        self._rate.sent(size, now)
        self.key_frames += key

    def remb(self, bits_per_second: int, now: float) -> None:
        """The receiver's estimate came."""
        self._rate.remb(bits_per_second, now)

    def report(self, report: Report, now: float) -> None:
        """A receiver report came."""
        self._rate.report(now, report)
