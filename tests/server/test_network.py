"""A real peer behind a bad network: what the server notices, makes good, and sends."""

from __future__ import annotations

import asyncio

from aiortc import rtp

from tests.server.conftest import Serving
from tests.server.fake_engine import FakeEngine
from tests.server.peers import Client, tone_bursts
from tests.server.test_live import assert_steady, frames_of
from tests.server.test_redundancy import pack_red

RED = 63


def offer_red(offer: str) -> str:
    """aiortc does not offer redundant audio; a browser does."""
    return offer.replace(
        "a=rtpmap:96 opus/48000/2\r\n",
        f"a=rtpmap:{RED} red/48000/2\r\na=fmtp:{RED} 96/96\r\na=rtpmap:96 opus/48000/2\r\n",
    ).replace("SAVPF 96 ", f"SAVPF 96 {RED} ", 1)


class Bad:
    """Between the client's sender and its transport: loses, swaps and doubles its packets.

    Args:
        redundant: send each packet with the one before it (RFC 2198), as a browser would.
    """

    def __init__(self, client: Client, *, redundant: bool) -> None:
        sender = next(t.sender for t in client.connection.getTransceivers() if t.kind == "audio")
        self.transport = sender.transport
        self.send = self.transport._send_rtp
        self.transport._send_rtp = self.bad  # type: ignore[method-assign]
        self.redundant = redundant
        self.lost = 0
        self._count = 0
        self._held: bytes | None = None
        self._before: rtp.RtpPacket | None = None

    async def bad(self, data: bytes) -> None:
        if 192 <= data[1] <= 223:
            await self.send(data)
            return
        packet = rtp.RtpPacket.parse(data)
        if self.redundant:
            data = self._with_the_one_before(data, packet)
        self._before = packet
        self._count += 1
        if self._count > 50 and self._count % 10 == 0:
            self.lost += 1
        elif self._count % 17 == 0:
            self._held = data  # leaves after the next one
        else:
            await self.send(data)
            if self._held is not None:
                held, self._held = self._held, None
                await self.send(held)

    def _with_the_one_before(self, data: bytes, packet: rtp.RtpPacket) -> bytes:
        if self._before is None:
            return data
        blocks = [
            (self._before.timestamp, self._before.payload),
            (packet.timestamp, packet.payload),
        ]
        red = pack_red(packet.timestamp, blocks, codec=96)
        header = data[: len(data) - len(packet.payload)]
        return header[:1] + bytes([header[1] & 0x80 | RED]) + header[2:] + red


async def test_loss_and_reordering_with_and_without_redundancy(serving: Serving) -> None:
    pcm = tone_bursts(12, length=0.9)
    reports = []
    async with serving() as server:
        for redundant in (False, True):
            async with Client(server, pcm, edit=offer_red if redundant else str) as client:
                assert (f"SAVPF {RED} 96" in client.answer) == redundant
                network = Bad(client, redundant=redundant)
                await client.until(lambda network=network: network.lost > 15)  # type: ignore[misc]
                reports.append(await client.stats())
                assert_steady(client.voice)
    alone, helped = reports
    assert alone["packets_recovered"] == 0
    assert alone["packets_lost"] > 10  # type: ignore[operator]
    assert alone["concealed_ms"] > 200  # type: ignore[operator]
    assert helped["packets_recovered"] > 10  # type: ignore[operator]
    assert helped["packets_lost"] < 0.5 * alone["packets_lost"]  # type: ignore[operator]


async def test_the_picture_follows_what_gets_through(serving: Serving) -> None:
    """Reports of heavy loss: a smaller picture at a smaller rate, one key frame a step."""
    async with serving(FakeEngine(size=256)) as server, Client(server, None) as client:
        await client.until(lambda: len(client.face.packets) > 30)
        before = await client.stats()
        assert (before["frame_width"], before["size_changes"]) == (256, 0)
        receiver = next(
            t.receiver for t in client.connection.getTransceivers() if t.kind == "video"
        )
        source = next(iter(receiver._RTCRtpReceiver__remote_streams))
        for number in range(20):
            info = rtp.RtcpReceiverInfo(
                ssrc=source,
                fraction_lost=200,
                packets_lost=20 * number,
                highest_sequence=client.face.packets[-1].sequence,
                jitter=900,
                lsr=0,
                dlsr=0,
            )
            await receiver.transport._send_rtp(bytes(rtp.RtcpRrPacket(ssrc=1, reports=[info])))
            await asyncio.sleep(0.4)
        after = await client.stats()
        assert after["target_bps"] < 0.5 * before["target_bps"]  # type: ignore[operator]
        assert after["frame_width"] < 256  # type: ignore[operator]
        assert after["size_changes"] >= 1  # type: ignore[operator]
        # The picture goes on, at its new size, and nobody had to ask for it.
        widths = [luma.shape[1] for _, _, luma in frames_of(client.face)]
        assert widths[0] == 256 and widths[-1] == after["frame_width"]
        assert len(widths) > 100
        assert after["key_frames"] == 1 + after["size_changes"]  # type: ignore[operator]
        assert after["key_frame_requests"] == 0
