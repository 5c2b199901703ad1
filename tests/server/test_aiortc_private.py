"""Fails loudly when a new aiortc or aioice has renamed what we lean on."""

from __future__ import annotations

import inspect

from aioice import ice
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, rtp
from aiortc.rtcdtlstransport import RTCDtlsTransport

from visavis.server.media import aiortc_private as private


async def test_names_of_a_connection() -> None:
    connection = RTCPeerConnection()
    try:
        transceiver = connection.addTransceiver("audio")
        sender, receiver = transceiver.sender, transceiver.receiver
        transport = receiver.transport
        for owner, names in {
            sender: (
                "_RTCRtpSender__lsr _RTCRtpSender__lsr_time _RTCRtpSender__rtp_timestamp"
                " _RTCRtpSender__packet_count _RTCRtpSender__octet_count _RTCRtpSender__cname"
                " _RTCRtpSender__rtt _RTCRtpSender__rtcp_started _RTCRtpSender__rtcp_exited"
                " _RTCRtpSender__rtp_header_extensions_map _ssrc _send_rtcp _run_rtcp"
                " _send_keyframe _handle_rtcp_packet _RTCRtpSender__rtp_task"
            ),
            receiver: (
                "_RTCRtpReceiver__remote_streams _RTCRtpReceiver__started"
                " _RTCRtpReceiver__rtcp_task _handle_rtp_packet _run_rtcp"
            ),
            transport: "_RTCDtlsTransport__rx_packets _register_rtp_receiver _send_rtp",
            transport.transport.iceGatherer: "_connection",
            transport.transport.iceGatherer._connection: "get_component_candidates _protocols",
            transceiver: "_codecs _headerExtensions",
        }.items():
            missing = [name for name in names.split() if not hasattr(owner, name)]
            assert not missing, f"{type(owner).__name__} has no {missing}"
    finally:
        await connection.close()


def test_signatures() -> None:
    parameters = inspect.signature(RTCRtpReceiver._handle_rtp_packet).parameters
    assert list(parameters) == ["self", "packet", "arrival_time_ms"]
    assert "arrival_time_ms=" in inspect.getsource(RTCDtlsTransport._handle_rtp_data)
    parameters = inspect.signature(ice.Connection.get_component_candidates).parameters
    assert list(parameters)[:3] == ["self", "component", "addresses"]
    assert list(inspect.signature(rtp.HeaderExtensionsMap.set).parameters) == ["self", "values"]


def test_what_our_replacements_stand_in_for() -> None:
    """What the originals do besides; if that changes, ours must be looked at."""
    send = inspect.getsource(RTCRtpSender.send)
    assert "self._run_rtcp()" in send and "configure(parameters)" in send
    stop = inspect.getsource(RTCRtpSender.stop)
    assert "__rtcp_started.wait()" in stop and "__rtcp_exited.wait()" in stop
    feedback = inspect.getsource(RTCRtpSender._handle_rtcp_packet)
    assert "self._send_keyframe()" in feedback
    packets = inspect.getsource(RTCRtpSender._run_rtp)
    assert "await self.transport._send_rtp(packet_bytes)" in packets
    gather = inspect.getsource(ice.Connection.get_component_candidates)
    assert "local_addr=(address, 0)" in gather  # the day it takes a range, ours can go
    for name in ("protocol.local_candidate = Candidate(", "self._protocols += host_protocols"):
        assert name in gather
    receive = inspect.getsource(RTCRtpReceiver.receive)
    assert "_register_rtp_receiver(self, parameters)" in receive


async def test_the_wrong_name_is_an_error_and_not_a_new_attribute() -> None:
    connection = RTCPeerConnection()
    try:
        sender = connection.addTransceiver("audio").sender
        try:
            private._set(sender, "no_such_thing", 1)
        except AttributeError as error:
            assert "no_such_thing" in str(error)
        else:
            raise AssertionError("it was accepted")
    finally:
        await connection.close()
