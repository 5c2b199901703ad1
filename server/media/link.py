"""A connection's way to its session, until it is cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from visavis.server.media.transport import TransportEvents
from visavis.server.rate.controller import Report

__all__ = ["Link"]


class Link:
    """Passes on what a connection says, as long as it is the session's present one.

    Connections hold it and not the session: they have threads and tasks of their own, which would
    keep a session that has ended, and with it codecs of some MB.
    """

    def __init__(self) -> None:
        self._to: TransportEvents | None = None

    def join(self, to: TransportEvents) -> None:
        """From now on the session is told."""
        self._to = to

    def cut(self) -> None:
        """Another connection has taken its place, or the session has ended."""
        self._to = None

    def events(self) -> TransportEvents:
        """What a connection is to be given."""
        return TransportEvents(
            packet=self._packet,
            key_frame=self._key_frame,
            state=self._state,
            clear=self._clear,
            control=self._control,
            estimate=self._estimate,
            report=self._report,
        )

    def _packet(
        self, sequence: int, timestamp: int, payload: bytes, redundant: bool = False
    ) -> None:
        if self._to is not None:
            self._to.packet(sequence, timestamp, payload, redundant)

    def _key_frame(self) -> None:
        if self._to is not None:
            self._to.key_frame()

    def _state(self, state: str) -> None:
        if self._to is not None:
            self._to.state(state)

    def _clear(self) -> None:
        if self._to is not None:
            self._to.clear()

    def _control(self, changes: dict[str, Any], answer: Callable[[dict[str, Any]], None]) -> None:
        if self._to is not None:
            self._to.control(changes, answer)

    def _estimate(self, bits_per_second: int) -> None:
        if self._to is not None:
            self._to.estimate(bits_per_second)

    def _report(self, report: Report) -> None:
        if self._to is not None:
            self._to.report(report)
