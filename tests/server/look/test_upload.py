"""Pictures from strangers: taken, turned, or refused in a sentence."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.look.picture_files import as_jpeg, as_png, quadrants, turned
from visavis.engines.i420 import planes_of
from visavis.server.errors import RequestError
from visavis.server.look.upload import read_picture
from visavis.server.media.picture_file import cover, decode_picture

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def corners(pixels: np.ndarray) -> list[tuple[int, ...]]:
    """Top left, top right, bottom left, bottom right; each channel on or off."""
    near = [(3, 3), (3, -4), (-4, 3), (-4, -4)]
    return [tuple(int(c > 127) * 255 for c in pixels[at]) for at in near]


def header(width: int, height: int) -> bytes:
    """A PNG that says it is that large."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize("data", [as_png(quadrants()), as_jpeg(quadrants())])
def test_pictures_are_read(data: bytes) -> None:
    pixels = decode_picture(data)
    assert pixels.shape == (48, 64, 3)
    assert corners(pixels) == [RED, GREEN, BLUE, WHITE]
    assert np.abs(pixels.astype(int) - quadrants()).mean() < 3


@pytest.mark.parametrize(
    ("orientation", "seen"),
    [
        (1, [RED, GREEN, BLUE, WHITE]),
        (2, [GREEN, RED, WHITE, BLUE]),
        (3, [WHITE, BLUE, GREEN, RED]),
        (4, [BLUE, WHITE, RED, GREEN]),
        (5, [RED, BLUE, GREEN, WHITE]),
        (6, [BLUE, RED, WHITE, GREEN]),
        (7, [WHITE, GREEN, BLUE, RED]),
        (8, [GREEN, WHITE, RED, BLUE]),
        (9, [RED, GREEN, BLUE, WHITE]),
    ],
)
@pytest.mark.parametrize("order", [">", "<"])
def test_a_phone_s_picture_is_upright(
    orientation: int, seen: list[tuple[int, ...]], order: str
) -> None:
    pixels = decode_picture(turned(as_jpeg(quadrants()), orientation, order))
    assert corners(pixels) == seen
    assert pixels.shape[:2] == ((64, 48) if 5 <= orientation <= 8 else (48, 64))


def test_what_is_transparent_is_black() -> None:
    clear = np.dstack([quadrants(), np.full((48, 64), 255, np.uint8)])
    clear[:24, :, 3] = 0
    clear[24:, :32, 3] = 128
    pixels = decode_picture(as_png(clear, "rgba"))
    assert corners(pixels)[:2] == [(0, 0, 0), (0, 0, 0)]
    assert tuple(pixels[-4, 3]) == (0, 0, 128) and tuple(pixels[-4, -4]) == WHITE


def test_the_middle_covers_the_frame() -> None:
    wide = np.zeros((40, 200, 3), np.uint8)
    wide[:, 80:120] = 255
    y, u, v = planes_of(cover(wide, 64, 64))
    assert (y == 235).all() and (u == 128).all() and (v == 128).all()
    assert (planes_of(cover(wide.transpose(1, 0, 2).copy(), 64, 64))[0] == 235).all()
    red = np.zeros((30, 30, 3), np.uint8)
    red[..., 0] = 255
    y, u, v = planes_of(cover(red, 64, 32))  # enlarged
    assert (int(y[9, 9]), int(u[9, 9]), int(v[9, 9])) == pytest.approx((81, 90, 240), abs=1)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 415),
        (b"GIF89a" + bytes(100), 415),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
        (b"\xff\xd8\xff", 422),
        (b"\x89PNG\r\n\x1a\n", 422),
        (as_jpeg(quadrants())[:400], 422),
        (as_png(quadrants())[:90], 422),
        (header(30_000, 30_000), 422),
        (header(4097, 8), 422),
        (header(0, 0), 422),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(RequestError) as refused:
        decode_picture(data)
    assert refused.value.status == status and str(refused.value).endswith(".")


def test_a_picture_that_is_too_wide_says_how_wide_it_may_be() -> None:
    with pytest.raises(RequestError, match="4096 pixels"):
        decode_picture(as_png(np.zeros((2, 4100, 3), np.uint8)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_is_a_refusal_or_a_picture(data: st.DataObject) -> None:
    whole = turned(as_jpeg(quadrants()), 6) if data.draw(st.booleans()) else as_png(quadrants())
    broken = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = decode_picture(bytes(broken[: data.draw(st.integers(1, len(broken)))]))
    except RequestError as error:
        assert error.status in (415, 422)
    else:
        assert pixels.ndim == 3 and pixels.dtype == np.uint8


def test_the_process_takes_and_refuses() -> None:
    i420 = read_picture(as_jpeg(quadrants()), 64, 48)
    assert (
        i420.shape == (72, 64)
        and (i420 == cover(decode_picture(as_jpeg(quadrants())), 64, 48)).all()
    )
    with pytest.raises(RequestError, match="JPEG or a PNG") as refused:
        read_picture(b"GIF89a", 64, 48)
    assert refused.value.status == 415


def test_the_process_has_bounds() -> None:
    """The toys: limits that are never set; a process that is waited for."""
    large = as_png(np.zeros((3000, 4000, 3), np.uint8))
    with pytest.raises(RequestError) as refused:
        read_picture(large, 64, 48, memory_bytes=160 << 20)
    assert refused.value.status == 422
    with pytest.raises(RequestError, match="more than it may"):
        read_picture(large, 64, 48, timeout_seconds=0.02)
