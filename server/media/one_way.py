"""Peers that only speak (WHIP) and peers that only watch (WHEP)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from aiortc import RTCRtpTransceiver

from visavis.server.config import IceServer
from visavis.server.errors import OfferError
from visavis.server.media import aiortc_private as private
from visavis.server.media.encoder import Encoded
from visavis.server.media.peer import Peer, PeerNetwork
from visavis.server.media.sdp import Offer
from visavis.server.media.transport import TransportEvents

__all__ = ["Publisher", "Watcher"]

NO_PAYLOAD_TYPE = -1


class Publisher(Peer):
    """Sends a voice and gets nothing back: the face is for the session's viewers.

    Args:
        ice_servers, loopback, events, network: as for `Peer`.
        watched: whether anybody sees the picture; without viewers none is compressed.
        video_mime_type: the codec of the picture.
    """

    def __init__(
        self,
        *,
        ice_servers: Sequence[IceServer],
        loopback: bool,
        events: TransportEvents,
        network: PeerNetwork,
        watched: Callable[[], bool],
        video_mime_type: str,
    ) -> None:
        super().__init__(
            ice_servers=ice_servers,
            loopback=loopback,
            prefer_h264=False,
            events=events,
            network=network,
        )
        self._watched = watched
        self.video_mime_type = video_mime_type

    def _prepare_voice(self, transceiver: RTCRtpTransceiver, offer: Offer) -> None:
        self._receive_voice(transceiver, offer)
        transceiver.direction = "recvonly"

    def _prepare_face(self, transceiver: RTCRtpTransceiver, offer: Offer) -> None:
        # What comes is counted for the reports and not decoded.
        private.tap_receiver(transceiver.receiver, NO_PAYLOAD_TYPE, None, _nowhere)
        transceiver.direction = "recvonly"

    def takes_face(self, ahead: int) -> bool:
        """Whether anybody watches."""
        return self._watched()

    def send_voice(self, packet: bytes, pts: int) -> None:
        """Nothing goes back."""

    def send_face(self, encoded: Encoded, pts: int) -> bool:
        """Nothing goes back."""
        return True


class Watcher(Peer):
    """Gets a voice and a face and sends nothing.

    Args:
        ice_servers, loopback, events, network: as for `Peer`.
        video_mime_type: the codec of the picture, which is compressed once for all.
    """

    def __init__(
        self,
        *,
        ice_servers: Sequence[IceServer],
        loopback: bool,
        events: TransportEvents,
        network: PeerNetwork,
        video_mime_type: str,
    ) -> None:
        self._codec = video_mime_type
        super().__init__(
            ice_servers=ice_servers,
            loopback=loopback,
            prefer_h264=video_mime_type.lower() == "video/h264",
            events=events,
            network=network,
        )

    async def answer(self, offer: Offer) -> str:
        """Answer an offer, with all our candidates in it.

        Raises:
            OfferError: there is no answer to that offer, or it lacks the picture's codec.
            Unavailable: no port is free, or none is lent. The peer must be closed either way.
        """
        offer = dataclasses.replace(offer, sends_audio=False, red={})
        answer = await super().answer(offer)
        if self.video_mime_type.lower() != self._codec.lower():
            name = self._codec.partition("/")[2]
            raise OfferError(f"The picture comes as {name}, which the offer does not have.")
        return answer

    def _prepare_voice(self, transceiver: RTCRtpTransceiver, offer: Offer) -> None:
        super()._prepare_voice(transceiver, offer)
        transceiver.direction = "sendonly"


def _nowhere(sequence: int, timestamp: int, payload: bytes, redundant: bool = False) -> None:
    """For packets that nobody takes."""
