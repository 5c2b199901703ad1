"""Which encoders a server uses: libvpx and x264 on the processor, or NVENC on a card.

A card's encoder is there when it has been opened and has compressed a picture; nothing else says
so. Where it was asked for and is not there, the server does not start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import av
import numpy as np

from visavis.engines.errors import ConfigError
from visavis.server.media.encoder import (
    H264Encoder,
    NvencEncoder,
    VideoEncoder,
    open_encoder,
)

__all__ = ["Encoding", "find_encoding"]

logger = logging.getLogger(__name__)

TRIAL_SIZE = 256  # NVENC takes nothing under 145 pixels
H264 = "video/h264"

OpenCard = Callable[[int, int], VideoEncoder]


class Encoding:
    """What compresses pictures.

    Args:
        prefers_h264: whether H.264 is taken where a visitor can have both codecs and named none.
        card: opens the card's encoder for H.264; None where x264 compresses it.
        strict: whether a session whose card encoder cannot be opened fails; x264 takes over
            otherwise, which the log says. Consumer cards open only a few at once.
    """

    def __init__(
        self, *, prefers_h264: bool = False, card: OpenCard | None = None, strict: bool = False
    ) -> None:
        self.prefers_h264 = prefers_h264
        self.on_card = card is not None
        self._card = card
        self._strict = strict

    @property
    def usual(self) -> str:
        """The codec that most sessions get."""
        return "video/H264" if self.prefers_h264 else "video/VP8"

    def open(self, mime_type: str, width: int, height: int) -> VideoEncoder:
        """The encoder of one session; in the pool.

        Raises:
            av.FFmpegError: the card opens no more, and nothing else was allowed.
        """
        if self._card is None or mime_type.lower() != H264:
            return open_encoder(mime_type, width, height)
        try:
            return self._card(width, height)
        except av.FFmpegError as error:
            if self._strict:
                raise
            logger.warning("the card compresses no further session (%s); x264 does", error)
            return H264Encoder(width, height)


def find_encoding(asked: str, *, card: OpenCard = NvencEncoder) -> Encoding:
    """Look at what there is.

    Args:
        asked: ``vp8`` or ``x264``, on the processor; ``nvenc``; or ``auto``: NVENC where it works,
            else VP8.
        card: opens the card's encoder.

    Raises:
        ConfigError: NVENC was asked for and does not work here.
    """
    if asked in ("vp8", "x264"):
        return Encoding(prefers_h264=asked == "x264")
    try:
        trial = card(TRIAL_SIZE, TRIAL_SIZE)
        made = trial.encode(0, np.full((TRIAL_SIZE * 3 // 2, TRIAL_SIZE), 128, np.uint8), key=True)
        if not (made.data and made.key):
            raise ValueError("it holds the first picture back")
    except (av.FFmpegError, ValueError) as error:
        if asked == "nvenc":
            raise ConfigError(
                f"NVENC does not work here ({error}); say --encoder vp8 or --encoder x264."
            ) from error
        return Encoding()
    return Encoding(prefers_h264=True, card=card, strict=asked == "nvenc")
