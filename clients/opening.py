"""The first words of a session: who is asked for, and what both sides can do."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from visavis.clients.errors import ClientError, Refused
from visavis.clients.wire import socket_address

__all__ = ["CODECS", "open_socket", "refusal"]

CODECS = ("vp8", "h264")
OPEN_SECONDS = 60.0  # a person may have to be loaded
MAX_MESSAGE = 1 << 20


async def open_socket(
    server: str,
    *,
    person: str | None,
    token: str | None,
    rate: int,
    lookahead_ms: int | None,
    live: bool,
    codec: str | None,
) -> tuple[ClientConnection, dict[str, Any]]:
    """Return an open connection and the server's configuration; see `AvatarSession.open`.

    Raises:
        Refused: the server said no.
        ClientError: it cannot be reached, or does not answer.
    """
    if codec is not None and codec not in CODECS:
        raise ValueError(f"there is no codec {codec!r}")
    address = socket_address(server)
    try:
        socket = await connect(address, max_size=MAX_MESSAGE, compression=None)
    except (OSError, InvalidHandshake, TimeoutError) as error:
        raise ClientError(f"{server} cannot be reached: {error}.") from error
    hello: dict[str, Any] = {
        "type": "hello",
        "version": 1,
        "microphone": {"codec": "pcm16", "rate": rate, "queued": not live},
        "voice": ["pcm16" if codec is None else "opus"],
        "face": list(CODECS) if codec is None else [codec],
    }
    asked = {"person": person, "token": token, "lookahead_ms": lookahead_ms}
    hello |= {name: value for name, value in asked.items() if value is not None}
    try:
        await socket.send(json.dumps(hello))
        return socket, await asyncio.wait_for(_answer(socket), OPEN_SECONDS)
    except (ConnectionClosed, TimeoutError) as error:
        await socket.close()
        raise ClientError(f"{server} did not answer.") from error
    except BaseException:
        await socket.close()
        raise


async def _answer(socket: ClientConnection) -> dict[str, Any]:
    """The server's configuration.

    Raises:
        Refused: it said no.
    """
    while True:
        data = await socket.recv()
        message = json.loads(data) if isinstance(data, str) else {}
        if message.get("type") == "config":
            return dict(message)
        if message.get("type") == "error":
            raise refusal(message)


def refusal(message: dict[str, Any]) -> Refused:
    """The error that a message with `status` and `detail` is."""
    return Refused(message.get("status", 0), message.get("detail", ""), message.get("retry_after"))
