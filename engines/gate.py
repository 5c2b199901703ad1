"""When a mouth may move: pure arithmetic on how sure two listeners are that somebody speaks.

A frame speaks when the network is `sure` of it alone, or finds it `likely` and the second opinion
(`voice_activity`) agrees. The gate opens in the frame that speaks, or one before the frame that is
known to: a mouth is open before its sound. It stays open while the network's probability is above
`stay`, and is shut 120 to 160 ms after the last speech: two frames more it is open, one it is half
open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["SHUT", "GateRule", "GateState", "move", "parted"]

TICK_MS = 40.0
TALK_MS = 400.0  # who has spoken for so long pauses; before that it may have been a noise


@dataclass(frozen=True, slots=True)
class GateRule:
    """Thresholds are probabilities, 0 to 1; times in ms.

    Attributes:
        sure: from here the network is believed alone.
        likely: from here it is believed if the second opinion agrees.
        stay: above this an open gate stays open.
        hang_ms: how much silence passes before the gate begins to close.
        open_ms, close_ms: from shut to open, and back.
        pause_ms, settle_ms: how long lips stay parted after speech, and take to close then.

    Raises:
        ValueError: the thresholds are not in order, or a time is not positive.
    """

    sure: float = 0.85
    likely: float = 0.5
    stay: float = 0.45
    hang_ms: float = 80.0
    open_ms: float = 40.0
    close_ms: float = 80.0
    pause_ms: float = 1000.0
    settle_ms: float = 480.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.stay <= self.likely <= self.sure:
            raise ValueError("A gate needs 0 <= stay <= likely <= sure.")
        if not (self.hang_ms >= 0.0 and self.pause_ms >= 0.0):
            raise ValueError("A gate needs a hang and a pause of 0 or more.")
        if not (self.open_ms > 0.0 and self.close_ms > 0.0 and self.settle_ms > 0.0):
            raise ValueError("A gate needs times above 0 to open, to close and to settle.")


@dataclass(frozen=True, slots=True)
class GateState:
    """Attributes:
    open: 0 shut, 1 open.
    quiet_ms: how long nobody has spoken.
    spoken_ms: how much was spoken since the lips last came to rest.
    """

    open: float
    quiet_ms: float
    spoken_ms: float = 0.0


SHUT = GateState(0.0, 1e9)


def move(
    rule: GateRule, state: GateState, speech: Sequence[float], voiced: Sequence[bool]
) -> GateState:
    """Return the gate's state after a frame of 40 ms.

    Args:
        rule: thresholds and times.
        state: after the frame before.
        speech: how sure the network is of this frame, and of those after it that may open it.
        voiced: what the second opinion says of each of them.
    """
    speaks = any(
        p >= rule.sure or (p >= rule.likely and agrees)
        for p, agrees in zip(speech, voiced, strict=True)
    )
    if speaks or (state.open > 0.0 and speech[0] > rule.stay):
        opened = min(1.0, state.open + TICK_MS / rule.open_ms)
        return GateState(opened, 0.0, state.spoken_ms + TICK_MS)
    quiet = state.quiet_ms + TICK_MS
    falls = TICK_MS / rule.close_ms if quiet > rule.hang_ms else 0.0
    spoken = state.spoken_ms if quiet < rule.pause_ms + rule.settle_ms else 0.0
    return GateState(max(0.0, state.open - falls), quiet, spoken)


def parted(rule: GateRule, state: GateState) -> float:
    """Return how far the lips are parted between phrases: 1 in a pause, 0 long after speech.

    A noise that was taken for a moment's speech parts them hardly.
    """
    left = 1.0 - min(1.0, max(0.0, (state.quiet_ms - rule.pause_ms) / rule.settle_ms))
    return left * left * (3.0 - 2.0 * left) * min(1.0, state.spoken_ms / TALK_MS)
