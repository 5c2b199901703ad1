"""Which lost packets of the picture are sent again, when the receiver asks for them. Pure.

Where a path has become narrow, what is sent again is lost again and asked for again: on a
bottleneck of 300 kbit/s Chromium asked for 280 packets a second, nine times what the path carries.
So repairs have a share of the rate and no more; and what came before the last key frame is not
missed any longer. Where a repair must be refused, a key frame is better than to let the browser
wait for it: Chromium waits three seconds before it asks.
"""

from __future__ import annotations

__all__ = ["RepairBudget"]

SHARE = 0.25
"""Of the target that repairs may have: enough for every packet twice under a tenth of loss."""
BURST_SECONDS = 0.4
"""At that share: what a short burst of losses may take at once."""
KEY_FRAME_SECONDS = 1.0
HALF = 1 << 15


def _before(a: int, b: int) -> bool:
    """Whether sequence number ``a`` comes before ``b`` (RFC 3550, modulo 2^16)."""
    return 0 < ((b - a) & 0xFFFF) < HALF


class RepairBudget:
    """Of one stream. Times are seconds of one clock; media times those of the stream."""

    def __init__(self) -> None:
        self.rate = 1_200_000
        """The stream's target in bits per second."""
        self.refused = 0
        self._empty = 0.0
        self._key_time: float | None = None
        self._key_sequence: int | None = None
        self._asked = -KEY_FRAME_SECONDS

    def key_frame(self, media_seconds: float) -> None:
        """The frame of that media time stands alone."""
        self._key_time = media_seconds

    def sent(self, sequence: int, media_seconds: float) -> None:
        """A packet left for the first time."""
        if self._key_time is not None and media_seconds >= self._key_time:
            self._key_time = None
            self._key_sequence = sequence

    def allows(self, sequence: int, size: int, now: float) -> bool:
        """Whether to send a packet of ``size`` bytes again."""
        if self._key_sequence is not None and _before(sequence, self._key_sequence):
            self.refused += 1
            return False
        speed = SHARE * self.rate
        empty = max(self._empty, now) + size * 8 / speed
        if empty > now + BURST_SECONDS:
            self.refused += 1
            return False
        self._empty = empty
        return True

    def wants_key_frame(self, sequence: int, now: float) -> bool:
        """Whether a packet that was refused is reason enough for a key frame; once a second."""
        missed = self._key_sequence is None or not _before(sequence, self._key_sequence)
        if not missed or now - self._asked < KEY_FRAME_SECONDS:
            return False
        self._asked = now
        return True
