"""Our own encoders, checked by other people's decoders."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.fake_engine import draw, read_index, read_level
from visavis.server.media.encoder import H264Encoder, Vp8Encoder, open_encoder
from visavis.server.media.opus import ENCODER_DELAY_SAMPLES, OpusDecoder, OpusEncoder
from visavis.server.rate.sizes import bitrate_for

RATE = 48_000
CODECS = {"video/VP8": "libvpx", "video/H264": "h264"}


@pytest.mark.parametrize("mime_type", list(CODECS))
def test_what_is_encoded_is_what_is_seen(mime_type: str) -> None:
    encoder = open_encoder(mime_type, 128, 128)
    assert encoder.mime_type == mime_type
    decoder = av.CodecContext.create(CODECS[mime_type], "r")
    seen = []
    for index in range(20):
        encoded = encoder.encode(index, draw(index, index / 20, 128, 128), key=False)
        assert encoded.key == (index == 0)
        for frame in decoder.decode(av.Packet(encoded.data)):
            luma = frame.to_ndarray()[:128]
            seen.append((read_index(luma), read_level(luma)))
    assert [index for index, _ in seen] == list(range(20))
    np.testing.assert_allclose([level for _, level in seen], np.arange(20) / 20, atol=0.06)


@pytest.mark.parametrize("make", [Vp8Encoder, H264Encoder])
def test_a_key_frame_when_asked_and_only_then(make: type[Vp8Encoder]) -> None:
    encoder = make(128, 128)
    keys = [
        encoder.encode(n, draw(n, 0.5, 128, 128), key=n == 10).key  # frame 0 is one by itself
        for n in range(40)
    ]
    assert [n for n, key in enumerate(keys) if key] == [0, 10]


@pytest.mark.parametrize("make", [Vp8Encoder, H264Encoder])
def test_gaps_in_the_numbers_are_no_trouble(make: type[Vp8Encoder]) -> None:
    encoder = make(128, 128)
    for index in (0, 1, 2, 9, 10, 500):
        assert encoder.encode(index, draw(index, 0.5, 128, 128), key=False).data


@pytest.mark.parametrize("make", [Vp8Encoder, H264Encoder])
def test_the_bit_rate_is_kept_on_a_restless_picture(make: type[Vp8Encoder]) -> None:
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(16, 235, (48, 32)), np.ones((8, 8))).astype(np.uint8)
    encoder = make(256, 256)
    sizes = [len(encoder.encode(n, np.roll(texture, 3 * n, 1), key=False).data) for n in range(75)]
    bits_per_second = sum(sizes[25:]) * 8 / 2
    assert bits_per_second < 1.6 * bitrate_for(256, 256)


def test_the_bit_rate_of_the_usual_size() -> None:
    assert bitrate_for(512, 512) == 1_200_000
    assert bitrate_for(256, 256) < 600_000


def test_opus_there_and_back_costs_what_it_says() -> None:
    t = np.arange(RATE) / RATE
    pcm = (0.3 * np.sin(2 * np.pi * 300 * t * (1 + t))).astype(np.float32)
    encoder, decoder = OpusEncoder(), OpusDecoder()
    packets = [encoder.encode(pcm[n : n + 960]) for n in range(0, len(pcm), 960)]
    heard = np.concatenate([decoder.decode(p) for p in packets])
    assert len(heard) == len(pcm)
    scores = [
        float(np.dot(heard[9600 + lag : 38_400 + lag], pcm[9600:38_400])) for lag in range(0, 400)
    ]
    assert int(np.argmax(scores)) == ENCODER_DELAY_SAMPLES
    assert sum(map(len, packets)) * 8 < 60_000


def test_packets_of_10_ms_are_decoded_too() -> None:
    encoder = av.CodecContext.create("libopus", "w")
    encoder.format, encoder.layout, encoder.sample_rate = "s16", "stereo", RATE
    encoder.options = {"frame_duration": "10", "application": "voip"}
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), format="s16", layout="stereo")
    frame.sample_rate = RATE
    (packet,) = encoder.encode(frame)
    assert len(OpusDecoder().decode(bytes(packet))) == 480


def test_too_loud_is_clipped_not_wrapped() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    loud = np.full(960, 2.0, np.float32)
    heard = [decoder.decode(encoder.encode(loud)) for _ in range(3)]
    assert heard[1].min() > -0.5


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_damaged_packets_are_no_sound_and_no_error(payload: bytes) -> None:
    decoder = OpusDecoder()
    pcm = decoder.decode(payload)
    assert pcm.dtype == np.float32
    assert len(pcm) <= 5760


def restless(width: int, height: int) -> list[np.ndarray]:
    """Four seconds of a texture that moves, with a camera's noise."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(60, 190, (height * 3 // 2 // 16, width // 16))
    texture = np.kron(blocks, np.ones((16, 16)))
    pictures = []
    for n in range(100):
        picture = np.roll(texture, n, 1)
        picture[:height] += rng.normal(0, 2, (height, width))
        pictures.append(picture.clip(0, 255).astype(np.uint8))
    return pictures


@pytest.mark.parametrize("make", [Vp8Encoder, H264Encoder])
def test_the_bit_rate_changes_while_the_codec_runs(make: type[Vp8Encoder]) -> None:
    pictures = restless(256, 256)
    encoder = make(256, 256)
    rates = [400_000] * 75 + [200_000] * 100 + [400_000] * 150
    frames = [
        encoder.encode(n, pictures[n % 100], key=False, bit_rate=rate)
        for n, rate in enumerate(rates)
    ]
    assert [f.index for f in frames if f.key] == [0]

    def kilobits(begin: int, end: int) -> float:
        return sum(len(f.data) for f in frames[begin:end]) * 8 / (end - begin) * 25 / 1000

    before, less, again = kilobits(25, 75), kilobits(100, 175), kilobits(250, 325)
    assert 300 < before < 500
    assert less < 0.65 * before
    assert again > 1.4 * less


@pytest.mark.parametrize("mime_type", list(CODECS))
def test_another_size_is_a_key_frame_and_no_more(mime_type: str) -> None:
    encoder = open_encoder(mime_type, 256, 256)
    decoder = av.CodecContext.create(CODECS[mime_type], "r")
    sizes = [(256, 256)] * 5 + [(192, 192)] * 5 + [(128, 128)] * 5 + [(256, 256)] * 5
    keys, seen = [], []
    for index, size in enumerate(sizes):
        encoded = encoder.encode(index, draw(index, 0.5, *size), key=False)
        keys += [index] * encoded.key
        for frame in decoder.decode(av.Packet(encoded.data)):
            assert (frame.width, frame.height) == size
            if size == (256, 256):
                seen.append(read_index(frame.to_ndarray()[:256]))
    assert keys == [0, 5, 10, 15]
    assert seen == [*range(5), *range(15, 20)]
