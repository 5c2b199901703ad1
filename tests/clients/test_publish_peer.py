"""The sending connection: what it offers, what it follows, and the names of aiortc it leans on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.rtp import (
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
)

from visavis.clients.errors import ClientError
from visavis.clients.publish.links import IceServer
from visavis.clients.publish.peer import FACE_WAITS, VOICE_WAITS, Outgoing


@pytest.fixture
async def peer() -> AsyncIterator[Outgoing]:
    peer = Outgoing("h264", ntp_origin=5 << 32, want_key_frame=lambda: None, loopback=True)
    yield peer
    await peer.close()
    await peer.close()


async def answer_of(offer: str, *, refuse: str = "") -> str:
    """Another peer's answer, which takes all but one kind."""
    other = RTCPeerConnection()
    try:
        await other.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        for transceiver in other.getTransceivers():
            if transceiver.kind == refuse:
                transceiver.direction = "inactive"
        await other.setLocalDescription()
        return str(other.localDescription.sdp)
    finally:
        await other.close()


async def test_it_offers_one_codec_each_and_every_way_there_is(peer: Outgoing) -> None:
    sdp = await peer.offer()
    maps = [line.partition(" ")[2] for line in sdp.splitlines() if line.startswith("a=rtpmap")]
    assert maps == ["opus/48000/2", "H264/90000", "rtx/90000"]
    assert "profile-level-id=42e01f" in sdp and sdp.count("a=sendonly") == 2
    assert sdp.count("BUNDLE 0 1") == 1 and "127.0.0.1" in sdp and "a=end-of-candidates" in sdp
    vp8 = Outgoing("vp8", ntp_origin=0, want_key_frame=lambda: None)
    sdp = await vp8.offer()
    assert "VP8/90000" in sdp and "H264" not in sdp and " 127.0.0.1 " not in sdp
    await vp8.close()
    relayed = Outgoing(
        "h264",
        ntp_origin=0,
        want_key_frame=lambda: None,
        servers=[IceServer("turn:192.0.2.1:3478", "u", "p")],
    )
    await relayed.close()


@pytest.mark.parametrize(
    ("kind", "words"), [("video", "does not take the picture"), ("audio", "take the voice")]
)
async def test_both_must_be_taken(peer: Outgoing, kind: str, words: str) -> None:
    answer = await answer_of(await peer.offer(), refuse=kind)
    with pytest.raises(ClientError, match=words):
        await peer.accept(answer)


async def test_a_service_without_the_codec_is_named(peer: Outgoing) -> None:
    answer = (await answer_of(await peer.offer())).replace("H264/90000", "AV1/90000")
    with pytest.raises(ClientError, match="does not take the picture as H264; --codec"):
        await peer.accept(answer)


@pytest.mark.parametrize(
    "damage",
    [
        lambda sdp: "v=0\r\n",
        lambda sdp: "nonsense",
        lambda sdp: sdp.replace("a=setup", "a=nothing"),
        lambda sdp: sdp.replace("a=ice-pwd", "a=nothing"),
        lambda sdp: sdp.partition("m=video")[0],
        lambda sdp: sdp.replace("profile-level-id=42", "profile-level-id=64"),
    ],
)
async def test_an_answer_that_is_none_is_an_error(peer: Outgoing, damage: object) -> None:
    answer = damage(await answer_of(await peer.offer()))  # type: ignore[operator]
    with pytest.raises(ClientError, match="cannot be followed|does not take"):
        await peer.accept(answer)


async def test_what_waits_is_bounded_and_counted(peer: Outgoing) -> None:
    for number in range(100):
        peer.put_voice(b"v", 960 * number)
    kept = [peer.put_face(b"f", 1920 * number) for number in range(50)]
    assert kept == [True] * FACE_WAITS + [False] * (50 - FACE_WAITS)
    assert peer.dropped == 100 - VOICE_WAITS + 50 - FACE_WAITS


async def test_reports_say_when_the_last_packet_was_due(peer: Outgoing) -> None:
    sent: list[bytes] = []

    async def note(data: bytes) -> None:
        sent.append(data)

    for transceiver, pts in zip(peer._connection.getTransceivers(), (48_000, 96_000), strict=True):
        sender = transceiver.sender
        sender.transport._send_rtp = note  # type: ignore[method-assign]
        sender.track.put(b"x", pts)  # type: ignore[attr-defined]
        info = RtcpSenderInfo(ntp_timestamp=1, rtp_timestamp=2, packet_count=3, octet_count=4)
        await sender._send_rtcp([RtcpSrPacket(ssrc=9, sender_info=info)])
        await sender.track.recv()
        await sender._send_rtcp([RtcpSrPacket(ssrc=9, sender_info=info)])
    reports = [packet for data in sent for packet in RtcpPacket.parse(data)]
    times = [r.sender_info.ntp_timestamp for r in reports if isinstance(r, RtcpSrPacket)]
    assert times == [1, 6 << 32, 1, 7 << 32], "from the first packet on"


async def test_key_frames_are_asked_for_by_the_names_that_aiortc_uses() -> None:
    asked = []
    peer = Outgoing("h264", ntp_origin=0, want_key_frame=lambda: asked.append(1))
    _, face = (transceiver.sender for transceiver in peer._connection.getTransceivers())
    for kind in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
        await face._handle_rtcp_packet(RtcpPsfbPacket(kind, 1, face._ssrc))
    assert asked == [1, 1]
    await peer.close()
