"""The ``playout-delay`` RTP header extension: how long the browser may hold the picture back.

Without it a browser keeps 40 to 110 ms of video in hand. The minimum of 0 lets it show a frame at
once; the maximum of 200 ms, rather than 0, leaves it room to wait for the voice: 0/0 would switch
lip synchronisation off. http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
"""

from __future__ import annotations

from aiortc import rtp
from aiortc.rtcrtpparameters import RTCRtpParameters

__all__ = ["PLAYOUT_DELAY_URI", "PlayoutDelayMap", "pack_playout_delay"]

PLAYOUT_DELAY_URI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
MIN_MS = 0
MAX_MS = 200
GRANULARITY_MS = 10


def pack_playout_delay(min_ms: int, max_ms: int) -> bytes:
    """Two 12-bit numbers in units of 10 ms."""
    value = (min_ms // GRANULARITY_MS) << 12 | max_ms // GRANULARITY_MS
    return value.to_bytes(3, "big")


class PlayoutDelayMap(rtp.HeaderExtensionsMap):
    """aiortc's header extensions, and one it does not know, on every packet."""

    def __init__(self) -> None:
        super().__init__()
        self._id: int | None = None
        self._value = pack_playout_delay(MIN_MS, MAX_MS)

    def configure(self, parameters: RTCRtpParameters) -> None:
        """Remember under which number the peer knows each extension."""
        super().configure(parameters)
        for extension in parameters.headerExtensions:
            if extension.uri == PLAYOUT_DELAY_URI:
                self._id = extension.id

    def set(self, values: rtp.HeaderExtensions) -> tuple[int, bytes]:
        """The extensions of one packet, packed."""
        profile, packed = super().set(values)
        if self._id is None:
            return profile, packed
        known = rtp.unpack_header_extensions(profile, packed)
        return rtp.pack_header_extensions([*known, (self._id, self._value)])
