"""What all sessions of a server have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from visavis.server.config import IceServer
from visavis.server.look.looks import Looks
from visavis.server.media.encoder import OpenEncoder, open_encoder
from visavis.server.media.peer import PeerNetwork
from visavis.server.media.viewers import ViewerPlaces

__all__ = ["MediaOptions"]


@dataclass(frozen=True, slots=True)
class MediaOptions:
    """See :class:`visavis.server.config.ServerConfig`, where most of it comes from."""

    budget_ms: float = 20.0
    ice_servers: Callable[[], Sequence[IceServer]] = tuple
    """Asked for each connection: passwords expire."""
    network: PeerNetwork = field(default_factory=PeerNetwork)
    open_encoder: OpenEncoder = open_encoder
    viewers: ViewerPlaces = field(default_factory=ViewerPlaces)
    looks: Looks = field(default_factory=Looks)
    connect_seconds: float = 15.0
    """A viewer that is not connected after so long is sent away."""
