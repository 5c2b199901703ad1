"""The voice's way out: compressed once for the peer, once more for viewers where they need it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.server.media.opus import OpusEncoder
from visavis.server.media.transport import Transport, VoiceEncoder
from visavis.server.media.viewers import Viewers

__all__ = ["VoiceSender"]


class VoiceSender:
    """Of one session. All calls come on the event loop.

    Args:
        viewers: who hears it besides the peer.
    """

    def __init__(self, viewers: Viewers) -> None:
        self._viewers = viewers
        self._encoder: VoiceEncoder = OpusEncoder()
        self._viewers_encoder: OpusEncoder | None = None

    def change_over(self, transport: Transport) -> None:
        """The voice leaves over this transport from now on, which may want it in another form."""
        self._encoder = transport.voice_encoder or OpusEncoder()

    def send(self, transport: Transport, pcm: NDArray[np.float32], pts: int) -> None:
        """Send 20 ms, ``f32[960]``; ``pts`` in samples at 48 kHz."""
        packet = self._encoder.encode(pcm)
        transport.send_voice(packet, pts)
        if self._viewers.watching:
            self._viewers.send_voice(self._opus(packet, pcm), pts)

    def _opus(self, packet: bytes, pcm: NDArray[np.float32]) -> bytes:
        """For viewers, whose connections know nothing else."""
        if isinstance(self._encoder, OpusEncoder):
            return packet
        if self._viewers_encoder is None:
            self._viewers_encoder = OpusEncoder()
        return self._viewers_encoder.encode(pcm)
