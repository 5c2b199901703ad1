"""Who watches a session: one picture and one voice, compressed once, sent to any number of peers.

A viewer gets the packets that the speaker gets, each with its own numbers and keys; nothing is
compressed for it. It joins at a key frame, which is asked for as soon as it is connected. What a
viewer's network does not take is lost to that viewer alone: the bit rate follows the speaker's own
network and not the viewers', and a viewer that asks for key frames all the time is not always
heard, or it would cost all the others their quality.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from visavis.server.config import IceServer
from visavis.server.errors import NoSuchSession, Unavailable
from visavis.server.media.encoder import Encoded
from visavis.server.media.one_way import Watcher
from visavis.server.media.peer import PeerNetwork
from visavis.server.media.sdp import Fragment, parse_offer
from visavis.server.media.transport import TransportEvents

__all__ = ["KeyFrameAllowance", "ViewerPlaces", "Viewers"]

RETRY_SECONDS = 5
KEY_FRAMES_AT_ONCE = 2
KEY_FRAME_EVERY_SECONDS = 2.0


@dataclass(slots=True)
class ViewerPlaces:
    """How many viewers there may be and are, of all sessions of a process together."""

    limit: int = 100
    taken: int = 0
    opened: int = 0
    refused: int = 0
    """Viewers for whom there was no place."""
    shed_frames: int = 0
    """Frames that a viewer did not get because its sender was stuck, or that it had to wait for a
    key frame after."""
    key_frames_denied: int = 0
    """Requests of viewers for a key frame that were not heard."""

    def take(self) -> None:
        """Take a place.

        Raises:
            Unavailable: there is none.
        """
        if self.taken >= self.limit:
            self.refused += 1
            raise Unavailable(
                f"All {self.limit} places for viewers are taken; try again when somebody has left.",
                retry_after=RETRY_SECONDS,
            )
        self.taken += 1

    def give_back(self) -> None:
        """A viewer has left."""
        self.taken -= 1


class KeyFrameAllowance:
    """How often one viewer is heard: a token bucket of two, one more every two seconds."""

    def __init__(self) -> None:
        self._tokens = float(KEY_FRAMES_AT_ONCE)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Whether a request at this time is heard; ``now`` in seconds."""
        passed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        self._tokens = min(
            float(KEY_FRAMES_AT_ONCE), self._tokens + passed / KEY_FRAME_EVERY_SECONDS
        )
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


@dataclass(slots=True)
class _Viewer:
    peer: Watcher
    allowance: KeyFrameAllowance = field(default_factory=KeyFrameAllowance)
    connected: bool = False
    broken: bool = True
    """Nothing can be decoded until a key frame has come."""
    unheard: bool = False
    """Its last wish for one was denied."""
    deadline: asyncio.TimerHandle | None = None


