"""Every private name of aiortc and aioice that we lean on, in one place.

aiortc has no public way to replace its audio jitter buffer (85 ms of delay, 270 under loss), to
send a header extension it does not know, or to say what a sender report means. Each function here
changes one object, never a class or a module. ``tests/server/test_aiortc_private.py`` fails when a
new version renames something.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import random
import socket
import time
from collections.abc import Callable
from typing import Any, Protocol

from aioice import Candidate, Connection
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol
from aioice.turn import UDP_SOCKET_BUFFER_SIZE
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, RTCRtpTransceiver, clock, rtp
from aiortc.rtcrtpparameters import (
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionParameters,
    RTCRtpReceiveParameters,
)
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtcrtpsender import RTP_HISTORY_SIZE  # type: ignore[attr-defined]

from visavis.server.media.feedback import ReportReader
from visavis.server.media.redundancy import split_red
from visavis.server.rate.controller import Report
from visavis.server.rate.pacing import BurstPacer

__all__ = [
    "add_header_extension",
    "choose_addresses",
    "codecs_of",
    "ntp_now",
    "on_feedback",
    "on_key_frame_request",
    "pace",
    "received_packets",
    "report_media_time",
    "round_trip_seconds",
    "set_codecs",
    "set_extension_map",
    "tap_receiver",
]

LOOPBACK = "127.0.0.1"
MAX_SSRCS = 8
SHORTEST_WAIT = 0.001
# The first reports come early: until one has come, the browser cannot align lips and voice.
REPORT_SECONDS = (0.05, 0.1, 0.25, 0.5)
REPORT_EVERY_SECONDS = 1.0


class PacketHandler(Protocol):
    """Takes one audio packet; ``redundant`` if a later packet brought it again."""

    def __call__(
        self, sequence: int, timestamp: int, payload: bytes, redundant: bool = False
    ) -> None: ...


def _get(owner: object, name: str) -> Any:
    """A name-mangled attribute of an aiortc object."""
    return getattr(owner, f"_{type(owner).__name__}__{name}")


def _set(owner: object, name: str, value: object) -> None:
    mangled = f"_{type(owner).__name__}__{name}"
    if not hasattr(owner, mangled):
        raise AttributeError(f"this aiortc has no {mangled}")
    setattr(owner, mangled, value)


def codecs_of(transceiver: RTCRtpTransceiver) -> list[RTCRtpCodecParameters]:
    """The codecs both sides know, in the offer's order; known after setRemoteDescription."""
    codecs: list[RTCRtpCodecParameters] = transceiver._codecs
    return codecs


def set_codecs(transceiver: RTCRtpTransceiver, codecs: list[RTCRtpCodecParameters]) -> None:
    """What the answer will say; setCodecPreferences comes too late for that."""
    transceiver._codecs = codecs


def add_header_extension(transceiver: RTCRtpTransceiver, identifier: int, uri: str) -> None:
    """Accept an extension of the offer that aiortc does not know."""
    transceiver._headerExtensions.append(RTCRtpHeaderExtensionParameters(id=identifier, uri=uri))


def set_extension_map(sender: RTCRtpSender, extensions: rtp.HeaderExtensionsMap) -> None:
    """Replace what serialises a sender's header extensions; before it starts."""
    _set(sender, "rtp_header_extensions_map", extensions)


def on_key_frame_request(sender: RTCRtpSender, callback: Callable[[], None]) -> None:
    """Be told of PLI and FIR; aiortc's own handling works only where it encodes itself."""
    assert hasattr(sender, "_send_keyframe")
    sender._send_keyframe = callback  # type: ignore[method-assign]


