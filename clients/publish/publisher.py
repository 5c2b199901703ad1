"""Keeps a service supplied: connects, connects again when that is lost, and hands packets over."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from visavis.clients.errors import ClientError, Refused
from visavis.clients.events import CodedPicture, CodedVoice
from visavis.clients.publish.backoff import Backoff
from visavis.clients.publish.links import IceServer
from visavis.clients.publish.peer import Outgoing, ntp_now
from visavis.clients.publish.whip import Published, Whip

__all__ = ["PublishStats", "Publisher"]

RATE = 48_000
CONNECT_SECONDS = 15.0
GOODBYE_SECONDS = 3.0
ASK_AGAIN_SECONDS = 0.4
"""Several requests for a key frame within this are one."""
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
TRY_AGAIN_ONCE_PUBLISHED = frozenset({403, 404, 409})
"""A service that was just lost may hold the place still, or not know it yet."""


@dataclass(slots=True)
class PublishStats:
    """What became of what the server sent."""

    pictures: int = 0
    key_frames: int = 0
    voice: int = 0
    sent_bytes: int = 0
    waiting: int = 0
    """Packets that came while nothing was connected, or before a picture that stands alone."""
    dropped: int = 0
    """Packets that did not leave in time."""
    connections: int = 0


class Publisher:
    """`run` in a task; `put` what comes from the avatar's server.

    Args:
        url, whip: of the service.
        codec: of the face.
        key_seconds: how often a picture stands alone, whether asked for or not: services that cut
            the stream into pieces wait for one.
        say: called with sentences for who started it.
        clock: seconds, monotonic.
        sleep: waits so many seconds.
        new_peer: makes a connection.
    """

    def __init__(
        self,
        url: str,
        whip: Whip,
        codec: str,
        *,
        key_seconds: float = 2.0,
        say: Callable[[str], None] = lambda sentence: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        new_peer: Callable[..., Outgoing] = Outgoing,
    ) -> None:
        self.stats = PublishStats()
        self._whip, self._codec, self._key_seconds = whip, codec, key_seconds
        self._loopback = _is_loopback(url)
        self._say, self._clock, self._sleep, self._new_peer = say, clock, sleep, new_peer
        self._origin = ntp_now()
        self._peer: Outgoing | None = None
        self._key_needed = True  # nothing that refers to an earlier picture may be sent
        self._key_asked = False  # by the service
        self._key_at = self._asked_at = -1e9
        self._offset: int | None = 0  # from the session's pts to the stream's; None: not known yet
        self._last_pts, self._last_at = 0, clock()

    # -- packets ------------------------------------------------------------------------------

    def another_session(self) -> None:
        """What comes from now on is of another session, which counts from 0; time goes on."""
        self._offset, self._key_needed = None, True

    def put(self, packet: CodedPicture | CodedVoice) -> None:
        """Send it, where there is a connection."""
        now = self._clock()
        if self._offset is None:
            passed = max(0.02, now - self._last_at)
            self._offset = self._last_pts + round(passed * RATE) - packet.pts
        pts = packet.pts + self._offset
        self._last_pts, self._last_at = max(self._last_pts, pts), now
        picture = isinstance(packet, CodedPicture)
        if self._peer is None or (
            isinstance(packet, CodedPicture) and self._key_needed and not packet.key
        ):
            self.stats.waiting += 1
            return
        if isinstance(packet, CodedPicture):
            self._key_needed = False
            if packet.key:
                self._key_at, self._key_asked = now, False
                self.stats.key_frames += 1
            if not self._peer.put_face(packet.data, pts):
                self._key_needed = True
        else:
            self._peer.put_voice(packet.data, pts)
        self.stats.pictures += picture
        self.stats.voice += not picture
        self.stats.sent_bytes += len(packet.data)

    def wants_key_frame(self) -> bool:
        """Whether the server shall be asked for one now; it is taken to be asked then."""
        now = self._clock()
        if self._peer is None or now - self._asked_at < ASK_AGAIN_SECONDS:
            return False
        due = now - self._key_at >= self._key_seconds
        if not (self._key_needed or self._key_asked or due):
            return False
        self._asked_at = now
        return True

    # -- the connection -----------------------------------------------------------------------

    async def run(self) -> None:
        """Publish until it is cancelled; then the service is told goodbye.

        Raises:
            Refused: the service said no, and trying again would not help.
            ClientError: it cannot be reached at the start.
        """
        backoff = Backoff()
        servers: tuple[IceServer, ...] = ()
        while True:
            peer = self._new_peer(
                self._codec,
                ntp_origin=self._origin,
                want_key_frame=self._ask,
                servers=servers,
                loopback=self._loopback,
            )
            published: Published | None = None
            began, ended = self._clock(), "The connection to the service was lost."
            wait: float | None = None
            try:
                published = await self._whip.publish(await peer.offer())
                await peer.accept(published.answer)
                await _connected(peer)
                self._go_on(peer)
                began = self._clock()
                await peer.until("closed")
            except Refused as error:
                again = self.stats.connections and error.status in TRY_AGAIN_ONCE_PUBLISHED
                if error.status not in TRY_AGAIN and not again:
                    raise
                ended, wait = str(error), error.retry_after
            except ClientError as error:
                offered = () if published is None else published.ice_servers
                if not self.stats.connections and (not offered or servers):
                    raise
                ended = str(error)
            finally:
                self._peer = None
                await self._goodbye(peer, published)
            # Its relays come with its answer, too late for the connection that asked. There is the
            # next one.
            if published is not None and published.ice_servers:
                servers = published.ice_servers
            backoff.held(self._clock() - began)
            seconds = backoff.failed(wait)
            self._say(f"{ended} Trying again in {seconds:.0f} s.")
            await self._sleep(seconds)

    def _ask(self) -> None:
        self._key_asked = True

    def _go_on(self, peer: Outgoing) -> None:
        self._peer, self._key_needed = peer, True
        self._key_at = self._asked_at = -1e9
        self.stats.connections += 1
        again = "" if self.stats.connections == 1 else " again"
        self._say(f"Connected{again}: the service takes voice and face.")

    async def _goodbye(self, peer: Outgoing, published: Published | None) -> None:
        self.stats.dropped += peer.dropped
        if published is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._whip.end(published), GOODBYE_SECONDS)
        await peer.close()


async def _connected(peer: Outgoing) -> None:
    """Wait until packets can be sent.

    Raises:
        ClientError: there is no way through.
    """
    try:
        state = await asyncio.wait_for(peer.until("connected"), CONNECT_SECONDS)
    except TimeoutError:
        state = "failed"
    if state != "connected":
        raise ClientError(
            "The service has answered, but there is no way to it for sound and picture; is UDP "
            "shut here?"
        )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
