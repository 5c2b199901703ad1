"""Which encoders are taken. No machine of ours has NVENC: a card is played by x264 here."""

from __future__ import annotations

import av
import numpy as np
import pytest

from visavis.engines.errors import ConfigError
from visavis.server.config import ServerConfig
from visavis.server.media.encoder import Encoded, H264Encoder, NvencEncoder, Vp8Encoder
from visavis.server.media.encoding import Encoding, find_encoding

PICTURE = np.full((128 * 3 // 2, 128), 128, np.uint8)


class Card(H264Encoder):
    """A card's encoder."""


class HoldsBack(H264Encoder):
    """Gives nothing for the first picture, as an encoder with a delay does."""

    def encode(self, index: int, i420: object, **options: object) -> Encoded:  # type: ignore[override]
        return Encoded(index, b"", False, True, 0.0)


def no_card(width: int, height: int) -> Card:
    raise av.error.PermissionError(1, "Operation not permitted")


def has_nvenc() -> bool:
    try:
        NvencEncoder(256, 256)
    except av.FFmpegError:
        return False
    return True


def test_without_a_card_nvenc_is_refused_and_auto_takes_vp8() -> None:
    """The real thing: libavcodec is asked to open the encoder."""
    if has_nvenc():
        assert find_encoding("nvenc").on_card and find_encoding("auto").on_card
        return
    with pytest.raises(ConfigError, match=r"NVENC does not work here \(.+\); say --encoder"):
        find_encoding("nvenc")
    found = find_encoding("auto")
    assert not found.on_card and not found.prefers_h264 and found.usual == "video/VP8"
    assert isinstance(found.open("video/VP8", 128, 128), Vp8Encoder)
    assert isinstance(found.open("video/H264", 128, 128), H264Encoder)


@pytest.mark.parametrize("card", [no_card, HoldsBack])
def test_a_card_is_there_when_it_has_compressed_a_picture(card: type[H264Encoder]) -> None:
    with pytest.raises(ConfigError):
        find_encoding("nvenc", card=card)
    assert not find_encoding("auto", card=card).on_card


@pytest.mark.parametrize("asked", ["auto", "nvenc"])
def test_with_a_card_it_compresses_h264_and_h264_is_preferred(asked: str) -> None:
    found = find_encoding(asked, card=Card)
    assert found.on_card and found.prefers_h264
    assert isinstance(found.open("video/H264", 128, 128), Card)
    assert isinstance(found.open("video/VP8", 128, 128), Vp8Encoder)


def test_a_card_that_is_full_is_said_and_x264_takes_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    encoder = Encoding(prefers_h264=True, card=no_card).open("video/H264", 128, 128)
    assert isinstance(encoder, H264Encoder) and encoder.encode(0, PICTURE, key=True).key
    assert "x264" in caplog.text
    with pytest.raises(av.FFmpegError):
        Encoding(prefers_h264=True, card=no_card, strict=True).open("video/H264", 128, 128)


@pytest.mark.parametrize(("asked", "codec"), [("vp8", "video/VP8"), ("x264", "video/H264")])
def test_the_processor_never_asks_a_card(asked: str, codec: str) -> None:
    def card(width: int, height: int) -> Card:
        raise AssertionError

    assert find_encoding(asked, card=card).usual == codec


def test_an_encoder_of_another_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="--encoder takes auto, vp8, x264, nvenc, not 'gif'"):
        ServerConfig(encoder="gif")
