"""What a session needs of its way to the peer, whatever that way is.

WebRTC (:mod:`visavis.server.media.peer`) and the WebSocket path (:mod:`visavis.server.ws`) are two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.server.media.aiortc_private import PacketHandler
from visavis.server.media.encoder import Encoded
from visavis.server.media.receive import Decoder
from visavis.server.rate.controller import Report
from visavis.server.speech.stream import SpeechStream

__all__ = ["Transport", "TransportEvents", "VoiceEncoder"]


def _ignore(news: object) -> None:
    """For a transport whose peer says nothing of that kind."""


def _ignore_choice(changes: object, answer: object) -> None:
    """For a transport whose peer chooses over HTTP."""


@dataclass(frozen=True, slots=True)
class TransportEvents:
    """Whom to tell; all of them are called on the event loop."""

    packet: PacketHandler
    """A microphone packet: 16-bit sequence number, timestamp at 48 kHz, payload."""
    key_frame: Callable[[], None]
    """The peer lost the picture."""
    state: Callable[[str], None]
    """``connected``, ``failed`` or ``closed``."""
    clear: Callable[[], None]
    """The peer interrupts what is being said."""
    control: Callable[[dict[str, Any], Callable[[dict[str, Any]], None]], None] = _ignore_choice
    """The peer chooses how it is shown; the second argument takes the answer, a message."""
    estimate: Callable[[int], None] = _ignore
    """How much the peer thinks it can take, in bits per second."""
    report: Callable[[Report], None] = _ignore
    """What became of the picture's packets."""


class VoiceEncoder(Protocol):
    """Turns 20 ms of voice into one packet."""

    def encode(self, pcm: NDArray[np.float32]) -> bytes:
        """One packet from ``f32[960]`` mono 48 kHz."""


class Transport(Protocol):
    """One peer. Nothing here waits: what cannot leave in time is dropped and counted."""

    @property
    def path(self) -> str:
        """``webrtc`` or ``websocket``."""

    @property
    def video_mime_type(self) -> str:
        """The codec of the face."""

    @property
    def decoder(self) -> Decoder | None:
        """Of the microphone's packets; None for Opus."""

    @property
    def speech(self) -> SpeechStream | None:
        """What a speech model says, where that stands in a microphone's place."""

    @property
    def voice_encoder(self) -> VoiceEncoder | None:
        """Of the voice; None for Opus."""

    @property
    def received_packets(self) -> int:
        """Grows as long as the peer is there."""

    @property
    def round_trip_ms(self) -> float | None:
        """None until it is known."""

    @property
    def shed_frames(self) -> int:
        """Frames that were given to it and not sent, because the network takes no more."""

    @property
    def shed_voice(self) -> int:
        """Packets of voice that were not sent for the same reason."""

    def takes_face(self, ahead: int) -> bool:
        """Whether a frame would get through in time; asked before one is encoded.

        ``ahead`` frames are encoded and not sent yet.
        """

    def send_voice(self, packet: bytes, pts: int) -> None:
        """Send 20 ms of voice; ``pts`` in samples at 48 kHz."""

    def send_face(self, encoded: Encoded, pts: int) -> bool:
        """Send a frame, ``pts`` at 90 kHz; False if the peer needs a key frame after it."""

    def clear(self, generation: int) -> None:
        """Barge-in: what was given before is worth nothing any more."""

    async def aclose(self) -> None:
        """End the connection and wait for it; may be called again."""