def on_feedback(
    sender: RTCRtpSender,
    clock_rate: int,
    on_estimate: Callable[[int], None],
    on_report: Callable[[Report], None],
) -> None:
    """Be told of the receiver's estimates (REMB) and reports; aiortc uses the first in encoders of
    its own only, and nothing makes use of the second."""
    original = sender._handle_rtcp_packet
    reader = ReportReader()

    async def handle(packet: rtp.AnyRtcpPacket) -> None:
        if isinstance(packet, (rtp.RtcpRrPacket, rtp.RtcpSrPacket)):
            for report in packet.reports:
                if report.ssrc == sender._ssrc:
                    on_report(read(report))
        elif isinstance(packet, rtp.RtcpPsfbPacket) and packet.fmt == rtp.RTCP_PSFB_APP:
            with contextlib.suppress(ValueError):
                estimate, sources = rtp.unpack_remb_fci(packet.fci)
                if sender._ssrc in sources:
                    on_estimate(estimate)
        await original(packet)

    def read(report: rtp.RtcpReceiverInfo) -> Report:
        trip = None
        if _get(sender, "lsr") == report.lsr and report.dlsr:
            trip = max(0.0, time.time() - _get(sender, "lsr_time") - report.dlsr / 65536)
        return reader.read(
            time.monotonic(),
            fraction_lost=report.fraction_lost,
            packets_lost=report.packets_lost,
            highest=report.highest_sequence,
            jitter=report.jitter,
            clock_rate=clock_rate,
            round_trip=trip,
            sent_bytes=_get(sender, "octet_count"),
            sent_packets=_get(sender, "packet_count"),
        )

    sender._handle_rtcp_packet = handle  # type: ignore[method-assign]


def pace(sender: RTCRtpSender, pacer: BurstPacer, on_sent: Callable[[int], None]) -> None:
    """Spread the packets of this sender's large frames; after setLocalDescription.

    ``on_sent`` is told the sequence number of each packet of it.

    Only what the sender's own task sends is held up. Retransmissions leave from the task that reads
    the transport, which must not wait.
    """
    transport = sender.transport
    send = transport._send_rtp

    async def paced(data: bytes) -> None:
        if asyncio.current_task() is _get(sender, "rtp_task"):
            wait = pacer.wait(len(data), time.monotonic())
            if wait >= SHORTEST_WAIT:
                await asyncio.sleep(wait)
            on_sent(int.from_bytes(data[2:4], "big"))
        await send(data)

    assert hasattr(sender, "_RTCRtpSender__rtp_task")
    transport._send_rtp = paced  # type: ignore[method-assign]


def limit_repairs(sender: RTCRtpSender, allows: Callable[[int, int], bool]) -> None:
    """Ask before a packet is sent again: ``allows(sequence number, bytes)``."""
    again = sender._retransmit

    async def limited(sequence_number: int) -> None:
        history: dict[int, rtp.RtpPacket] = _get(sender, "rtp_history")
        packet = history.get(sequence_number % RTP_HISTORY_SIZE)
        if packet is None or packet.sequence_number != sequence_number:
            return
        if allows(sequence_number, len(packet.payload)):
            await again(sequence_number)

    sender._retransmit = limited  # type: ignore[method-assign]


def tap_receiver(
    receiver: RTCRtpReceiver, payload_type: int, red: int | None, on_packet: PacketHandler
) -> None:
    """Hand every packet over as it comes, without jitter buffer, queue or decoder thread.

    The statistics are kept, so that receiver reports go out as ever. ``red`` is the payload type of
    redundant packets (RFC 2198), where they were agreed on.
    """

    async def handle(packet: rtp.RtpPacket, arrival_time_ms: int) -> None:
        if packet.payload_type not in (payload_type, red):
            return
        streams: dict[int, StreamStatistics] = _get(receiver, "remote_streams")
        if packet.ssrc not in streams:
            if len(streams) >= MAX_SSRCS:
                return
            streams[packet.ssrc] = StreamStatistics(48_000)
        streams[packet.ssrc].add(packet)
        number, timestamp = packet.sequence_number, packet.timestamp
        if packet.payload_type == payload_type:
            on_packet(number, timestamp, packet.payload)
            return
        for block in split_red(packet.payload, timestamp, payload_type=payload_type):
            earlier = (number - block.age) & 0xFFFF
            on_packet(earlier, block.timestamp, block.payload, block.age > 0)

    async def receive(parameters: RTCRtpReceiveParameters) -> None:
        if _get(receiver, "started"):
            return
        if red is not None:
            parameters.codecs.append(
                RTCRtpCodecParameters("audio/red", clockRate=48_000, channels=2, payloadType=red)
            )
        receiver.transport._register_rtp_receiver(receiver, parameters)
        _set(receiver, "rtcp_task", asyncio.ensure_future(receiver._run_rtcp()))
        _set(receiver, "started", True)

    assert hasattr(receiver, "_handle_rtp_packet")
    receiver._handle_rtp_packet = handle  # type: ignore[method-assign]
    receiver.receive = receive  # type: ignore[method-assign]


