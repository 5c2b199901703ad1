"""What a session says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["MediaObserver", "RunningMean", "SessionReport"]


@dataclass(frozen=True, slots=True)
class SessionReport:
    """The numbers of ``GET /sessions/ID/stats``; times in milliseconds unless they say seconds."""

    state: str
    uptime_s: float
    frames_sent: int
    frames_skipped: int
    """Ticks without a picture: not drawn in time, or drawn and too late."""
    frames_distinct: int
    """Frames that differ from the one sent before."""
    receive_depth_ms: float
    """From a microphone packet's arrival to its being played into the timeline."""
    lookahead_ms: int
    budget_ms: float
    """What drawing and encoding are given, on top of the look-ahead."""
    render_ms: float
    """From the sound that completes a frame to the frame, median."""
    encode_ms: float
    """CPU time of one frame's compression, mean of the last two seconds or so."""
    server_delay_ms: float
    """From a microphone packet's arrival to its picture's leaving."""
    concealed_ms: float
    """Sound that was made up because it did not come."""
    skipped_audio_ms: float
    """Sound that was left out because too much was waiting."""
    packets_lost: int
    round_trip_ms: float | None


class MediaObserver(Protocol):
    """Who keeps the histograms."""

    def frame_encoded(self, cpu_ms: float) -> None:
        """A frame was compressed."""

    def frame_ready(self, late_ms: float) -> None:
        """A frame could leave ``late_ms`` after it was due; negative when it had to wait."""


class RunningMean:
    """A mean that forgets: each value weighs ``share`` of it when it comes."""

    def __init__(self, share: float = 0.04) -> None:
        self._share = share
        self.value = 0.0
        self._empty = True

    def add(self, value: float) -> None:
        """Take one more value."""
        self.value = value if self._empty else self.value + self._share * (value - self.value)
        self._empty = False
