"""Pictures of another size, and of sizes that are no multiple of four, keep their colors."""

from __future__ import annotations

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.engines.i420 import planes_of
from visavis.server.media.encoder import H264Encoder, Vp8Encoder
from visavis.server.media.i420_frame import frame_of
from visavis.server.media.scaling import Scaler

SIZES = [(128, 128), (130, 130), (134, 130), (128, 142), (126, 128)]
TOP, BELOW = (180, 90, 160), (60, 150, 100)


def two_colors(width: int, height: int) -> NDArray[np.uint8]:
    i420 = np.empty((height * 3 // 2, width), np.uint8)
    for plane, above, below in zip(planes_of(i420), TOP, BELOW, strict=True):
        plane[: len(plane) // 2], plane[len(plane) // 2 :] = above, below
    return i420


def assert_two_colors(i420: NDArray[np.uint8], within: int) -> None:
    for plane, above, below in zip(planes_of(i420), TOP, BELOW, strict=True):
        far = len(plane) // 2 - 8, len(plane) // 2 + 8  # from the edge, which scaling softens
        np.testing.assert_allclose(plane[: far[0]].astype(int), above, atol=within)
        np.testing.assert_allclose(plane[far[1] :].astype(int), below, atol=within)


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_has_the_pixels_of_its_array(size: tuple[int, int]) -> None:
    picture = two_colors(*size)
    frame = frame_of(picture)
    assert (frame.width, frame.height) == size
    np.testing.assert_array_equal(frame.to_ndarray(), picture)


@pytest.mark.parametrize("source", SIZES)
@pytest.mark.parametrize("wanted", SIZES)
def test_colors_stay_where_they_are(source: tuple[int, int], wanted: tuple[int, int]) -> None:
    scaled = Scaler().picture(two_colors(*source), *wanted)
    assert scaled.shape == (wanted[1] * 3 // 2, wanted[0])
    assert_two_colors(scaled, within=2)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("make", "codec"), [(Vp8Encoder, "libvpx"), (H264Encoder, "h264")])
def test_encoders_take_sizes_of_any_even_number(
    make: type[Vp8Encoder | H264Encoder], codec: str, size: tuple[int, int]
) -> None:
    encoder, decoder = make(*size), av.CodecContext.create(codec, "r")
    for index in range(5):
        encoded = encoder.encode(index, two_colors(*size), key=False)
        for frame in decoder.decode(av.Packet(encoded.data)):
            assert (frame.width, frame.height) == size
    assert_two_colors(frame.to_ndarray(), within=6)
