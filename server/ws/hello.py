"""What a browser says first: who it is, what it sends, and what it can decode. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from visavis.server.errors import OfferError, RequestError
from visavis.server.ws.framing import VERSION

__all__ = ["MAX_TEXT_BYTES", "Hello", "parse_hello", "parse_text"]

MAX_TEXT_BYTES = 4 * 1024
RATES = (16_000, 24_000, 48_000)
VOICES = ("opus", "pcm16")
FACES = ("vp8", "h264")
MIME_TYPES = {"vp8": "video/VP8", "h264": "video/H264"}


@dataclass(frozen=True, slots=True)
class Hello:
    """What both sides agree on."""

    token: str | None
    person: str | None
    lookahead_ms: int | None
    microphone: str
    """``opus`` or ``pcm16``; also where no microphone is sent."""
    microphone_rate: int
    voice: str
    """``opus`` or ``pcm16``, the first that was named and is known."""
    face: str
    """``vp8`` or ``h264``, likewise."""
    queued: bool = False
    """The microphone is a speech model: its sound comes at any pace and is said at the pace of
    speech."""
    resume: tuple[str, str] | None = None
    """The id of a session that shall go on, and its resume token."""

    @property
    def video_mime_type(self) -> str:
        """The face's codec, as SDP calls it."""
        return MIME_TYPES[self.face]


def parse_text(text: str) -> dict[str, Any]:
    """A control message: an object with a ``type``.

    Raises:
        RequestError: it is no such object, or too large.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise RequestError(f"A text message has at most {MAX_TEXT_BYTES} characters.", status=413)
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise RequestError("A text message must be JSON.") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise RequestError('A text message must be an object with a "type".')
    return message


def parse_hello(text: str) -> Hello:
    """The first message.

    Raises:
        RequestError: it is no hello, or one of another version.
        OfferError: nothing of what the browser can do is known here.
    """
    message = parse_text(text)
    if message["type"] != "hello":
        raise RequestError('The first message must be a "hello".')
    if message.get("version") != VERSION:
        raise RequestError(f"This server speaks version {VERSION} of the protocol.")
    microphone = message.get("microphone") or {}
    if not isinstance(microphone, dict):
        raise RequestError('"microphone" must be an object with "codec" and "rate".')
    codec = microphone.get("codec", "opus")
    rate = microphone.get("rate", 48_000)
    if codec not in VOICES:
        raise OfferError("The microphone must send opus or pcm16.")
    if rate not in RATES or isinstance(rate, bool):
        raise OfferError("The microphone's rate must be 16000, 24000 or 48000.")
    queued = microphone.get("queued", False)
    if not isinstance(queued, bool) or (queued and codec != "pcm16"):
        raise OfferError('What is "queued" must come as pcm16.')
    lookahead = message.get("lookahead_ms")
    if lookahead is not None and type(lookahead) is not int:
        raise RequestError('"lookahead_ms" must be a whole number.')
    return Hello(
        token=_text(message, "token"),
        person=_text(message, "person"),
        lookahead_ms=lookahead,
        microphone=codec,
        microphone_rate=rate,
        voice=_choose(message, "voice", VOICES),
        face=_choose(message, "face", FACES),
        queued=queued,
        resume=_resume(message),
    )


def _resume(message: dict[str, Any]) -> tuple[str, str] | None:
    wanted = message.get("resume")
    if wanted is None:
        return None
    if not isinstance(wanted, dict):
        raise RequestError('"resume" must be an object with "session" and "token".')
    session, token = _text(wanted, "session"), _text(wanted, "token")
    if not session or not token:
        raise RequestError('"resume" must be an object with "session" and "token".')
    return session.rpartition("/")[2], token


def _text(message: dict[str, Any], name: str) -> str | None:
    value = message.get(name)
    if value is not None and not isinstance(value, str):
        raise RequestError(f'"{name}" must be a text.')
    return value


def _choose(message: dict[str, Any], name: str, known: Sequence[str]) -> str:
    wanted = message.get(name, list(known))
    if not isinstance(wanted, list):
        raise RequestError(f'"{name}" must be a list of codecs, best first.')
    for codec in wanted:
        if codec in known:
            return str(codec)
    raise OfferError(f'None of the codecs in "{name}" is known here; {" or ".join(known)} is.')
