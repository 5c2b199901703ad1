"""Offers in, answers out: what is read, what is refused, and what is said differently.

SDP (RFC 8866), trickle fragments (RFC 8840), as WHIP uses them (RFC 9725).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from aiortc import RTCIceCandidate, sdp
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from visavis.server.errors import OfferError

__all__ = [
    "MAX_CANDIDATES",
    "Fragment",
    "Offer",
    "choose_video",
    "parse_fragment",
    "parse_offer",
    "parse_published",
    "with_announced",
    "with_redundancy",
    "with_short_packets",
]

MAX_CANDIDATES = 64
MAX_SECTIONS = 4
_BROADCAST = ipaddress.IPv4Address("255.255.255.255")
MAX_ICE_NAME = 256
"""Characters of an ICE user name or password (RFC 8839, section 5.4); our checks carry them."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A checked offer.

    ``text`` is the offer without the candidates that we cannot use. ``sends_audio`` says whether a
    microphone will come; ``video_extensions`` are the header extensions of the video section.
    ``red`` says under which payload type each audio codec may come redundantly (RFC 2198).
    """

    text: str
    sends_audio: bool
    receives_audio: bool
    username: str
    video_codecs: tuple[str, ...]
    video_extensions: dict[str, int]
    red: dict[int, int]


@dataclass(frozen=True, slots=True)
class Fragment:
    """A trickle fragment: new candidates, and whether these were the last."""

    username: str | None
    candidates: tuple[RTCIceCandidate, ...]
    complete: bool


def parse_offer(text: str) -> Offer:
    """Read and check the offer of a peer that wants the picture.

    Raises:
        OfferError: 400 when it is no SDP, 422 when we cannot answer it; nothing was created.
    """
    text, media = _sections(text)
    audio = [m for m in media if m.kind == "audio"]
    video = [m for m in media if m.kind == "video"]
    if not video or video[0].direction not in ("recvonly", "sendrecv"):
        raise OfferError("The offer has no video section that wants to receive a picture.")
    codecs = {c.mimeType.lower() for c in video[0].rtp.codecs}
    if not {"video/vp8", "video/h264"} & codecs:
        raise OfferError("The video section must offer VP8 or H.264.")
    return _offer(text, audio, video)


def parse_published(text: str) -> Offer:
    """Read and check the offer of a peer that only speaks (WHIP).

    A picture that it would send is taken and thrown away: RFC 9725 lets no section be refused.

    Raises:
        OfferError: as for :func:`parse_offer`.
    """
    text, media = _sections(text)
    audio = [m for m in media if m.kind == "audio"]
    video = [m for m in media if m.kind == "video"]
    if not audio or audio[0].direction not in ("sendonly", "sendrecv"):
        raise OfferError("The offer has no audio section that sends a voice.")
    if video and video[0].direction not in ("sendonly", "sendrecv"):
        raise OfferError(
            "Nothing is sent back over WHIP; offer no video to receive, and watch over WHEP."
        )
    return _offer(text, audio, video)


def _sections(text: str) -> tuple[str, list[sdp.MediaDescription]]:
    """The offer without the candidates that we cannot use, and its checked sections."""
    if not text.startswith("v=0"):
        raise OfferError("The body is not an SDP offer.", status=400)
    text = _usable_candidates(text)
    try:
        description = sdp.SessionDescription.parse(text)
    except Exception as error:  # the parser raises whatever its input provokes
        reason = f": {error}" if str(error) else ""
        raise OfferError(f"The offer is not valid SDP{reason}.", status=400) from error
    media = description.media
    if not media:
        raise OfferError("The offer has no media; offer a microphone and a video to receive.")
    if len(media) > MAX_SECTIONS or [m.kind for m in media if m.kind not in ("audio", "video")]:
        raise OfferError("Offer one audio and one video section and nothing else.")
    if any(sum(m.kind == kind for m in media) > 1 for kind in ("audio", "video")):
        raise OfferError("Offer one audio and one video section and nothing else.")
    for section in media:
        if section.ice is None or not section.ice.usernameFragment or not section.ice.password:
            raise OfferError("The offer lacks an ICE user name or password.")
        if max(len(section.ice.usernameFragment), len(section.ice.password)) > MAX_ICE_NAME:
            raise OfferError(f"An ICE user name or password has at most {MAX_ICE_NAME} characters.")
        if section.dtls is None or not section.dtls.fingerprints:
            raise OfferError("The offer lacks a DTLS fingerprint.")
        if not section.rtcp_mux:
            raise OfferError("The offer must multiplex RTP and RTCP (a=rtcp-mux).")
        codecs = {c.mimeType.lower() for c in section.rtp.codecs}
        if section.kind == "audio" and "audio/opus" not in codecs:
            raise OfferError("The audio section must offer Opus.")
    names = [section.rtp.muxId for section in media]
    bundles = [group for group in description.group if group.semantic == "BUNDLE"]
    bundled = [str(item) for item in bundles[0].items] if bundles else []
    if len(set(bundled)) < len(bundled) or len(set(names)) < len(names):
        raise OfferError("Each section needs a name of its own (a=mid).")
    if len(media) > 1 and set(bundled) != set(names):
        raise OfferError("The offer must bundle all its sections (a=group:BUNDLE, a=mid).")
    return text, media


def _offer(
    text: str, audio: list[sdp.MediaDescription], video: list[sdp.MediaDescription]
) -> Offer:
    picture = video[0].rtp if video else None
    return Offer(
        text=text,
        sends_audio=bool(audio) and audio[0].direction in ("sendonly", "sendrecv"),
        receives_audio=bool(audio) and audio[0].direction in ("recvonly", "sendrecv"),
        username=next((m.ice.usernameFragment or "" for m in (*audio, *video) if m.ice), ""),
        video_codecs=() if picture is None else tuple(c.mimeType for c in picture.codecs),
        video_extensions=(
            {} if picture is None else {e.uri: e.id for e in picture.headerExtensions}
        ),
        red=_redundant(text) if audio and audio[0].direction != "recvonly" else {},
    )


def _redundant(text: str) -> dict[int, int]:
    """For each codec that may come redundantly, and twice the same, the payload type of that."""
    known = set(re.findall(r"(?mi)^a=rtpmap:(\d{1,3}) red/48000(?:/2)?\s*$", text))
    formats = re.findall(r"(?m)^a=fmtp:(\d{1,3}) (\d{1,3})/(\d{1,3})(?:/\d+)*\s*$", text)
    return {int(one): int(red) for red, one, two in formats if red in known and one == two}


def _usable_candidates(text: str) -> str:
    """Drop the candidates we cannot use, and refuse an offer with absurdly many.

    A browser without microphone permission hides its addresses behind ``.local`` names. Looking
    one up takes a second of multicast, and the browser's own checks reach us anyway. There is no
    ICE over TCP here. What is no address and port of one machine is nothing to send to.
    """
    lines = text.splitlines()
    candidates = [line for line in lines if line.startswith("a=candidate:")]
    if len(candidates) > MAX_CANDIDATES:
        raise OfferError(f"The offer has more than {MAX_CANDIDATES} candidates.")
    kept = [line for line in lines if not line.startswith("a=candidate:") or _usable(line)]
    if not any(line.startswith("a=candidate:") for line in kept):
        # The browser's checks will come from somewhere; without this aioice would not wait.
        kept = [line for line in kept if line.strip() != "a=end-of-candidates"]
    return "\r\n".join(kept) + "\r\n"


def _usable(line: str) -> bool:
    fields = line.split()
    if len(fields) < 8 or fields[2].lower() != "udp":
        return False
    try:
        address, port = ipaddress.ip_address(fields[4]), int(fields[5])
    except ValueError:
        return False  # a .local name among them
    if "%" in fields[4]:
        return False  # the name of an interface of theirs
    nobody = address.is_multicast or address.is_unspecified or address == _BROADCAST
    return 0 < port < 1 << 16 and not nobody


def parse_fragment(text: str) -> Fragment:
    """Read a trickle fragment.

    Candidates that we cannot use are dropped silently, as RFC 9725 asks.

    Raises:
        OfferError: 400 when it is none, 422 when it has too many candidates.
    """
    username = None
    candidates = []
    complete = False
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or not all(re.match(r"[a-z]=", line) for line in lines):
        raise OfferError("The body is not a trickle ICE fragment.", status=400)
    for line in lines:
        if line.startswith("a=ice-ufrag:"):
            username = line.partition(":")[2]
        elif line.startswith("a=end-of-candidates"):
            complete = True
        elif line.startswith("a=candidate:") and _usable(line):
            try:
                candidates.append(sdp.candidate_from_sdp(line.partition(":")[2]))
            except (ValueError, AssertionError, IndexError):
                continue
    if len(candidates) > MAX_CANDIDATES:
        raise OfferError(f"The fragment has more than {MAX_CANDIDATES} candidates.")
    return Fragment(username, tuple(candidates), complete)


def choose_video(
    common: list[RTCRtpCodecParameters], *, prefer_h264: bool
) -> list[RTCRtpCodecParameters]:
    """Of the codecs both sides know, the one to use with its retransmission; VP8 by default."""
    order = ("video/h264", "video/vp8") if prefer_h264 else ("video/vp8", "video/h264")
    for mime_type in order:
        for codec in common:
            if codec.mimeType.lower() == mime_type:
                rtx = [c for c in common if c.parameters.get("apt") == codec.payloadType]
                return [codec, *rtx]
    raise OfferError("The video section offers no form of VP8 or H.264 that the server speaks.")


def with_redundancy(answer: str, red: dict[int, int]) -> str:
    """Ask for each microphone packet to bring the one before it again (RFC 2198).

    aiortc does not know of it. It stands first, for what stands first is sent.
    """
    section = re.search(r"(?m)^m=audio \d+ \S+ (\d+)(?= |\r\n)", answer)
    opus = int(section[1]) if section else -1
    if section is None or opus not in red:
        return answer
    number = red[opus]
    lines = f"a=rtpmap:{number} red/48000/2\r\na=fmtp:{number} {opus}/{opus}\r\n"
    answer = answer[: section.start(1)] + f"{number} " + answer[section.start(1) :]
    return answer.replace(f"a=rtpmap:{opus} ", f"{lines}a=rtpmap:{opus} ", 1)


def with_announced(answer: str, address: str | None) -> str:
    """Offer each of our own ports at the announced address too: behind a NAT it leads here.

    Our own addresses stay, for visitors on our side of the NAT; that one comes second to them.
    """
    if address is None:
        return answer
    version = ipaddress.ip_address(address).version

    def announced(match: re.Match[str]) -> str:
        own = ipaddress.ip_address(match["address"])
        if own.version != version or own.is_loopback or str(own) == address:
            return match[0]
        priority = int(match["priority"]) - 1
        return (
            f"{match[0]}a=candidate:announced {match['component']} udp {priority} "
            f"{address} {match['port']} typ host\r\n"
        )

    line = (
        r"a=candidate:\S+ (?P<component>\d+) udp (?P<priority>\d+) (?P<address>\S+) "
        r"(?P<port>\d+) typ host\r\n"
    )
    return re.sub(line, announced, answer)


def with_short_packets(answer: str) -> str:
    """Ask for microphone packets of 10 ms: they are complete 10 ms earlier than those of 20."""
    return re.sub(r"(a=rtpmap:\d+ opus/48000/2\r\n)", r"\1a=ptime:10\r\n", answer, count=1)
