"""Everything a first session would otherwise wait for: a whole negotiation and one frame.

The first certificate, codec and resolver calls of a process take some hundred milliseconds.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection

from visavis.server.media.conceal import Concealer
from visavis.server.media.encoder import open_encoder
from visavis.server.media.opus import OpusDecoder, OpusEncoder
from visavis.server.media.peer import Peer
from visavis.server.media.resample import Decimator
from visavis.server.media.sdp import parse_offer
from visavis.server.media.transport import TransportEvents

__all__ = ["warm_up"]

SIZE = 64


async def warm_up(encoders: Executor) -> None:
    """Answer an offer of our own, and compress a frame in the pool; nothing is sent anywhere."""
    visitor = RTCPeerConnection(
        RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
    )
    peer = Peer(
        ice_servers=(),
        loopback=False,
        prefer_h264=False,
        events=TransportEvents(_no_packet, key_frame=_nothing, state=_no_state, clear=_nothing),
    )
    try:
        visitor.addTransceiver("audio", "sendrecv")
        visitor.addTransceiver("video", "recvonly")
        # An offer without candidates: neither side finds the other.
        offer = await visitor.createOffer()
        await peer.answer(parse_offer(offer.sdp))
        await asyncio.get_running_loop().run_in_executor(encoders, _compute)
    finally:
        await peer.aclose()
        await visitor.close()


def _compute() -> None:
    sound = np.zeros(960, np.float32)
    OpusDecoder().decode(OpusEncoder().encode(sound))
    Decimator().process(sound)
    Concealer().conceal(960)
    open_encoder("video/VP8", SIZE, SIZE).encode(
        0, np.zeros((SIZE * 3 // 2, SIZE), np.uint8), key=True
    )


def _no_packet(sequence: int, timestamp: int, payload: bytes, redundant: bool = False) -> None:
    pass


def _nothing() -> None:
    pass


def _no_state(state: str) -> None:
    pass
