"""What a session says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["MediaObserver", "RunningMean", "SessionReport"]


@dataclass(frozen=True, slots=True)
class SessionReport:
    """The numbers of ``GET /sessions/ID/stats``; times in milliseconds unless they say seconds."""

    state: str
    path: str
    """``webrtc`` or ``websocket``."""
    uptime_s: float
    resumes: int
    """How often the session was taken over by a new connection."""
    frames_sent: int
    frames_skipped: int
    """Ticks without a picture: not drawn in time, or drawn and too late."""
    frames_shed: int
    """Frames that were encoded and not sent, because the network takes no more."""
    voice_shed_ms: float
    """Voice that was not sent for the same reason."""
    frames_distinct: int
    """Frames that differ from the one sent before."""
    receive_depth_ms: float
    """From a microphone packet's arrival to its being played into the timeline."""
    lookahead_ms: int
    budget_ms: float
    """What drawing and encoding are given, on top of the look-ahead."""
    pace_fps: float
    """Pictures a second that this machine was measured to make of the person, one session alone; 0
    while the session has no place in the engine."""
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
    depth_target_ms: float
    """For how late a microphone packet the receive depth is kept: the 95th percentile, or more for
    a while after one came too late."""
    drift_ppm: float | None
    """How much faster than ours the microphone's clock is; None for the first half minute."""
    audio_skips: int
    """How often surplus sound was left out unheard: in silence, or a pitch period of speech."""
    audio_cuts: int
    """How often sound was cut at once, because over 120 ms waited, or at the start."""
    packets_recovered: int
    """Lost microphone packets whose sound a later packet brought again."""
    stalls: int
    """How often this server stood still for more than 30 ms."""
    voice_steps_skipped: int
    """Pieces of 20 ms of voice that were left out after such a stall."""
    target_bps: int
    """What the picture's encoder is asked for, in bits per second."""
    estimate_bps: int | None
    """What the receiver thinks it can take (REMB), in bits per second."""
    frame_width: int
    frame_height: int
    size_changes: int
    """How often the picture's size was changed to suit the bit rate."""
    key_frames: int
    key_frame_requests: int
    """How often the receiver asked for one; most requests are answered together."""


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
