"""A look as a command line names it: what stands behind the person, and how near they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from visavis.clients.errors import ClientError, Refused
from visavis.clients.session import AvatarSession
from visavis.clients.wire import socket_address

__all__ = ["Look", "read_look", "take_look"]

MOST_BYTES = 8 << 20
BACKGROUNDS = ("filmed", "blurred", "transparent")
FRAMINGS = ("filmed", "shoulders", "face")
PICTURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
UPLOAD_SECONDS = 60.0
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, slots=True)
class Look:
    """What to choose of a session, and the picture that it needs first."""

    choices: Mapping[str, Any]
    picture: bytes | None = None


def read_look(background: str | None, framing: str | None) -> Look:
    """Read two options.

    Args:
        background: `filmed`, `blurred`, `transparent`, `#rrggbb`, a JPEG or PNG file, or the name
            of one of the server's pictures.
        framing: `filmed`, `shoulders`, `face`, or `ZOOM,X,Y`, as in 1.5,0.5,0.4.

    Raises:
        ClientError: they say nothing of that kind, or the file is none.
    """
    choices: dict[str, Any] = {}
    picture = None
    if background is not None:
        if background in BACKGROUNDS or _COLOUR.fullmatch(background):
            choices["background"] = background
        elif background.startswith("#"):
            raise ClientError(f"{background!r} is no colour, as in #30405a.")
        elif (path := Path(background)).suffix or path.name != background:
            picture = _read(path)
            choices["background"] = {"picture": "own"}
        else:
            choices["background"] = {"picture": background}
    if framing is not None:
        choices["framing"] = framing if framing in FRAMINGS else _numbers(framing)
    return Look(choices, picture)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            picture = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ClientError(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(picture) > MOST_BYTES:
        raise ClientError(f"{path} is larger than {MOST_BYTES >> 20} MB.")
    if not picture.startswith(tuple(PICTURES)):
        raise ClientError(f"{path} is neither a JPEG nor a PNG.")
    return picture


def _numbers(framing: str) -> dict[str, float]:
    try:
        zoom, x, y = (float(part) for part in framing.split(","))
    except ValueError:
        raise ClientError(
            f"{framing!r} is no framing: {', '.join(FRAMINGS)}, or ZOOM,X,Y as in 1.5,0.5,0.4."
        ) from None
    if not (1 <= zoom <= 4 and 0 <= x <= 1 and 0 <= y <= 1):
        raise ClientError("A framing's zoom lies between 1 and 4, its x and y between 0 and 1.")
    return {"zoom": zoom, "x": x, "y": y}


async def take_look(
    session: AvatarSession, look: Look, server: str, token: str | None = None
) -> None:
    """Let a session have a look.

    Args:
        server, token: as for `AvatarSession.open`.

    Raises:
        Refused: the server does not take the picture, or the choice.
        ClientError: it cannot be reached.
    """
    if look.picture is not None:
        await _upload(session, look.picture, server, token)
    if look.choices:
        await session.choose(look.choices)


async def _upload(session: AvatarSession, picture: bytes, server: str, token: str | None) -> None:
    parts = urlsplit(socket_address(server))
    scheme = {"ws": "http", "wss": "https"}[parts.scheme]
    folder = parts.path.removesuffix("/ws")
    identifier = session.address.rpartition("/")[2]
    path = f"{folder}/sessions/{identifier}/background"
    url = urlunsplit((scheme, parts.netloc, path, "", ""))
    headers = {"Content-Type": next(k for m, k in PICTURES.items() if picture.startswith(m))}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    try:
        async with httpx.AsyncClient(timeout=UPLOAD_SECONDS) as http:
            response = await http.put(url, content=picture, headers=headers)
    except httpx.HTTPError as error:
        raise ClientError(f"The picture could not be sent to {server}: {error}.") from error
    if response.status_code != 204:
        raise Refused(response.status_code, _detail(response))


def _detail(response: httpx.Response) -> str:
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = None
    if isinstance(detail, str):
        return detail
    return f"The server does not take the picture ({response.status_code})."