class Viewers:
    """The viewers of one session. All calls come on the event loop.

    Args:
        places: of all sessions together.
        ice_servers: asked for each viewer.
        network: which of our addresses and ports a viewer may use.
        want_key_frame: the picture is soon to stand alone.
        on_first: somebody watches, and before that nobody did.
        connect_seconds: who is not connected after so long is sent away.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        *,
        places: ViewerPlaces,
        ice_servers: Callable[[], Sequence[IceServer]],
        network: PeerNetwork,
        want_key_frame: Callable[[], None],
        on_first: Callable[[], None],
        connect_seconds: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places = places
        self._ice_servers = ice_servers
        self._network = network
        self._want_key_frame = want_key_frame
        self._on_first = on_first
        self._connect_seconds = connect_seconds
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._viewers: dict[str, _Viewer] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._viewers)

    @property
    def watching(self) -> bool:
        """Whether anybody is connected."""
        return any(viewer.connected for viewer in self._viewers.values())

    async def add(self, offer_text: str, *, loopback: bool, mime_type: str) -> tuple[str, str]:
        """Answer a viewer; returns its id and the SDP answer.

        Args:
            offer_text: SDP.
            loopback: whether to offer 127.0.0.1, for a viewer on this machine.
            mime_type: the codec of the session's picture.

        Raises:
            OfferError: the offer cannot be answered; nothing is left of it.
            Unavailable: there is no place, or no port; likewise.
            NoSuchSession: the session ended meanwhile.
        """
        offer = parse_offer(offer_text)
        if self._closed:
            raise NoSuchSession
        self._places.take()
        identifier = secrets.token_urlsafe(12)
        peer = Watcher(
            ice_servers=self._ice_servers(),
            loopback=loopback,
            events=self._events(identifier),
            network=self._network,
            video_mime_type=mime_type,
        )
        viewer = self._viewers[identifier] = _Viewer(peer)
        try:
            answer = await peer.answer(offer)
            if identifier not in self._viewers:
                raise NoSuchSession
        except BaseException:
            await self._remove(identifier)
            raise
        if not viewer.connected:
            viewer.deadline = self._loop.call_later(
                self._connect_seconds, self._leave_soon, identifier
            )
        self._places.opened += 1
        return identifier, answer

    def _events(self, identifier: str) -> TransportEvents:
        return TransportEvents(
            packet=_deaf,
            key_frame=lambda: self._key_frame_asked(identifier),
            state=lambda state: self._state(identifier, state),
            clear=lambda: None,
        )

    def get(self, identifier: str) -> Watcher:
        """The viewer's connection.

        Raises:
            NoSuchSession: there is no such viewer.
        """
        try:
            return self._viewers[identifier].peer
        except KeyError:
            raise NoSuchSession from None

    async def trickle(self, identifier: str, fragment: Fragment) -> None:
        """Add the viewer's further candidates.

        Raises:
            NoSuchSession: there is no such viewer.
            OfferError: they cannot be used.
        """
        await self.get(identifier).trickle(fragment)

    async def remove(self, identifier: str) -> None:
        """Send a viewer away and wait until nothing is left of it.

        Raises:
            NoSuchSession: there is no such viewer.
        """
        self.get(identifier)
        await self._remove(identifier)

    def send_voice(self, packet: bytes, pts: int) -> None:
        """Send 20 ms of voice, an Opus packet, to all; ``pts`` in samples at 48 kHz."""
        for viewer in self._viewers.values():
            if viewer.connected:
                viewer.peer.send_voice(packet, pts)

    def send_face(self, encoded: Encoded, pts: int) -> None:
        """Send a frame to all who can decode it; ``pts`` at 90 kHz."""
        for viewer in self._viewers.values():
            if not viewer.connected:
                continue
            if viewer.broken and not encoded.key:
                self._places.shed_frames += 1
                if viewer.unheard:
                    self._ask(viewer)  # without a packet its own receiver does not ask again
                continue
            viewer.broken = not viewer.peer.send_face(encoded, pts)
            if viewer.broken:
                # An older frame was dropped for it.
                self._places.shed_frames += 1
                self._ask(viewer)

    def leave_all(self) -> None:
        """The picture's codec is another one from now on: let them come again."""
        for identifier in list(self._viewers):
            self._leave_soon(identifier)

    async def aclose(self) -> None:
        """Send everybody away and wait for it; may be called again."""
        self._closed = True
        self.leave_all()
        while self._leaving:
            await asyncio.wait(self._leaving)
        # They lead back to the session, which would otherwise wait for the collector.
        self._want_key_frame = self._on_first = _nobody

    def _state(self, identifier: str, state: str) -> None:
        viewer = self._viewers.get(identifier)
        if viewer is None:
            return
        if state == "connected":
            if not self.watching:
                self._on_first()
            viewer.connected = True
            if viewer.deadline is not None:
                viewer.deadline.cancel()
            self._ask(viewer)
        elif state in ("failed", "closed"):
            self._leave_soon(identifier)

    def _key_frame_asked(self, identifier: str) -> None:
        viewer = self._viewers.get(identifier)
        if viewer is not None:
            self._ask(viewer)

    def _ask(self, viewer: _Viewer) -> None:
        denied = not viewer.allowance.take(self._clock())
        if not denied:
            self._want_key_frame()
        elif not viewer.unheard:
            self._places.key_frames_denied += 1
        viewer.unheard = denied

    def _leave_soon(self, identifier: str) -> None:
        if identifier in self._viewers:
            task = self._loop.create_task(self._remove(identifier))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _remove(self, identifier: str) -> None:
        viewer = self._viewers.pop(identifier, None)
        if viewer is None:
            return
        viewer.connected = False
        if viewer.deadline is not None:
            viewer.deadline.cancel()
        self._places.give_back()
        await viewer.peer.aclose()


def _deaf(sequence: int, timestamp: int, payload: bytes, redundant: bool = False) -> None:
    """A viewer has no microphone."""


def _nobody() -> None:
    """Nobody watches a session that has ended."""
