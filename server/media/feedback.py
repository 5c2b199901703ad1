"""Receiver reports (RFC 3550, 6.4.2) as the rate controller reads them. Pure."""

from __future__ import annotations

from visavis.server.rate.controller import Report

__all__ = ["ReportReader"]

MIN_SECONDS = 0.1


class ReportReader:
    """Turns the running totals of one stream's reports into what happened between two of them."""

    def __init__(self) -> None:
        self._received: int | None = None
        self._bytes = 0
        self._packets = 0
        self._time = 0.0

    def read(
        self,
        now: float,
        *,
        fraction_lost: int,
        packets_lost: int,
        highest: int,
        jitter: int,
        clock_rate: int,
        round_trip: float | None,
        sent_bytes: int,
        sent_packets: int,
    ) -> Report:
        """One report.

        Args:
            now: the time.
            fraction_lost: of 256, since the report before.
            packets_lost: since the beginning.
            highest: the extended highest sequence number received.
            jitter: in ticks of the stream's clock.
            clock_rate: of the stream, in Hz.
            round_trip: seconds, where it is known.
            sent_bytes: of payload, since the beginning, by our own count.
            sent_packets: since the beginning, by our own count.
        """
        received = highest - packets_lost
        arrived = None
        passed = now - self._time
        if self._received is not None and passed >= MIN_SECONDS:
            packets = min(max(0, received - self._received), sent_packets)
            fresh = sent_packets - self._packets
            mean = (
                (sent_bytes - self._bytes) / fresh
                if fresh > 0
                else sent_bytes / max(1, sent_packets)
            )
            arrived = packets * mean * 8 / passed
        self._received, self._time = received, now
        self._bytes, self._packets = sent_bytes, sent_packets
        return Report(
            lost=min(255, max(0, fraction_lost)) / 256,
            round_trip=round_trip,
            jitter=jitter / clock_rate,
            arrived=arrived,
        )
