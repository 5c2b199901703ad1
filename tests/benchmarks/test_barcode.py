from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from visavis.benchmarks.live import barcode


def textured(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    """An I420 frame of blurred noise: it costs the encoder bits as skin and hair do."""
    small = rng.integers(40, 200, (height * 3 // 2 // 4, width // 4), dtype=np.uint8)
    return np.ascontiguousarray(small.repeat(4, axis=0).repeat(4, axis=1))


@given(index=st.integers(0, (1 << barcode.INDEX_BITS) - 1), width=st.sampled_from([128, 256, 512]))
def test_drawn_index_is_read_back(index: int, width: int) -> None:
    frame = np.full((width * 3 // 2, width), 90, dtype=np.uint8)
    barcode.draw(frame, index)
    assert barcode.decode(frame[:width]) == index


def test_index_wraps_instead_of_failing() -> None:
    frame = np.zeros((384, 256), dtype=np.uint8)
    barcode.draw(frame, (1 << barcode.INDEX_BITS) + 7)
    assert barcode.decode(frame[:256]) == 7


def test_only_the_top_cells_and_their_chroma_change() -> None:
    frame = np.full((768, 512), 77, dtype=np.uint8)
    barcode.draw(frame, 123)
    assert (frame[16:512] == 77).all()
    chroma = frame[512:].reshape(2, 256, 256)
    assert (chroma[:, 8:] == 77).all()
    assert (chroma[:, :8] == 128).all()


def test_survives_vp8_at_the_bit_rate_we_send() -> None:
    rng = np.random.default_rng(5)
    size = 512
    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width = encoder.height = size
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.bit_rate = 1_200_000
    encoder.options = {"deadline": "realtime", "cpu-used": "-8", "lag-in-frames": "0"}
    encoder.thread_count = 1
    decoder = av.CodecContext.create("vp8", "r")
    picture = textured(rng, size, size)
    read, sizes = [], []
    sent = [1_000 + k * 37 for k in range(75)]
    for k, index in enumerate(sent):
        frame = np.roll(picture, 4 * (k % 5), axis=1)  # motion, so that bits are scarce
        barcode.draw(frame, index)
        video = av.VideoFrame.from_ndarray(frame, format="yuv420p")
        video.pts = k
        for packet in encoder.encode(video):
            sizes.append(packet.size)
            for shown in decoder.decode(packet):
                luma = shown.to_ndarray(format="yuv420p")[:size]
                read.append(barcode.decode(luma))
    assert sum(sizes) * 8 / 3 < 3_000_000, "the encoder was not held to its rate"
    assert read == sent


def test_foreign_pictures_have_no_index() -> None:
    rng = np.random.default_rng(6)
    assert barcode.decode(np.full((512, 512), 128, dtype=np.uint8)) is None
    found = [barcode.decode(textured(rng, 512, 512)[:512]) for _ in range(400)]
    assert sum(index is not None for index in found) <= 2


def test_one_wrong_cell_is_refused() -> None:
    for cell in range(2, 30):
        frame = np.zeros((768, 512), dtype=np.uint8)
        barcode.draw(frame, 0x5A5A5)
        frame[:16, cell * 16 : cell * 16 + 16] = 251 - frame[:16, cell * 16 : cell * 16 + 16]
        assert barcode.decode(frame[:512]) is None


def test_a_picture_too_narrow_is_refused() -> None:
    with pytest.raises(ValueError, match="128 pixels"):
        barcode.cell_size(120)