def report_media_time(sender: RTCRtpSender, ntp_of_last: Callable[[], int]) -> None:
    """Send reports that say which NTP time the last packet's timestamp stands for.

    The browser aligns voice and picture by these reports. aiortc reports when the last packet did
    leave, so a late one would move the lips.
    """

    async def report() -> None:
        ntp = ntp_of_last()
        packets: list[rtp.AnyRtcpPacket] = [
            rtp.RtcpSrPacket(
                ssrc=sender._ssrc,
                sender_info=rtp.RtcpSenderInfo(
                    ntp_timestamp=ntp,
                    rtp_timestamp=_get(sender, "rtp_timestamp"),
                    packet_count=_get(sender, "packet_count") & 0xFFFFFFFF,
                    octet_count=_get(sender, "octet_count") & 0xFFFFFFFF,
                ),
            ),
            rtp.RtcpSdesPacket(
                chunks=[
                    rtp.RtcpSourceInfo(
                        ssrc=sender._ssrc, items=[(1, _get(sender, "cname").encode())]
                    )
                ]
            ),
        ]
        # The receiver quotes these back, which gives the round trip.
        _set(sender, "lsr", (ntp >> 16) & 0xFFFFFFFF)
        _set(sender, "lsr_time", time.time())
        await sender._send_rtcp(packets)

    async def run() -> None:
        _get(sender, "rtcp_started").set()
        try:
            for delay in itertools.chain(REPORT_SECONDS, itertools.repeat(REPORT_EVERY_SECONDS)):
                await asyncio.sleep(delay)
                if _get(sender, "packet_count"):
                    await report()
        except asyncio.CancelledError:
            await sender._send_rtcp([rtp.RtcpByePacket(sources=[sender._ssrc])])
        finally:
            # RTCRtpSender.stop waits for this, whatever happened.
            _get(sender, "rtcp_exited").set()

    assert hasattr(sender, "_run_rtcp")
    sender._run_rtcp = run  # type: ignore[method-assign]


def ntp_now() -> int:
    """The wall clock as a 64-bit NTP timestamp."""
    return clock.current_ntp_time()


def round_trip_seconds(sender: RTCRtpSender) -> float | None:
    """The smoothed round trip, once the peer has answered a report."""
    value: float | None = _get(sender, "rtt")
    return value


def received_packets(connection: RTCPeerConnection) -> int:
    """How many RTP and RTCP packets have come from the peer, whatever they say."""
    transports = {t.receiver.transport for t in connection.getTransceivers()}
    return sum(_get(transport, "rx_packets") for transport in transports)


def choose_addresses(
    connection: RTCPeerConnection, *, loopback: bool, ports: tuple[int, int] | None
) -> None:
    """Before anything is gathered, say where a connection may listen.

    Args:
        connection: has its offer already.
        loopback: offer 127.0.0.1 too, which aioice leaves out: without it an offline machine has
            no path.
        ports: the lowest and highest UDP port; None for any. aioice always lets the system choose.
    """
    transports = {t.receiver.transport.transport for t in connection.getTransceivers()}
    for transport in transports:
        ice = transport.iceGatherer._connection
        original = ice.get_component_candidates

        async def gather(
            component: int,
            addresses: list[str],
            ice: Connection = ice,
            original: Callable[..., Any] = original,
        ) -> list[Candidate]:
            wanted = [*addresses, LOOPBACK] if loopback else addresses
            if ports is None:
                candidates: list[Candidate] = await original(component=component, addresses=wanted)
                return candidates
            own = [await _listen(ice, component, address, ports) for address in wanted]
            # Without addresses the original asks the TURN server alone.
            relayed: list[Candidate] = await original(component=component, addresses=[])
            return [candidate for candidate in own if candidate is not None] + relayed

        ice.get_component_candidates = gather  # type: ignore[method-assign, assignment]


async def _listen(
    ice: Connection, component: int, address: str, ports: tuple[int, int]
) -> Candidate | None:
    """A host candidate on a free port of the range; None where there is none."""
    low, high = ports
    loop = asyncio.get_running_loop()
    first = random.randint(low, high)
    for number in range(high - low + 1):
        port = low + (first - low + number) % (high - low + 1)
        try:
            transport, protocol = await loop.create_datagram_endpoint(
                lambda: StunProtocol(ice), local_addr=(address, port)
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            return None
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_SOCKET_BUFFER_SIZE
        )
        protocol.local_candidate = Candidate(
            foundation=candidate_foundation("host", "udp", address),
            component=component,
            transport="udp",
            priority=candidate_priority(component, "host"),
            host=address,
            port=port,
            type="host",
        )
        ice._protocols.append(protocol)
        return protocol.local_candidate
    return None
