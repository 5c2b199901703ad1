"""A server whose pictures cost nothing: what is left is packets.

The real server, with an echo in the engine's place and, in the encoder's place, pictures that were
encoded once. Run as ``python -m visavis.benchmarks.sessions.serving``; started by the benchmark,
not by people.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial

import numpy as np
from numpy.typing import NDArray

from visavis.benchmarks.live.instruments import EchoEngine, background
from visavis.benchmarks.live.persons import load
from visavis.engines.client import EngineClient
from visavis.server.config import ServerConfig
from visavis.server.media import encoder
from visavis.server.media.encoder import Encoded, open_encoder
from visavis.server.run import run_server

__all__ = ["StoredEncoder", "main", "stored_packets"]

MANY = 1000.0  # sessions a second that this one address may ask for


def stored_packets(mime_type: str, pictures: list[NDArray[np.uint8]]) -> list[tuple[bytes, bool]]:
    """Encode pictures once, the first as a key frame: bytes, and whether it is one."""
    rows, width = pictures[0].shape
    real = open_encoder(mime_type, width, rows * 2 // 3)
    made = [real.encode(n, picture, key=n == 0) for n, picture in enumerate(pictures)]
    return [(one.data, one.key) for one in made if one.data]


class StoredEncoder:
    """A `VideoEncoder` that gives the same packets again and again.

    Args:
        mime_type: of the packets.
        packets: of `stored_packets`. A decoder can follow them in this order alone: who needs a key
            frame gets the first, and the others after it.
        width, height: of the pictures; the packets have them already.
    """

    def __init__(
        self, mime_type: str, packets: list[tuple[bytes, bool]], width: int, height: int
    ) -> None:
        self.mime_type = mime_type
        self._packets = packets
        self._next = 0

    def encode(
        self,
        index: int,
        i420: NDArray[np.uint8],
        *,
        key: bool,
        bit_rate: int | None = None,
    ) -> Encoded:
        """The next stored packet, whatever the picture."""
        if key or self._next == len(self._packets):
            self._next = 0
        data, is_key = self._packets[self._next]
        self._next += 1
        return Encoded(
            index=index, data=data, key=is_key, distinct=True, cpu_ms=0.0, bit_rate=bit_rate or 0
        )


class _Room(EchoEngine):
    """An echo with as many places as are asked for."""

    def __init__(
        self, pictures: list[NDArray[np.uint8]], places: int, *, name: str, poster: bytes
    ) -> None:
        super().__init__(pictures, name=name, poster=poster)
        self._places = places

    def capacity(self) -> int:
        return self._places


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--person", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--places", type=int, required=True)
    given = parser.parse_args(arguments)
    person = load(given.person)
    pictures = background(person)
    stored = {mime: stored_packets(mime, pictures) for mime in ("video/VP8", "video/H264")}

    def make_engine() -> EngineClient:
        return _Room(pictures, given.places, name=person.name, poster=person.poster)

    # The one thing of the server that is replaced, in this process alone.
    for name, mime_type in (("Vp8Encoder", "video/VP8"), ("H264Encoder", "video/H264")):
        setattr(encoder, name, partial(StoredEncoder, mime_type, stored[mime_type]))
    config = ServerConfig(port=given.port, requests_per_second=MANY, max_sessions=given.places)
    return run_server(config, make_engine)


if __name__ == "__main__":
    sys.exit(main())
